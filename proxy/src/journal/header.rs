//! The first bytes of a segment: whose it is, and how to read the rest.
//!
//! The header is there twice, on two pages, so that one damaged page does not take a whole segment
//! with it. Records begin on the third.

use tollgate_common::ids::NodeId;

use super::record::{PAYLOAD_BYTES, SLOT_BYTES, Salt};

/// Of the layout of segments.
pub const VERSION: u32 = 1;

/// Where the copies of the header are.
pub const COPIES_AT: [usize; 2] = [0, 4096];

/// Where the first slot is.
pub const SLOTS_AT: usize = 8192;

pub const HEADER_BYTES: usize = CHECKSUM_AT + 4;

const MAGIC: &[u8; 8] = b"TOLLSEGM";
const CHECKSUM_AT: usize = 64;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    pub node: NodeId,
    pub epoch: u64,
    /// Sequence number of the first slot.
    pub first: u64,
    pub salt: Salt,
    /// Length of the file while it is appended to; zero in one that was written whole. A file of
    /// another length has been closed: each of its slots holds a record.
    pub allocated: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HeaderError {
    Damaged,
    Version(u32),
}

impl Header {
    pub fn encode(&self) -> [u8; HEADER_BYTES] {
        let mut bytes = [0; HEADER_BYTES];
        bytes[0..8].copy_from_slice(MAGIC);
        bytes[8..12].copy_from_slice(&VERSION.to_le_bytes());
        bytes[12..16].copy_from_slice(&(PAYLOAD_BYTES as u32).to_le_bytes());
        bytes[16..32].copy_from_slice(self.node.as_bytes());
        bytes[32..40].copy_from_slice(&self.epoch.to_le_bytes());
        bytes[40..48].copy_from_slice(&self.first.to_le_bytes());
        bytes[48..56].copy_from_slice(&self.salt.0.to_le_bytes());
        bytes[56..64].copy_from_slice(&self.allocated.to_le_bytes());
        let checksum = crc32c::crc32c(&bytes[..CHECKSUM_AT]);
        bytes[CHECKSUM_AT..].copy_from_slice(&checksum.to_le_bytes());
        bytes
    }

    /// The first good copy in the bytes of a file.
    pub fn find(file: &[u8]) -> Result<Self, HeaderError> {
        let mut found = Err(HeaderError::Damaged);
        for at in COPIES_AT {
            match file.get(at..).and_then(|bytes| bytes.first_chunk()).map(Self::decode) {
                Some(Ok(header)) => return Ok(header),
                Some(Err(HeaderError::Version(version))) => {
                    found = Err(HeaderError::Version(version));
                }
                Some(Err(HeaderError::Damaged)) | None => {}
            }
        }
        found
    }

    fn decode(bytes: &[u8; HEADER_BYTES]) -> Result<Self, HeaderError> {
        let field = |at: usize| {
            u64::from_le_bytes(bytes[at..at + 8].try_into().expect("eight bytes were cut"))
        };
        let short = |at: usize| {
            u32::from_le_bytes(bytes[at..at + 4].try_into().expect("four bytes were cut"))
        };
        if &bytes[..8] != MAGIC || short(CHECKSUM_AT) != crc32c::crc32c(&bytes[..CHECKSUM_AT]) {
            return Err(HeaderError::Damaged);
        }
        if short(8) != VERSION || short(12) as usize != PAYLOAD_BYTES {
            return Err(HeaderError::Version(short(8)));
        }
        Ok(Self {
            node: NodeId::from_bytes(bytes[16..32].try_into().expect("sixteen bytes were cut")),
            epoch: field(32),
            first: field(40),
            salt: Salt(field(48)),
            allocated: field(56),
        })
    }
}

/// Slots in a file of this length.
pub const fn slots_in(bytes: u64) -> u64 {
    bytes.saturating_sub(SLOTS_AT as u64) / SLOT_BYTES as u64
}

/// Length of a file with exactly this many slots.
pub const fn bytes_of(slots: u64) -> u64 {
    SLOTS_AT as u64 + slots * SLOT_BYTES as u64
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    fn file() -> (Header, Vec<u8>) {
        let header = Header {
            node: NodeId(Uuid::from_u128(1)),
            epoch: 2,
            first: 3,
            salt: Salt(4),
            allocated: 5,
        };
        let mut bytes = vec![0; SLOTS_AT];
        for at in COPIES_AT {
            bytes[at..at + HEADER_BYTES].copy_from_slice(&header.encode());
        }
        (header, bytes)
    }

    #[test]
    fn one_damaged_copy_is_made_good_by_the_other() {
        for at in COPIES_AT {
            for bit in 0..HEADER_BYTES * 8 {
                let (header, mut bytes) = file();
                bytes[at + bit / 8] ^= 1 << (bit % 8);

                assert_eq!(Header::find(&bytes), Ok(header));
            }
        }
    }

    #[test]
    fn two_damaged_copies_are_no_header() {
        let (_, mut bytes) = file();
        bytes[40] ^= 1;
        bytes[4096] ^= 1;

        assert_eq!(Header::find(&bytes), Err(HeaderError::Damaged));
        assert_eq!(Header::find(&[]), Err(HeaderError::Damaged));
    }

    #[test]
    fn a_header_of_another_version_is_told_from_a_damaged_one() {
        let (_, mut bytes) = file();
        for at in COPIES_AT {
            bytes[at + 8] = 2;
            let checksum = crc32c::crc32c(&bytes[at..at + CHECKSUM_AT]).to_le_bytes();
            bytes[at + CHECKSUM_AT..at + HEADER_BYTES].copy_from_slice(&checksum);
        }

        assert_eq!(Header::find(&bytes), Err(HeaderError::Version(2)));
    }
}
