//! What an owner may say of a product.

use std::collections::HashSet;

use tollgate_common::catalog::product::{Balance, HealthCheck, UpstreamProtocol, UpstreamSettings};
use tollgate_common::catalog::{Product, ProductStatus};
use tollgate_common::endpoint::{AddressPolicy, Authority, Endpoint, EndpointError, Host};
use tollgate_common::ids::ProductId;
use tollgate_common::route::{Route, RouteTable, Unusable};

use crate::change::ProductFields;
use crate::json::{Fields, INTEGER_MAX, Object, Text};
use crate::problem::Problem;

/// What is seen but not set.
pub const READ_ONLY: [&str; 3] = ["id", "created_at", "updated_at"];

pub const NAME_LENGTH_MAX: usize = 63;
const TITLE: Text = Text::line(0, 200);
const DESCRIPTION: Text = Text { length_min: 0, length_max: 10_000, lines: true };
const HOSTS_MAX: usize = 100;

/// A product's routes are one frame of the feed and one set of tries in a gateway.
const ROUTES_MAX: usize = 1_000;
/// As many as are registered. A gateway has one trie for each, with the routes for every method too.
const ROUTE_METHODS_MAX: usize = 40;
const ROUTE_PATH_LENGTH_MAX: usize = 1_024;
const ROUTE_COST_MAX: u32 = 1_000_000;
const HEADER_NAME_LENGTH_MAX: usize = 128;
const METHOD_LENGTH_MAX: usize = 32;
const QUERY_PARAMETER_LENGTH_MAX: usize = 64;
pub const METADATA_BYTES_MAX: usize = 16 << 10;

const ADDRESSES_MAX: usize = 64;
const CONNECT_TIMEOUT_MS_MAX: u64 = 60_000;
const WAIT_MS_MAX: u64 = 3_600_000;
const RETRIES_MAX: u64 = 5;
const HEALTH_INTERVAL_MS_MIN: u64 = 100;
const HEALTH_THRESHOLD_MAX: u32 = 100;

/// Where a product's calls may lead: to what the settings allow, and to where they lead already. So a
/// product whose upstream is no longer allowed can still be renamed or made a draft.
#[derive(Clone, Copy)]
pub struct Reach<'a> {
    pub policy: &'a AddressPolicy,
    /// The product that is edited.
    pub before: Option<&'a Product>,
}

impl Reach<'_> {
    fn vet_endpoint(self, endpoint: &Endpoint) -> Result<(), EndpointError> {
        let kept = self.before.and_then(|before| before.gateway_endpoint.as_deref());
        let is_kept = kept == Some(endpoint.to_string().as_str());
        if is_kept { Ok(()) } else { endpoint.vet(self.policy) }
    }

    fn vet_address(self, address: &Authority) -> Result<(), EndpointError> {
        let kept = self.before.map_or(&[][..], |before| &before.upstream.addresses);
        if kept.contains(&address.to_string()) { Ok(()) } else { address.vet(self.policy) }
    }
}

/// Reads a whole product.
pub fn read(object: Object, reach: Reach<'_>) -> Result<ProductFields, Problem> {
    let mut fields = Fields::new(object);
    fields.refuse_read_only(&READ_ONLY);
    let name = fields.parsed_required("name", parse_product_name).unwrap_or_default();
    let product = ProductFields {
        title: fields
            .text_defaulted("title", TITLE)
            .filter(|title| !title.is_empty())
            .unwrap_or_else(|| name.clone()),
        name,
        description: fields.text_defaulted("description", DESCRIPTION).unwrap_or_default(),
        gateway_endpoint: read_endpoint(&mut fields, reach),
        status: fields.word_defaulted("status").unwrap_or(ProductStatus::Draft),
        hosts: read_hosts(&mut fields),
        routes: read_routes(&mut fields),
        upstream: fields
            .object_defaulted("upstream", |upstream| read_upstream(upstream, reach))
            .unwrap_or_default(),
        key_query_parameter: fields
            .parsed_optional("key_query_parameter", |text| token(text, QUERY_PARAMETER_LENGTH_MAX)),
        body_bytes_max: fields.integer_optional("body_bytes_max", 0, INTEGER_MAX),
        metadata: read_metadata(&mut fields),
    };
    let is_missing = product.gateway_endpoint.is_none() && !fields.has_error_at("gateway_endpoint");
    if product.status == ProductStatus::Active && is_missing {
        let message = "is required: a product without a gateway endpoint can only be a draft";
        fields.reject("gateway_endpoint", message);
    }
    fields.finish()?;
    Ok(product)
}

/// A product is asked for by its id or its name, so that no name may be another's id.
pub fn parse_product_name(text: &str) -> Result<String, String> {
    let name = parse_name(text)?;
    if name.parse::<ProductId>().is_ok() {
        return Err("must not have the form of an id".to_owned());
    }
    Ok(name)
}

pub fn parse_name(text: &str) -> Result<String, String> {
    let is_allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    if text.is_empty() || text.len() > NAME_LENGTH_MAX {
        return Err(format!("must be 1 to {NAME_LENGTH_MAX} characters long"));
    }
    if !text.bytes().all(is_allowed) || text.starts_with('-') || text.ends_with('-') {
        return Err("must consist of a-z, 0-9 and inner hyphens".to_owned());
    }
    Ok(text.to_owned())
}

fn read_endpoint(fields: &mut Fields, reach: Reach<'_>) -> Option<String> {
    fields.parsed_optional("gateway_endpoint", |text| {
        let endpoint = Endpoint::parse(text).map_err(|error| error.to_string())?;
        reach.vet_endpoint(&endpoint).map_err(|error| error.to_string())?;
        Ok(endpoint.to_string())
    })
}

fn read_hosts(fields: &mut Fields) -> Vec<String> {
    let mut seen = HashSet::new();
    let hosts = fields.list_parsed("hosts", |text| match Host::parse(text) {
        Ok(Host::Name(name)) if seen.insert(name.clone()) => Ok(name),
        Ok(Host::Name(_)) => Err("is there twice".to_owned()),
        Ok(Host::Address(_)) => Err("must be a name, not an address".to_owned()),
        Err(error) => Err(error.to_string()),
    });
    let hosts = hosts.unwrap_or_default();
    if hosts.len() > HOSTS_MAX {
        fields.reject("hosts", format!("must have at most {HOSTS_MAX} items"));
    }
    hosts
}

fn read_routes(fields: &mut Fields) -> Vec<Route> {
    let routes = fields.list_of("routes", read_route).unwrap_or_default();
    if routes.len() > ROUTES_MAX {
        fields.reject("routes", format!("must have at most {ROUTES_MAX} items"));
        return routes;
    }
    let methods: HashSet<&str> = routes.iter().filter_map(|it| it.method.as_deref()).collect();
    if methods.len() > ROUTE_METHODS_MAX {
        fields.reject("routes", format!("must name at most {ROUTE_METHODS_MAX} methods"));
        return routes;
    }
    for Unusable { position, reason } in RouteTable::compile(&routes).1 {
        // What is not there has been named already.
        if !routes[position].path.is_empty() {
            fields.reject(&format!("routes[{position}].path"), reason.to_string());
        }
    }
    routes
}

fn read_route(route: &mut Fields) -> Route {
    Route {
        method: route.parsed_optional("method", parse_method),
        path: route.parsed_required("path", parse_route_path).unwrap_or_default(),
        cost: route.small_integer_defaulted("cost", 0, ROUTE_COST_MAX).unwrap_or(1),
        units_header: route
            .parsed_optional("units_header", |text| token(text, HEADER_NAME_LENGTH_MAX)),
        body_bytes_max: route.integer_optional("body_bytes_max", 0, INTEGER_MAX),
    }
}

fn parse_method(text: &str) -> Result<String, String> {
    let method = token(text, METHOD_LENGTH_MAX)?;
    if method.bytes().any(|byte| byte.is_ascii_lowercase()) {
        return Err("must be in capitals: methods are case-sensitive".to_owned());
    }
    Ok(method)
}

fn parse_route_path(text: &str) -> Result<String, String> {
    if !text.starts_with('/') {
        return Err("must begin with a slash".to_owned());
    }
    plain(text, ROUTE_PATH_LENGTH_MAX)
}

/// Visible ASCII, as it stands in a request line.
fn plain(text: &str, length_max: usize) -> Result<String, String> {
    if text.len() > length_max {
        return Err(format!("must be at most {length_max} characters long"));
    }
    if !text.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err("must consist of visible ASCII characters".to_owned());
    }
    Ok(text.to_owned())
}

/// A token of HTTP (RFC 9110, section 5.6.2).
fn token(text: &str, length_max: usize) -> Result<String, String> {
    let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    if text.is_empty() || text.len() > length_max {
        return Err(format!("must be 1 to {length_max} characters long"));
    }
    if !text.bytes().all(is_allowed) {
        return Err("must consist of letters, digits and !#$%&'*+-.^_`|~".to_owned());
    }
    Ok(text.to_owned())
}

fn read_upstream(upstream: &mut Fields, reach: Reach<'_>) -> UpstreamSettings {
    let default = UpstreamSettings::default();
    let mut timeout =
        |name, max, default| upstream.integer_defaulted(name, 1, max).unwrap_or(default);
    UpstreamSettings {
        connect_timeout_ms: timeout(
            "connect_timeout_ms",
            CONNECT_TIMEOUT_MS_MAX,
            default.connect_timeout_ms,
        ),
        response_timeout_ms: timeout(
            "response_timeout_ms",
            WAIT_MS_MAX,
            default.response_timeout_ms,
        ),
        idle_timeout_ms: timeout("idle_timeout_ms", WAIT_MS_MAX, default.idle_timeout_ms),
        addresses: read_addresses(upstream, reach),
        balance: upstream.word_defaulted::<Balance>("balance").unwrap_or(default.balance),
        protocol: upstream
            .word_defaulted::<UpstreamProtocol>("protocol")
            .unwrap_or(default.protocol),
        retries: upstream
            .integer_defaulted("retries", 0, RETRIES_MAX)
            .map_or(default.retries, |retries| retries as u8),
        health_check: upstream.object_optional("health_check", read_health_check),
        preserve_host: upstream.boolean_defaulted("preserve_host").unwrap_or(default.preserve_host),
    }
}

fn read_addresses(upstream: &mut Fields, reach: Reach<'_>) -> Vec<String> {
    let mut seen = HashSet::new();
    let addresses = upstream.list_parsed("addresses", |text| {
        let authority = Authority::parse(text).map_err(|error| error.to_string())?;
        reach.vet_address(&authority).map_err(|error| error.to_string())?;
        let address = authority.to_string();
        if seen.insert(address.clone()) { Ok(address) } else { Err("is there twice".to_owned()) }
    });
    let addresses = addresses.unwrap_or_default();
    if addresses.len() > ADDRESSES_MAX {
        upstream.reject("addresses", format!("must have at most {ADDRESSES_MAX} items"));
    }
    addresses
}

fn read_health_check(check: &mut Fields) -> HealthCheck {
    HealthCheck {
        path: check.parsed_optional("path", parse_route_path),
        interval_ms: check
            .integer_defaulted("interval_ms", HEALTH_INTERVAL_MS_MIN, WAIT_MS_MAX)
            .unwrap_or(5_000),
        threshold: check.small_integer_defaulted("threshold", 1, HEALTH_THRESHOLD_MAX).unwrap_or(2),
    }
}

fn read_metadata(fields: &mut Fields) -> std::collections::BTreeMap<String, serde_json::Value> {
    let metadata = fields.free_object_defaulted("metadata").unwrap_or_default();
    let text = serde_json::to_string(&metadata).expect("JSON is written as JSON");
    if text.len() > METADATA_BYTES_MAX {
        fields.reject("metadata", format!("must be at most {METADATA_BYTES_MAX} bytes of JSON"));
    }
    metadata
}
