//! yima: the one binary. Starts the command of the command line and reports its error.

mod audit;
mod auditor;
mod backup;
mod cli;
mod config;
mod dead_letters;
mod demo;
mod doctor;
#[cfg(test)]
mod documents;
mod emergency;
mod error;
mod keys;
mod level;
mod load;
mod local_socket;
mod maintenance;
mod metrics;
mod migrate;
mod papers;
mod region;
mod serve;
mod status;
mod store;
mod tokens;

use std::process::ExitCode;

use clap::Parser;
use mimalloc::MiMalloc;
use rustix::fs::Mode;
use rustix::process::{DumpableBehavior, set_dumpable_behavior};
use zeroizing_alloc::ZeroAlloc;

use cli::{Cli, Command};
use config::Role;
use error::CommandError;

/// Freed memory is zeroed: bodies, document numbers and names do not stay in it.
#[global_allocator]
static ALLOCATOR: ZeroAlloc<MiMalloc> = ZeroAlloc(MiMalloc);

/// The exit code of a process that refused to start, as opposed to one that crashed.
const REFUSED: u8 = 3;

fn main() -> ExitCode {
    // Views, events and keys are private to this user, whoever starts the process and however.
    rustix::process::umask(Mode::RWXG | Mode::RWXO);
    // No core dumps, and no other process of the same user reads this one's memory.
    if let Err(error) = set_dumpable_behavior(DumpableBehavior::NotDumpable) {
        eprintln!("yima: core dumps cannot be switched off: {error}");
    }
    match run(Cli::parse()) {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            eprintln!("yima: {error}");
            ExitCode::from(REFUSED)
        }
    }
}

fn run(Cli { command, options }: Cli) -> Result<u8, CommandError> {
    let role = match command {
        None => Role::Everything,
        Some(Command::ReadApi) => Role::ReadApi,
        Some(Command::Writer) => Role::Writer,
        Some(Command::Migrate { replication, alone }) => return migrate::run(&options, replication, alone).map(|()| 0),
        Some(Command::Region { action }) => return region::run(&options, &action),
        Some(Command::Reconcile(arguments)) => return maintenance::reconcile_all(&options, &arguments).map(|()| 0),
        Some(Command::Rebuild(arguments)) => return maintenance::rebuild_region(&options, &arguments).map(|()| 0),
        Some(Command::DeadLetters { action }) => return dead_letters::run(&options, &action).map(|()| 0),
        Some(Command::Emergency { action }) => return emergency::run(&options, &action).map(|()| 0),
        Some(Command::Level { action }) => return level::run(&options, &action).map(|()| 0),
        Some(Command::Doctor { service }) => return doctor::run(&options, service.into()),
        Some(Command::Status(arguments)) => return status::run(&options, &arguments),
        Some(Command::Backup { file, secret }) => return backup::backup(&options, &file, &secret).map(|()| 0),
        Some(Command::Restore { file, secret }) => return backup::restore(&options, &file, &secret).map(|()| 0),
        Some(Command::Keys { action }) => return keys::run(&options, &action).map(|()| 0),
        Some(Command::Paper { from, out, layout }) => return papers::print(&options, &from, &out, layout).map(|()| 0),
        Some(Command::Audit) => return auditor::run(&options),
        Some(Command::Load(arguments)) => return load::run(&options, &arguments).map(|()| 0),
        Some(Command::Token { holder }) => return tokens::token(&options, &holder).map(|()| 0),
        Some(Command::Sessions { count }) => return tokens::sessions(&options, count).map(|()| 0),
    };
    serve::run(&options, role)
}
