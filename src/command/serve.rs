//! `tollgate run`, `tollgate proxy` and `tollgate admin`

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use tollgate_config::{Role, Settings};

use super::{Failure, environment};
use crate::logging;
use crate::process::{Process, StoppedEarly};

#[derive(Debug, Args)]
pub struct ServeArguments {
    /// The file of settings; without it there are the defaults and the environment
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

pub fn run(role: Role, arguments: &ServeArguments) -> Result<ExitCode, Failure> {
    let settings = Settings::load(arguments.config.as_deref(), environment())?;
    settings.check_role(role)?;
    let _flush = logging::install(&settings.log);
    match Process::start(settings, role) {
        Ok(process) => {
            process.announce();
            Ok(process.serve())
        }
        Err(early) if early.is::<StoppedEarly>() => {
            tracing::info!("{early}");
            Ok(ExitCode::SUCCESS)
        }
        Err(error) => {
            tracing::error!(%error, "the process cannot start");
            Ok(ExitCode::FAILURE)
        }
    }
}
