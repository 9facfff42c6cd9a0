//! The kinds of destinations there are. A new one is a file in `destination/` and a line in each
//! table here.

use std::collections::BTreeMap;
use std::path::Path;

use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tollgate_common::endpoint::{AddressPolicy, Endpoint};
use utoipa::ToSchema;

use super::destination::{
    Destination, file_export, frontier, lago, openmeter_v1, openmeter_v3, stripe_v1, stripe_v2,
    webhook,
};
use crate::json::Fields;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// A signed webhook (Standard Webhooks).
    Webhook,
    /// OpenMeter's API `/api/v1`.
    OpenmeterV1,
    /// OpenMeter's API v3, also that of Kong Konnect.
    OpenmeterV3,
    Lago,
    /// Stripe's billing meters, `/v1`.
    StripeV1,
    /// Stripe's stream of meter events, `/v2`.
    StripeV2,
    /// Credits of Raystack Frontier.
    Frontier,
    /// Files in a directory of the control plane.
    File,
}

/// What a destination is set up with, beside its settings.
pub struct Setup<'a> {
    /// Of the destination; consumers have their ids there under it.
    pub name: &'a str,
    pub secret: Option<&'a SecretString>,
    /// Where requests may go.
    pub policy: &'a AddressPolicy,
    /// Where files may be; None: nowhere.
    pub export_directory: Option<&'a Path>,
    /// The settings of the destination that is edited. An address stays what it is also where it is
    /// no longer allowed, so that the destination can be paused or renamed.
    pub kept: Option<&'a BTreeMap<String, Value>>,
}

impl Kind {
    /// Reads the settings of a destination, and names all that is wrong with them. None when
    /// something is.
    pub fn open(self, fields: &mut Fields, setup: &Setup<'_>) -> Option<Box<dyn Destination>> {
        fn boxed(opened: Option<impl Destination + 'static>) -> Option<Box<dyn Destination>> {
            Some(Box::new(opened?))
        }
        match self {
            Self::Webhook => boxed(webhook::Webhook::open(fields, setup)),
            Self::OpenmeterV1 => boxed(openmeter_v1::OpenMeterV1::open(fields, setup)),
            Self::OpenmeterV3 => boxed(openmeter_v3::OpenMeterV3::open(fields, setup)),
            Self::Lago => boxed(lago::Lago::open(fields, setup)),
            Self::StripeV1 => boxed(stripe_v1::StripeV1::open(fields, setup)),
            Self::StripeV2 => boxed(stripe_v2::StripeV2::open(fields, setup)),
            Self::File => boxed(file_export::FileExport::open(fields, setup)),
            Self::Frontier => boxed(frontier::Frontier::open(fields, setup)),
        }
    }
}

impl Kind {
    /// Whether a consumer is billed there by an id that it has there, and by no other.
    pub const fn requires_external_id(self) -> bool {
        match self {
            Self::StripeV1 | Self::StripeV2 | Self::Frontier => true,
            Self::Webhook | Self::OpenmeterV1 | Self::OpenmeterV3 | Self::Lago | Self::File => {
                false
            }
        }
    }
}

impl Setup<'_> {
    /// The setting `url`, without a slash at its end.
    pub fn url(&self, fields: &mut Fields, default: Option<&str>) -> Option<String> {
        self.address(fields, "url", default)
    }

    /// An address in another setting.
    pub fn address(
        &self,
        fields: &mut Fields,
        setting: &str,
        default: Option<&str>,
    ) -> Option<String> {
        let kept = self.kept.and_then(|kept| kept.get(setting)).and_then(Value::as_str);
        let is_kept = |text: &str| kept.is_some_and(|kept| kept.trim_end_matches('/') == text);
        let parse = |text: &str| {
            let text = text.trim_end_matches('/');
            let endpoint = Endpoint::parse(text).map_err(|error| error.to_string())?;
            if !is_kept(text) {
                endpoint.vet(self.policy).map_err(|error| error.to_string())?;
            }
            Ok(text.to_owned())
        };
        match default {
            Some(default) => {
                Some(fields.parsed_defaulted(setting, parse).unwrap_or_else(|| default.to_owned()))
            }
            None => fields.parsed_required(setting, parse),
        }
    }

    /// The secret as a bearer token, where there is one.
    pub fn bearer(&self) -> Option<String> {
        self.secret.map(|secret| format!("Bearer {}", secret.expose_secret()))
    }

    /// The same, for those that cannot do without.
    pub fn bearer_required(&self, fields: &mut Fields) -> Option<String> {
        if self.secret.is_none() {
            fields.reject_outside("secret", "is required");
        }
        self.bearer()
    }
}
