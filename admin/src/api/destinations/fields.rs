//! What an owner may say of a destination.

use secrecy::SecretString;
use serde_json::{Map, Value};
use tollgate_common::meter::Meter;
use tollgate_common::time::Timestamp;

use crate::api::products::fields::parse_name;
use crate::change::DestinationFields;
use crate::json::{Fields, Object, Text};
use crate::ledger::window::{Minute, Window};
use crate::options::AdminOptions;
use crate::problem::Problem;
use crate::sending::capability::Amounts;
use crate::sending::kind::{Kind, Setup};
use crate::sending::registration::{Registration, Status};

/// What is seen but not set.
pub const READ_ONLY: [&str; 5] = ["id", "has_secret", "pause_reason", "created_at", "updated_at"];

/// Settings that say where a secret, or what was had for it, is sent.
const ADDRESSES: [&str; 2] = ["url", "stream_url"];

/// Two webhook secrets of 64 bytes with room.
const SECRET: Text = Text::line(1, 1_024);

/// What is there already of the destination that is edited.
#[derive(Clone, Copy, Default)]
pub struct Present<'a> {
    pub registration: Option<&'a Registration>,
    pub secret: Option<&'a SecretString>,
}

/// Reads a whole destination.
pub fn read(
    mut object: Object,
    present: Present<'_>,
    options: &AdminOptions,
) -> Result<DestinationFields, Problem> {
    // An empty object names all that is missing in it.
    let settings = object.entry("settings").or_insert_with(|| Value::Object(Map::new())).clone();
    let mut fields = Fields::new(object);
    fields.refuse_read_only(&READ_ONLY);
    let name = fields.parsed_required("name", parse_name).unwrap_or_default();
    let secret = fields.text_defaulted("secret", SECRET).map(SecretString::from);
    let kind = read_kind(&mut fields, present);
    let setup = Setup {
        kept: present.registration.map(|registration| &registration.settings),
        ..options.setup(&name, secret.as_ref().or(present.secret))
    };
    let mut starts_with = Window::Minute;
    if let Some(kind) = kind {
        let opened = fields.object_defaulted("settings", |inner| kind.open(inner, &setup));
        let amounts = opened.flatten().map(|destination| destination.capabilities().amounts);
        if amounts == Some(Amounts::Replacing) {
            starts_with = Window::Hour;
        }
    } else {
        fields.free_object_defaulted("settings");
    }
    let meters = fields.words_defaulted::<Meter>("meters").unwrap_or_else(|| vec![Meter::Calls]);
    if meters.is_empty() {
        fields.reject("meters", "must name at least one");
    }
    let window = fields.parsed_defaulted("window", parse_window).unwrap_or(Window::Hour);
    let starts_at = fields.time_optional("starts_at").map(|at| Minute::of(at).start());
    let status = fields.word_defaulted("status").unwrap_or(Status::Active);
    check_kept(&mut fields, present, starts_at);
    let is_first = |at: Timestamp| starts_with.start_from(at).start() == at;
    if present.registration.is_none() && starts_at.is_some_and(|at| !is_first(at)) {
        fields
            .reject("starts_at", "must be where an hour begins, since hours are stated as totals");
    }
    check_secret_is_not_led_away(&mut fields, present, &settings, secret.is_some());
    fields.finish()?;
    let settings = settings.as_object().cloned().unwrap_or_default();
    Ok(DestinationFields {
        name,
        kind: kind.expect("a kind that is missing was refused"),
        settings: settings.into_iter().collect(),
        secret,
        meters,
        window,
        starts_at,
        starts_with,
        status,
    })
}

fn read_kind(fields: &mut Fields, present: Present<'_>) -> Option<Kind> {
    let kind = fields.word_required::<Kind>("kind");
    let was = present.registration.map(|registration| registration.kind);
    if was.is_some() && kind.is_some() && was != kind {
        fields.reject("kind", "cannot be changed");
    }
    kind
}

/// A piece of time that spans a day at most never reaches over the end of a billing period's day.
fn parse_window(text: &str) -> Result<Window, String> {
    match Window::from_label(text) {
        Some(window @ (Window::Minute | Window::Hour | Window::Day)) => Ok(window),
        Some(Window::Month) | None => Err("must be \"minute\", \"hour\" or \"day\"".to_owned()),
    }
}

/// What was decided from the beginning on stays decided.
fn check_kept(fields: &mut Fields, present: Present<'_>, starts_at: Option<Timestamp>) {
    let was = present.registration.map(|registration| Minute::of(registration.starts_at).start());
    if was.is_some() && starts_at.is_some() && was != starts_at {
        fields.reject("starts_at", "cannot be changed");
    }
}

/// Whoever may edit a destination may not read its secret by having it sent elsewhere.
fn check_secret_is_not_led_away(
    fields: &mut Fields,
    present: Present<'_>,
    settings: &Value,
    is_given: bool,
) {
    let Some(registration) = present.registration else { return };
    let is_kept = registration.has_secret && !is_given;
    let is_led_away = |name: &str| registration.settings.get(name) != settings.get(name);
    if is_kept && ADDRESSES.into_iter().any(is_led_away) {
        fields.reject("secret", "must be given again when the url changes");
    }
}
