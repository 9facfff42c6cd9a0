use std::cell::Cell;
use std::collections::BTreeMap;

use proptest::prelude::*;
use tollgate_common::ids::{PlanId, SubscriptionId};
use tollgate_common::meter::Meter;

use super::*;

fn slot() -> impl Strategy<Value = Slot> {
    let meter = prop_oneof![Just(Meter::Calls), Just(Meter::Units)];
    (0u8..3, 0u8..2, 0i64..6, meter).prop_map(|(subscription, plan, hour, meter)| Slot {
        subscription: SubscriptionId::from_bytes([subscription; 16]),
        plan: PlanId::from_bytes([plan; 16]),
        start: Minute(hour * 60),
        meter,
    })
}

fn used(slot: Slot, quantity: i64) -> Used {
    Used { slot, end: Minute(slot.start.0 + 60), quantity }
}

fn sent(slot: Slot, acknowledged: i64) -> Sent {
    Sent {
        slot,
        end: Minute(slot.start.0 + 60),
        frozen: 0,
        in_doubt: 0,
        acknowledged,
        settled: 0,
        quarantined: 0,
        voided: 0,
        reason: None,
    }
}

fn shown(slot: Slot, quantity: i64) -> Shown {
    Shown { slot, sight: Sight::Counted { quantity, is_other: false } }
}

type Side = BTreeMap<Slot, i64>;

fn side() -> impl Strategy<Value = Side> {
    prop::collection::btree_map(slot(), -5i64..100, 0..40)
}

proptest! {
    #[test]
    fn each_window_of_ledger_or_outbox_comes_once_in_order_with_all_that_is_known_of_it(
        ledger in side(), outbox in side(), destination in side(),
    ) {
        let compared: Vec<Compared> = Comparison::new(
            ledger.iter().map(|(slot, quantity)| used(*slot, *quantity)),
            outbox.iter().map(|(slot, quantity)| sent(*slot, *quantity)),
            destination.iter().map(|(slot, quantity)| shown(*slot, *quantity)),
        ).collect();

        let slots: std::collections::BTreeSet<Slot> =
            ledger.keys().chain(outbox.keys()).copied().collect();
        let expected: Vec<Compared> = slots
            .into_iter()
            .map(|slot| Compared {
                slot,
                end: Minute(slot.start.0 + 60),
                ledger: ledger.get(&slot).copied(),
                sent: outbox.get(&slot).map(|quantity| sent(slot, *quantity)),
                shown: destination.get(&slot).map(|quantity| shown(slot, *quantity).sight),
            })
            .collect();
        prop_assert_eq!(compared, expected);
    }

    #[test]
    fn no_more_than_one_window_of_a_stream_is_held(ledger in side(), outbox in side()) {
        let read = Cell::new(0usize);
        let count = |_: &Slot| read.set(read.get() + 1);
        let comparison = Comparison::new(
            ledger.iter().inspect(|(slot, _)| count(slot)).map(|(slot, n)| used(*slot, *n)),
            outbox.iter().inspect(|(slot, _)| count(slot)).map(|(slot, n)| sent(*slot, *n)),
            std::iter::empty(),
        );

        let mut given = 0;
        for window in comparison {
            given += usize::from(window.ledger.is_some()) + usize::from(window.sent.is_some());
            prop_assert!(read.get() - given <= 2);
        }
        prop_assert_eq!(given, ledger.len() + outbox.len());
    }
}
