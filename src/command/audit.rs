//! `tollgate audit verify FILE`

use std::fs::File;
use std::io::BufReader;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Subcommand;
use tollgate_admin::audit::chain::{ChainHash, verify};

use super::{Failure, output};

#[derive(Debug, Subcommand)]
pub enum AuditCommand {
    /// Check that an export of the audit is one whole chain; exit 1 and name the first line that does
    /// not fit
    Verify {
        /// What `GET /api/v1/audit/export` answered
        file: PathBuf,
        /// A hash that was noted earlier and must be in it: shows an end that was cut off
        #[arg(long, value_name = "HASH")]
        contains: Option<ChainHash>,
    },
}

pub fn run(command: AuditCommand) -> Result<ExitCode, Failure> {
    match command {
        AuditCommand::Verify { file, contains } => check(&file, contains),
    }
}

fn check(file: &Path, contains: Option<ChainHash>) -> Result<ExitCode, Failure> {
    let name = file.display();
    let export = File::open(file).map_err(|error| format!("cannot read {name}: {error}"))?;
    let verified =
        verify(BufReader::new(export), contains).map_err(|broken| format!("{name}: {broken}"))?;
    let (lines, last) = (verified.lines, verified.last);
    let mut verdict = format!("{lines} lines, all in their place; the last hash is {last}\n");
    if verified.unchained > 0 {
        verdict += &format!(
            "the first {} lines are older than the chain and prove nothing\n",
            verified.unchained
        );
    }
    output::tell(&verdict)?;
    Ok(ExitCode::SUCCESS)
}
