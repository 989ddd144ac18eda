//! `yima paper`: codes to be printed for people without phones, from the keys alone. It needs no store and no network,
//! so that an office can print when everything else is down.

mod page;

use std::fs::{File, OpenOptions};
use std::io::{BufWriter, Write};
use std::path::Path;
use std::sync::Arc;

use csv::{ReaderBuilder, StringRecord, Trim};
use yima_read_api::CurrentKeyring;
use yima_schema::code::{Claims, Handle, Paper, TokenKeys, Validity};
use yima_schema::limits::MAX_NAME_CHARS;
use yima_schema::mask::masked_name;
use yima_schema::subject::{Document, DocumentType, PseudonymKey};
use yima_schema::time::Time;
use yima_schema::view::Version;
use yima_service::clock;

use crate::cli::{Options, PaperLayout};
use crate::config::{Config, Role};
use crate::error::CommandError;
use crate::keys::KeyWatch;

/// Most people of one list.
const MAX_PEOPLE: usize = 100_000;
/// Most rows in error that are named.
const MAX_ERRORS: usize = 100;
/// The columns of a list. A name may be missing.
const COLUMNS: [&str; 3] = ["document_type", "document_number", "name"];

/// One row of a list.
struct Person {
    document: Document,
    /// Masked.
    name: Option<String>,
}

/// One code, as it is printed.
struct Printed {
    code: String,
    /// By which it is revoked.
    number: u64,
    paper: Paper,
    expires_at: Time,
}

/// What makes codes.
struct Printer {
    keyring: Arc<CurrentKeyring>,
    tokens: TokenKeys,
    pseudonyms: PseudonymKey,
    region: String,
    validity: Validity,
}

/// Writes a page with a code for each person of a list. Nothing is written if a row is in error.
///
/// # Errors
/// The list, with all rows in error; `out` exists already; a key is missing.
pub fn print(options: &Options, from: &Path, out: &Path, layout: PaperLayout) -> Result<(), CommandError> {
    let config = Config::load(options.config.as_deref(), Role::Everything)?;
    let people = people(from)?;
    let keys = config.keys(&options.data_dir);
    let pseudonyms = keys.pseudonyms()?;
    let printer = Printer {
        keyring: KeyWatch::load(keys, &config.read_api)?.keyring(),
        tokens: TokenKeys::new(&pseudonyms),
        pseudonyms,
        region: config.region.name.clone(),
        validity: Validity::of_bare(clock::now(), config.read_api.paper_lifetime),
    };
    let failed = |error: std::io::Error| CommandError::file(out, &error);
    let mut page = BufWriter::new(new_file(out).map_err(failed)?);
    page::begin(&mut page, layout).map_err(failed)?;
    for person in &people {
        page::add(&mut page, &printer.print(person)?).map_err(failed)?;
    }
    page::end(&mut page)
        .and_then(|()| page.into_inner().map_err(|error| error.into_error())?.sync_all())
        .map_err(failed)?;
    // A closed standard output is ignored.
    let _ = writeln!(std::io::stdout(), "{} codes, valid until {}", people.len(), printer.validity.expires_at);
    Ok(())
}

fn new_file(path: &Path) -> std::io::Result<File> {
    OpenOptions::new().write(true).create_new(true).open(path)
}

impl Printer {
    fn print(&self, person: &Person) -> Result<Printed, CommandError> {
        let paper = Paper::new(person.name.as_deref(), Some(&person.document.masked()));
        let claims = Claims::of_paper(self.region.clone(), self.validity, paper.clone());
        let number = rand::random();
        let subject = self.pseudonyms.subject(&person.document);
        let handle = Handle { subject, version: Version::ABSENT, phone: Some(number) };
        let issued = self.keyring.load().issue(&claims, &handle, &self.tokens);
        let issued = issued.map_err(|problem| CommandError::Usage(problem.detail))?;
        Ok(Printed { code: issued.bare(), number, paper, expires_at: self.validity.expires_at })
    }
}

/// Reads a list: CSV in UTF-8 with a header of [`COLUMNS`].
fn people(from: &Path) -> Result<Vec<Person>, CommandError> {
    let failed = |error: &std::io::Error| CommandError::file(from, error);
    let mut reader = ReaderBuilder::new().trim(Trim::All).from_path(from).map_err(|error| failed(&error.into()))?;
    let header = reader.headers().map_err(|error| failed(&error.into()))?.clone();
    let column = |name: &str| header.iter().position(|column| column.trim_start_matches('\u{feff}') == name);
    let [Some(kind), Some(number), name] = COLUMNS.map(column) else {
        let expected = format!("{}: expected a header with {}", from.display(), COLUMNS.join(","));
        return Err(CommandError::Usage(expected));
    };
    let (mut people, mut errors) = (Vec::new(), Vec::new());
    for record in reader.records() {
        if people.len() == MAX_PEOPLE {
            return Err(CommandError::Usage(format!("{}: expected at most {MAX_PEOPLE} people", from.display())));
        }
        let record = record.map_err(|error| failed(&error.into()))?;
        match person(&record, (kind, number, name)) {
            Ok(person) => people.push(person),
            Err(error) => errors.push(format!("line {}: {error}", record.position().map_or(0, |at| at.line()))),
        }
    }
    if errors.is_empty() {
        return Ok(people);
    }
    let more = errors.len().saturating_sub(MAX_ERRORS);
    errors.truncate(MAX_ERRORS);
    let more = if more == 0 { String::new() } else { format!("\nand {more} more") };
    Err(CommandError::Usage(format!("{}: nothing was printed\n{}{more}", from.display(), errors.join("\n"))))
}

/// A row. Errors repeat no value.
fn person(record: &StringRecord, (kind, number, name): (usize, usize, Option<usize>)) -> Result<Person, String> {
    let text = |at| record.get(at).unwrap_or_default();
    let kind = DocumentType::parse(text(kind)).ok_or_else(|| {
        format!("document_type: expected one of {}", DocumentType::ALL.map(DocumentType::as_str).join(", "))
    })?;
    let document = Document::new(kind, text(number)).map_err(|error| format!("document_number: {error}"))?;
    let name = name.map(text).filter(|name| !name.is_empty()).map(|name| {
        masked_name(name).ok_or_else(|| {
            format!("name: expected at most {MAX_NAME_CHARS} characters, none of them a control or format character")
        })
    });
    Ok(Person { document, name: name.transpose()? })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(list: &str) -> Result<Vec<Person>, String> {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), list).unwrap();
        people(file.path()).map_err(|error| error.to_string().replace(&file.path().display().to_string(), "FILE"))
    }

    #[test]
    fn a_list_is_read_whole_or_every_row_in_error_is_named_without_its_values() {
        let list = "\u{feff}document_type,document_number,name\n\
            cn_resident_id,610102199003070016,张三丰\npassport, E12345678 ,\n";
        let people = read(list).unwrap();
        let names: Vec<_> = people.iter().map(|person| person.name.as_deref()).collect();
        assert_eq!(names, [Some("张**"), None]);
        assert!(people[1].document.masked() == Document::new(DocumentType::Passport, "E12345678").unwrap().masked());
        let Err(error) = read("document_type,document_number\npasport,E12345678\npassport,X1\npassport,E12345678\n")
        else {
            panic!()
        };
        assert_eq!(error.lines().next(), Some("FILE: nothing was printed"));
        assert!(error.contains("line 2: document_type: expected one of cn_resident_id, passport"), "{error}");
        assert!(error.contains("line 3: document_number: ") && !error.contains("X1") && !error.contains("line 4"));
        let hidden = read("document_type,document_number,name\npassport,E12345678,A\u{202e}B\n");
        assert!(hidden.is_err_and(|error| error.contains("line 2: name: expected") && !error.contains('\u{202e}')));
        assert!(read("number\n1\n").is_err_and(|error| error.contains("expected a header")));
    }
}
