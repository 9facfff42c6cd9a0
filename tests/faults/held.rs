//! What a process holds of the machine.

use std::path::Path;

use tollgate_test_support::tollgate::Tollgate;

use crate::asking;

/// What a process holds.
#[derive(Clone, Copy, Debug)]
pub struct Held {
    /// Memory of its own, without files that are mapped: the journal's newest segments are.
    pub kib: u64,
    pub threads: u64,
    pub files: u64,
    /// Lines of its metrics.
    pub series: usize,
}

impl Held {
    pub async fn read(process: &Tollgate) -> Self {
        let metrics = asking::metrics(process).await;
        let proc = Path::new("/proc").join(process.pid().to_string());
        let status = std::fs::read_to_string(proc.join("status")).unwrap();
        let number = |name: &str| {
            let value = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
            value.split_whitespace().next().unwrap().parse().unwrap()
        };
        Self {
            kib: number("RssAnon:"),
            threads: number("Threads:"),
            files: std::fs::read_dir(proc.join("fd")).unwrap().count() as u64,
            series: metrics.lines().filter(|line| !line.starts_with('#')).count(),
        }
    }
}
