//! `tollgate check-config FILE`

use std::path::Path;
use std::process::ExitCode;

use tollgate_config::{LoadError, Settings};

use super::{Failure, output};

/// Checks the file alone: variables belong to the place where it will be used, not to this one.
pub fn run(file: &Path) -> Result<ExitCode, Failure> {
    match Settings::load(Some(file), []) {
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
