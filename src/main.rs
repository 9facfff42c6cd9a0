//! The `tollgate` binary: the commands, and the one place where the parts are put together.

mod announce;
mod catalog;
mod certificate_metrics;
mod command;
mod demo;
mod logging;
mod process;
mod process_metrics;
mod status;
mod status_server;

use std::process::ExitCode;

use clap::Parser;

/// The system's allocator gives memory back less readily under many small buffers.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    rustls::crypto::ring::default_provider()
        .install_default()
        .expect("nothing has installed a provider before the first line of main");
    match command::run(command::Arguments::parse()) {
        Ok(code) => code,
        Err(failure) if failure.is::<command::output::Closed>() => ExitCode::SUCCESS,
        Err(failure) => {
            report(failure.as_ref());
            ExitCode::FAILURE
        }
    }
}

#[expect(clippy::print_stderr, reason = "the log may not be there yet")]
fn report(failure: &(dyn std::error::Error + 'static)) {
    if let Some(mistakes) = command::mistakes(failure) {
        // Each on a line of its own, which begins with its place: editors go there.
        eprintln!("tollgate: the settings cannot be used:\n{mistakes}");
        return;
    }
    eprintln!("tollgate: {failure}");
    let mut cause = failure.source();
    while let Some(error) = cause {
        eprintln!("  because: {error}");
        cause = error.source();
    }
}
