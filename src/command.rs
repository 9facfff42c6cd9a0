//! What the binary can be told to do.

mod check_config;
mod journal;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Stands in front of APIs that are sold: knows the caller, enforces the plan, meters the call.
#[derive(Debug, Parser)]
#[command(name = "tollgate", version, arg_required_else_help = true)]
pub struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Name every mistake in a file of settings, with line and column
    CheckConfig { file: PathBuf },
    /// Look into a gateway's journal
    #[command(subcommand)]
    Journal(journal::JournalCommand),
}

/// What ends a command before its work is done; shown to whoever started it.
pub type Failure = Box<dyn std::error::Error>;

pub fn run(arguments: Arguments) -> Result<ExitCode, Failure> {
    match arguments.command {
        Command::CheckConfig { file } => check_config::run(&file),
        Command::Journal(command) => journal::run(command),
    }
}
