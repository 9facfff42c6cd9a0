//! Lists that are answered whole: Frontier has no pages. They are read page by page all the same.

use tollgate_common::catalog::{Bundle, Feature, Offer, Plan, Product};

use crate::problem::Problem;
use crate::store::CatalogRead;
use crate::store::catalog::{Page, ProductFilter};

const BATCH: u32 = 500;

macro_rules! every {
    ($name:ident: $item:ty, by $place:ident, $list:ident($($argument:expr)?)) => {
        pub async fn $name(catalog: &mut dyn CatalogRead) -> Result<Vec<$item>, Problem> {
            let mut all: Vec<$item> = Vec::new();
            loop {
                let page = Page { after: all.last().map(|last| last.$place), limit: BATCH };
                let next = catalog.$list($($argument,)? page).await?;
                let is_last = next.len() < BATCH as usize;
                all.extend(next);
                if is_last {
                    return Ok(all);
                }
            }
        }
    };
}

every!(products: Product, by id, products(&ProductFilter::default()));
every!(plans: Plan, by id, plans(None));
every!(offers: Offer, by product_id, offers());
every!(features: Feature, by id, features());
every!(bundles: Bundle, by id, bundles());
