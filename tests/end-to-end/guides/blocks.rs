//! The blocks of a guide: commands and their expected output.

/// Commands, and the output that the guide shows for them.
pub struct Block {
    /// Number of its first line in the guide.
    pub line: usize,
    pub commands: String,
    pub expected: Option<Expected>,
}

pub enum Expected {
    /// Text as printed.
    Text(String),
    /// JSON, formatted for reading.
    Json(String),
}

/// The blocks to run, and the number of the others.
#[track_caller]
pub fn read(guide: &str) -> (Vec<Block>, usize) {
    let (mut blocks, mut skipped): (Vec<Block>, usize) = (Vec::new(), 0);
    let mut lines = guide.lines().zip(1..);
    while let Some((fence, line)) = lines.next() {
        let Some(language) = fence.strip_prefix("```") else { continue };
        let text: String =
            lines.by_ref().map(|(line, _)| line).take_while(|line| *line != "```").flat_map(|l| [l, "\n"]).collect();
        match (language, blocks.last_mut()) {
            ("sh", _) => blocks.push(Block { line, commands: text, expected: None }),
            ("sh by-hand", _) => skipped += 1,
            ("text", Some(Block { expected: expected @ None, .. })) => *expected = Some(Expected::Text(text)),
            ("json", Some(Block { expected: expected @ None, .. })) => *expected = Some(Expected::Json(text)),
            (other, _) => {
                panic!("line {line}: a block of {other:?} is neither commands nor the only output of the block before")
            }
        }
    }
    assert!(!blocks.is_empty(), "no block to run");
    (blocks, skipped)
}
