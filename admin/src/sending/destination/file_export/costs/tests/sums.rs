//! Whatever is charged and used, and whenever it comes: all files together are the invoices.

use proptest::prelude::*;
use tollgate_common::usage::UsageRecord;

use super::*;

#[derive(Clone, Debug)]
struct Story {
    currency: &'static str,
    prices: [Vec<Value>; 2],
    /// Days of November on which the subscription goes to the other plan.
    moves: BTreeSet<u8>,
    in_time: Vec<Use>,
    late: Vec<Use>,
}

/// A plan, and the day since the start of October.
type Use = (u8, u8);

fn price() -> impl Strategy<Value = Value> {
    let amount = || 0_u64..3_000;
    let interval = || prop::sample::select(vec!["day", "week", "month", "year"]);
    let used = |mut fields: Value, interval, bounds: (u64, u64), included: u64| {
        fields["usage_type"] = json!("metered");
        fields["interval"] = json!(interval);
        fields["included_units"] = json!(included);
        if bounds.0 > 0 {
            fields["minimum_spend"] = json!(bounds.0);
            fields["maximum_spend"] = json!(bounds.0 + bounds.1);
        }
        fields
    };
    let scheme = prop_oneof![
        (0_u64..10_000).prop_map(|part| json!({ "amount": format!("0.{part:04}") })),
        (amount(), 1_u64..30)
            .prop_map(|(amount, size)| json!({ "amount": amount, "package_size": size })),
        Just(tiers("graduated")),
        Just(tiers("volume")),
    ];
    let bounds = prop_oneof![Just((0, 0)), (1_u64..4_000, 0_u64..4_000)];
    prop_oneof![
        (amount(), interval())
            .prop_map(|(amount, interval)| json!({ "amount": amount, "interval": interval })),
        (scheme, interval(), bounds, prop_oneof![Just(0), 1_u64..25]).prop_map(
            move |(fields, interval, bounds, included)| used(fields, interval, bounds, included)
        ),
    ]
}

fn story() -> impl Strategy<Value = Story> {
    let uses = || prop::collection::vec((A..=B, 9_u8..61), 0..6);
    let prices = || prop::collection::vec(price(), 0..3);
    let currency = prop::sample::select(vec!["USD", "JPY", "KWD"]);
    let moves = prop::collection::btree_set(1_u8..30, 0..3);
    (currency, prices(), prices(), moves, uses(), uses()).prop_map(
        |(currency, first, second, moves, in_time, late)| Story {
            currency,
            prices: [first, second],
            moves,
            in_time,
            late,
        },
    )
}

fn plan_of(story: &Story, id: u8) -> Plan {
    let prices = story.prices[usize::from(id - A)].iter().enumerate().map(|(number, price)| {
        let mut price = price.clone();
        price["name"] = json!(format!("price {number}"));
        price["currency"] = json!(story.currency);
        price
    });
    plan(id, prices.collect())
}

fn used((plan, day): &Use) -> UsageRecord {
    let (month, day) = if *day <= 31 { (10, *day) } else { (11, day - 31) };
    call(*plan, &format!("2026-{month:02}-{:02}T12:00:00Z", day.max(1)))
}

async fn use_up(desk: &mut Desk, uses: &[Use]) {
    let calls: Vec<UsageRecord> = uses.iter().map(used).collect();
    if !calls.is_empty() {
        desk.office.use_up(&calls).await;
    }
}

async fn live(story: &Story) {
    let plans = [plan_of(story, A), plan_of(story, B)];
    let mut office = Office::open(&plans, "2026-10-10T00:00:00Z").await;
    let mut plan = A;
    for day in &story.moves {
        plan = if plan == A { B } else { A };
        office.move_to(plan, &format!("2026-11-{day:02}T07:08:09.012Z")).await;
    }
    let mut desk = Desk::open(office).await;
    desk.registration.starts_at = at("2026-10-01T00:00:00Z");
    use_up(&mut desk, &story.in_time).await;
    desk.turns(NOW).await;
    agree(&desk).await;
    use_up(&mut desk, &story.late).await;
    desk.turns(SEEN).await;
    desk.turns(CORRECTED).await;
    agree(&desk).await;
    let files = desk.files().len();
    desk.turns("2026-12-05T00:00:00Z").await;
    assert_eq!(desk.files().len(), files);
}

/// Months of which nothing is owed need no rows.
async fn agree(desk: &Desk) {
    for month in ["2026-10", "2026-11"] {
        let not_zero = |mut sums: BTreeMap<String, i64>| {
            sums.retain(|_, sum| *sum != 0);
            sums
        };
        assert_eq!(not_zero(desk.sums(month)), not_zero(desk.owed(month).await), "{month}");
    }
    let ids: BTreeSet<String> =
        desk.rows().iter().map(|row| row["x_ChargeId"].to_string()).collect();
    assert_eq!(ids.len(), desk.rows().len());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn all_files_together_are_the_invoices(story in story()) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(live(&story));
    }
}
