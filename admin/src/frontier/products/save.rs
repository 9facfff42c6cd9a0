//! How what a client says of a product is put into the catalog: the product itself, its offer, its
//! features, and the plan that carries its limits.

use serde_json::json;
use tollgate_common::catalog::offer::{ListPrice, Terms};
use tollgate_common::catalog::{Offer, Product};
use tollgate_common::endpoint::AddressPolicy;
use tollgate_common::ids::ProductId;

use super::body::{PRICES_MAX, PriceTerms, ProductTerms};
use super::{charge, name};
use crate::api::patch::patched;
use crate::api::products::fields::Reach;
use crate::api::{plans, products};
use crate::change::Change;
use crate::frontier::features::link;
use crate::frontier::violation::at_most;
use crate::json::Object;
use crate::problem::Problem;

/// The plan of a product that carries the limits and prices that its clients gave.
pub const LIMITS_PLAN: &str = "default";

pub async fn create(
    change: &mut Change,
    terms: ProductTerms,
    policy: &AddressPolicy,
) -> Result<Product, Problem> {
    let ProductTerms { body, behavior, prices, settings } = terms;
    let (name, alias) = name::choose(&mut *change.catalog, &body.name).await?;
    let endpoint = settings.gateway_endpoint.filter(|endpoint| !endpoint.is_null());
    let title = if body.title.is_empty() { body.name } else { body.title };
    let status = if endpoint.is_some() { "active" } else { "draft" };
    let product = json!({
        "name": name, "title": title, "description": body.description, "status": status,
        "gateway_endpoint": endpoint, "metadata": body.metadata,
    });
    let fields = products::fields::read(object(product), Reach { policy, before: None })?;
    let product = change.create_product(fields).await?;
    let terms = Terms {
        behavior,
        credit_amount: body.credit_amount,
        seat_limit: body.seat_limit,
        min_quantity: body.min_quantity,
        max_quantity: body.max_quantity,
        plan_ids: Some(body.plan_id).filter(|id| !id.is_empty()).into_iter().collect(),
        prices: priced(change, prices),
    };
    let offer = Offer { product_id: product.id, alias, terms };
    change.save_offer(&offer).await?;
    link::link_all(change, product.id, &body.features).await?;
    if has_limits(&settings.limits) || !offer.terms.prices.is_empty() {
        make_limits(change, &offer, settings.limits).await?;
    }
    Ok(product)
}

/// What is empty or 0 stays as it is, but for quantities, which are set, and features, of which
/// those that are not named are taken away. Behaviour and prices stay.
pub async fn update(
    change: &mut Change,
    before: &Product,
    terms: ProductTerms,
    policy: &AddressPolicy,
) -> Result<Product, Problem> {
    let ProductTerms { body, settings, .. } = terms;
    let mut whole = patched(&products::view(before), Object::new(), &products::fields::READ_ONLY);
    let mut set = |field: &str, value| whole.insert(field.to_owned(), value);
    for (field, text) in [("title", body.title), ("description", body.description)] {
        if !text.is_empty() {
            set(field, text.into());
        }
    }
    let is_said = settings.gateway_endpoint.is_some() || !settings.limits.is_empty();
    if is_said || !body.metadata.is_empty() {
        set("metadata", body.metadata.into_iter().collect::<Object>().into());
    }
    if let Some(endpoint) = settings.gateway_endpoint {
        if endpoint.is_null() {
            set("status", "draft".into());
        } else if before.gateway_endpoint.is_none() {
            set("status", "active".into());
        }
        set("gateway_endpoint", endpoint);
    }
    let fields = products::fields::read(whole, Reach { policy, before: Some(before) })?;
    let product = change.update_product(before, fields).await?;
    let mut offer = offer(change, product.id).await?;
    let kept = |new: i64, old: i64| if new == 0 { old } else { new };
    offer.terms.credit_amount = kept(body.credit_amount, offer.terms.credit_amount);
    offer.terms.seat_limit = kept(body.seat_limit, offer.terms.seat_limit);
    offer.terms.min_quantity = body.min_quantity;
    offer.terms.max_quantity = body.max_quantity;
    change.save_offer(&offer).await?;
    link::link_only(change, product.id, &body.features).await?;
    edit_limits(change, &offer, settings.limits).await?;
    Ok(product)
}

/// Adds a product to a bundle, with those of its prices whose names are new.
pub async fn join(
    change: &mut Change,
    product: ProductId,
    bundle: String,
    prices: Vec<PriceTerms>,
) -> Result<Terms, Problem> {
    let mut offer = offer(change, product).await?;
    let known = |price: &PriceTerms| offer.terms.prices.iter().any(|it| it.name == price.name);
    let new: Vec<PriceTerms> = prices.into_iter().filter(|price| !known(price)).collect();
    at_most("Product.Prices", PRICES_MAX, offer.terms.prices.len() + new.len())?;
    offer.terms.prices.extend(priced(change, new));
    if !offer.terms.plan_ids.contains(&bundle) {
        offer.terms.plan_ids.push(bundle);
    }
    change.save_offer(&offer).await?;
    Ok(offer.terms)
}

async fn offer(change: &mut Change, product: ProductId) -> Result<Offer, Problem> {
    let known = change.catalog.offer(product).await?;
    let unsaid = || Offer { product_id: product, alias: None, terms: Terms::default() };
    Ok(known.unwrap_or_else(unsaid))
}

fn priced(change: &Change, prices: Vec<PriceTerms>) -> Vec<ListPrice> {
    prices.into_iter().map(|price| price.into_price(change.fresh_id(), change.now)).collect()
}

fn has_limits(limits: &Object) -> bool {
    limits.values().any(|limit| !limit.is_null())
}

/// Limits belong to plans here. A product whose client gives limits or prices gets a plan for them.
async fn make_limits(
    change: &mut Change,
    offer: &Offer,
    mut limits: Object,
) -> Result<(), Problem> {
    limits.insert("name".to_owned(), LIMITS_PLAN.into());
    limits.insert("billing_mode".to_owned(), json!(charge::billing_mode(&offer.terms)));
    limits.insert("prices".to_owned(), json!(charge::prices(&offer.terms)));
    change.create_plan(offer.product_id, plans::fields::read(limits)?).await?;
    Ok(())
}

/// Edits the plan of limits. Where its owner renamed or deleted it, only new limits make one again.
async fn edit_limits(change: &mut Change, offer: &Offer, limits: Object) -> Result<(), Problem> {
    if limits.is_empty() {
        return Ok(());
    }
    match change.catalog.plan_named(offer.product_id, LIMITS_PLAN).await? {
        Some(before) => {
            let whole = patched(&plans::view(&before), limits, &plans::fields::READ_ONLY);
            change.update_plan(&before, plans::fields::read(whole)?).await?;
        }
        None if has_limits(&limits) => make_limits(change, offer, limits).await?,
        None => {}
    }
    Ok(())
}

fn object(value: serde_json::Value) -> Object {
    match value {
        serde_json::Value::Object(object) => object,
        _ => Object::new(),
    }
}
