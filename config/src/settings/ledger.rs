//! Settings of the control plane's record of what was used.

use crate::section::section;
use crate::value::ByteSize;

section! {
    /// The control plane's record of what was used. Totals are kept for good; single calls are
    /// kept for as long as someone may ask about them.
    pub struct LedgerSettings {
        /// Days for which a single call can be asked for by its request id. The default lets the
        /// calls of an invoice be explained until the next one. They are counted up to the last
        /// days that had calls, so that a clock that jumps ahead takes nothing away.
        history_days: u32 = 62, 1..=3_660;
        /// The most that single calls may take on disk; beyond it the oldest go first.
        history_bytes_max: ByteSize = ByteSize::gib(10), ByteSize::mib(1)..=ByteSize(1 << 44);
    }
}
