//! How a plan and its products are put into the catalog.

use tollgate_common::catalog::Bundle;
use tollgate_common::catalog::offer::{Behavior, Terms};
use tollgate_common::endpoint::AddressPolicy;

use super::body::PlanTerms;
use crate::change::Change;
use crate::frontier::products::body::ProductTerms;
use crate::frontier::products::{name, save};
use crate::problem::{Code, Problem};

/// Makes the plan of this name, or makes the one that is there so. Products are made, or edited,
/// and added; none is taken away.
pub async fn save(
    change: &mut Change,
    terms: PlanTerms,
    policy: &AddressPolicy,
) -> Result<Bundle, Problem> {
    let PlanTerms { fields, products } = terms;
    let interval = fields.interval;
    let bundle = change.save_bundle(fields).await?;
    let mut seats = 0;
    for product in products {
        let named = product.body.name.clone();
        let terms = add(change, &bundle, product, policy).await?;
        seats += usize::from(terms.behavior == Behavior::PerSeat);
        if !terms.prices.iter().any(|price| price.interval == interval) {
            let detail = format!("product {named} has no prices registered with this interval");
            return Err(Problem::new(Code::FieldsInvalid, detail));
        }
    }
    if seats > 1 {
        let detail = "a plan can have one product with behavior per_seat";
        return Err(Problem::new(Code::FieldsInvalid, detail));
    }
    Ok(bundle)
}

async fn add(
    change: &mut Change,
    bundle: &Bundle,
    mut product: ProductTerms,
    policy: &AddressPolicy,
) -> Result<Terms, Problem> {
    for (position, price) in product.prices.iter_mut().enumerate() {
        if price.name.is_empty() {
            price.name = format!("default_{position}");
        }
    }
    let prices = product.prices.clone();
    let known = name::find(&mut *change.catalog, &product.body.name).await?;
    let product = match known {
        Some(before) => save::update(change, &before, product, policy).await?,
        None => save::create(change, product, policy).await?,
    };
    save::join(change, product.id, bundle.id.to_string(), prices).await
}
