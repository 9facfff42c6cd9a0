//! `tollgate token create --role R --name N`

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Subcommand, ValueEnum};
use secrecy::ExposeSecret;
use tollgate_admin::access::Role;
use tollgate_admin::local;
use tollgate_config::Settings;

use super::{Failure, environment, output};

#[derive(Debug, Subcommand)]
pub enum TokenCommand {
    /// Make a token and show it, this once; also while the control plane runs
    Create(CreateArguments),
}

#[derive(Debug, Args)]
pub struct CreateArguments {
    /// What the token may do
    #[arg(long, value_enum)]
    role: RoleName,
    /// Whom or what it is for
    #[arg(long)]
    name: String,
    /// The file of settings, for where the store is
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
#[value(rename_all = "snake_case")]
enum RoleName {
    /// Everything
    PlatformOwner,
    /// Runs the catalog, but makes neither keys nor tokens
    Operator,
    /// Reads
    Auditor,
}

impl From<RoleName> for Role {
    fn from(name: RoleName) -> Self {
        match name {
            RoleName::PlatformOwner => Self::PlatformOwner,
            RoleName::Operator => Self::Operator,
            RoleName::Auditor => Self::Auditor,
        }
    }
}

pub fn run(command: TokenCommand) -> Result<ExitCode, Failure> {
    match command {
        TokenCommand::Create(arguments) => create(arguments),
    }
}

fn create(arguments: CreateArguments) -> Result<ExitCode, Failure> {
    let settings = Settings::load(arguments.config.as_deref(), environment())?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let store = settings.store_url();
    let create = local::create_token(&store, arguments.role.into(), &arguments.name);
    let token = runtime.block_on(create)?;
    output::write(&format!("{}\n", token.expose_secret()))?;
    Ok(ExitCode::SUCCESS)
}
