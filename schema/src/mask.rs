//! Masking: what is left of a name or number once it is not needed whole any more.

/// Keeps the first `head` and last `tail` characters and stars the rest; a number too short to hide at least half is starred whole.
pub fn mask_number(number: &str, head: usize, tail: usize) -> String {
    let chars: Vec<char> = number.chars().collect();
    if chars.len() < 2 * (head + tail) && chars.len() < head + tail + 4 {
        return "*".repeat(chars.len());
    }
    let keep = |at: usize| at < head || at >= chars.len() - tail;
    chars.iter().enumerate().map(|(at, c)| if keep(at) { *c } else { '*' }).collect()
}

/// Masks a personal name. Written without spaces in Han characters: the surname's first character stays (张三丰 → 张**). Otherwise the
/// first letter of each word stays (Anna Lee → A*** L**).
pub fn mask_name(name: &str) -> String {
    if name.trim().chars().count() == 1 {
        return "*".into();
    }
    let masked_word = |word: &str| -> String {
        word.chars().enumerate().map(|(at, c)| if at == 0 || c == '·' { c } else { '*' }).collect()
    };
    if name.chars().any(is_han) {
        // A space within such a name is padding, not a border between words.
        return masked_word(&name.split_whitespace().collect::<String>());
    }
    name.split_whitespace().map(masked_word).collect::<Vec<_>>().join(" ")
}

/// Whether a character is Han (CJK unified ideographs and extension A): names in them stand family name first, without spaces.
pub fn is_han(c: char) -> bool {
    ('\u{3400}'..='\u{9fff}').contains(&c)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_keep_their_first_characters() {
        assert_eq!(mask_name("张三"), "张*");
        assert_eq!(mask_name("张三丰"), "张**");
        assert_eq!(mask_name("  Anna  Lee "), "A*** L**");
        assert_eq!(mask_name("阿卜杜拉·买买提"), "阿***·***");
        assert_eq!(mask_name("张"), "*");
        assert_eq!(mask_name("张　三 丰"), "张**");
    }

    #[test]
    fn short_numbers_are_hidden_whole() {
        assert_eq!(mask_number("12345", 2, 2), "*****");
        assert_eq!(mask_number("12345678", 2, 2), "12****78");
    }
}
