//! The blocks of a guide: commands, and what they print.

/// Commands, and the answer that the guide shows for them.
pub struct Block {
    /// Where it begins in the guide.
    pub line: usize,
    pub commands: String,
    pub expected: Option<Expected>,
}

pub enum Expected {
    /// As it is printed.
    Text(String),
    /// JSON, laid out for reading.
    Json(String),
}

/// The blocks that are run, and the number of those that are not.
#[track_caller]
pub fn read(guide: &str) -> (Vec<Block>, usize) {
    let (mut blocks, mut left_out): (Vec<Block>, usize) = (Vec::new(), 0);
    let mut lines = guide.lines().zip(1..);
    while let Some((fence, line)) = lines.next() {
        let Some(language) = fence.strip_prefix("```") else { continue };
        let text: String =
            lines.by_ref().map(|(line, _)| line).take_while(|line| *line != "```").flat_map(|l| [l, "\n"]).collect();
        match (language, blocks.last_mut()) {
            ("sh", _) => blocks.push(Block { line, commands: text, expected: None }),
            ("sh by-hand", _) => left_out += 1,
            ("text", Some(Block { expected: expected @ None, .. })) => *expected = Some(Expected::Text(text)),
            ("json", Some(Block { expected: expected @ None, .. })) => *expected = Some(Expected::Json(text)),
            (other, _) => {
                panic!("line {line}: a block of {other:?} is neither run nor the one answer to the block before")
            }
        }
    }
    assert!(!blocks.is_empty(), "there is nothing to run");
    (blocks, left_out)
}
