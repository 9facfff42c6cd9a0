//! `tollgate catalog-schema`

use std::process::ExitCode;

use super::{Failure, output};
use crate::catalog::schema;

pub fn run() -> Result<ExitCode, Failure> {
    output::write(&format!("{:#}\n", schema::schema()))?;
    Ok(ExitCode::SUCCESS)
}
