//! Finds a member that an object of a JSON document has twice, by another way than the service does.

use std::collections::HashSet;

/// Whether an object of a valid document has a member twice.
pub(super) fn has_duplicate(document: &[u8]) -> bool {
    // The names of each open object; lists have none.
    let mut open: Vec<HashSet<String>> = Vec::new();
    let (mut at, mut text) = (0, None);
    while let Some(byte) = document.get(at) {
        match byte {
            b'{' | b'[' => open.push(HashSet::new()),
            b'}' | b']' => drop(open.pop()),
            b'"' => {
                let end = at + string_length(&document[at..]);
                text = serde_json::from_slice::<String>(&document[at..end]).ok();
                at = end;
                continue;
            }
            // A text before a colon is a name.
            b':' => {
                if let (Some(names), Some(name)) = (open.last_mut(), text.take())
                    && !names.insert(name)
                {
                    return true;
                }
            }
            _ => {}
        }
        at += 1;
    }
    false
}

/// The length of the string at the start, with both quotes.
fn string_length(text: &[u8]) -> usize {
    let mut escaped = true;
    let end = text.iter().position(|byte| {
        let is_end = *byte == b'"' && !escaped;
        escaped = *byte == b'\\' && !escaped;
        is_end
    });
    end.map_or(text.len(), |end| end + 1)
}
