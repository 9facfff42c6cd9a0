//! Changes to destinations. Gateways are told nothing.

use std::collections::BTreeMap;

use secrecy::SecretString;
use serde::Serialize;
use serde_json::Value;
use tollgate_common::ids::DestinationId;
use tollgate_common::meter::Meter;
use tollgate_common::time::Timestamp;

use super::Change;
use crate::audit::Deed;
use crate::ledger::window::{Minute, Window};
use crate::problem::{Code, Problem};
use crate::reconcile::order::RepairOrder;
use crate::sending::kind::Kind;
use crate::sending::order::Order;
use crate::sending::registration::{Registration, Status};

/// What an owner sets.
#[derive(Clone, Debug)]
pub struct DestinationFields {
    pub name: String,
    pub kind: Kind,
    pub settings: BTreeMap<String, Value>,
    /// None leaves the one that is there.
    pub secret: Option<SecretString>,
    pub meters: Vec<Meter>,
    pub window: Window,
    /// None: from now on.
    pub starts_at: Option<Timestamp>,
    /// What it takes whole, also where it starts from now on.
    pub starts_with: Window,
    pub status: Status,
}

/// A destination as the audit keeps it after a change: with a mark where its secret was set anew, which
/// itself is in no record.
#[derive(Serialize)]
struct Edited<'a> {
    #[serde(flatten)]
    registration: &'a Registration,
    #[serde(skip_serializing_if = "Option::is_none")]
    secret: Option<&'static str>,
}

impl Change {
    pub async fn create_destination(
        &mut self,
        fields: DestinationFields,
    ) -> Result<Registration, Problem> {
        self.check_destination_name(&fields.name, None).await?;
        let first = fields.starts_with.start_of(Minute::of(self.now));
        let registration = Registration {
            id: DestinationId(self.fresh_id()),
            name: fields.name,
            kind: fields.kind,
            settings: fields.settings,
            meters: fields.meters,
            window: fields.window,
            starts_at: fields.starts_at.unwrap_or_else(|| first.start()),
            status: fields.status,
            pause_reason: None,
            has_secret: fields.secret.is_some(),
            created_at: self.now,
            updated_at: self.now,
        };
        self.catalog.save_destination(&registration).await?;
        if let Some(secret) = &fields.secret {
            self.catalog.save_destination_secret(registration.id, secret).await?;
        }
        self.audit(Deed::Create, "destination", registration.id, None, Some(&registration));
        Ok(registration)
    }

    pub async fn update_destination(
        &mut self,
        before: &Registration,
        fields: DestinationFields,
    ) -> Result<Registration, Problem> {
        self.check_destination_name(&fields.name, Some(before.id)).await?;
        if fields.name != before.name {
            self.refuse_other_customers(&before.name, &fields.name).await?;
        }
        let still_paused = (before.status, fields.status) == (Status::Paused, Status::Paused);
        let registration = Registration {
            name: fields.name,
            settings: fields.settings,
            meters: fields.meters,
            window: fields.window,
            status: fields.status,
            pause_reason: before.pause_reason.clone().filter(|_| still_paused),
            has_secret: before.has_secret || fields.secret.is_some(),
            updated_at: self.now,
            ..before.clone()
        };
        if let Some(secret) = &fields.secret {
            self.catalog.save_destination_secret(registration.id, secret).await?;
        }
        let secret = fields.secret.map(|_| "set");
        self.save_destination(before, &registration, secret).await?;
        Ok(registration)
    }

    /// Stops it because it wants nothing more.
    pub async fn pause_destination(
        &mut self,
        before: &Registration,
        reason: String,
    ) -> Result<(), Problem> {
        let registration = Registration {
            status: Status::Paused,
            pause_reason: Some(reason),
            updated_at: self.now,
            ..before.clone()
        };
        self.save_destination(before, &registration, None).await
    }

    async fn save_destination(
        &mut self,
        before: &Registration,
        registration: &Registration,
        secret: Option<&'static str>,
    ) -> Result<(), Problem> {
        self.catalog.save_destination(registration).await?;
        let before = Edited { registration: before, secret: None };
        let after = Edited { registration, secret };
        self.audit(Deed::Update, "destination", registration.id, Some(&before), Some(&after));
        Ok(())
    }

    pub async fn delete_destination(&mut self, registration: &Registration) -> Result<(), Problem> {
        self.catalog.delete_destination(registration.id, self.now).await?;
        self.audit(Deed::Delete, "destination", registration.id, Some(registration), None);
        Ok(())
    }

    /// Decides on deliveries that are parked.
    pub async fn order_delivery(
        &mut self,
        registration: &Registration,
        order: &Order,
    ) -> Result<(), Problem> {
        self.catalog.order(registration.id, order).await?;
        self.audit(Deed::Replay, "destination", registration.id, None, Some(order));
        Ok(())
    }

    /// Decides on a difference between the ledger and the destination.
    pub async fn repair(
        &mut self,
        registration: &Registration,
        order: &RepairOrder,
    ) -> Result<(), Problem> {
        self.catalog.repair(registration.id, order).await?;
        self.audit(Deed::Repair, "destination", registration.id, None, Some(order));
        Ok(())
    }

    /// Consumers are known at a destination by its name, and must not become others by another one.
    async fn refuse_other_customers(&mut self, before: &str, after: &str) -> Result<(), Problem> {
        for name in [before, after] {
            if self.catalog.is_known_at(name).await? {
                let detail = format!("consumers have external ids under \"{name}\"");
                return Err(Problem::field("name", detail));
            }
        }
        Ok(())
    }

    async fn check_destination_name(
        &mut self,
        name: &str,
        own: Option<DestinationId>,
    ) -> Result<(), Problem> {
        match self.catalog.destination_named(name).await? {
            Some(other) if Some(other.id) != own => {
                Err(Problem::new(Code::NameTaken, "another destination has this name")
                    .at_field("name"))
            }
            _ => Ok(()),
        }
    }
}
