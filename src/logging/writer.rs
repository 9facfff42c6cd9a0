//! Carries log lines to standard error on a thread of their own.
//!
//! Whoever reads standard error can be slow or stuck; a core that serves calls must not wait for
//! it. When too many lines wait, further ones are dropped, and it is said how many.

use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::Duration;

/// Lines that wait: some seconds of a busy log, at most a few MiB.
const WAITING_LINES_MAX: usize = 8_192;

/// How long the end of the process waits for the last lines.
const FLUSH_TIMEOUT: Duration = Duration::from_secs(1);

enum Message {
    Line(Vec<u8>),
    Flush(SyncSender<()>),
}

/// Takes one line per write and never waits.
#[derive(Clone)]
pub struct Writer {
    lines: SyncSender<Message>,
    dropped: Arc<AtomicU64>,
}

/// Waits, when it is dropped, until the lines so far are written.
pub struct Flush(SyncSender<Message>);

pub fn start() -> (Writer, Flush) {
    let (sender, receiver) = sync_channel(WAITING_LINES_MAX);
    let dropped = Arc::new(AtomicU64::new(0));
    let writer = Writer { lines: sender.clone(), dropped: dropped.clone() };
    std::thread::Builder::new()
        .name("log".to_owned())
        .spawn(move || carry(&receiver, &dropped, &mut io::stderr()))
        .expect("a process that starts can have a second thread");
    (writer, Flush(sender))
}

fn carry(messages: &Receiver<Message>, dropped: &AtomicU64, out: &mut impl Write) {
    // A log that cannot be written is nothing to stop for, and there is nowhere to say so.
    for message in messages {
        match message {
            Message::Line(line) => {
                let _ = out.write_all(&line);
            }
            Message::Flush(done) => {
                let _ = out.flush();
                let _ = done.send(());
            }
        }
        let lost = dropped.swap(0, Ordering::Relaxed);
        if lost > 0 {
            let _ = writeln!(
                out,
                r#"{{"level":"WARN","message":"log lines were dropped","lines":{lost}}}"#
            );
        }
    }
}

impl Write for Writer {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        if self.lines.try_send(Message::Line(line.to_vec())).is_err() {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for Flush {
    fn drop(&mut self) {
        let (done, written) = sync_channel(1);
        if self.0.try_send(Message::Flush(done)).is_ok() {
            let _ = written.recv_timeout(FLUSH_TIMEOUT);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_queue_drops_lines_and_says_how_many() {
        let (lines, receiver) = sync_channel(1);
        let dropped = Arc::new(AtomicU64::new(0));
        let mut writer = Writer { lines, dropped: dropped.clone() };

        for line in ["one\n", "two\n", "three\n"] {
            writer.write_all(line.as_bytes()).unwrap();
        }
        drop(writer);
        let mut out = Vec::new();
        carry(&receiver, &dropped, &mut out);

        let out = String::from_utf8(out).unwrap();
        assert_eq!(
            out,
            "one\n{\"level\":\"WARN\",\"message\":\"log lines were dropped\",\"lines\":2}\n"
        );
    }
}
