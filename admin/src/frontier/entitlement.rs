//! Whether whoever pays has what a feature stands for.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use serde::Serialize;
use tollgate_common::catalog::SubscriptionStatus;
use tollgate_common::ids::{ConsumerId, ProductId};

use super::door::Visit;
use super::message::Message;
use super::{features, products};
use crate::access::Action;
use crate::control::Control;
use crate::problem::{Code, Problem};
use crate::store::CatalogRead;
use crate::store::catalog::{Page, SubscriptionFilter};

#[derive(Serialize)]
pub struct Entitlement {
    status: bool,
}

/// A billing account is a consumer; it has a feature when it has a live subscription to a product
/// that gives it. A product is asked for as a feature is.
pub async fn check(
    State(control): State<Arc<Control>>,
    Path((_organization, account)): Path<(String, String)>,
    visit: Visit,
) -> Result<Json<Entitlement>, Problem> {
    let mut request = Message::parse(&visit.body)?;
    request.skip_texts(&["org_id", "billing_id", "project_id"])?;
    let feature = request.text("feature")?;
    visit.admit(Action::Read)?;
    let mut catalog = control.catalog().await?;
    let account = consumer(&mut *catalog, &account).await?;
    for product in products_with(&mut *catalog, &feature).await? {
        let live = SubscriptionFilter {
            consumer: Some(account),
            product: Some(product),
            status: Some(SubscriptionStatus::Active),
            ..Default::default()
        };
        if !catalog.subscriptions(live, Page { after: None, limit: 1 }).await?.is_empty() {
            return Ok(Json(Entitlement { status: true }));
        }
    }
    Ok(Json(Entitlement { status: false }))
}

async fn consumer(catalog: &mut dyn CatalogRead, id: &str) -> Result<ConsumerId, Problem> {
    let unknown = || Problem::new(Code::NotFound, "billing account not found");
    let id: ConsumerId = id.parse().map_err(|_| unknown())?;
    Ok(catalog.consumer(id).await?.ok_or_else(unknown)?.id)
}

async fn products_with(
    catalog: &mut dyn CatalogRead,
    feature: &str,
) -> Result<Vec<ProductId>, Problem> {
    let product = products::name::find(catalog, feature).await?.map(|product| product.id);
    let known = features::find(catalog, feature).await?;
    if known.is_none() && product.is_none() {
        return Err(Problem::new(Code::NotFound, "feature not found"));
    }
    let named = known.into_iter().flat_map(|feature| feature.product_ids);
    Ok(named.filter_map(|id| id.parse().ok()).chain(product).collect())
}
