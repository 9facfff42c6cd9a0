//! `tollgate run`, `tollgate proxy` and `tollgate admin`

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use tollgate_config::{Role, Settings};

use super::Failure;
use crate::logging;
use crate::process::Process;

#[derive(Debug, Args)]
pub struct ServeArguments {
    /// The file of settings; without it there are the defaults and the environment
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

pub fn run(role: Role, arguments: &ServeArguments) -> Result<ExitCode, Failure> {
    let settings = load(arguments)?;
    settings.check_role(role)?;
    let _flush = logging::install(&settings.log);
    let process = Process::start(settings, role)?;
    process.announce();
    Ok(process.serve())
}

fn load(arguments: &ServeArguments) -> Result<Settings, Failure> {
    Ok(Settings::load(arguments.config.as_deref(), std::env::vars())?)
}
