//! The grammar of CSV, strictly (RFC 4180 section 2): a violation is refused with its line, since one missing or
//! superfluous quote could merge the rows of two subjects.

use std::borrow::Cow;

use yima_schema::problem::{FieldError, Problem, ProblemType};

const QUOTED: &str = "expected the quote that ends a value to stand before a comma or the end of its line, and a quote \
    within to be written twice";
const UNQUOTED: &str = "expected a value with a quote within to be in quotes, and that quote to be written twice";
const LINE_END: &str = "expected lines that end in LF or CRLF";

/// The records of a text without their line ends, each with the number of its first line. Ends at the first error: 400.
pub(super) struct Records<'a> {
    rest: &'a [u8],
    line: usize,
}

impl<'a> Records<'a> {
    /// Reads a whole file.
    pub(super) fn new(text: &'a [u8]) -> Self {
        Self { rest: text, line: 1 }
    }

    fn record(&mut self) -> Result<(usize, &'a [u8]), Problem> {
        let (text, first_line) = (self.rest, self.line);
        let mut end = 0;
        loop {
            let length = value(&text[end..]).map_err(|expected| malformed(self.line, expected))?;
            self.line += text[end..end + length].iter().filter(|b| **b == b'\n').count();
            end += length;
            if text.get(end) != Some(&b',') {
                break;
            }
            end += 1;
        }
        let line_end = match &text[end..] {
            [] => 0,
            [b'\n', ..] => 1,
            [b'\r', b'\n', ..] => 2,
            _ => return Err(malformed(self.line, LINE_END)),
        };
        self.rest = &text[end + line_end..];
        self.line += 1;
        Ok((first_line, &text[..end]))
    }
}

impl<'a> Iterator for Records<'a> {
    type Item = Result<(usize, &'a [u8]), Problem>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let record = self.record();
        if record.is_err() {
            self.rest = &[];
        }
        Some(record)
    }
}

/// The values of a record from [`Records`].
pub(super) fn values(record: &str) -> impl Iterator<Item = Cow<'_, str>> {
    let mut rest = Some(record);
    std::iter::from_fn(move || {
        let text = rest?;
        // A record has no error: `Records` has checked it.
        let (value, after) = text.split_at(value(text.as_bytes()).unwrap_or(text.len()));
        rest = after.strip_prefix(',');
        Some(match value.strip_prefix('"').and_then(|value| value.strip_suffix('"')) {
            Some(within) if within.contains('"') => within.replace("\"\"", "\"").into(),
            Some(within) => within.into(),
            None => value.into(),
        })
    })
}

/// The length of the value at the start of a text, with its quotes; or what was expected.
fn value(text: &[u8]) -> Result<usize, &'static str> {
    if text.first() != Some(&b'"') {
        let end = text.iter().position(|b| matches!(b, b',' | b'"' | b'\r' | b'\n')).unwrap_or(text.len());
        return if text.get(end) == Some(&b'"') { Err(UNQUOTED) } else { Ok(end) };
    }
    let mut at = 1;
    loop {
        at += 1 + text[at..].iter().position(|b| *b == b'"').ok_or(QUOTED)?;
        match text.get(at) {
            Some(b'"') => at += 1,
            None | Some(b',' | b'\r' | b'\n') => return Ok(at),
            Some(_) => return Err(QUOTED),
        }
    }
}

fn malformed(line: usize, expected: &str) -> Problem {
    let detail = format!("line {line}: {expected}");
    let errors = vec![FieldError::new("", detail.clone())];
    Problem { errors, ..Problem::new(ProblemType::Malformed, detail) }
}

#[cfg(test)]
mod tests {
    use csv::{QuoteStyle, Terminator, WriterBuilder};
    use proptest::prelude::*;

    use super::*;

    fn read(text: &str) -> Result<Vec<Vec<Cow<'_, str>>>, Problem> {
        let record = |record: Result<(usize, _), _>| Ok(values(std::str::from_utf8(record?.1).unwrap()).collect());
        Records::new(text.as_bytes()).map(record).collect()
    }

    fn written(records: &[Vec<String>], quote: QuoteStyle, end: Terminator) -> String {
        let mut writer = WriterBuilder::new().flexible(true).quote_style(quote).terminator(end).from_writer(Vec::new());
        records.iter().for_each(|record| writer.write_record(record).unwrap());
        String::from_utf8(writer.into_inner().unwrap()).unwrap()
    }

    #[test]
    fn a_violation_of_the_grammar_is_refused_with_its_line() {
        for (text, line, expected) in [
            ("a,b\n1,\"two", 2, QUOTED),
            // The next row would become part of the value.
            ("a,why\n1,\"mixed up\n2,\"doubled\"\n3,x\n", 2, QUOTED),
            ("a,b\n\"1\n\n1\",\"2\"2\n", 4, QUOTED),
            ("\"a\" ,b\n", 1, QUOTED),
            ("a,b\n\n1,2\"\n", 3, UNQUOTED),
            ("a, \"b\"\n", 1, UNQUOTED),
            ("a,b\r1,2\r", 1, LINE_END),
            ("a,b\r\n1,\"2\"\r", 2, LINE_END),
        ] {
            let problem = read(text).unwrap_err();
            assert_eq!((problem.kind, &problem.errors[0].detail), (ProblemType::Malformed, &problem.detail));
            assert_eq!(problem.detail, format!("line {line}: {expected}"), "{text:?}");
        }
    }

    #[test]
    fn each_record_has_the_number_of_its_first_line() {
        let text = b"a,b\r\n\n\"1\r\n1\",\"\n\"\n2,3\n\"\"\"\"";
        let lines: Vec<_> = Records::new(text).map(|record| record.unwrap().0).collect();
        assert_eq!(lines, [1, 2, 3, 6, 7]);
    }

    proptest! {
        #[test]
        fn files_of_another_writer_are_read_back_exactly(
            records in prop::collection::vec(prop::collection::vec("[a\"\\r\\n, é]{0,6}", 1..4), 1..5),
            always in any::<bool>(),
            crlf in any::<bool>(),
            at in any::<prop::sample::Index>(),
        ) {
            let quote = if always { QuoteStyle::Always } else { QuoteStyle::Necessary };
            let text = written(&records, quote, if crlf { Terminator::CRLF } else { Terminator::Any(b'\n') });
            prop_assert_eq!(read(&text).unwrap(), records);

            // One quote more or less is an error, wherever it is.
            let mut chars: Vec<char> = text.chars().collect();
            let at = at.index(chars.len());
            if chars[at] == '"' {
                chars.remove(at);
            } else {
                chars.insert(at, '"');
            }
            let mutated: String = chars.into_iter().collect();
            prop_assert!(read(&mutated).is_err(), "{:?}", mutated);
        }
    }
}
