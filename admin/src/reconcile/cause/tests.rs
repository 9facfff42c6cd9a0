use proptest::prelude::*;
use rstest::rstest;
use tollgate_common::ids::{PlanId, SubscriptionId};
use tollgate_common::meter::Meter;

use super::*;
use crate::reconcile::figures::Sent;
use crate::sending::capability::{Dedupe, ReadBack};

const SLOT: Slot = Slot {
    subscription: SubscriptionId(uuid::Uuid::from_u128(1)),
    plan: PlanId(uuid::Uuid::from_u128(2)),
    start: Minute(60),
    meter: Meter::Calls,
};

const NONE: Sent = Sent {
    slot: SLOT,
    end: Minute(120),
    frozen: 0,
    in_doubt: 0,
    acknowledged: 0,
    settled: 0,
    quarantined: 0,
    voided: 0,
    reason: None,
};

fn compared(ledger: Option<i64>, sent: Option<Sent>, shown: Option<Sight>) -> Compared {
    Compared { slot: SLOT, end: Minute(120), ledger, sent, shown }
}

fn counted(quantity: i64) -> Option<Sight> {
    Some(Sight::Counted { quantity, is_other: false })
}

fn causes(compared: &Compared) -> Vec<(Cause, i64)> {
    judge(compared).iter().map(|part| (part.cause, part.quantity)).collect()
}

#[rstest]
#[case::never_sent(Some(5), None, None, &[(Cause::NotSent, 5)])]
#[case::late(Some(7), Some(Sent { acknowledged: 5, ..NONE }), None,
    &[(Cause::CorrectionPending, 2)])]
#[case::lower(Some(4), Some(Sent { acknowledged: 5, ..NONE }), None, &[(Cause::LedgerLower, -1)])]
#[case::unknown(None, Some(Sent { acknowledged: 5, ..NONE }), None,
    &[(Cause::UnknownAtLedger, -5)])]
#[case::on_its_way(Some(5), Some(Sent { frozen: 5, ..NONE }), None, &[(Cause::OnItsWay, 5)])]
#[case::in_doubt(Some(5), Some(Sent { in_doubt: 5, ..NONE }), None, &[(Cause::InDoubt, 5)])]
#[case::dead_letter(Some(5), Some(Sent { quarantined: 5, ..NONE }), None,
    &[(Cause::Quarantined, 5)])]
#[case::voided(Some(5), Some(Sent { voided: 5, ..NONE }), None, &[])]
#[case::missing(Some(5), Some(Sent { acknowledged: 5, ..NONE }), counted(0),
    &[(Cause::MissingAtDestination, 5)])]
#[case::twice(Some(5), Some(Sent { acknowledged: 5, settled: 5, ..NONE }), counted(10),
    &[(Cause::MoreAtDestination, -5)])]
#[case::other(Some(5), Some(Sent { acknowledged: 5, ..NONE }),
    Some(Sight::Counted { quantity: 6, is_other: true }), &[(Cause::ValueDiffers, -1)])]
#[case::unclear(Some(5), Some(Sent { acknowledged: 5, ..NONE }),
    Some(Sight::Unclear("more events than it shows".to_owned())), &[(Cause::NotShown, 0)])]
#[case::given_up(Some(5),
    Some(Sent { acknowledged: 5, reason: Some("no answer".to_owned()), ..NONE }), None,
    &[(Cause::NotShown, 0)])]
#[case::agreed(Some(5), Some(Sent { acknowledged: 5, ..NONE }), counted(5), &[])]
#[case::several(Some(9), Some(Sent { acknowledged: 5, quarantined: 3, ..NONE }), counted(10),
    &[(Cause::CorrectionPending, 1), (Cause::Quarantined, 3), (Cause::MoreAtDestination, -5)])]
fn each_difference_has_its_cause(
    #[case] ledger: Option<i64>,
    #[case] sent: Option<Sent>,
    #[case] shown: Option<Sight>,
    #[case] expected: &[(Cause, i64)],
) {
    assert_eq!(causes(&compared(ledger, sent, shown)), expected);
}

#[test]
fn what_cannot_be_taken_back_is_not_offered_to_be_compensated() {
    let can = |takes_negative, amounts| Capabilities {
        dedupe: Dedupe::Never,
        read_back: ReadBack::Items { lag_ms: 0 },
        amounts,
        batch_items_max: 1,
        requests_at_once_max: 1,
        age_ms_max: None,
        takes_negative,
    };
    let twice = |can| Cause::MoreAtDestination.repairs(&can);

    assert_eq!(twice(can(true, Amounts::Added)), [Repair::Compensate, Repair::Accept]);
    assert_eq!(twice(can(false, Amounts::Added)), [Repair::Accept]);
    assert_eq!(twice(can(true, Amounts::Replacing)), [Repair::Resend, Repair::Accept]);
}

fn sent() -> impl Strategy<Value = Sent> {
    let some = || -3i64..20;
    (some(), some(), some(), some(), some(), any::<bool>()).prop_map(
        |(frozen, in_doubt, acknowledged, quarantined, voided, is_settled)| Sent {
            frozen,
            in_doubt,
            acknowledged,
            settled: if is_settled { acknowledged } else { 0 },
            quarantined,
            voided,
            ..NONE
        },
    )
}

proptest! {
    #[test]
    fn the_causes_of_a_window_explain_its_difference_whole(
        ledger in prop::option::of(0i64..50),
        sent in prop::option::of(sent()),
        shown in prop::option::of(-5i64..50),
    ) {
        let is_sent = sent.is_some();
        let window = compared(ledger, sent, shown.filter(|_| is_sent).and_then(counted));

        let parts = judge(&window);

        let voided = window.sent.as_ref().map_or(0, |sent| sent.voided);
        let acknowledged = window.sent.as_ref().map_or(0, |sent| sent.acknowledged);
        let there = shown.filter(|_| is_sent).unwrap_or(acknowledged);
        let explained: i64 = parts.iter().map(|part| part.quantity).sum();
        prop_assert_eq!(explained, ledger.unwrap_or(0) - voided - there);
        let mut causes: Vec<Cause> = parts.iter().map(|part| part.cause).collect();
        causes.dedup();
        prop_assert_eq!(causes.len(), parts.len(), "each cause once");
    }
}
