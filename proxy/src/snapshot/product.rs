//! A product as a gateway serves it: where it is, and what its calls cost.

use std::sync::Arc;

use http::Method;
use tollgate_common::ids::ProductId;
use tollgate_common::route::Route;
use tollgate_common::snapshot::ProductRules;

use crate::metrics::ProductMetrics;
use crate::upstream::Upstream;

pub struct ProductEntry {
    pub rules: ProductRules,
    /// None: the product has no endpoint that may be called.
    pub upstream: Option<Arc<Upstream>>,
    pub metrics: ProductMetrics,
    routes: matchit::Router<Vec<Route>>,
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
        Self { rules, upstream, metrics, routes }
    }

    pub fn id(&self) -> ProductId {
        self.rules.id
    }

    /// The weight of a call to `path`, which begins below the product.
    pub fn weight(&self, method: &Method, path: &str) -> Weight {
        let route = self.routes.at(path).ok().and_then(|found| {
            let exact = |route: &&Route| route.method.as_deref() == Some(method.as_str());
            let any = |route: &&Route| route.method.is_none();
            found.value.iter().find(exact).or_else(|| found.value.iter().find(any))
        });
        match route {
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

/// Routes by pattern. The control plane has refused patterns that conflict; one that slipped
/// through is logged and costs the default.
fn route_table(rules: &ProductRules) -> matchit::Router<Vec<Route>> {
    let mut patterns: Vec<(&str, Vec<Route>)> = Vec::new();
    for route in &rules.routes {
        match patterns.iter_mut().find(|(pattern, _)| *pattern == route.path) {
            Some((_, routes)) => routes.push(route.clone()),
            None => patterns.push((&route.path, vec![route.clone()])),
        }
    }
    let mut table = matchit::Router::new();
    for (pattern, routes) in patterns {
        if let Err(error) = table.insert(pattern, routes) {
            tracing::error!(product = rules.name, pattern, %error, "a route cannot be used");
        }
    }
    table
}
