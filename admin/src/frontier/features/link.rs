//! Which products give a feature. A product that names one is added to those that it has; none is
//! taken away but by a list that leaves it out.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;
use tollgate_common::catalog::Feature;
use tollgate_common::ids::{FeatureId, ProductId};

use super::body::FeatureBody;
use crate::change::{Change, FeatureFields};
use crate::frontier::every;
use crate::problem::{Code, Problem};

/// Every answer about a product looks through all features, so there is an end to them.
const FEATURES_MAX: usize = 2_000;

/// Adds a product to the features that it names, and makes those that are not there.
pub async fn link_all(
    change: &mut Change,
    product: ProductId,
    features: &[FeatureBody],
) -> Result<BTreeSet<FeatureId>, Problem> {
    let mut linked = BTreeSet::new();
    for feature in features {
        linked.insert(link(change, product, feature).await?);
    }
    Ok(linked)
}

/// As [`link_all`], and takes the product from all others.
pub async fn link_only(
    change: &mut Change,
    product: ProductId,
    features: &[FeatureBody],
) -> Result<(), Problem> {
    let linked = link_all(change, product, features).await?;
    for feature in every::features(&mut *change.catalog).await? {
        if feature.is_of(product) && !linked.contains(&feature.id) {
            change.unlink_feature(&feature, product).await?;
        }
    }
    Ok(())
}

async fn link(
    change: &mut Change,
    product: ProductId,
    body: &FeatureBody,
) -> Result<FeatureId, Problem> {
    let mut product_ids = body.product_ids.clone();
    product_ids.push(product.to_string());
    let Some(before) = known(change, body).await? else {
        if body.name.is_empty() {
            return Err(Problem::new(
                Code::FieldsInvalid,
                "a feature has neither a known id nor a name",
            ));
        }
        let product_ids = union(Vec::new(), product_ids);
        return Ok(create(change, None, FeatureBody { product_ids, ..body.clone() }).await?.id);
    };
    let fields = FeatureFields {
        name: before.name.clone(),
        title: said(&body.title, &before.title),
        product_ids: union(before.product_ids.clone(), product_ids),
        metadata: said_metadata(&body.metadata, &before.metadata),
    };
    Ok(change.update_feature(&before, fields).await?.id)
}

async fn known(change: &mut Change, body: &FeatureBody) -> Result<Option<Feature>, Problem> {
    if let Ok(id) = body.id.parse::<FeatureId>()
        && let Some(feature) = change.catalog.feature(id).await?
    {
        return Ok(Some(feature));
    }
    Ok(change.catalog.feature_named(&body.name).await?)
}

/// Makes the feature of this name, or makes the one that is there so: products that are given take
/// the place of those that it has.
pub async fn save(
    change: &mut Change,
    id: Option<FeatureId>,
    body: FeatureBody,
) -> Result<Feature, Problem> {
    let Some(before) = change.catalog.feature_named(&body.name).await? else {
        return create(change, id, body).await;
    };
    let is_said = !body.product_ids.is_empty();
    let fields = FeatureFields {
        title: said(&body.title, &before.title),
        metadata: said_metadata(&body.metadata, &before.metadata),
        product_ids: if is_said { body.product_ids } else { before.product_ids.clone() },
        name: body.name,
    };
    change.update_feature(&before, fields).await
}

async fn create(
    change: &mut Change,
    id: Option<FeatureId>,
    body: FeatureBody,
) -> Result<Feature, Problem> {
    if every::features(&mut *change.catalog).await?.len() >= FEATURES_MAX {
        let detail = format!("there are {FEATURES_MAX} features already");
        return Err(Problem::new(Code::FieldsInvalid, detail));
    }
    let FeatureBody { name, title, product_ids, metadata, .. } = body;
    change.create_feature(id, FeatureFields { name, title, product_ids, metadata }).await
}

fn union(mut ids: Vec<String>, more: Vec<String>) -> Vec<String> {
    for id in more {
        if !ids.contains(&id) {
            ids.push(id);
        }
    }
    ids
}

fn said(new: &str, old: &str) -> String {
    if new.is_empty() { old.to_owned() } else { new.to_owned() }
}

fn said_metadata(
    new: &BTreeMap<String, Value>,
    old: &BTreeMap<String, Value>,
) -> BTreeMap<String, Value> {
    if new.is_empty() { old.clone() } else { new.clone() }
}
