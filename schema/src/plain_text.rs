//! Text from senders that people will read: names, explanations.

use icu_normalizer::ComposingNormalizerBorrowed;
use icu_properties::CodePointMapData;
use icu_properties::props::GeneralCategory;

/// A trimmed text in Unicode's composed form (NFC) of 1 to `max_chars` characters; `None` if it has another length, or
/// a character without a form of its own: a control (Cc), a format character such as a change of writing direction
/// (Cf), a line or paragraph separator (Zl, Zp). With these a text shows something else than it says.
pub fn plain_text(text: &str, max_chars: usize) -> Option<String> {
    let normalizer = const { ComposingNormalizerBorrowed::new_nfc() };
    let text = normalizer.normalize(text.trim());
    let fits = (1..=max_chars).contains(&text.chars().count()) && text.chars().all(is_plain);
    fits.then(|| text.into_owned())
}

fn is_plain(c: char) -> bool {
    let hidden = [
        GeneralCategory::Control,
        GeneralCategory::Format,
        GeneralCategory::LineSeparator,
        GeneralCategory::ParagraphSeparator,
    ];
    !hidden.contains(&category(c))
}

/// Whether a character is a format character (Cf): it has no form of its own.
pub(crate) fn is_format(c: char) -> bool {
    category(c) == GeneralCategory::Format
}

/// Whether a character is a mark of the letter before it (categories Mn, Mc, Me).
pub(crate) fn is_mark(c: char) -> bool {
    let marks = [GeneralCategory::NonspacingMark, GeneralCategory::SpacingMark, GeneralCategory::EnclosingMark];
    marks.contains(&category(c))
}

fn category(c: char) -> GeneralCategory {
    const { CodePointMapData::<GeneralCategory>::new() }.get(c)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_character_without_a_form_of_its_own_is_refused() {
        for hidden in [
            '\u{0}',
            '\n',
            '\u{7f}',
            '\u{85}',
            '\u{ad}',
            '\u{61c}',
            '\u{200b}',
            '\u{200d}',
            '\u{200e}',
            '\u{202a}',
            '\u{202e}',
            '\u{2028}',
            '\u{2029}',
            '\u{2060}',
            '\u{2066}',
            '\u{2069}',
            '\u{feff}',
            '\u{fff9}',
            '\u{e0041}',
        ] {
            assert_eq!(plain_text(&format!("张{hidden}三"), 200), None, "U+{:04X}", u32::from(hidden));
        }
        for text in ["张三", "Anna Lee", "김민준", "O'Brien-Smith", "محمد علي", "Ἀλέξανδρος", "नरेन्द्र", "張　三"]
        {
            assert_eq!(plain_text(text, 200).as_deref(), Some(text));
        }
    }

    #[test]
    fn a_text_is_trimmed_composed_and_bounded() {
        assert_eq!(plain_text(" Ame\u{301}lie\n", 6).as_deref(), Some("Am\u{e9}lie"));
        assert_eq!(plain_text("\u{1112}\u{1161}\u{11ab}", 1).as_deref(), Some("한"));
        for (text, max_chars) in [("", 3), (" \u{3000}", 3), ("abcd", 3)] {
            assert_eq!(plain_text(text, max_chars), None);
        }
    }
}
