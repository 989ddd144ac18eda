//! Masking of names and numbers, which are never kept in full.

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

/// Masks a personal name. A name in Han characters keeps its first one (张三丰 → 张**); any other name keeps the first
/// letter of each word (Anna Lee → A*** L**).
pub fn mask_name(name: &str) -> String {
    if name.trim().chars().count() == 1 {
        return "*".into();
    }
    let masked_word = |word: &str| -> String {
        word.chars().enumerate().map(|(at, c)| if at == 0 || c == '·' { c } else { '*' }).collect()
    };
    if name.chars().any(is_han) {
        // A space within a Han name is padding and separates no words.
        return masked_word(&name.split_whitespace().collect::<String>());
    }
    name.split_whitespace().map(masked_word).collect::<Vec<_>>().join(" ")
}

/// Whether a character is Han (CJK unified ideographs and extension A). Han names are written family name first,
/// without spaces.
pub fn is_han(c: char) -> bool {
    ('\u{3400}'..='\u{9fff}').contains(&c)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_masked_name_keeps_its_first_characters() {
        assert_eq!(mask_name("张三"), "张*");
        assert_eq!(mask_name("张三丰"), "张**");
        assert_eq!(mask_name("  Anna  Lee "), "A*** L**");
        assert_eq!(mask_name("阿卜杜拉·买买提"), "阿***·***");
        assert_eq!(mask_name("张"), "*");
        assert_eq!(mask_name("张　三 丰"), "张**");
    }

    #[test]
    fn short_numbers_are_masked_completely() {
        assert_eq!(mask_number("12345", 2, 2), "*****");
        assert_eq!(mask_number("12345678", 2, 2), "12****78");
    }
}
