//! The series of products and plans.
//!
//! Owns from when to when they are there: from the first who counts under a name to the last, which
//! may be a call that still runs. An edit makes the new before it lets the old go, so all of one
//! name count in the same series. It must not know who counts.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::Arc;

use parking_lot::Mutex;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::registry::Registry;
use tollgate_common::outcome::Outcome;
use tollgate_common::refusal::Refusal;

use super::Labels;

pub struct Series {
    requests: Family<Labels<3>, Counter>,
    refusals: Family<Labels<2>, Counter>,
    usage_calls: Family<Labels<2>, Counter>,
    usage_units: Family<Labels<3>, Counter>,
    products: Users<Arc<str>>,
    plans: Users<[Arc<str>; 2]>,
}

/// Counts of one product.
pub struct ProductMetrics {
    refusals: [Counter; Refusal::ALL.len()],
    product: Arc<str>,
    series: Arc<Series>,
}

/// Counts of one plan.
pub struct PlanMetrics {
    requests: [Counter; Outcome::ALL.len()],
    /// Calls that are billed.
    pub usage_calls: Counter,
    /// Units that are billed.
    pub usage_units: Counter,
    /// The product's and the plan's.
    names: [Arc<str>; 2],
    series: Arc<Series>,
}

impl Series {
    pub fn register(registry: &mut Registry) -> Arc<Self> {
        let series = Self {
            requests: Family::default(),
            refusals: Family::default(),
            usage_calls: Family::default(),
            usage_units: Family::default(),
            products: Users::default(),
            plans: Users::default(),
        };
        registry.register(
            "tollgate_requests",
            "Admitted calls by how they ended",
            series.requests.clone(),
        );
        registry.register(
            "tollgate_refusals",
            "Refused requests by reason; product is empty where none was found",
            series.refusals.clone(),
        );
        registry.register("tollgate_usage_calls", "Billed calls", series.usage_calls.clone());
        registry.register("tollgate_usage_units", "Billed units", series.usage_units.clone());
        Arc::new(series)
    }

    pub fn product(self: &Arc<Self>, product: &str) -> ProductMetrics {
        let product: Arc<str> = product.into();
        let refusals = self.products.enter(&product, || {
            refusals(&product).map(|labels| self.refusals.get_or_create_owned(&labels))
        });
        ProductMetrics { refusals, product, series: self.clone() }
    }

    pub fn plan(self: &Arc<Self>, product: &str, plan: &str) -> PlanMetrics {
        let names = [product.into(), plan.into()];
        self.plans.enter(&names, || PlanMetrics {
            requests: requests(&names).map(|labels| self.requests.get_or_create_owned(&labels)),
            usage_calls: self.usage_calls.get_or_create_owned(&usage_calls(&names)),
            usage_units: self.usage_units.get_or_create_owned(&usage_units(&names)),
            names: names.clone(),
            series: self.clone(),
        })
    }
}

impl ProductMetrics {
    pub fn refused(&self, reason: Refusal) {
        self.refusals[reason as usize].inc();
    }
}

impl PlanMetrics {
    pub fn ended(&self, outcome: Outcome) {
        self.requests[outcome as usize].inc();
    }
}

impl Drop for ProductMetrics {
    fn drop(&mut self) {
        let Self { product, series, .. } = self;
        series.products.leave(product, || {
            for labels in refusals(product) {
                series.refusals.remove(&labels);
            }
        });
    }
}

impl Drop for PlanMetrics {
    fn drop(&mut self) {
        let Self { names, series, .. } = self;
        series.plans.leave(names, || {
            for labels in requests(names) {
                series.requests.remove(&labels);
            }
            series.usage_calls.remove(&usage_calls(names));
            series.usage_units.remove(&usage_units(names));
        });
    }
}

fn refusals(product: &Arc<str>) -> [Labels<2>; Refusal::ALL.len()] {
    Refusal::ALL
        .map(|reason| Labels([("product", product.clone()), ("reason", reason.code().into())]))
}

fn requests(names: &[Arc<str>; 2]) -> [Labels<3>; Outcome::ALL.len()] {
    Outcome::ALL.map(|outcome| with(names, "outcome", outcome.label()))
}

fn usage_calls([product, plan]: &[Arc<str>; 2]) -> Labels<2> {
    Labels([("product", product.clone()), ("plan", plan.clone())])
}

fn usage_units(names: &[Arc<str>; 2]) -> Labels<3> {
    with(names, "meter", "units")
}

fn with([product, plan]: &[Arc<str>; 2], name: &'static str, value: &str) -> Labels<3> {
    Labels([("product", product.clone()), ("plan", plan.clone()), (name, value.into())])
}

/// How many count under each name. Series are made and removed under its lock, so that none is
/// removed whose counting begins anew at that moment.
#[derive(Default)]
struct Users<K>(Mutex<HashMap<K, usize>>);

impl<K: Clone + Eq + Hash> Users<K> {
    fn enter<T>(&self, name: &K, find: impl FnOnce() -> T) -> T {
        let mut users = self.0.lock();
        *users.entry(name.clone()).or_default() += 1;
        find()
    }

    fn leave(&self, name: &K, remove: impl FnOnce()) {
        let mut users = self.0.lock();
        let count = users.get_mut(name).expect("who leaves has entered");
        *count -= 1;
        if *count == 0 {
            users.remove(name);
            remove();
        }
    }
}

#[cfg(test)]
mod tests {
    use prometheus_client::encoding::text::encode;

    use super::*;

    fn shown(registry: &Registry) -> String {
        let mut text = String::new();
        encode(&mut text, registry).unwrap();
        text
    }

    #[test]
    fn the_series_of_a_plan_last_until_nobody_counts_there() {
        let mut registry = Registry::default();
        let series = Series::register(&mut registry);
        let old = series.plan("weather", "free");
        let other = series.plan("weather", "paid");
        old.usage_calls.inc();

        let new = series.plan("weather", "free");
        drop(old);
        new.usage_calls.inc();
        let counted = r#"tollgate_usage_calls_total{product="weather",plan="free"} 2"#;
        assert!(shown(&registry).contains(counted), "{}", shown(&registry));

        drop(new);
        assert!(!shown(&registry).contains("free"), "{}", shown(&registry));
        assert!(shown(&registry).contains("paid"));
        drop(other);
        assert!(!shown(&registry).contains("weather"), "{}", shown(&registry));
    }

    #[test]
    fn the_series_of_a_product_last_until_nobody_counts_there() {
        let mut registry = Registry::default();
        let series = Series::register(&mut registry);
        let unrouted = series.product("");
        let old = series.product("weather");
        old.refused(Refusal::QuotaExceeded);

        let new = series.product("weather");
        drop(old);
        let counted = r#"tollgate_refusals_total{product="weather",reason="quota-exceeded"} 1"#;
        assert!(shown(&registry).contains(counted), "{}", shown(&registry));

        drop(new);
        assert!(!shown(&registry).contains("weather"), "{}", shown(&registry));
        unrouted.refused(Refusal::ProductNotFound);
        assert!(shown(&registry).contains(r#"{product="",reason="product-not-found"} 1"#));
    }
}
