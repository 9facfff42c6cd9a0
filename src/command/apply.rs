//! `tollgate apply FILE [--dry-run] [--prune]`

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;

use super::connect::ConnectArguments;
use super::{Failure, output};
use crate::catalog::api::Api;
use crate::catalog::carry_out::carry_out;
use crate::catalog::file::{self, Catalog};
use crate::catalog::mistake::Mistakes;
use crate::catalog::present::Present;
use crate::catalog::steps::{self, Steps};

/// A dry run has something to do. 2 is what a command line that cannot be read ends with.
pub const TO_DO: u8 = 3;
/// It stopped half-way: some of it is done, or may be.
const HALF_DONE: u8 = 4;

/// Exit codes: 0 the catalog is what the file says; 1 nothing was changed, because of a mistake or a
/// refusal; 3 a dry run has something to do; 4 it stopped half-way, and can be repeated.
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
pub struct ApplyArguments {
    /// The catalog: products and their plans
    file: PathBuf,
    /// Show what would be done, and do nothing
    #[arg(long)]
    dry_run: bool,
    /// Delete products and plans that the file does not name
    #[arg(long)]
    prune: bool,
    #[command(flatten)]
    connect: ConnectArguments,
}

#[expect(clippy::print_stderr, reason = "there is no log")]
pub fn run(arguments: &ApplyArguments) -> Result<ExitCode, Failure> {
    let text = file::load(&arguments.file)?;
    let catalog = match file::read(&arguments.file, &text) {
        Ok(catalog) => catalog,
        Err(mistakes) => return refuse(&mistakes),
    };
    let api = arguments.connect.connect()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let steps = match runtime.block_on(decide(&api, &catalog, arguments))? {
        Ok(steps) => steps,
        Err(mistakes) => return refuse(&mistakes),
    };
    output::tell(&format!("{steps}\n"))?;
    if steps.steps.is_empty() {
        return Ok(ExitCode::SUCCESS);
    }
    if arguments.dry_run {
        return Ok(ExitCode::from(TO_DO));
    }
    match runtime.block_on(carry_out(&api, &steps.steps)) {
        Ok(()) => {
            output::tell("done\n")?;
            Ok(ExitCode::SUCCESS)
        }
        Err(stopped) => {
            eprintln!("tollgate: {stopped}");
            let changed_nothing = stopped.left_all_as_it_was();
            Ok(if changed_nothing { ExitCode::FAILURE } else { ExitCode::from(HALF_DONE) })
        }
    }
}

/// Decides twice: what the first look finds to differ is read again, with what an edit in between
/// is known by.
async fn decide(
    api: &Api,
    catalog: &Catalog,
    arguments: &ApplyArguments,
) -> Result<Result<Steps, Mistakes>, Failure> {
    let mut present = Present::read(api).await?;
    if let Ok(first) = steps::compare(catalog, &present, arguments.prune) {
        present.pin(api, &first.steps).await?;
    }
    let decided = steps::compare(catalog, &present, arguments.prune);
    Ok(decided.map_err(|mistakes| Mistakes::new(&arguments.file, mistakes)))
}

fn refuse(mistakes: &Mistakes) -> Result<ExitCode, Failure> {
    output::tell(&mistakes.to_string())?;
    Ok(ExitCode::FAILURE)
}
