//! `tollgate demo`

use std::process::ExitCode;

use super::{Failure, output};
use crate::demo::Demo;

pub fn run() -> Result<ExitCode, Failure> {
    let (demo, _flush) = Demo::start()?;
    output::tell(&format!("{}\n", demo.guide()))?;
    Ok(demo.serve())
}
