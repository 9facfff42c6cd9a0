//! Products and plans in the one form in which they can be compared: read by the control plane's
//! own rules, every default filled in, without what only the control plane sets.

use serde_json::{Value, json};
use tollgate_admin::api::products::fields::Reach;
use tollgate_admin::api::{plans, products};
use tollgate_admin::json::Object;
use tollgate_admin::problem::Problem;
use tollgate_common::catalog::{Plan, Product};
use tollgate_common::endpoint::AddressPolicy;
use tollgate_common::ids::{PlanId, ProductId};
use tollgate_common::time::Timestamp;

/// Which addresses are allowed is known to the control plane alone; it refuses what this lets pass.
const ANY_NETWORK: AddressPolicy = AddressPolicy { allow_loopback: true, allow_private: true };

/// An id that nothing has; it is gone before anyone sees it.
const NO_ID: &str = "00000000-0000-0000-0000-000000000000";
const NO_TIME: Timestamp = Timestamp::from_seconds(0);

/// What a catalog consists of.
#[derive(Clone, Copy, Debug)]
pub enum Kind {
    Product,
    Plan,
}

impl Kind {
    pub const fn word(self) -> &'static str {
        match self {
            Self::Product => "product",
            Self::Plan => "plan",
        }
    }

    /// What is stated, as it would be stored.
    pub fn read(self, stated: Object) -> Result<Object, Problem> {
        let stored = match self {
            Self::Product => product(stated),
            Self::Plan => plan(stated),
        };
        stored.map(|stored| self.writable(stored))
    }

    /// What an owner sets of something that the API has shown.
    pub fn writable(self, mut shown: Object) -> Object {
        let read_only = match self {
            Self::Product => &products::fields::READ_ONLY[..],
            Self::Plan => &plans::fields::READ_ONLY[..],
        };
        shown.retain(|name, _| !read_only.contains(&name.as_str()));
        shown
    }

    /// The least that has to be stated for these fields: the name, and what has no default.
    pub fn stated(self, fields: &Object) -> Object {
        let name = fields.get("name").unwrap_or(&Value::Null);
        let defaults = self.read(object(json!({ "name": name }))).unwrap_or_default();
        let is_stated = |field: &str, value| field == "name" || defaults.get(field) != Some(value);
        let stated = fields.iter().filter(|(field, value)| is_stated(field, value));
        stated.map(|(field, value)| (field.clone(), trimmed(field, value, &defaults))).collect()
    }
}

/// A field without the members that have their defaults.
fn trimmed(field: &str, value: &Value, defaults: &Object) -> Value {
    match (value, defaults.get(field)) {
        (Value::Object(members), Some(Value::Object(defaults))) => {
            let stated = members.iter().filter(|(name, value)| defaults.get(*name) != Some(*value));
            Value::Object(stated.map(|(name, value)| (name.clone(), value.clone())).collect())
        }
        // In the items of every list that the API has null is the same as nothing.
        (Value::Array(items), _) => items.iter().map(without_nulls).collect(),
        _ => value.clone(),
    }
}

fn without_nulls(item: &Value) -> Value {
    let Value::Object(members) = item else { return item.clone() };
    let stated = members.iter().filter(|(_, value)| !value.is_null());
    Value::Object(stated.map(|(name, value)| (name.clone(), value.clone())).collect())
}

fn product(stated: Object) -> Result<Object, Problem> {
    let reach = Reach { policy: &ANY_NETWORK, before: None };
    let fields = products::fields::read(stated, reach)?;
    let product = Product {
        id: NO_ID.parse::<ProductId>().expect("it is a UUID"),
        name: fields.name,
        title: fields.title,
        description: fields.description,
        gateway_endpoint: fields.gateway_endpoint,
        status: fields.status,
        hosts: fields.hosts,
        routes: fields.routes,
        upstream: fields.upstream,
        key_query_parameter: fields.key_query_parameter,
        body_bytes_max: fields.body_bytes_max,
        metadata: fields.metadata,
        created_at: NO_TIME,
        updated_at: NO_TIME,
    };
    Ok(object(json!(products::view(&product))))
}

fn plan(stated: Object) -> Result<Object, Problem> {
    let fields = plans::fields::read(stated)?;
    let plan = Plan {
        id: NO_ID.parse::<PlanId>().expect("it is a UUID"),
        product_id: NO_ID.parse::<ProductId>().expect("it is a UUID"),
        name: fields.name,
        billing_mode: fields.billing_mode,
        price_label: fields.price_label,
        monthly_quota: fields.monthly_quota,
        rate_limit: fields.rate_limit,
        burst: fields.burst,
        quota_mode: fields.quota_mode,
        period: fields.period,
        time_zone: fields.time_zone,
        counted_outcomes: fields.counted_outcomes,
        billed_outcomes: fields.billed_outcomes,
        outage_mode: fields.outage_mode,
        prices: fields.prices,
        created_at: NO_TIME,
        updated_at: NO_TIME,
    };
    Ok(object(json!(plans::view(&plan))))
}

fn object(value: Value) -> Object {
    match value {
        Value::Object(object) => object,
        _ => Object::new(),
    }
}
