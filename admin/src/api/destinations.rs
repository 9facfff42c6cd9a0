//! Destinations: how they look from outside.

pub mod create;
pub mod delete;
pub mod deliveries;
pub mod fields;
pub mod get;
pub mod list;
pub mod reconciliation;
pub mod replay;
pub mod standing;
pub mod update;

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::Value;
use tollgate_common::ids::DestinationId;
use utoipa::ToSchema;
use uuid::Uuid;

use super::path_id;
use super::words::{DestinationWindow, Meter};
use crate::problem::Problem;
use crate::sending::kind::Kind;
use crate::sending::registration::{Registration, Status};
use crate::store::CatalogRead;

/// A billing system that usage is sent to.
#[derive(Serialize, ToSchema)]
pub struct Destination {
    pub id: Uuid,
    /// Consumers have their ids there under this name, in `external_ids`.
    pub name: String,
    pub kind: Kind,
    /// What the kind wants to know.
    #[schema(value_type = Object)]
    pub settings: BTreeMap<String, Value>,
    /// Whether a secret is kept. It is never shown.
    pub has_secret: bool,
    #[schema(value_type = Vec<Meter>)]
    pub meters: Vec<tollgate_common::meter::Meter>,
    /// What is summed up before it is sent.
    #[schema(value_type = DestinationWindow)]
    pub window: &'static str,
    /// Usage of earlier minutes is not sent.
    #[schema(format = DateTime)]
    pub starts_at: String,
    pub status: Status,
    /// Why Tollgate itself paused it.
    pub pause_reason: Option<String>,
    #[schema(format = DateTime)]
    pub created_at: String,
    #[schema(format = DateTime)]
    pub updated_at: String,
}

pub fn view(registration: &Registration) -> Destination {
    Destination {
        id: registration.id.0,
        name: registration.name.clone(),
        kind: registration.kind,
        settings: registration.settings.clone(),
        has_secret: registration.has_secret,
        meters: registration.meters.clone(),
        window: registration.window.label(),
        starts_at: registration.starts_at.to_string(),
        status: registration.status,
        pause_reason: registration.pause_reason.clone(),
        created_at: registration.created_at.to_string(),
        updated_at: registration.updated_at.to_string(),
    }
}

pub async fn find(
    catalog: &mut (impl CatalogRead + ?Sized),
    id: &str,
) -> Result<Registration, Problem> {
    let id: DestinationId = path_id(id, "destination")?;
    catalog.destination(id).await?.ok_or_else(|| Problem::not_found("destination"))
}
