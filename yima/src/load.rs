//! `yima load`: the people of a mix file, and its report. The generator is a crate of its own.

use std::io::Write;
use std::path::Path;

use yima_load::{Class, LoadError, MAX_PEOPLE, Mix, People, Source};
use yima_schema::subject::DocumentType;
use yima_service::open_files;

use crate::cli::{Load, Options};
use crate::demo::identity_provider;
use crate::demo::people::People as DemoPeople;
use crate::demo::population::document_number;
use crate::error::CommandError;
use crate::keys::KeyDir;
use crate::tokens::{checkpoint_sessions, citizen_sessions};

/// Upload events are about this many demo people at most.
const MAX_DOCUMENTS: u64 = 100_000;

/// Runs a mix, and prints the report.
///
/// # Errors
/// The mix file has faults, a key or file is missing, or the service is not there.
pub fn run(options: &Options, arguments: &Load) -> Result<(), CommandError> {
    let mix = Mix::read(&arguments.mix)?;
    let people = people(options, &mix)?;
    open_files::raise(0);
    let seed = arguments.seed.unwrap_or_else(rand::random);
    let report = yima_load::run(&mix, people, usize::from(arguments.threads), seed)?;
    if let Some(path) = &arguments.json {
        let json = serde_json::to_vec_pretty(&report).expect("numbers and texts always serialise");
        std::fs::write(path, json).map_err(|error| CommandError::file(path, &error))?;
    }
    let stdout = Path::new("standard output");
    write!(std::io::stdout(), "{report}").map_err(|error| CommandError::file(stdout, &error))
}

/// The sessions and tokens of the classes that the mix has.
fn people(options: &Options, mix: &Mix) -> Result<People, CommandError> {
    let (who, has) = (&mix.people, |classes: &[Class]| classes.iter().any(|class| mix.has(*class)));
    let population = DemoPeople::read(&options.data_dir)?.map_or(0, |people| people.population);
    let demo = |count: u32| u64::from(count).min(population);
    let mut people = People::default();
    if has(&[Class::Display, Class::Code, Class::LiveDisplay]) {
        people.sessions = match &who.sessions {
            Source::Made(count) => citizen_sessions(options, demo(*count))?.collect(),
            Source::File(path) => lines(path)?,
        };
    }
    if has(&[Class::Scan]) {
        people.checkpoints = match &who.checkpoints {
            Source::Made(count) => checkpoint_sessions(options, *count)?.collect(),
            Source::File(path) => lines(path)?,
        };
    }
    if has(&[Class::SignIn]) {
        people.identity_tokens = match &who.identity_tokens {
            Source::Made(count) => {
                let issuer = KeyDir::of(&options.data_dir).identity_provider()?;
                let claims = |n| identity_provider::citizen(DocumentType::CnResidentId, &document_number(n));
                (0..demo(*count)).map(|n| identity_provider::token(&issuer, &claims(n))).collect()
            }
            Source::File(path) => lines(path)?,
        };
    }
    if has(&[Class::Upload]) {
        people.agency_tokens = match &who.agency_tokens {
            Source::Made(count) => {
                let issuer = KeyDir::of(&options.data_dir).identity_provider()?;
                let claims = |n| identity_provider::agency(&format!("load-{n}"));
                (0..*count).map(|n| identity_provider::token(&issuer, &claims(n))).collect()
            }
            Source::File(path) => lines(path)?,
        };
        // Only people who do not exist: a load test says nothing about anyone else.
        people.documents = (0..population.min(MAX_DOCUMENTS)).map(document_number).collect();
    }
    Ok(people)
}

/// The sessions or tokens of a file, one a line.
fn lines(path: &Path) -> Result<Vec<String>, LoadError> {
    let text = std::fs::read_to_string(path).map_err(|error| LoadError::file(path, &error))?;
    let lines: Vec<String> = text.lines().map(str::trim).filter(|line| !line.is_empty()).map(str::to_owned).collect();
    let is_token = |line: &String| line.bytes().all(|byte| byte.is_ascii_graphic());
    if lines.is_empty() || lines.len() > MAX_PEOPLE as usize || !lines.iter().all(is_token) {
        return Err(LoadError::file(path, &format!("expected 1 to {MAX_PEOPLE} lines, a session or token each")));
    }
    Ok(lines)
}
