//! Where the control plane gets what must be new: the time, ids and secrets. The only place that
//! asks the machine for either.

use std::time::{Instant, SystemTime, UNIX_EPOCH};

use parking_lot::Mutex;
use rand::TryRng;
use rand::rngs::SysRng;
use tollgate_common::ids::RequestId;
use tollgate_common::time::{Clock, Now, Timestamp};
use uuid::Uuid;

/// The machine's clocks.
#[derive(Debug)]
pub struct SystemClock {
    start: Instant,
}

impl Default for SystemClock {
    fn default() -> Self {
        Self { start: Instant::now() }
    }
}

impl Clock for SystemClock {
    fn now(&self) -> Now {
        let wall = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Now {
            wall: Timestamp(wall.as_millis() as i64),
            monotonic_ns: self.start.elapsed().as_nanos() as u64,
        }
    }
}

/// 256 bits from the operating system. A machine that has none to give cannot make a key, and a
/// key from anything weaker must never exist.
pub fn secret() -> [u8; 32] {
    random()
}

pub(crate) fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    SysRng.try_fill_bytes(&mut bytes).expect("the operating system gives random bytes");
    bytes
}

/// Makes ids that rise: version 7 UUIDs, each above the one before, also within a millisecond and
/// when the clock runs back. So a list in the order of ids grows only at its end.
#[derive(Debug, Default)]
pub struct Ids {
    last: Mutex<u128>,
}

impl Ids {
    pub fn next(&self, now: Timestamp) -> Uuid {
        let candidate = RequestId::new(now.0, u128::from_le_bytes(random())).0.as_u128();
        let mut last = self.last.lock();
        *last = if candidate > *last { candidate } else { successor(*last) };
        Uuid::from_u128(*last)
    }
}

/// The next id in order that still has the marks of version 7.
fn successor(id: u128) -> u128 {
    const LOW: u128 = (1 << 62) - 1;
    if id & LOW != LOW {
        return id + 1;
    }
    let time = RequestId(Uuid::from_u128(id)).unix_ms();
    RequestId::new(time + 1, 0).0.as_u128()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_rise_whatever_the_clock_does() {
        let ids = Ids::default();
        let mut last = Uuid::nil();

        for ms in [5, 5, 5, 4, 9, 1, 9] {
            let id = ids.next(Timestamp(ms));
            assert!(id > last);
            assert_eq!(id.get_version_num(), 7);
            last = id;
        }
    }

    #[test]
    fn an_id_at_the_end_of_its_millisecond_is_followed_by_one_of_the_next() {
        let full = RequestId::new(7, u128::MAX).0.as_u128();

        let next = RequestId(Uuid::from_u128(successor(full)));

        assert_eq!(next.unix_ms(), 8);
        assert!(next.0.as_u128() > full);
    }
}
