//! `tollgate catalog-schema`

use std::process::ExitCode;

use super::Failure;
use crate::catalog::schema;

#[expect(clippy::print_stdout, reason = "the schema is what was asked for")]
pub fn run() -> Result<ExitCode, Failure> {
    println!("{:#}", schema::schema());
    Ok(ExitCode::SUCCESS)
}
