use serde_json::json;
use tollgate_common::ids::NodeId;
use tollgate_common::internal::NodeStatus;
use tollgate_common::snapshot::Revision;
use tollgate_common::time::Timestamp;

use crate::support::Admin;

pub fn status(node: u8, revision: Revision) -> NodeStatus {
    NodeStatus {
        node: NodeId::from_bytes([node; 16]),
        epoch: 1,
        version: "0.1.0".into(),
        address: "127.0.0.1:8080".into(),
        revision,
        started_at: Timestamp(1_000),
        journal_lag_records: 7,
        leases_outstanding: 3,
        refusals: Default::default(),
    }
}

#[tokio::test]
async fn a_gateway_is_listed_as_it_last_spoke() {
    let admin = Admin::start().await;
    admin.product("weather").await;
    let revision = *admin.control().door.newest().borrow();
    admin.plan("weather", "free").await;

    admin.beat(&status(1, revision)).await;
    let nodes = admin.get("/api/v1/nodes").await.expect(200);

    let node = &nodes["items"][0];
    assert_eq!(node["status"], "connected");
    assert_eq!(node["address"], "127.0.0.1:8080");
    assert_eq!(node["revision"], revision);
    assert_eq!(node["revision_lag"], 1);
    assert_eq!(node["journal_lag_records"], 7);
    assert_eq!(node["leases_outstanding"], 3);
    assert_eq!(node["started_at"], "1970-01-01T00:00:01.000Z");
    assert!(node["last_seen"].is_string());
}

#[tokio::test]
async fn a_revocation_says_on_how_many_gateways_it_is_in_force() {
    let admin = Admin::start().await;
    let (_, _, subscription) = admin.subscribed().await;
    let keys = format!("/api/v1/subscriptions/{}/keys", subscription["id"].as_str().unwrap());
    let second = admin.post(&keys, json!({})).await.expect(201);
    admin.beat(&status(1, 0)).await;
    admin.beat(&status(2, 0)).await;
    let mut feed = admin.follow(0).await;
    feed.batch().await;

    let path = format!("/api/v1/keys/{}", second["id"].as_str().unwrap());
    let gateway = async {
        let revision = feed.batch().await.revision;
        admin.beat(&status(1, revision)).await;
    };
    let (revoked, ()) = futures_util::future::join(admin.delete(&path), gateway).await;

    let revoked = revoked.expect(200);
    assert_eq!((&revoked["nodes_current"], &revoked["nodes_total"]), (&json!(1), &json!(2)));
}

#[tokio::test]
async fn gateways_are_listed_page_by_page() {
    let admin = Admin::start().await;
    for node in [3, 1, 2] {
        admin.beat(&status(node, 0)).await;
    }
    let id = |node: u8| json!(NodeId::from_bytes([node; 16]).to_string());

    let first = admin.get("/api/v1/nodes?limit=2").await.expect(200);
    let next = first["next"].as_str().unwrap();
    let second = admin.get(&format!("/api/v1/nodes?limit=2&after={next}")).await.expect(200);

    assert_eq!((&first["items"][0]["id"], &first["items"][1]["id"]), (&id(1), &id(2)));
    assert_eq!((&second["items"][0]["id"], &second["next"]), (&id(3), &json!(null)));
}
