//! Pages, a file for each thing that is shown.

use axum::response::Response;

use super::stop::Stop;

pub mod plans;
pub mod products;

mod conflict;

type Answer = Result<Response, Stop>;
