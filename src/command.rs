//! What the binary can be told to do.

mod apply;
mod audit;
mod catalog_schema;
mod check_config;
mod completions;
mod connect;
mod consumer;
mod daily;
mod demo;
mod export;
mod import_openapi;
mod journal;
mod key;
pub mod output;
mod plan;
mod product;
mod reconcile;
mod serve;
mod subscription;
mod table;
mod token;
mod usage;

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use tollgate_config::{LoadError, Mistakes, Role};

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
    CheckConfig(check_config::CheckArguments),
    /// Make the catalog what a file says
    Apply(apply::ApplyArguments),
    /// Write the present catalog as a file that `apply` reads
    Export(connect::ConnectArguments),
    /// Write a product whose routes are the operations that an OpenAPI file describes
    ImportOpenapi(import_openapi::ImportArguments),
    /// Write the JSON Schema of catalog files, for editors
    CatalogSchema,
    /// Products: what is sold
    Product(product::ProductArguments),
    /// Plans: the terms under which a product is sold
    Plan(plan::PlanArguments),
    /// Consumers: who subscribes
    Consumer(consumer::ConsumerArguments),
    /// Subscriptions: who is on which plan
    Subscription(subscription::SubscriptionArguments),
    /// Keys of subscriptions
    Key(key::KeyArguments),
    /// What was called and is billed in the current month
    Usage(usage::UsageArguments),
    /// Write a script that completes commands and options in a shell
    Completions { shell: clap_complete::Shell },
    /// Manage tokens of the admin API
    #[command(subcommand)]
    Token(token::TokenCommand),
    /// Compare the ledger with what a billing system has; exit 1 if there are differences
    Reconcile(reconcile::ReconcileArguments),
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
        Command::CheckConfig(arguments) => check_config::run(&arguments),
        Command::Apply(arguments) => apply::run(&arguments),
        Command::Export(arguments) => export::run(&arguments),
        Command::ImportOpenapi(arguments) => import_openapi::run(&arguments),
        Command::CatalogSchema => catalog_schema::run(),
        Command::Product(arguments) => product::run(&arguments),
        Command::Plan(arguments) => plan::run(&arguments),
        Command::Consumer(arguments) => consumer::run(&arguments),
        Command::Subscription(arguments) => subscription::run(&arguments),
        Command::Key(arguments) => key::run(&arguments),
        Command::Usage(arguments) => usage::run(&arguments),
        Command::Completions { shell } => completions::run(shell),
        Command::Token(command) => token::run(command),
        Command::Reconcile(arguments) => reconcile::run(&arguments),
        Command::Audit(command) => audit::run(command),
        Command::Journal(command) => journal::run(command),
    }
}

/// What is wrong with the settings, if that is what a command has failed for.
pub fn mistakes<'a>(failure: &'a (dyn std::error::Error + 'static)) -> Option<&'a Mistakes> {
    match failure.downcast_ref() {
        Some(LoadError::Mistakes(mistakes)) => Some(mistakes),
        Some(LoadError::Unreadable { .. } | LoadError::TooLarge { .. }) => None,
        None => failure.downcast_ref(),
    }
}

/// The variables of the process. What is no Unicode is made visible, and then refused where it
/// stands for a setting.
fn environment() -> impl Iterator<Item = (String, String)> {
    std::env::vars_os().map(|(name, value)| {
        (name.to_string_lossy().into_owned(), value.to_string_lossy().into_owned())
    })
}
