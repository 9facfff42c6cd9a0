//! What an owner may say of a plan.

use jiff::tz::TimeZone;
use tollgate_common::catalog::{BillingMode, OutageMode, PeriodKind, QuotaMode};
use tollgate_common::outcome::{Outcome, OutcomeSet};

use super::prices;
use crate::change::PlanFields;
use crate::json::{Fields, INTEGER_MAX, Object, Text};
use crate::problem::Problem;

/// What is seen but not set. A plan stays with its product.
pub const READ_ONLY: [&str; 4] = ["id", "product_id", "created_at", "updated_at"];

const NAME: Text = Text::line(1, 100);
const PRICE_LABEL: Text = Text::line(0, 100);

/// What stands among the zones of a machine and says how that machine is set up, or that it is not.
/// The directories `posix` and `right`, with all zones once more, are left out by the library.
const NOT_ZONES: [&str; 3] = ["localtime", "posixrules", "Factory"];

/// Reads a whole plan. Without anything but a name it is free, without limits, over calendar months
/// in UTC; whatever the upstream answered except 5xx counts and is billed.
pub fn read(object: Object) -> Result<PlanFields, Problem> {
    let mut fields = Fields::new(object);
    fields.refuse_read_only(&READ_ONLY);
    let name = fields.text_required("name", NAME);
    let billing_mode = fields.word_or("billing_mode", BillingMode::Free);
    let plan = PlanFields {
        name,
        billing_mode: billing_mode.unwrap_or(BillingMode::Free),
        price_label: fields.text_defaulted("price_label", PRICE_LABEL).unwrap_or_default(),
        monthly_quota: fields.integer_optional("monthly_quota", 0, INTEGER_MAX),
        rate_limit: fields.small_integer_optional("rate_limit", 1, u32::MAX),
        burst: fields.small_integer_optional("burst", 1, u32::MAX),
        quota_mode: fields.word_defaulted("quota_mode").unwrap_or(QuotaMode::Hard),
        period: fields.word_defaulted("period").unwrap_or(PeriodKind::CalendarMonth),
        time_zone: read_time_zone(&mut fields),
        counted_outcomes: read_outcomes(&mut fields, "counted_outcomes"),
        billed_outcomes: read_outcomes(&mut fields, "billed_outcomes"),
        outage_mode: fields.word_defaulted("outage_mode").unwrap_or(OutageMode::Share),
        prices: prices::read(&mut fields, billing_mode),
    };
    if plan.burst.is_some() && plan.rate_limit.is_none() {
        fields.reject("burst", "needs a rate_limit");
    }
    fields.finish()?;
    Ok(plan)
}

fn read_time_zone(fields: &mut Fields) -> String {
    let zone = fields.parsed_defaulted("time_zone", |text| {
        let unknown = "is not the name of a time zone, such as Europe/Berlin";
        zone_name(text).ok_or_else(|| unknown.to_owned())
    });
    zone.unwrap_or_else(|| "UTC".to_owned())
}

/// A zone by its name in the IANA database, in the spelling that it has there: the same zone on
/// every machine.
fn zone_name(text: &str) -> Option<String> {
    let zone = TimeZone::get(text).ok()?;
    zone.iana_name().filter(|name| !NOT_ZONES.contains(name)).map(str::to_owned)
}

fn read_outcomes(fields: &mut Fields, name: &str) -> OutcomeSet {
    let outcomes = fields.words_defaulted::<Outcome>(name);
    outcomes.map_or(OutcomeSet::ANSWERED, |outcomes| outcomes.into_iter().collect())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read_json(body: serde_json::Value) -> Result<PlanFields, Problem> {
        read(body.as_object().unwrap().clone())
    }

    #[test]
    fn a_plan_needs_no_more_than_a_name() {
        let plan = read_json(json!({ "name": "Free" })).unwrap();

        assert_eq!(plan.billing_mode, BillingMode::Free);
        assert_eq!((plan.monthly_quota, plan.rate_limit, plan.burst), (None, None, None));
        assert_eq!(plan.time_zone, "UTC");
        assert_eq!(plan.counted_outcomes, OutcomeSet::ANSWERED);
    }

    #[test]
    fn a_time_zone_is_kept_in_its_own_spelling() {
        let plan = read_json(json!({ "name": "a", "time_zone": "europe/berlin" })).unwrap();

        assert_eq!(plan.time_zone, "Europe/Berlin");
    }

    #[test]
    fn a_time_zone_is_the_same_on_every_machine() {
        for zone in ["localtime", "LocalTime", "posixrules", "Factory", "posix/UTC", "right/UTC"] {
            let problem = read_json(json!({ "name": "a", "time_zone": zone })).unwrap_err();

            let [error] = &problem.errors[..] else { panic!("{problem:?}") };
            assert_eq!(error.field, "time_zone");
            assert!(error.message.starts_with("is not the name of a time zone"), "{zone}");
        }
        for zone in ["UTC", "Etc/GMT-3", "EST5EDT", "America/Argentina/Buenos_Aires"] {
            assert!(read_json(json!({ "name": "a", "time_zone": zone })).is_ok(), "{zone}");
        }
    }
}
