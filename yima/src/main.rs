//! yima: the one binary.

mod config;
mod demo;
mod error;
mod keys;
mod serve;
mod tokens;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand, ValueEnum};

use error::Failure;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Shows and checks health codes. Without a command: everything in one process, on the embedded store, with a demo population.
#[derive(Parser)]
#[command(version, about)]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    options: Options,
}

#[derive(Args)]
pub(crate) struct Options {
    /// Where keys and the embedded store are.
    #[arg(long, global = true, env = "YIMA_DATA_DIR", default_value = "data")]
    data_dir: PathBuf,
    /// Settings (TOML); the environment goes over it: `YIMA_<SECTION>__<KEY>`.
    #[arg(long, global = true, env = "YIMA_CONFIG")]
    config: Option<PathBuf>,
    /// Synthetic people to load into an empty store.
    #[arg(long, default_value_t = 100_000)]
    population: u64,
    /// The engine behind everything.
    #[arg(long, value_enum, default_value_t = Engine::Embedded)]
    store: Engine,
}

#[derive(Clone, Copy, ValueEnum)]
enum Engine {
    /// fjall tables in the data directory.
    Embedded,
}

#[derive(Subcommand)]
enum Command {
    /// Print an identity token (JWT) of the demo identity provider.
    Token {
        #[command(subcommand)]
        whose: tokens::Whose,
    },
    /// Print sealed session tokens of the first demo citizens, one a line.
    Sessions {
        /// How many.
        #[arg(long)]
        count: u64,
    },
}

fn main() -> ExitCode {
    let Cli { command, options } = Cli::parse();
    let done = match command {
        None => serve::run(&options),
        Some(Command::Token { whose }) => tokens::token(&options.data_dir, &whose).map(|()| 0),
        Some(Command::Sessions { count }) => tokens::sessions(&options, count).map(|()| 0),
    };
    match done {
        Ok(code) => ExitCode::from(code),
        Err(failure) => report(&failure),
    }
}

/// The exit code of a process that refused to start, as opposed to one that crashed.
const REFUSED: u8 = 3;

fn report(failure: &Failure) -> ExitCode {
    eprintln!("yima: {failure}");
    ExitCode::from(REFUSED)
}
