//! The log: lines on standard error, as JSON for machines or as text for people.

mod writer;

use std::io::IsTerminal;
use std::panic;

use tollgate_config::settings::{LogFormat, LogSettings};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::util::SubscriberInitExt;

pub use writer::Flush;

/// Installs the log. What has been logged is on its way until [`Flush`] is dropped. Lines of
/// libraries that use the `log` crate are taken up too.
pub fn install(settings: &LogSettings) -> Flush {
    let (writer, flush) = writer::start();
    let builder = tracing_subscriber::fmt()
        .with_env_filter(EnvFilter::new(settings.filter.as_str()))
        .with_writer(move || writer.clone());
    match settings.format {
        LogFormat::Json => builder.json().flatten_event(true).finish().init(),
        LogFormat::Text => {
            builder.with_ansi(std::io::stderr().is_terminal()).compact().finish().init();
        }
    }
    panic::set_hook(Box::new(|panic| {
        let message = panic.payload_as_str().unwrap_or("no message");
        let place = panic.location().map(ToString::to_string).unwrap_or_default();
        let thread = std::thread::current().name().unwrap_or("unnamed").to_owned();
        tracing::error!(place, thread, panic = message, "a thread panicked");
    }));
    flush
}
