//! A product as a gateway serves it: where it is, and what its calls cost.

use std::sync::Arc;

use http::Method;
use tollgate_common::ids::ProductId;
use tollgate_common::route::{RouteTable, Unusable};
use tollgate_common::snapshot::ProductRules;

use crate::metrics::ProductMetrics;
use crate::seldom::Seldom;
use crate::target::Target;
use crate::upstream::Upstream;

pub struct ProductEntry {
    pub rules: ProductRules,
    /// None: the product has no endpoint that may be called.
    pub upstream: Option<Arc<Upstream>>,
    pub metrics: ProductMetrics,
    /// Calls that the upstream has failed.
    pub failed: Seldom,
    /// Answers whose units cannot be read.
    pub units_unread: Seldom,
    routes: RouteTable,
}

/// What a call costs when no route says otherwise.
const DEFAULT_COST: u32 = 1;

/// How one call is weighed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Weight {
    pub cost: u32,
    /// Response header that states the true units.
    pub units_header: Option<String>,
    pub body_bytes_max: Option<u64>,
}

impl ProductEntry {
    pub fn new(
        rules: ProductRules,
        upstream: Option<Arc<Upstream>>,
        metrics: ProductMetrics,
    ) -> Self {
        let routes = route_table(&rules);
        let (failed, units_unread) = (Seldom::default(), Seldom::default());
        Self { rules, upstream, metrics, failed, units_unread, routes }
    }

    pub fn id(&self) -> ProductId {
        self.rules.id
    }

    /// The weight of a call to what begins at `path_start` of its target. Where it can be read in two
    /// ways, what is stricter of both counts: no spelling makes a call cheaper.
    pub fn weight(&self, method: &Method, target: &Target, path_start: usize) -> Weight {
        let as_it_came = self.weight_by(method.as_str(), target, path_start);
        if method.as_str().bytes().any(|byte| byte.is_ascii_lowercase()) {
            // Another method (RFC 9110, section 9.1), which many frameworks take for the same.
            let method = method.as_str().to_ascii_uppercase();
            return as_it_came.or_stricter(self.weight_by(&method, target, path_start));
        }
        as_it_came
    }

    fn weight_by(&self, method: &str, target: &Target, path_start: usize) -> Weight {
        let as_it_came = self.weight_of(method, target.below(path_start));
        match target.plain_below(path_start) {
            Some(plain) => as_it_came.or_stricter(self.weight_of(method, &plain)),
            None => as_it_came,
        }
    }

    fn weight_of(&self, method: &str, path: &str) -> Weight {
        match self.routes.find(method, path) {
            Some(route) => Weight {
                cost: route.cost,
                units_header: route.units_header.clone(),
                body_bytes_max: route.body_bytes_max.or(self.rules.body_bytes_max),
            },
            None => Weight {
                cost: DEFAULT_COST,
                units_header: None,
                body_bytes_max: self.rules.body_bytes_max,
            },
        }
    }
}

impl Weight {
    fn or_stricter(self, other: Weight) -> Weight {
        let (dearer, cheaper) = if other.cost > self.cost { (other, self) } else { (self, other) };
        let limits = [dearer.body_bytes_max, cheaper.body_bytes_max];
        Weight {
            cost: dearer.cost,
            units_header: dearer.units_header.or(cheaper.units_header),
            body_bytes_max: limits.into_iter().flatten().min(),
        }
    }
}

/// The control plane has refused routes that conflict; one that slipped through is logged and has no
/// effect.
fn route_table(rules: &ProductRules) -> RouteTable {
    let (table, unusable) = RouteTable::compile(&rules.routes);
    for Unusable { position, reason } in unusable {
        let path = &rules.routes[position].path;
        tracing::error!(product = rules.name, path, %reason, "a route cannot be used");
    }
    table
}
