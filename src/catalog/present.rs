//! The catalog as it is, read from the admin API.

use serde_json::Value;
use tollgate_admin::json::Object;

use super::api::{Api, ApiError};
use super::normal::Kind;
use super::steps::Step;

#[derive(Debug, Default)]
pub struct Present {
    pub products: Vec<HeldProduct>,
}

#[derive(Debug)]
pub struct HeldProduct {
    pub product: Held,
    pub plans: Vec<Held>,
}

/// A product or a plan as it is.
#[derive(Debug)]
pub struct Held {
    pub name: String,
    /// Below `/api/v1`.
    pub path: String,
    pub fields: Object,
    /// Of the form that `fields` has; empty until it is read with [`Present::pin`].
    pub etag: String,
}

impl Present {
    pub async fn read(api: &Api) -> Result<Self, ApiError> {
        let mut products = Vec::new();
        for shown in api.list("products").await? {
            let product = Held::new("products", Kind::Product, shown);
            let plans = api.list(&format!("{}/plans", product.path)).await?;
            let plan = |shown| Held::new("plans", Kind::Plan, shown);
            products.push(HeldProduct { product, plans: plans.into_iter().map(plan).collect() });
        }
        Ok(Self { products })
    }

    /// Reads again what the steps touch, each with its validator: what is decided from then on is
    /// refused by the control plane if someone edits in between.
    pub async fn pin(&mut self, api: &Api, steps: &[Step]) -> Result<(), ApiError> {
        let is_touched = |held: &Held| steps.iter().any(|step| step.touches(&held.path));
        for HeldProduct { product, plans } in &mut self.products {
            if is_touched(product) {
                let (shown, etag) = api.get(&product.path).await?;
                product.take(Kind::Product.writable(shown), etag);
            }
            for plan in plans.iter_mut().filter(|plan| is_touched(plan)) {
                let (shown, etag) = api.get(&plan.path).await?;
                plan.take(Kind::Plan.writable(shown), etag);
            }
        }
        Ok(())
    }
}

impl Held {
    fn new(collection: &str, kind: Kind, shown: Object) -> Self {
        let text = |name| shown.get(name).and_then(Value::as_str).unwrap_or_default();
        Self {
            name: text("name").to_owned(),
            path: format!("{collection}/{}", text("id")),
            etag: String::new(),
            fields: kind.writable(shown),
        }
    }

    fn take(&mut self, fields: Object, etag: String) {
        let name = fields.get("name").and_then(Value::as_str).unwrap_or_default();
        self.name = name.to_owned();
        self.fields = fields;
        self.etag = etag;
    }
}
