//! Changes to products.

use std::collections::BTreeMap;

use tollgate_common::catalog::product::UpstreamSettings;
use tollgate_common::catalog::{Product, ProductStatus, SubscriptionStatus};
use tollgate_common::ids::ProductId;
use tollgate_common::route::Route;
use tollgate_common::snapshot::{Entry, ProductRules};

use super::Change;
use crate::audit::Deed;
use crate::problem::{Code, Problem};
use crate::store::catalog::{Page, SubscriptionFilter};

/// What an owner sets.
#[derive(Clone, Debug, PartialEq)]
pub struct ProductFields {
    pub name: String,
    pub title: String,
    pub description: String,
    pub gateway_endpoint: Option<String>,
    pub status: ProductStatus,
    pub hosts: Vec<String>,
    pub routes: Vec<Route>,
    pub upstream: UpstreamSettings,
    pub key_query_parameter: Option<String>,
    pub body_bytes_max: Option<u64>,
    pub metadata: BTreeMap<String, serde_json::Value>,
}

/// How many subscriptions or plans of a deleted product are taken from the store at once.
const BATCH: u32 = 500;

impl ProductFields {
    fn into_product(self, id: ProductId, change: &Change, before: Option<&Product>) -> Product {
        Product {
            id,
            name: self.name,
            title: self.title,
            description: self.description,
            gateway_endpoint: self.gateway_endpoint,
            status: self.status,
            hosts: self.hosts,
            routes: self.routes,
            upstream: self.upstream,
            key_query_parameter: self.key_query_parameter,
            body_bytes_max: self.body_bytes_max,
            metadata: self.metadata,
            created_at: before.map_or(change.now, |before| before.created_at),
            updated_at: change.now,
        }
    }
}

impl Change {
    pub async fn create_product(&mut self, fields: ProductFields) -> Result<Product, Problem> {
        let product = fields.into_product(ProductId(self.fresh_id()), self, None);
        self.save_product(None, &product).await?;
        Ok(product)
    }

    pub async fn update_product(
        &mut self,
        before: &Product,
        fields: ProductFields,
    ) -> Result<Product, Problem> {
        let product = fields.into_product(before.id, self, Some(before));
        self.save_product(Some(before), &product).await?;
        Ok(product)
    }

    async fn save_product(
        &mut self,
        before: Option<&Product>,
        product: &Product,
    ) -> Result<(), Problem> {
        let namesake = self.catalog.product_named(&product.name).await?;
        if namesake.is_some_and(|namesake| namesake.id != product.id) {
            let detail = format!("another product is named \"{}\"", product.name);
            return Err(Problem::new(Code::NameTaken, detail).at_field("name"));
        }
        for (position, host) in product.hosts.iter().enumerate() {
            let owner = self.catalog.product_with_host(host).await?;
            if owner.is_some_and(|owner| owner != product.id) {
                let detail = format!("{host} leads to another product");
                let field = format!("hosts[{position}]");
                return Err(Problem::new(Code::HostTaken, detail).at_field(&field));
            }
        }
        self.catalog.save_product(product).await?;
        self.tell(Entry::Product(ProductRules::from(product)));
        let deed = if before.is_some() { Deed::Update } else { Deed::Create };
        self.audit(deed, "product", product.id, before, Some(product));
        Ok(())
    }

    /// Ends all that hangs on it: its keys are revoked, its subscriptions canceled, its plans gone.
    /// What was used stays in the ledger.
    pub async fn delete_product(&mut self, product: &Product) -> Result<(), Problem> {
        let live = SubscriptionFilter {
            product: Some(product.id),
            status: Some(SubscriptionStatus::Active),
            ..Default::default()
        };
        loop {
            let page = Page { after: None, limit: BATCH };
            let subscriptions = self.catalog.subscriptions(live, page).await?;
            if subscriptions.is_empty() {
                break;
            }
            for subscription in &subscriptions {
                self.cancel_subscription(subscription).await?;
            }
        }
        loop {
            let page = Page { after: None, limit: BATCH };
            let plans = self.catalog.plans(Some(product.id), page).await?;
            if plans.is_empty() {
                break;
            }
            for plan in &plans {
                self.remove_plan(plan).await?;
            }
        }
        self.withdraw_offer(product.id).await?;
        self.catalog.delete_product(product.id, self.now).await?;
        self.tell(Entry::ProductRemoved(product.id));
        self.audit(Deed::Delete, "product", product.id, Some(product), None);
        Ok(())
    }
}
