//! Pages, a file for each thing that is shown.

use axum::response::Response;

use super::stop::Stop;

pub mod audit;
pub mod consumers;
pub mod destinations;
pub mod gateways;
pub mod keys;
pub mod plans;
pub mod products;
pub mod subscriptions;
pub mod tokens;
pub mod usage;

type Answer = Result<Response, Stop>;
