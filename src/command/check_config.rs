//! `tollgate check-config FILE`

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use tollgate_config::{LoadError, Settings};

use super::{Failure, environment, output};

#[derive(Debug, Args)]
pub struct CheckArguments {
    /// The file of settings
    file: PathBuf,
    /// Read the environment as well, as `tollgate run` does: for a check where the file is used
    #[arg(long)]
    with_environment: bool,
}

/// Checks the file alone, unless it is told otherwise: variables belong to the place where it will
/// be used, which is most often not this one.
pub fn run(arguments: &CheckArguments) -> Result<ExitCode, Failure> {
    let file = &arguments.file;
    let variables = arguments.with_environment.then(environment).into_iter().flatten();
    match Settings::load(Some(file), variables) {
        Ok(_) => {
            output::tell(&format!("{}: no mistakes\n", file.display()))?;
            Ok(ExitCode::SUCCESS)
        }
        Err(LoadError::Mistakes(mistakes)) => {
            output::tell(&format!("{mistakes}\n"))?;
            Ok(ExitCode::FAILURE)
        }
        Err(error) => Err(error.into()),
    }
}
