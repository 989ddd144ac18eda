//! Masking of names and numbers, which are never kept in full.

use crate::limits::MAX_NAME_CHARS;
use crate::plain_text::{is_mark, plain_text};

/// Most stars of a masked name. It is also the largest number of words that a masked name shows.
const MAX_STARS: usize = 8;

/// Keeps the first `head` and last `tail` characters and replaces the rest by stars. Of a number too short to hide
/// half, every character is replaced.
pub fn mask_number(number: &str, head: usize, tail: usize) -> String {
    let chars: Vec<char> = number.chars().collect();
    if chars.len() < 2 * (head + tail) && chars.len() < head + tail + 4 {
        return "*".repeat(chars.len());
    }
    let keep = |at: usize| at < head || at >= chars.len() - tail;
    chars.iter().enumerate().map(|(at, c)| if keep(at) { *c } else { '*' }).collect()
}

/// The masked form of a name that somebody sent; `None` if it is no plain text of at most [`MAX_NAME_CHARS`] characters,
/// or has nothing but marks.
pub fn masked_name(name: &str) -> Option<String> {
    plain_text(name, MAX_NAME_CHARS).map(|name| mask_name(&name)).filter(|masked| !masked.is_empty())
}

/// Masks a personal name. A name in Han characters keeps its first one (张三丰 → 张**); any other name keeps the first
/// letter of each word (Anna Lee → A*** L**). A word of one letter is hidden. All words share at most 8 stars.
pub fn mask_name(name: &str) -> String {
    if name.chars().any(is_han) {
        // A space within a Han name is padding and separates no words.
        return mask_word(&name.split_whitespace().collect::<String>(), MAX_STARS);
    }
    let words: Vec<&str> = name.split_whitespace().take(MAX_STARS).collect();
    let stars = MAX_STARS / words.len().max(1);
    let masked = words.into_iter().map(|word| mask_word(word, stars)).filter(|word| !word.is_empty());
    masked.collect::<Vec<_>>().join(" ")
}

/// Keeps the first letter of a word of two and more, and shows up to `max_stars` for the others. Marks belong to the
/// letter before them; a dot between two letters stays (阿卜杜拉·买买提).
fn mask_word(word: &str, max_stars: usize) -> String {
    let letters: Vec<char> = word.chars().filter(|c| !is_mark(*c)).collect();
    let mut masked = String::new();
    let mut stars = 0;
    for (at, c) in letters.iter().enumerate() {
        let joins = *c == '·' && letters.get(at + 1).is_some_and(|next| *next != '·') && !masked.ends_with('·');
        if at == 0 && letters.len() > 1 && c.is_alphabetic() {
            masked.push(*c);
        } else if at > 0 && joins {
            masked.push('·');
        } else if stars < max_stars {
            masked.push('*');
            stars += 1;
        } else {
            break;
        }
    }
    masked
}

/// Whether a character is Han (CJK ideographs with their extensions). Han names are written family name first, without
/// spaces.
pub fn is_han(c: char) -> bool {
    matches!(c, '\u{3400}'..='\u{9fff}' | '\u{f900}'..='\u{faff}' | '\u{20000}'..='\u{3ffff}')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_masked_name_keeps_its_first_characters() {
        for (name, masked) in [
            ("张三", "张*"),
            ("张三丰", "张**"),
            ("张", "*"),
            ("张　三 丰", "张**"),
            ("𠮷 野", "𠮷*"),
            ("阿卜杜拉·买买提", "阿***·***"),
            ("阿·卜··杜", "阿·**·*"),
            ("·张", "**"),
            ("  Anna  Lee ", "A*** L**"),
            ("Anna Maria van der Berg", "A* M* v* d* B*"),
            ("J R R Tolkien", "* * * T**"),
            ("P A S S E D", "* * * * * *"),
            ("김민준", "김**"),
            ("김 민 준", "* * *"),
            ("やまだ はなこ", "や** は**"),
            ("Иван Петрович Сидоров", "И** П** С**"),
            ("Ἀλέξανδρος", "Ἀ********"),
            ("محمد علي", "م*** ع**"),
            ("דוד לוי", "ד** ל**"),
            ("नरेन्द्र मोदी", "न**** म*"),
            ("ประยุทธ์", "ป*****"),
            ("தமிழ்", "த**"),
            ("ተስፋዬ", "ተ***"),
            ("O'Brien", "O******"),
            ("E\u{301}a", "E*"),
            ("\u{301}\u{302}", ""),
            ("✅✅ 7a", "** **"),
        ] {
            assert_eq!(mask_name(name), masked, "{name}");
        }
        assert_eq!(mask_name(&"n".repeat(200)), format!("n{}", "*".repeat(8)));
        assert_eq!(mask_name(&"张".repeat(200)), format!("张{}", "*".repeat(8)));
        assert_eq!(mask_name(&"ab ".repeat(66)), ["a*"; 8].join(" "));
        assert_eq!(mask_name(&format!("张{}", "·".repeat(199))), format!("张{}", "*".repeat(8)));
    }

    proptest! {
        #[test]
        fn a_masked_name_is_short_and_shows_only_first_letters(name in "\\PC{1,200}|(\\pL|\\pM| ){1,60}") {
            let masked = mask_name(&name);
            prop_assert!(masked.matches('*').count() <= MAX_STARS, "{}", masked);
            let shown = masked.chars().filter(|c| !matches!(c, '*' | '·' | ' ')).count();
            prop_assert!(shown <= MAX_STARS && shown <= name.split_whitespace().count(), "{}", masked);
        }
    }

    #[test]
    fn short_numbers_are_masked_completely() {
        assert_eq!(mask_number("12345", 2, 2), "*****");
        assert_eq!(mask_number("12345678", 2, 2), "12****78");
    }
}
