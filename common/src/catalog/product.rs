//! An API that is sold: a gateway endpoint and how to reach it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::ids::ProductId;
use crate::route::Route;
use crate::time::{Timestamp, rfc3339};

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Product {
    pub id: ProductId,
    /// The first path segment under which the product is called: `a-z`, `0-9` and `-`, unique.
    pub name: String,
    pub title: String,
    pub description: String,
    /// The upstream URL. A product without one can only be a draft.
    pub gateway_endpoint: Option<String>,
    pub status: ProductStatus,
    /// Host names under which the product is served without the path prefix.
    pub hosts: Vec<String>,
    pub routes: Vec<Route>,
    pub upstream: UpstreamSettings,
    /// Name of the query parameter that may carry the key. None: the query is no place for keys.
    pub key_query_parameter: Option<String>,
    /// Largest request body in bytes; None leaves it to the gateway's own limit.
    pub body_bytes_max: Option<u64>,
    pub metadata: BTreeMap<String, serde_json::Value>,
    #[serde(with = "rfc3339")]
    pub created_at: Timestamp,
    #[serde(with = "rfc3339")]
    pub updated_at: Timestamp,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ProductStatus {
    /// Hidden from the catalog, takes no new subscriptions; those it has go on.
    Draft,
    Active,
}

/// How the gateway reaches a product's upstream. Durations are in milliseconds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct UpstreamSettings {
    /// `host:port` of each server behind the endpoint. Empty: what the endpoint's host resolves to.
    pub addresses: Vec<String>,
    pub balance: Balance,
    pub protocol: UpstreamProtocol,
    pub connect_timeout_ms: u64,
    /// From the last byte of the request to the first byte of the response.
    pub response_timeout_ms: u64,
    /// The longest silence inside a body or a tunnel.
    pub idle_timeout_ms: u64,
    /// How often a call without a body is sent again that the upstream has not looked at: a method that is
    /// safe to repeat where a connection that had served calls before ends without a byte of an answer,
    /// any method where the upstream says so itself (HTTP/2). To go to another address when one cannot be
    /// connected to is no retry.
    pub retries: u8,
    pub health_check: Option<HealthCheck>,
    /// Send the caller's `Host` instead of the endpoint's.
    pub preserve_host: bool,
}

impl Default for UpstreamSettings {
    fn default() -> Self {
        Self {
            addresses: Vec::new(),
            balance: Balance::RoundRobin,
            protocol: UpstreamProtocol::Auto,
            connect_timeout_ms: 5_000,
            response_timeout_ms: 60_000,
            idle_timeout_ms: 60_000,
            retries: 1,
            health_check: None,
            preserve_host: false,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Balance {
    RoundRobin,
    Random,
    /// The same subscription keeps going to the same address (ketama).
    Consistent,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum UpstreamProtocol {
    /// HTTP/1.1 in the clear; over TLS what ALPN agrees on.
    Auto,
    Http1,
    /// HTTP/2, in the clear with prior knowledge.
    Http2,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HealthCheck {
    /// Path that answers 2xx when the server is well. None: a TCP connection is enough.
    #[serde(default)]
    pub path: Option<String>,
    #[serde(default = "HealthCheck::interval_ms_default")]
    pub interval_ms: u64,
    /// Answers in a row that make a server well or ill.
    #[serde(default = "HealthCheck::threshold_default")]
    pub threshold: u32,
}

impl HealthCheck {
    const fn interval_ms_default() -> u64 {
        5_000
    }

    const fn threshold_default() -> u32 {
        2
    }
}
