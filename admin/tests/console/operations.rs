use rstest::rstest;
use serde_json::json;

use crate::browser::{HOSTILE, Theme, Visit};

/// Beyond `portal.md`: every other page, full of what people may type.
#[rstest]
#[tokio::test]
async fn every_page_is_sound(#[values(Theme::Light, Theme::Dark)] theme: Theme) {
    let visit = Visit::start("pages", theme).await;
    let (product, plan, _) = visit.admin.subscribed().await;
    let titled = json!({ "title": HOSTILE });
    visit.admin.patch("/api/v1/products/weather", titled).await.expect(200);
    let plan = format!("/api/v1/plans/{}", plan["id"].as_str().unwrap());
    visit.admin.patch(&plan, json!({ "name": HOSTILE })).await.expect(200);
    let token = json!({ "name": HOSTILE, "role": "auditor" });
    visit.admin.post("/api/v1/tokens", token).await.expect(201);
    let destination = json!({
        "name": "lago", "kind": "lago", "secret": "k", "status": "paused",
        "settings": { "url": "https://lago.example" },
    });
    let destination = visit.admin.post("/api/v1/destinations", destination).await.expect(201);
    visit.sign_in_as_owner().await;

    let admin = |rest: &str| format!("/dashboard/admin/{rest}");
    let product = product["id"].as_str().unwrap();
    let destination = destination["id"].as_str().unwrap();
    let pages = [
        ("usage", admin("usage")),
        ("usage-product", admin(&format!("usage?product={product}"))),
        ("call", admin("usage/call?request_id=01976f3c-0000-7000-8000-000000000000")),
        ("destinations", admin("destinations")),
        ("destination", admin(&format!("destinations/{destination}"))),
        ("reconciliation", admin(&format!("destinations/{destination}/reconciliation"))),
        ("destination-new", admin("destinations/new")),
        ("destination-edit", admin(&format!("destinations/{destination}/edit"))),
        ("gateways", admin("gateways")),
        ("audit", admin("audit")),
        ("tokens", admin("tokens")),
        ("token-new", admin("tokens/new")),
        ("nowhere", admin("nowhere")),
    ];
    visit.are_sound(&pages).await;
    visit.end().await;
}
