use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;

use super::body::FeatureBody;
use super::{OneFeature, link, view};
use crate::access::Action;
use crate::control::Control;
use crate::frontier::commit;
use crate::frontier::door::Visit;
use crate::frontier::message::Message;
use crate::frontier::violation::Violation;
use crate::problem::Problem;

/// Makes the feature of this name, or makes the one that is there so.
pub async fn create(
    State(control): State<Arc<Control>>,
    visit: Visit,
) -> Result<Response, Problem> {
    let body = read(&visit.body, "CreateFeatureRequest.Body")?;
    let caller = visit.admit(Action::EditCatalog)?;
    let mut change = control.change(&caller, &visit.id).await?;
    let feature = link::save(&mut change, None, body).await?;
    commit(&control, change, &OneFeature { feature: view(&feature) }).await
}

pub(super) fn read(body: &[u8], field: &str) -> Result<FeatureBody, Problem> {
    let mut request = Message::parse(body)?;
    let Some(mut body) = request.message("body")? else {
        return Err(Violation::new(field, "value is required").into());
    };
    let body = FeatureBody::read(&mut body)?;
    body.check().map_err(|violation| violation.within(field))?;
    Ok(body)
}
