//! What the process itself costs, under the names that Prometheus knows for it.
//!
//! Read from `/proc/self` when asked for. Where there is none, nothing is told.

use std::fmt;
use std::fs;
use std::time::{SystemTime, UNIX_EPOCH};

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::Registry;

/// Linux states times in `/proc` in hundredths of a second, whatever the kernel's own tick.
const TICKS_PER_SECOND: f64 = 100.0;

pub fn registry() -> Registry {
    let mut registry = Registry::default();
    let started = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    registry.register_collector(Box::new(Process { started_at: started.as_secs_f64() }));
    registry
}

#[derive(Debug)]
struct Process {
    started_at: f64,
}

impl Collector for Process {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let mut gauge = |name, help, value: Option<f64>| {
            let Some(value) = value else { return Ok(()) };
            let gauge = ConstGauge::new(value);
            gauge.encode(encoder.encode_descriptor(name, help, None, gauge.metric_type())?)
        };
        let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
        gauge(
            "process_start_time_seconds",
            "When the process started, in seconds since the Unix epoch",
            Some(self.started_at),
        )?;
        gauge(
            "process_resident_memory_bytes",
            "Memory that is in use",
            kibibytes(&status, "VmRSS:").map(|kib| kib * 1024.0),
        )?;
        gauge("process_threads", "Threads", number(&status, "Threads:"))?;
        gauge(
            "process_open_fds",
            "File descriptors in use",
            fs::read_dir("/proc/self/fd").ok().map(|entries| entries.count() as f64),
        )?;
        gauge("process_max_fds", "File descriptors allowed", descriptors_max())?;
        let stat = fs::read_to_string("/proc/self/stat").unwrap_or_default();
        let Some(seconds) = cpu_seconds(&stat) else { return Ok(()) };
        let counter = ConstCounter::new(seconds);
        counter.encode(encoder.encode_descriptor(
            "process_cpu_seconds",
            "Processor time, in user mode and in the kernel",
            None,
            counter.metric_type(),
        )?)
    }
}

fn number(status: &str, field: &str) -> Option<f64> {
    status.lines().find_map(|line| line.strip_prefix(field)?.trim().parse().ok())
}

fn kibibytes(status: &str, field: &str) -> Option<f64> {
    status
        .lines()
        .find_map(|line| line.strip_prefix(field)?.trim().strip_suffix("kB")?.trim().parse().ok())
}

fn descriptors_max() -> Option<f64> {
    let limits = fs::read_to_string("/proc/self/limits").ok()?;
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files"))?;
    line.split_whitespace().next()?.parse().ok()
}

/// The 14th and 15th field; counted behind the name, which may hold blanks (proc(5)).
fn cpu_seconds(stat: &str) -> Option<f64> {
    let (_, behind_name) = stat.rsplit_once(')')?;
    let mut fields = behind_name.split_whitespace().skip(11);
    let user: f64 = fields.next()?.parse().ok()?;
    let system: f64 = fields.next()?.parse().ok()?;
    Some((user + system) / TICKS_PER_SECOND)
}

#[cfg(test)]
mod tests {
    use prometheus_client::encoding::text::encode;

    use super::*;

    #[test]
    fn processor_time_is_found_behind_any_name() {
        let stat = "42 (toll (gate)) S 1 42 42 0 -1 4194560 1 2 3 4 150 50 0 0 20 0 5 0 9 0 0";

        assert_eq!(cpu_seconds(stat), Some(2.0));
        assert_eq!(cpu_seconds(""), None);
    }

    #[test]
    fn the_process_tells_what_it_costs() {
        let mut text = String::new();

        encode(&mut text, &registry()).unwrap();

        for name in [
            "process_start_time_seconds",
            "process_resident_memory_bytes",
            "process_threads",
            "process_open_fds",
            "process_max_fds",
            "process_cpu_seconds_total",
        ] {
            assert!(text.contains(&format!("\n{name} ")), "{name} is missing in\n{text}");
        }
    }
}
