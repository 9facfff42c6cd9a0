use crate::access::Action;
use crate::frontier::door::Visit;
use crate::frontier::plans::body;
use crate::problem::{Code, Problem};

/// Frontier has the path and no deed behind it. A plan is edited by making it again.
pub async fn update(visit: Visit) -> Result<(), Problem> {
    body::read(&visit.body, "UpdatePlanRequest.Body")?;
    visit.admit(Action::EditCatalog)?;
    Err(Problem::new(Code::MethodNotAllowed, "method UpdatePlan not implemented"))
}
