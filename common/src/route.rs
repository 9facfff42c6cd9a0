//! What a call costs: rules by method and path pattern.

mod table;

use serde::{Deserialize, Serialize};

pub use self::table::{RouteError, RouteTable, Unusable};

/// A rule for the calls of a product that match a method and a path pattern.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Route {
    /// None is every method.
    #[serde(default)]
    pub method: Option<String>,
    /// Below the product, such as `/v1/orders/{id}` or `/files/{*path}`.
    pub path: String,
    /// Units that a call costs; with `units_header` what it is admitted on.
    #[serde(default = "Route::cost_default")]
    pub cost: u32,
    /// Response header in which the upstream states the true units.
    #[serde(default)]
    pub units_header: Option<String>,
    /// Largest request body in bytes on this route.
    #[serde(default)]
    pub body_bytes_max: Option<u64>,
}

impl Route {
    const fn cost_default() -> u32 {
        1
    }
}
