//! `tollgate check-config FILE`

use std::path::Path;
use std::process::ExitCode;

use tollgate_config::{LoadError, Settings};

use super::Failure;

/// Checks the file alone: variables belong to the place where it will be used, not to this one.
#[expect(clippy::print_stdout, reason = "the mistakes are what was asked for")]
pub fn run(file: &Path) -> Result<ExitCode, Failure> {
    match Settings::load(Some(file), []) {
        Ok(_) => {
            println!("{}: no mistakes", file.display());
            Ok(ExitCode::SUCCESS)
        }
        Err(LoadError::Mistakes(mistakes)) => {
            println!("{mistakes}");
            Ok(ExitCode::FAILURE)
        }
        Err(error) => Err(error.into()),
    }
}
