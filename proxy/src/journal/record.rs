//! A usage record's place in a segment.
//!
//! A segment is an array of slots of one size, so that the record of a sequence number has one
//! place, and damage in one slot says nothing about where the next begins.
//!
//! | bytes | |
//! |---|---|
//! | 4 | length of the payload |
//! | 4 | CRC-32C over the segment's salt, the sequence number and the payload |
//! | 8 | sequence number |
//! | 132 | payload: an encoded [`UsageRecord`](tollgate_common::usage::UsageRecord) |
//!
//! Numbers are little-endian. A slot of zeroes was never written.

use tollgate_common::usage::USAGE_RECORD_BYTES;

pub const PAYLOAD_BYTES: usize = USAGE_RECORD_BYTES;
pub const SLOT_BYTES: usize = PAYLOAD_AT + PAYLOAD_BYTES;

const CHECKSUM_AT: usize = 4;
const SEQUENCE_AT: usize = 8;
const PAYLOAD_AT: usize = 16;

pub type Payload = [u8; PAYLOAD_BYTES];
pub type SlotBytes = [u8; SLOT_BYTES];

/// Ties records to their segment: what an older file left on the same blocks, or a copy from
/// another segment, does not pass for a record of this one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Salt(pub u64);

impl Salt {
    pub fn seed(self) -> Seed {
        Seed(crc32c::crc32c(&self.0.to_le_bytes()))
    }
}

/// The checksum after the salt, worked out once per segment.
#[derive(Clone, Copy, Debug)]
pub struct Seed(u32);

/// What a slot holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Slot<'a> {
    Empty,
    Good(&'a Payload),
    Bad,
}

pub fn write(slot: &mut SlotBytes, seed: Seed, sequence: u64, payload: &Payload) {
    slot[SEQUENCE_AT..PAYLOAD_AT].copy_from_slice(&sequence.to_le_bytes());
    slot[PAYLOAD_AT..].copy_from_slice(payload);
    let checksum = crc32c::crc32c_append(seed.0, &slot[SEQUENCE_AT..]);
    slot[..CHECKSUM_AT].copy_from_slice(&(PAYLOAD_BYTES as u32).to_le_bytes());
    slot[CHECKSUM_AT..SEQUENCE_AT].copy_from_slice(&checksum.to_le_bytes());
}

pub fn read(slot: &SlotBytes, seed: Seed, sequence: u64) -> Slot<'_> {
    let (length, rest) = slot.split_first_chunk().expect("a slot begins with a length");
    let (checksum, checked) = rest.split_first_chunk().expect("then comes a checksum");
    let (written, payload) = checked.split_first_chunk().expect("then comes a sequence number");
    let is_good = u32::from_le_bytes(*length) as usize == PAYLOAD_BYTES
        && u64::from_le_bytes(*written) == sequence
        && u32::from_le_bytes(*checksum) == crc32c::crc32c_append(seed.0, checked);
    if is_good {
        return Slot::Good(payload.try_into().expect("the rest of a slot is the payload"));
    }
    if slot.iter().all(|byte| *byte == 0) { Slot::Empty } else { Slot::Bad }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(sequence: u64) -> SlotBytes {
        let mut slot = [0; SLOT_BYTES];
        write(&mut slot, Salt(7).seed(), sequence, &[0x5a; PAYLOAD_BYTES]);
        slot
    }

    #[test]
    fn what_is_written_is_read() {
        assert_eq!(read(&written(12), Salt(7).seed(), 12), Slot::Good(&[0x5a; PAYLOAD_BYTES]));
    }

    #[test]
    fn every_flipped_bit_is_seen() {
        for bit in 0..SLOT_BYTES * 8 {
            let mut slot = written(12);
            slot[bit / 8] ^= 1 << (bit % 8);

            assert_eq!(read(&slot, Salt(7).seed(), 12), Slot::Bad, "bit {bit}");
        }
    }

    #[test]
    fn a_record_of_another_segment_or_place_is_not_taken() {
        assert_eq!(read(&written(12), Salt(8).seed(), 12), Slot::Bad);
        assert_eq!(read(&written(12), Salt(7).seed(), 13), Slot::Bad);
    }

    #[test]
    fn a_slot_that_was_never_written_is_empty() {
        assert_eq!(read(&[0; SLOT_BYTES], Salt(7).seed(), 1), Slot::Empty);
    }
}
