use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use tollgate_common::catalog::Bundle;
use tollgate_common::ids::BundleId;

use super::{OnePlan, Shelves};
use crate::access::Action;
use crate::control::Control;
use crate::frontier::door::Visit;
use crate::frontier::products::body::NAME;
use crate::problem::{Code, Problem};
use crate::store::CatalogRead;

/// One plan, by id or name.
pub async fn get(
    State(control): State<Arc<Control>>,
    Path(id): Path<String>,
    visit: Visit,
) -> Result<Json<OnePlan>, Problem> {
    visit.admit(Action::Read)?;
    let mut catalog = control.catalog().await?;
    let bundle = found(&mut *catalog, &id).await?;
    let shelves = Shelves::read(&mut *catalog).await?;
    Ok(Json(OnePlan { plan: shelves.show(&bundle) }))
}

async fn found(catalog: &mut dyn CatalogRead, id_or_name: &str) -> Result<Bundle, Problem> {
    let unknown = || Problem::new(Code::NotFound, "plan not found");
    if NAME.check(id_or_name).is_err() {
        return Err(unknown());
    }
    if let Ok(id) = id_or_name.parse::<BundleId>()
        && let Some(bundle) = catalog.bundle(id).await?
    {
        return Ok(bundle);
    }
    catalog.bundle_named(id_or_name).await?.ok_or_else(unknown)
}
