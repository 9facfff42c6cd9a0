//! Consumers: how they look from outside.

pub mod create;
pub mod delete;
pub mod fields;
pub mod get;
pub mod list;
pub mod update;

use std::collections::BTreeMap;

use serde::Serialize;
use tollgate_common::catalog;
use tollgate_common::ids::ConsumerId;
use utoipa::ToSchema;
use uuid::Uuid;

use super::path_id;
use crate::problem::Problem;
use crate::store::CatalogRead;

/// Who calls.
#[derive(Serialize, ToSchema)]
pub struct Consumer {
    pub id: Uuid,
    pub name: String,
    pub email: Option<String>,
    /// Destination name to the customer's id there.
    pub external_ids: BTreeMap<String, String>,
    #[schema(format = DateTime)]
    pub created_at: String,
    #[schema(format = DateTime)]
    pub updated_at: String,
}

pub fn view(consumer: &catalog::Consumer) -> Consumer {
    Consumer {
        id: consumer.id.0,
        name: consumer.name.clone(),
        email: consumer.email.clone(),
        external_ids: consumer.external_ids.clone(),
        created_at: consumer.created_at.to_string(),
        updated_at: consumer.updated_at.to_string(),
    }
}

pub async fn find(
    catalog: &mut (impl CatalogRead + ?Sized),
    id: &str,
) -> Result<catalog::Consumer, Problem> {
    let id: ConsumerId = path_id(id, "consumer")?;
    catalog.consumer(id).await?.ok_or_else(|| Problem::not_found("consumer"))
}
