//! Names. Frontier takes any text of three characters; a product's own name stands in a path.

use tollgate_common::catalog::Product;
use tollgate_common::ids::ProductId;

use crate::api::products::fields::{NAME_LENGTH_MAX, parse_product_name};
use crate::frontier::products::body::NAME;
use crate::problem::{Code, Problem};
use crate::store::CatalogRead;

/// How many products may have names that look the same in a path.
const LOOK_ALIKES_MAX: usize = 100;

/// Room for a number after a name.
const NUMBER_LENGTH_MAX: usize = 4;

/// What a product is called in a path, and its alias where that is another name.
pub async fn choose(
    catalog: &mut dyn CatalogRead,
    name: &str,
) -> Result<(String, Option<String>), Problem> {
    if parse_product_name(name).is_ok() {
        return Ok((name.to_owned(), None));
    }
    let stem = stem(name);
    for number in 1..=LOOK_ALIKES_MAX {
        let candidate = if number == 1 { stem.clone() } else { format!("{stem}-{number}") };
        let is_name = parse_product_name(&candidate).is_ok();
        if is_name && catalog.product_named(&candidate).await?.is_none() {
            return Ok((candidate, Some(name.to_owned())));
        }
    }
    let detail = format!("{LOOK_ALIKES_MAX} products have names that look like {stem} in a path");
    Err(Problem::new(Code::NameTaken, detail))
}

/// What of a name a path can have: `starter_access` is `starter-access`.
fn stem(name: &str) -> String {
    let words = name.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty());
    let mut stem = words.collect::<Vec<_>>().join("-").to_ascii_lowercase();
    stem.truncate(NAME_LENGTH_MAX - NUMBER_LENGTH_MAX);
    let stem = stem.trim_end_matches('-');
    if stem.is_empty() { "product".to_owned() } else { stem.to_owned() }
}

/// A product by its id or by its name in letters of any size: the one that a client gave, or the
/// one in its path.
pub async fn find(
    catalog: &mut dyn CatalogRead,
    id_or_name: &str,
) -> Result<Option<Product>, Problem> {
    if let Ok(id) = id_or_name.parse::<ProductId>()
        && let Some(product) = catalog.product(id).await?
    {
        return Ok(Some(product));
    }
    let name = id_or_name.to_lowercase();
    if NAME.check(&name).is_err() {
        return Ok(None);
    }
    match catalog.offer_aliased(&name).await? {
        Some(offer) => Ok(catalog.product(offer.product_id).await?),
        None => Ok(catalog.product_named(&name).await?),
    }
}

pub async fn found(catalog: &mut dyn CatalogRead, id_or_name: &str) -> Result<Product, Problem> {
    let product = find(catalog, id_or_name).await?;
    product.ok_or_else(|| Problem::new(Code::NotFound, "product not found"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::{CatalogStore, MemoryCatalog};

    #[tokio::test]
    async fn a_name_that_a_path_can_have_stays() {
        let store = MemoryCatalog::default();
        let mut catalog = store.read().await.unwrap();
        let mut chosen = async |name: &str| choose(&mut *catalog, name).await.unwrap();

        assert_eq!(chosen("weather").await, ("weather".into(), None));
        let alias = Some("starter_access".into());
        assert_eq!(chosen("starter_access").await, ("starter-access".into(), alias));
        assert_eq!(chosen("\u{1f600}\u{1f600}\u{1f600}").await.0, "product");
        assert_eq!(chosen("-- a b --").await.0, "a-b");
        let id = "01890000-0000-7000-8000-000000000000";
        assert_eq!(chosen(id).await, (format!("{id}-2"), Some(id.into())));
        let long = "x".repeat(200);
        assert_eq!(chosen(&long).await, ("x".repeat(59), Some(long.clone())));
    }
}
