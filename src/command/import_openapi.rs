//! `tollgate import-openapi FILE --product NAME [--dry-run]`

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;

use super::apply::TO_DO;
use super::connect::ConnectArguments;
use super::{Failure, output};
use crate::catalog::file::{self, Catalog, WantedProduct};
use crate::catalog::openapi::{self, Described};
use crate::catalog::present::Present;
use crate::catalog::steps;

/// Nothing is changed: what is written goes into the catalog file. Exit codes: 0 done, or with
/// `--dry-run` nothing differs; 1 a mistake in the file; 3 with `--dry-run` something differs.
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
pub struct ImportArguments {
    /// A description of the API: OpenAPI 3, in YAML or JSON
    file: PathBuf,
    /// The product's name
    #[arg(long, value_name = "NAME")]
    product: String,
    /// Show how the routes differ from those that the product has
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    connect: ConnectArguments,
}

pub fn run(arguments: &ImportArguments) -> Result<ExitCode, Failure> {
    let text = file::load(&arguments.file)?;
    match openapi::read(&arguments.file, &text, &arguments.product) {
        Ok(described) if arguments.dry_run => compare(described, &arguments.connect),
        Ok(described) => {
            output::write(&described.fragment())?;
            Ok(ExitCode::SUCCESS)
        }
        Err(mistakes) => {
            output::tell(&mistakes.to_string())?;
            Ok(ExitCode::FAILURE)
        }
    }
}

/// Only the routes are compared: whatever else the product has is the catalog file's to say.
fn compare(described: Described, connect: &ConnectArguments) -> Result<ExitCode, Failure> {
    let api = connect.connect()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let mut present = runtime.block_on(Present::read(&api))?;
    let mut product = described.product;
    present.products.retain(|held| held.product.name == product.name);
    if let Some(held) = present.products.first() {
        let routes = product.fields.remove("routes");
        product.fields = held.product.fields.clone();
        product.fields.extend(routes.map(|routes| ("routes".to_owned(), routes)));
    }
    let wanted = Catalog { products: vec![WantedProduct { product, plans: None }] };
    let steps = steps::compare(&wanted, &present, false).map_err(|mistakes| {
        mistakes.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
    })?;
    output::tell(&format!("{steps}\n"))?;
    Ok(if steps.steps.is_empty() { ExitCode::SUCCESS } else { ExitCode::from(TO_DO) })
}
