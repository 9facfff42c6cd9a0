//! The settled fact that is billed, and its bytes in the journal and on the way to the ledger.

use crate::ids::{KeyId, PlanId, ProductId, RequestId, SubscriptionId};
use crate::outcome::Outcome;
use crate::time::Timestamp;

/// One admitted call, or one part of a long one. `(request, part)` is its identity, so a repeat
/// is harmless.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UsageRecord {
    pub request: RequestId,
    /// 0 for the first record of a call; a long stream writes several.
    pub part: u16,
    /// No further part follows.
    pub last: bool,
    pub product: ProductId,
    pub plan: PlanId,
    pub subscription: SubscriptionId,
    pub key: KeyId,
    /// The call belongs to the period and window of its admission.
    pub admitted_at: Timestamp,
    /// Start of the quota period, zero for a plan without a quota.
    pub period_start: Timestamp,
    pub duration_us: u32,
    pub outcome: Outcome,
    /// What the caller was answered.
    pub status: u16,
    /// Requests made to the upstream; more than one after a safe retry.
    pub attempts: u8,
    /// The response did not reach its end.
    pub truncated: bool,
    /// Counts against the quota.
    pub counted: bool,
    /// Is billed.
    pub billed: bool,
    /// 1 in the part that stands for the call, 0 in the others.
    pub calls: u8,
    /// Settled weight. Negative in a later part where the truth is below what was stated before.
    pub units: i64,
    pub bytes_in: u64,
    pub bytes_out: u64,
}

/// Bytes of an encoded record.
pub const USAGE_RECORD_BYTES: usize = 132;

const LAST: u8 = 1;
const TRUNCATED: u8 = 1 << 1;
const COUNTED: u8 = 1 << 2;
const BILLED: u8 = 1 << 3;

/// Why bytes are not a usage record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UsageRecordError {
    #[error("unknown outcome {0}")]
    Outcome(u8),
    #[error("unknown flags {0:#04x}")]
    Flags(u8),
}

impl UsageRecord {
    /// Little-endian, fixed layout: the order below.
    pub fn encode(&self) -> [u8; USAGE_RECORD_BYTES] {
        let mut bytes = [0; USAGE_RECORD_BYTES];
        let mut rest = &mut bytes[..];
        let flags = [
            (self.last, LAST),
            (self.truncated, TRUNCATED),
            (self.counted, COUNTED),
            (self.billed, BILLED),
        ]
        .into_iter()
        .fold(0, |flags, (set, bit)| if set { flags | bit } else { flags });
        put(&mut rest, self.request.as_bytes());
        put(&mut rest, self.product.as_bytes());
        put(&mut rest, self.plan.as_bytes());
        put(&mut rest, self.subscription.as_bytes());
        put(&mut rest, self.key.as_bytes());
        put(&mut rest, &self.admitted_at.0.to_le_bytes());
        put(&mut rest, &self.period_start.0.to_le_bytes());
        put(&mut rest, &self.units.to_le_bytes());
        put(&mut rest, &self.bytes_in.to_le_bytes());
        put(&mut rest, &self.bytes_out.to_le_bytes());
        put(&mut rest, &self.duration_us.to_le_bytes());
        put(&mut rest, &self.status.to_le_bytes());
        put(&mut rest, &self.part.to_le_bytes());
        put(&mut rest, &[self.outcome as u8, flags, self.attempts, self.calls]);
        bytes
    }

    pub fn decode(bytes: &[u8; USAGE_RECORD_BYTES]) -> Result<Self, UsageRecordError> {
        let mut rest = &bytes[..];
        let request = RequestId::from_bytes(take(&mut rest));
        let product = ProductId::from_bytes(take(&mut rest));
        let plan = PlanId::from_bytes(take(&mut rest));
        let subscription = SubscriptionId::from_bytes(take(&mut rest));
        let key = KeyId::from_bytes(take(&mut rest));
        let admitted_at = Timestamp(i64::from_le_bytes(take(&mut rest)));
        let period_start = Timestamp(i64::from_le_bytes(take(&mut rest)));
        let units = i64::from_le_bytes(take(&mut rest));
        let bytes_in = u64::from_le_bytes(take(&mut rest));
        let bytes_out = u64::from_le_bytes(take(&mut rest));
        let duration_us = u32::from_le_bytes(take(&mut rest));
        let status = u16::from_le_bytes(take(&mut rest));
        let part = u16::from_le_bytes(take(&mut rest));
        let [outcome, flags, attempts, calls] = take(&mut rest);
        if flags & !(LAST | TRUNCATED | COUNTED | BILLED) != 0 {
            return Err(UsageRecordError::Flags(flags));
        }
        Ok(Self {
            request,
            part,
            last: flags & LAST != 0,
            product,
            plan,
            subscription,
            key,
            admitted_at,
            period_start,
            duration_us,
            outcome: Outcome::from_code(outcome).ok_or(UsageRecordError::Outcome(outcome))?,
            status,
            attempts,
            truncated: flags & TRUNCATED != 0,
            counted: flags & COUNTED != 0,
            billed: flags & BILLED != 0,
            calls,
            units,
            bytes_in,
            bytes_out,
        })
    }
}

fn put<const N: usize>(rest: &mut &mut [u8], bytes: &[u8; N]) {
    let (head, tail) =
        std::mem::take(rest).split_first_chunk_mut().expect("the layout fits USAGE_RECORD_BYTES");
    *head = *bytes;
    *rest = tail;
}

fn take<const N: usize>(rest: &mut &[u8]) -> [u8; N] {
    let (head, tail) = rest.split_first_chunk().expect("the layout fits USAGE_RECORD_BYTES");
    *rest = tail;
    *head
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use uuid::Uuid;

    use super::*;

    prop_compose! {
        fn any_record()(
            ids in any::<[u128; 5]>(), times in any::<[i64; 2]>(), units in any::<i64>(),
            bytes in any::<[u64; 2]>(), duration_us in any::<u32>(), status in any::<u16>(),
            part in any::<u16>(), outcome in 0u8..5, flags in any::<[bool; 4]>(),
            attempts in any::<u8>(), calls in any::<u8>(),
        ) -> UsageRecord {
            UsageRecord {
                request: RequestId(Uuid::from_u128(ids[0])),
                product: ProductId(Uuid::from_u128(ids[1])),
                plan: PlanId(Uuid::from_u128(ids[2])),
                subscription: SubscriptionId(Uuid::from_u128(ids[3])),
                key: KeyId(Uuid::from_u128(ids[4])),
                admitted_at: Timestamp(times[0]),
                period_start: Timestamp(times[1]),
                units, bytes_in: bytes[0], bytes_out: bytes[1], duration_us, status, part,
                outcome: Outcome::from_code(outcome).unwrap(),
                last: flags[0], truncated: flags[1], counted: flags[2], billed: flags[3],
                attempts, calls,
            }
        }
    }

    proptest! {
        #[test]
        fn what_is_encoded_is_decoded(record in any_record()) {
            prop_assert_eq!(UsageRecord::decode(&record.encode()), Ok(record));
        }
    }

    #[test]
    fn bytes_of_another_version_are_not_taken_for_a_record() {
        let mut bytes = [0; USAGE_RECORD_BYTES];
        bytes[128] = 9;
        assert_eq!(UsageRecord::decode(&bytes), Err(UsageRecordError::Outcome(9)));
        bytes[129] = 0x80;
        assert_eq!(UsageRecord::decode(&bytes), Err(UsageRecordError::Flags(0x80)));
    }
}
