//! The snapshot feed as bytes: frames, each `length (u32 LE) | CRC-32C (u32 LE) | postcard`.
//!
//! What changes together stands between `Begin` and `Commit` and takes effect together; a batch
//! that is cut off has no effect. The same bytes are the last good snapshot on a gateway's disk.

use serde::{Deserialize, Serialize};

use super::{Entry, Revision};

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[expect(clippy::large_enum_variant, reason = "a frame lives for one step, and most are entries")]
pub enum Frame {
    /// `full`: what is not in this batch is gone.
    Begin {
        full: bool,
    },
    Entry(Entry),
    /// The batch is whole: it has `entries` entries and leads to `revision`.
    Commit {
        revision: Revision,
        entries: u64,
    },
    /// Nothing has changed; the admin is there and stands at `revision`.
    Heartbeat {
        revision: Revision,
    },
}

/// Which form the bytes of frames have. To be raised with every change to what a frame can hold:
/// the bytes name no fields, so an older form would be read as something else.
pub const FORMAT: u32 = 1;

/// The largest frame that is taken for one: a product with all its routes fits many times.
pub const FRAME_BYTES_MAX: usize = 4 << 20;

const PREFIX_BYTES: usize = 8;

/// The longest content of a commit: which frame it is, and two numbers of up to ten bytes.
const COMMIT_BYTES_MAX: usize = 21;

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    #[error("a frame of {0} bytes is over the limit of {FRAME_BYTES_MAX}")]
    TooLong(usize),
    #[error("the checksum of a frame does not match")]
    Checksum,
    #[error("a frame cannot be read: {0}")]
    Content(postcard::Error),
}

/// Appends one frame to `bytes`.
pub fn encode(frame: &Frame, bytes: &mut Vec<u8>) {
    let start = bytes.len();
    bytes.extend_from_slice(&[0; PREFIX_BYTES]);
    *bytes = postcard::to_extend(frame, std::mem::take(bytes))
        .expect("frames hold nothing that postcard cannot write");
    let content = start + PREFIX_BYTES;
    let length = (bytes.len() - content) as u32;
    let checksum = crc32c::crc32c(&bytes[content..]);
    bytes[start..start + 4].copy_from_slice(&length.to_le_bytes());
    bytes[start + 4..content].copy_from_slice(&checksum.to_le_bytes());
}

/// Reads one frame from the front of `bytes`: the frame and how many bytes it took, or None when
/// it has not arrived whole.
pub fn decode(bytes: &[u8]) -> Result<Option<(Frame, usize)>, FrameError> {
    let Some((length, checksum, rest)) = split_prefix(bytes) else {
        return Ok(None);
    };
    if length > FRAME_BYTES_MAX {
        return Err(FrameError::TooLong(length));
    }
    let Some(content) = rest.get(..length) else {
        return Ok(None);
    };
    if crc32c::crc32c(content) != checksum {
        return Err(FrameError::Checksum);
    }
    let frame = postcard::from_bytes(content).map_err(FrameError::Content)?;
    Ok(Some((frame, PREFIX_BYTES + length)))
}

/// Whether bytes that [`decode`] finds too few, and that none follow, hold more than the front of
/// one frame: then the length of that frame is wrong. So it is when the checksum is that of the
/// bytes there are, or when the commit of a batch stands among them.
pub fn is_past_its_frame(bytes: &[u8]) -> bool {
    let Some((_, checksum, rest)) = split_prefix(bytes) else {
        return false;
    };
    crc32c::crc32c(rest) == checksum || (0..rest.len()).any(|at| begins_with_commit(&rest[at..]))
}

/// Looks closer only at what is as short as a commit, so that asking at every byte costs little.
fn begins_with_commit(bytes: &[u8]) -> bool {
    split_prefix(bytes).is_some_and(|(length, ..)| length <= COMMIT_BYTES_MAX)
        && matches!(decode(bytes), Ok(Some((Frame::Commit { .. }, _))))
}

/// Length and checksum of a frame's content, and what comes after them.
fn split_prefix(bytes: &[u8]) -> Option<(usize, u32, &[u8])> {
    let (prefix, rest) = bytes.split_first_chunk::<PREFIX_BYTES>()?;
    let [length, checksum] = [&prefix[..4], &prefix[4..]]
        .map(|part| u32::from_le_bytes(part.try_into().expect("four bytes")));
    Some((length as usize, checksum, rest))
}

#[cfg(test)]
mod tests {
    use super::super::{KeyRules, PlanRules, ProductRules, SubscriptionRules};
    use super::*;
    use crate::catalog::SubscriptionStatus;
    use crate::catalog::product::UpstreamSettings;
    use crate::catalog::{KeyDigest, OutageMode, PeriodKind, ProductStatus, QuotaMode};
    use crate::ids::{ConsumerId, ProductId};
    use crate::outcome::OutcomeSet;
    use crate::time::Timestamp;

    fn two_frames() -> Vec<u8> {
        let mut bytes = Vec::new();
        encode(&Frame::Begin { full: true }, &mut bytes);
        encode(&Frame::Entry(Entry::ProductRemoved(ProductId::from_bytes([3; 16]))), &mut bytes);
        bytes
    }

    #[test]
    fn frames_follow_one_another() {
        let bytes = two_frames();

        let (first, used) = decode(&bytes).unwrap().unwrap();
        let (second, rest) = decode(&bytes[used..]).unwrap().unwrap();

        assert_eq!(first, Frame::Begin { full: true });
        assert!(matches!(second, Frame::Entry(Entry::ProductRemoved(_))));
        assert_eq!(used + rest, bytes.len());
    }

    #[test]
    fn a_frame_that_has_not_arrived_whole_is_waited_for() {
        let bytes = two_frames();
        let (_, used) = decode(&bytes).unwrap().unwrap();

        for cut in 0..used {
            assert_eq!(decode(&bytes[..cut]), Ok(None));
        }
    }

    #[test]
    fn a_flipped_bit_is_noticed() {
        let mut bytes = two_frames();
        bytes[8] ^= 1;

        assert_eq!(decode(&bytes), Err(FrameError::Checksum));
    }

    #[test]
    fn a_huge_length_is_refused_before_anything_is_waited_for() {
        assert_eq!(decode(&[0xff; 8]), Err(FrameError::TooLong(u32::MAX as usize)));
    }

    #[test]
    fn a_frame_that_ends_early_is_told_from_one_whose_length_is_wrong() {
        let mut batch = two_frames();
        let commit = batch.len();
        encode(&Frame::Commit { revision: u64::MAX, entries: u64::MAX }, &mut batch);
        for cut in 0..batch.len() - commit {
            assert!(!is_past_its_frame(&batch[commit..commit + cut]));
        }

        for frame in [0, commit] {
            let mut longer = batch[frame..].to_vec();
            longer[1] ^= 1;

            assert_eq!(decode(&longer), Ok(None));
            assert!(is_past_its_frame(&longer));
        }
    }

    /// When this fails, bytes on the disks of gateways are no longer what they were: raise
    /// [`FORMAT`] together with what is expected here.
    #[test]
    fn the_bytes_of_this_format_are_what_they_were() {
        let plan = crate::ids::PlanId::from_bytes([2; 16]);
        let subscription = crate::ids::SubscriptionId::from_bytes([3; 16]);
        let frames = [
            Frame::Entry(Entry::Product(ProductRules {
                id: ProductId::from_bytes([1; 16]),
                name: "weather".into(),
                status: ProductStatus::Active,
                gateway_endpoint: Some("http://127.0.0.1:1".into()),
                hosts: vec!["weather.example".into()],
                routes: vec![],
                upstream: UpstreamSettings::default(),
                key_query_parameter: None,
                body_bytes_max: Some(1),
            })),
            Frame::Entry(Entry::Plan(PlanRules {
                id: plan,
                product: ProductId::from_bytes([1; 16]),
                name: "free".into(),
                quota: Some(1_000),
                rate_limit: Some(60),
                burst: None,
                quota_mode: QuotaMode::Hard,
                period: PeriodKind::CalendarMonth,
                time_zone: "UTC".into(),
                counted: OutcomeSet::ANSWERED,
                billed: OutcomeSet::ANSWERED,
                outage_mode: OutageMode::Share,
            })),
            Frame::Entry(Entry::Subscription(SubscriptionRules {
                id: subscription,
                consumer: ConsumerId::from_bytes([4; 16]),
                plan,
                status: SubscriptionStatus::Active,
                started_at: Timestamp(1_793_000_000_000),
            })),
            Frame::Entry(Entry::Key(KeyRules {
                digest: KeyDigest([5; 32]),
                subscription,
                expires_at: None,
            })),
            Frame::Heartbeat { revision: 7 },
        ];
        let mut bytes = Vec::new();
        frames.iter().for_each(|frame| encode(frame, &mut bytes));

        assert_eq!((FORMAT, bytes.len(), crc32c::crc32c(&bytes)), (1, 297, 3_674_472_063));
    }
}
