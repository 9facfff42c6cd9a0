//! `tollgate demo`

use std::process::ExitCode;

use super::Failure;
use crate::demo::Demo;

#[expect(clippy::print_stdout, reason = "the guide is for whoever started the demo")]
pub fn run() -> Result<ExitCode, Failure> {
    let (demo, _flush) = Demo::start()?;
    println!("{}", demo.guide());
    Ok(demo.serve())
}
