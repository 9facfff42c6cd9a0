//! What is sent: the usage of one subscription, meter and window, or what was added to it since.

use sha2::{Digest, Sha256};
use tollgate_common::ids::{ConsumerId, PlanId, ProductId, SubscriptionId};
use tollgate_common::time::Timestamp;
use uuid::{Builder, Uuid};

use super::DestinationId;
use crate::ledger::window::Minute;
use tollgate_common::meter::Meter;

/// Names a place in the ledger. Its window never reaches over the end of a day in UTC, nor over
/// that of a billing period.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place {
    pub subscription: SubscriptionId,
    pub plan: PlanId,
    pub meter: Meter,
    pub start: Minute,
}

/// Frozen: nothing of it changes once it is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Item {
    pub place: Place,
    /// 1 for what was there when the window was closed; more for what came later.
    pub version: u32,
    pub end: Minute,
    /// What is added by this version.
    pub quantity: i64,
    /// What the destination's total for this customer, meter and hour is with this version. 0
    /// unless amounts replace each other.
    pub total: i64,
    /// The moment that the usage is booked on, in the window and in the life of the subscription.
    pub at: Timestamp,
    pub product: ProductId,
    pub consumer: ConsumerId,
    /// Who that is at the destination.
    pub customer: String,
    /// By which a repeat is recognised.
    pub id: Uuid,
}

impl Place {
    /// Made of what the item is, so that whoever sends it, and whenever, gives it the same name.
    pub fn item_id(&self, destination: DestinationId, version: u32) -> Uuid {
        uuid_of(self.hash(destination, version))
    }

    /// The same on a store that was put back to an earlier state at a moment: no name that was given
    /// before.
    pub fn item_id_since(&self, destination: DestinationId, version: u32, at: Timestamp) -> Uuid {
        let mut hash = self.hash(destination, version);
        hash.update(at.0.to_be_bytes());
        uuid_of(hash)
    }

    fn hash(&self, destination: DestinationId, version: u32) -> Sha256 {
        let mut hash = Sha256::new();
        hash.update(destination.as_bytes());
        hash.update(self.subscription.as_bytes());
        hash.update(self.plan.as_bytes());
        hash.update([self.meter as u8]);
        hash.update(self.start.0.to_be_bytes());
        hash.update(version.to_be_bytes());
        hash
    }
}

/// A version 8 UUID (RFC 9562, section 5.8) of a SHA-256.
pub fn uuid_of(hash: Sha256) -> Uuid {
    let digest: [u8; 32] = hash.finalize().into();
    let mut half = [0; 16];
    half.copy_from_slice(&digest[..16]);
    Builder::from_custom_bytes(half).into_uuid()
}

impl Item {
    /// The hour that the usage is booked in: the finest grain in which totals can be read back.
    pub fn hour(&self) -> i64 {
        self.at.0.div_euclid(3_600_000)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn each_part_of_a_place_makes_another_id() {
        let place = Place {
            subscription: SubscriptionId::from_bytes([1; 16]),
            plan: PlanId::from_bytes([2; 16]),
            meter: Meter::Calls,
            start: Minute(60),
        };
        let (here, there) =
            (DestinationId::from_bytes([3; 16]), DestinationId::from_bytes([4; 16]));
        let ids = [
            place.item_id(here, 1),
            place.item_id(here, 2),
            place.item_id_since(here, 1, Timestamp(60)),
            place.item_id_since(here, 1, Timestamp(61)),
            place.item_id(there, 1),
            Place { subscription: SubscriptionId::from_bytes([9; 16]), ..place }.item_id(here, 1),
            Place { plan: PlanId::from_bytes([9; 16]), ..place }.item_id(here, 1),
            Place { meter: Meter::Units, ..place }.item_id(here, 1),
            Place { start: Minute(61), ..place }.item_id(here, 1),
        ];

        assert_eq!(HashSet::from(ids).len(), ids.len());
        assert_eq!(place.item_id(here, 1), ids[0]);
        assert_eq!(ids[0].get_version_num(), 8);
    }
}
