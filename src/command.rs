//! What the binary can be told to do.

mod audit;
mod check_config;
mod demo;
mod journal;
mod serve;
mod token;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use tollgate_config::Role;

/// Stands in front of APIs that are sold: knows the caller, enforces the plan, meters the call.
#[derive(Debug, Parser)]
#[command(name = "tollgate", version, arg_required_else_help = true)]
pub struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Gateway and control plane in one process
    Run(serve::ServeArguments),
    /// A gateway of a fleet
    Proxy(serve::ServeArguments),
    /// The control plane of a fleet
    Admin(serve::ServeArguments),
    /// Start everything on loopback, with something to sell, and say what to try
    Demo,
    /// Name every mistake in a file of settings, with line and column
    CheckConfig { file: PathBuf },
    /// Manage tokens of the admin API
    #[command(subcommand)]
    Token(token::TokenCommand),
    /// Check the audit
    #[command(subcommand)]
    Audit(audit::AuditCommand),
    /// Look into a gateway's journal
    #[command(subcommand)]
    Journal(journal::JournalCommand),
}

/// What ends a command before its work is done; shown to whoever started it.
pub type Failure = Box<dyn std::error::Error>;

pub fn run(arguments: Arguments) -> Result<ExitCode, Failure> {
    match arguments.command {
        Command::Run(arguments) => serve::run(Role::Run, &arguments),
        Command::Proxy(arguments) => serve::run(Role::Proxy, &arguments),
        Command::Admin(arguments) => serve::run(Role::Admin, &arguments),
        Command::Demo => demo::run(),
        Command::CheckConfig { file } => check_config::run(&file),
        Command::Token(command) => token::run(command),
        Command::Audit(command) => audit::run(command),
        Command::Journal(command) => journal::run(command),
    }
}

/// The variables of the process. What is no Unicode is made visible, and then refused where it
/// stands for a setting.
fn environment() -> impl Iterator<Item = (String, String)> {
    std::env::vars_os().map(|(name, value)| {
        (name.to_string_lossy().into_owned(), value.to_string_lossy().into_owned())
    })
}
