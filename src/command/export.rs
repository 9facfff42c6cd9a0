//! `tollgate export`

use std::process::ExitCode;

use super::Failure;
use super::connect::ConnectArguments;
use crate::catalog::export;
use crate::catalog::present::Present;

#[expect(clippy::print_stdout, reason = "the catalog is what was asked for")]
pub fn run(arguments: &ConnectArguments) -> Result<ExitCode, Failure> {
    let api = arguments.connect()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let present = runtime.block_on(Present::read(&api))?;
    print!("{}", export::file(&present));
    Ok(ExitCode::SUCCESS)
}
