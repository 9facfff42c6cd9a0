//! The billing systems that are sent to: how each is set up on both sides.

use std::path::PathBuf;

use secrecy::SecretString;
use serde_json::json;
use tollgate_common::endpoint::AddressPolicy;
use tollgate_test_support::billing::directory::Directory;
use tollgate_test_support::billing::frontier::{Form, Frontier};
use tollgate_test_support::billing::lago::{Lago, Store};
use tollgate_test_support::billing::openmeter::{Dedupe, OpenMeter};
use tollgate_test_support::billing::receiver::Receiver;
use tollgate_test_support::billing::stripe::Stripe;
use tollgate_test_support::billing::stripe_stream::StripeStream;
use tollgate_test_support::billing::{Billing, HOUR_MS};

use crate::json::Fields;
use crate::sending::destination::Destination;
use crate::sending::kind::{Kind, Setup};

const WEBHOOK_SECRET: &str = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD";

/// A billing system, and what Tollgate is told of it.
pub struct System {
    pub kind: Kind,
    pub settings: serde_json::Value,
    pub secret: &'static str,
    /// What the ids of consumers there begin with.
    pub customers: &'static str,
    pub billing: Box<dyn Billing>,
    /// Where it writes, when it writes files.
    pub export_directory: Option<PathBuf>,
    /// Whether it is made to lose what it has acknowledged.
    pub loses_acknowledged: bool,
    /// Whether it recognises a request that the network carries twice. Nobody can help those that
    /// do not.
    pub knows_doubles: bool,
}

impl System {
    pub fn open(&self) -> Box<dyn Destination> {
        self.opened().expect("the settings are good")
    }

    /// The destination, or the settings that are not good.
    pub fn opened(&self) -> Result<Box<dyn Destination>, Vec<String>> {
        let secret = SecretString::from(self.secret);
        let setup = Setup {
            name: NAME,
            secret: Some(&secret),
            policy: &AddressPolicy::default(),
            export_directory: self.export_directory.as_deref(),
            kept: None,
        };
        let settings = self.settings.as_object().expect("settings are an object").clone();
        let mut fields = Fields::new(settings);
        let opened = self.kind.open(&mut fields, &setup);
        match fields.finish() {
            Ok(()) => Ok(opened.expect("nothing is wrong with it")),
            Err(problem) => Err(problem.errors.into_iter().map(|error| error.field).collect()),
        }
    }
}

/// A name, and how it is made from a seed.
pub type Known = (&'static str, fn(u64) -> System);

/// All of them.
pub const ALL: [Known; 12] = [
    ("openmeter_v1", openmeter_v1),
    ("openmeter_v3", openmeter_v3),
    ("stripe_v1", stripe_v1),
    ("stripe_v1_hourly", stripe_v1_hourly),
    ("stripe_v1_hourly_unseen", stripe_v1_hourly_unseen),
    ("stripe_v2", stripe_v2),
    ("stripe_v2_sums", stripe_v2_sums),
    ("lago", lago),
    ("webhook", webhook),
    ("frontier", frontier),
    ("frontier_rest", frontier_rest),
    ("file_export", file_export),
];

/// What the destination is called.
pub const NAME: &str = "billing";

const LAG_MS: i64 = 240_000;

pub fn openmeter_v1(seed: u64) -> System {
    let (dedupe, seconds) = match seed % 4 {
        0 => (Dedupe::Off, None),
        1 => (Dedupe::AtSink { ms: 24 * HOUR_MS }, Some(86_400)),
        2 => (Dedupe::AtIngest { ms: 24 * HOUR_MS }, Some(86_400)),
        // It knows repeats, and nobody told us.
        _ => (Dedupe::AtSink { ms: 2 * HOUR_MS }, None),
    };
    let mut settings = json!({"url": "https://openmeter.example", "lag_seconds": LAG_MS / 1_000});
    if let Some(seconds) = seconds {
        settings["dedupe_seconds"] = json!(seconds);
    }
    System {
        kind: Kind::OpenmeterV1,
        settings,
        secret: "om_1",
        customers: "cus_",
        billing: Box::new(OpenMeter::new(dedupe, LAG_MS)),
        export_directory: None,
        loses_acknowledged: seed.is_multiple_of(3),
        knows_doubles: dedupe != Dedupe::Off,
    }
}

/// It recognises no repeat, and shows what it has hours later than it should.
pub fn openmeter_v1_behind() -> System {
    System { billing: Box::new(OpenMeter::new(Dedupe::Off, 6 * HOUR_MS)), ..openmeter_v1(4) }
}

/// It is said to recognise a repeat for a week.
pub fn openmeter_v1_dedupes() -> System {
    let mut system = openmeter_v1(4);
    system.settings["dedupe_seconds"] = json!(7 * 86_400);
    system
}

pub fn openmeter_v3(seed: u64) -> System {
    let mut system = openmeter_v1(seed);
    system.settings["url"] = json!("https://openmeter.example/api/v3");
    System { kind: Kind::OpenmeterV3, ..system }
}

/// With events that add up.
pub fn stripe_v1(_: u64) -> System {
    System {
        kind: Kind::StripeV1,
        settings: json!({"meter_ids": meter_ids()}),
        secret: "sk_test_1",
        customers: "cus_",
        billing: Box::new(Stripe::new(LAG_MS, false)),
        export_directory: None,
        loses_acknowledged: false,
        knows_doubles: true,
    }
}

/// With a meter that keeps the newest event of an hour.
pub fn stripe_v1_hourly(seed: u64) -> System {
    System {
        kind: Kind::StripeV1,
        settings: json!({"hourly_totals": true, "meter_ids": meter_ids()}),
        secret: "sk_test_1",
        customers: "cus_",
        billing: Box::new(Stripe::new(LAG_MS, true)),
        export_directory: None,
        loses_acknowledged: seed.is_multiple_of(2),
        knows_doubles: true,
    }
}

/// The same, where the meter adds up.
pub fn stripe_v1_hourly_by_mistake(seed: u64) -> System {
    System {
        billing: Box::new(Stripe::new(LAG_MS, false)),
        loses_acknowledged: false,
        ..stripe_v1_hourly(seed)
    }
}

/// The same, at its word.
pub fn stripe_v1_hourly_unseen(seed: u64) -> System {
    System {
        settings: json!({"hourly_totals": true}),
        loses_acknowledged: false,
        ..stripe_v1_hourly(seed)
    }
}

/// With sums of some meters only.
pub fn stripe_v1_in_part(seed: u64) -> System {
    System { settings: json!({"meter_ids": {"calls": "mtr_calls"}}), ..stripe_v1(seed) }
}

/// With the ids of meters that get nothing.
pub fn stripe_v1_elsewhere(seed: u64) -> System {
    let others = json!({"calls": "mtr_bytes_in", "units": "mtr_bytes_out"});
    System { settings: json!({"meter_ids": others}), ..stripe_v1(seed) }
}

/// The stream, at its word.
pub fn stripe_v2(seed: u64) -> System {
    System {
        kind: Kind::StripeV2,
        settings: json!({"batch": 1 + seed % 100}),
        secret: "sk_test_1",
        customers: "cus_",
        billing: Box::new(stream(seed)),
        export_directory: None,
        loses_acknowledged: false,
        knows_doubles: true,
    }
}

/// The stream, one event at a time, with a look at the sums.
pub fn stripe_v2_sums(seed: u64) -> System {
    System {
        kind: Kind::StripeV2,
        settings: json!({"meter_ids": meter_ids()}),
        secret: "sk_test_1",
        customers: "cus_",
        billing: Box::new(stream(seed)),
        export_directory: None,
        loses_acknowledged: false,
        knows_doubles: true,
    }
}

/// Some sessions end before their time.
fn stream(seed: u64) -> StripeStream {
    let session_requests_max = (seed % 3 == 1).then_some(2);
    StripeStream::new(Stripe::new(LAG_MS, false), session_requests_max)
}

fn meter_ids() -> serde_json::Value {
    json!({"calls": "mtr_calls", "units": "mtr_units"})
}

pub fn lago(seed: u64) -> System {
    let store = match seed % 3 {
        0 => Store::Postgres { keeps_valid: false },
        1 => Store::Postgres { keeps_valid: true },
        _ => Store::ClickHouse,
    };
    let batch = [1, 3, 100][(seed / 3 % 3) as usize];
    System {
        kind: Kind::Lago,
        settings: json!({"batch": batch}),
        secret: "lago_1",
        customers: "cus_",
        billing: Box::new(Lago::new(store)),
        export_directory: None,
        loses_acknowledged: seed.is_multiple_of(4),
        knows_doubles: true,
    }
}

pub fn webhook(seed: u64) -> System {
    System {
        kind: Kind::Webhook,
        settings: json!({"url": "https://hooks.example/usage", "batch": 1 + seed % 5}),
        secret: WEBHOOK_SECRET,
        customers: "cus_",
        billing: Box::new(Receiver::new(WEBHOOK_SECRET)),
        export_directory: None,
        loses_acknowledged: false,
        knows_doubles: true,
    }
}

pub fn frontier(seed: u64) -> System {
    frontier_in(Form::Connect, seed)
}

pub fn frontier_rest(seed: u64) -> System {
    frontier_in(Form::Rest { hides_repeats: seed.is_multiple_of(2) }, seed)
}

fn frontier_in(form: Form, seed: u64) -> System {
    let (api, customers) = match form {
        Form::Connect => ("connect", "cus_"),
        Form::Rest { .. } => ("rest", "org_1/cus_"),
    };
    // Some run out of credits now and then.
    let hourly_credits = (seed % 3 == 1).then_some(20);
    System {
        kind: Kind::Frontier,
        settings: json!({"url": "https://frontier.example", "api": api}),
        secret: "client:frontier_1",
        customers,
        billing: Box::new(Frontier::new(form, hourly_credits)),
        export_directory: None,
        loses_acknowledged: false,
        knows_doubles: true,
    }
}

pub fn file_export(seed: u64) -> System {
    let directory = Directory::new();
    let format = ["jsonl", "csv", "parquet"][(seed % 3) as usize];
    let columns = ["windows", "focus"][(seed / 3 % 2) as usize];
    System {
        kind: Kind::File,
        settings: json!({
            "directory": "usage", "format": format, "columns": columns, "batch": 1 + seed % 40,
        }),
        secret: "",
        customers: "cus_",
        export_directory: Some(directory.path().to_owned()),
        billing: Box::new(directory),
        loses_acknowledged: false,
        knows_doubles: true,
    }
}
