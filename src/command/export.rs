//! `tollgate export`

use std::process::ExitCode;

use super::connect::ConnectArguments;
use super::{Failure, output};
use crate::catalog::export;
use crate::catalog::present::Present;

pub fn run(arguments: &ConnectArguments) -> Result<ExitCode, Failure> {
    let api = arguments.connect()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let present = runtime.block_on(Present::read(&api))?;
    output::write(&export::file(&present))?;
    Ok(ExitCode::SUCCESS)
}
