//! `tollgate journal inspect DIR`

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Subcommand;
use tollgate_proxy::journal::{self, Inspection, SegmentContent};

use super::{Failure, output};

#[derive(Debug, Subcommand)]
pub enum JournalCommand {
    /// Show what a journal directory holds, also while it is in use; exit 1 if any of it is damaged
    Inspect { dir: PathBuf },
}

pub fn run(command: JournalCommand) -> Result<ExitCode, Failure> {
    match command {
        JournalCommand::Inspect { dir } => inspect(&dir),
    }
}

fn inspect(dir: &Path) -> Result<ExitCode, Failure> {
    let inspection = journal::inspect(dir)?;
    output::tell(&inspection.to_string())?;
    Ok(if is_sound(&inspection) { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// A torn tail is sound: it is what a kill leaves, and no response stands behind it.
fn is_sound(inspection: &Inspection) -> bool {
    let lanes_sound = inspection.lanes.iter().all(|lane| {
        let segments_sound = lane.segments.iter().all(|segment| match segment.content {
            SegmentContent::Records { damaged, .. } => damaged == 0,
            SegmentContent::Headless { .. } | SegmentContent::OtherVersion(_) => false,
        });
        segments_sound && lane.damaged_files.is_empty() && lane.quarantine.is_empty()
    });
    lanes_sound && inspection.damaged_files.is_empty()
}
