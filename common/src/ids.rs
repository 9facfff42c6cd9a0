//! Identities. Each is its own type, so that one can never be passed for another.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub Uuid);

        impl $name {
            pub const fn from_bytes(bytes: [u8; 16]) -> Self {
                Self(Uuid::from_bytes(bytes))
            }

            pub const fn as_bytes(&self) -> &[u8; 16] {
                self.0.as_bytes()
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.hyphenated().fmt(f)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({})"), self.0)
            }
        }

        impl FromStr for $name {
            type Err = uuid::Error;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                Uuid::parse_str(text).map(Self)
            }
        }
    };
}

id!(ProductId);
id!(PlanId);
id!(ConsumerId);
id!(SubscriptionId);
id!(
    /// Names a key without giving anything of it away that could be used to call.
    KeyId
);
id!(TokenId);
id!(FeatureId);
id!(BundleId);
id!(PriceId);
id!(
    /// A billing system that usage is sent to.
    DestinationId
);
id!(
    /// A gateway's own identity, kept in its journal directory.
    NodeId
);
id!(
    /// Names one call. A version 7 UUID, so it also tells when the call was admitted.
    RequestId
);

impl RequestId {
    /// Lays out a version 7 UUID (RFC 9562, section 5.7) from the Unix time in milliseconds and 74
    /// bits that are unique to the call.
    pub fn new(unix_ms: i64, unique: u128) -> Self {
        let time = (unix_ms as u128 & 0xffff_ffff_ffff) << 80;
        let unique_high = (unique >> 62) & 0xfff;
        let unique_low = unique & 0x3fff_ffff_ffff_ffff;
        Self(Uuid::from_u128(time | 0x7 << 76 | unique_high << 64 | 0b10 << 62 | unique_low))
    }

    /// When the call was admitted, in milliseconds since the Unix epoch.
    pub fn unix_ms(&self) -> i64 {
        (self.0.as_u128() >> 80) as i64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_id_is_a_version_7_uuid_that_tells_its_time() {
        let id = RequestId::new(1_793_000_000_123, u128::MAX);

        assert_eq!(id.0.get_version_num(), 7);
        assert_eq!(id.0.get_variant(), uuid::Variant::RFC4122);
        assert_eq!(id.unix_ms(), 1_793_000_000_123);
    }
}
