//! The number that a caller is told is the number on the invoice.

use serde_json::{Value, json};

use super::house::House;

#[tokio::test]
async fn what_went_beyond_a_soft_quota_is_on_the_invoice_as_the_caller_was_told() {
    let tiers = json!([{ "up_to": 5, "amount": 700 }, { "up_to": null, "amount": 600 }]);
    let house = House::with_terms(json!({
        "billing_mode": "metered", "monthly_quota": 5, "quota_mode": "soft",
        "prices": [{
            "name": "calls", "currency": "USD", "usage_type": "metered",
            "billing_scheme": "tiered", "tier_mode": "graduated", "tiers": tiers,
        }],
    }))
    .await;
    house.origin.answer("/500", "HTTP/1.1 500 Oh\r\nContent-Length: 0\r\n\r\n");
    for path in ["/x", "/x", "/500", "/x", "/x", "/x", "/x", "/x"] {
        house.get(path).await;
    }
    let path = format!("subscriptions/{}/invoice-preview", house.offer.subscription);

    let ask = async || {
        let invoice = house.owner.get(&path).await.ok();
        let lines = invoice["lines"].as_array().unwrap();
        let used: i64 = lines.iter().map(|line| line["quantity"].as_i64().unwrap()).sum();
        (used == 7).then_some(invoice)
    };
    let invoice = house.owner.eventually("seven calls are in the ledger", ask).await;

    // What the upstream answers with 5xx counts for nothing.
    let lines: Vec<[&Value; 3]> = invoice["lines"]
        .as_array()
        .unwrap()
        .iter()
        .map(|line| [&line["kind"], &line["quantity"], &line["amount"]])
        .collect();
    assert_eq!(
        lines,
        [[&json!("usage"), &json!(5), &json!(3500)], [&json!("overage"), &json!(2), &json!(1200)],]
    );
    assert_eq!(invoice["totals"][0]["text"], "47.00 USD");
}
