//! `yima token` and `yima sessions`. They need only the keys of the data directory, not the store, which a running
//! process has locked.

use std::io::{BufWriter, Write};
use std::path::Path;

use yima_schema::agency::is_agency_name;
use yima_schema::session::{Holder, ScanRole, Session};
use yima_schema::subject::{Document, DocumentType};
use yima_service::clock;

use crate::cli::{Options, TokenHolder};
use crate::config::{Config, Role};
use crate::demo::identity_provider;
use crate::demo::people::People;
use crate::demo::population::document;
use crate::error::CommandError;
use crate::keys::KeyDir;

/// Prints a token.
///
/// # Errors
/// A key is missing, or the document or name is invalid.
pub fn token(options: &Options, holder: &TokenHolder) -> Result<(), CommandError> {
    let claims = match holder {
        TokenHolder::Citizen { document } => {
            let (kind, number) = parse_document(document)?;
            Document::new(kind, number)?;
            identity_provider::citizen(kind, number)
        }
        TokenHolder::Checkpoint { name, require_test_within_h, look_up_documents } => {
            identity_provider::checkpoint(name, *require_test_within_h, *look_up_documents)
        }
        TokenHolder::Agency { name } if is_agency_name(name) => identity_provider::agency(name),
        TokenHolder::Agency { .. } => {
            return Err(CommandError::Usage("NAME: expected 1 to 32 lower-case letters, digits and dashes".into()));
        }
    };
    let issuer = KeyDir::of(&options.data_dir).identity_provider()?;
    if Config::load(options.config.as_deref(), Role::Everything).is_ok_and(|config| config.is_real()) {
        // The token goes to standard output. A closed standard error is ignored.
        let _ = writeln!(std::io::stderr(), "identity_provider.keys_file is set: services with it refuse this token");
    }
    print(&mut std::iter::once(identity_provider::token(&issuer, &claims)))
}

/// Prints sessions of the first `count` demo citizens.
///
/// # Errors
/// A key is missing, or the demo population is smaller.
pub fn sessions(options: &Options, count: u64) -> Result<(), CommandError> {
    let people = People::read(&options.data_dir)?.map_or(0, |people| people.population);
    if count > people {
        return Err(CommandError::Usage(format!("--count: the demo population has {people} people")));
    }
    print(&mut citizen_sessions(options, count)?)
}

/// Sessions of the first `count` demo citizens.
///
/// # Errors
/// A key is missing, or a setting is invalid.
pub fn citizen_sessions(options: &Options, count: u64) -> Result<impl Iterator<Item = String>, CommandError> {
    let config = Config::load(options.config.as_deref(), Role::Everything)?;
    let keys = config.keys(&options.data_dir);
    let started_at = clock::now();
    let (pseudonyms, seal) = (keys.pseudonyms()?, keys.for_sessions(&config.read_api, started_at)?);
    let expires_at = started_at.plus(config.read_api.citizen_session);
    Ok((0..count).map(move |n| {
        let subject = pseudonyms.subject(&document(n));
        Session { id: rand::random(), started_at, expires_at, holder: Holder::Citizen { subject } }.seal(&seal)
    }))
}

/// Sessions of `count` checkpoints without a policy, `load-0` and so on.
///
/// # Errors
/// As of [`citizen_sessions`].
pub fn checkpoint_sessions(options: &Options, count: u32) -> Result<impl Iterator<Item = String>, CommandError> {
    let config = Config::load(options.config.as_deref(), Role::Everything)?;
    let started_at = clock::now();
    let seal = config.keys(&options.data_dir).for_sessions(&config.read_api, started_at)?;
    let expires_at = started_at.plus(config.read_api.checkpoint_session);
    Ok((0..count).map(move |n| {
        let holder = Holder::Checkpoint {
            checkpoint: format!("load-{n}"),
            require_test_within_h: None,
            looks_up_documents: false,
            role: ScanRole::Guard,
            operator: None,
        };
        Session { id: rand::random(), started_at, expires_at, holder }.seal(&seal)
    }))
}

fn parse_document(document: &str) -> Result<(DocumentType, &str), CommandError> {
    let Some((kind, number)) = document.split_once(':') else { return Ok((DocumentType::CnResidentId, document)) };
    let names = DocumentType::ALL.map(DocumentType::as_str).join(", ");
    let kind = DocumentType::parse(kind)
        .ok_or_else(|| CommandError::Usage(format!("DOCUMENT: expected one of {names} before the colon")))?;
    Ok((kind, number))
}

fn print(lines: &mut dyn Iterator<Item = String>) -> Result<(), CommandError> {
    let mut out = BufWriter::new(std::io::stdout().lock());
    for line in lines {
        match writeln!(out, "{line}") {
            // `yima sessions --count 100000 | head` closes the pipe early: no error.
            Err(e) if e.kind() == std::io::ErrorKind::BrokenPipe => return Ok(()),
            written => written.map_err(|e| CommandError::file(Path::new("standard output"), &e))?,
        }
    }
    out.flush().map_err(|e| CommandError::file(Path::new("standard output"), &e))
}
