//! Which gateway has used what of a quota.

use std::collections::{BTreeSet, HashMap};

use tollgate_common::ids::{NodeId, SubscriptionId};
use tollgate_common::time::Timestamp;

use super::series::id_read;
use crate::store::Transaction;
use crate::store::query::query_as;

/// The numbers that stand for gateways in sums; one that is new is given one.
pub async fn numbers(
    db: &mut Transaction,
    nodes: impl Iterator<Item = NodeId>,
) -> Result<HashMap<NodeId, i64>, sqlx::Error> {
    let mut numbers = HashMap::new();
    for node in nodes.collect::<BTreeSet<_>>() {
        let (number,): (i64,) = query_as(
            "INSERT INTO ledger_node (node) VALUES ($1)
             ON CONFLICT (node) DO UPDATE SET node = excluded.node RETURNING id",
        )
        .bind(node.as_bytes().as_slice())
        .fetch_one(&mut *db)
        .await?;
        numbers.insert(node, number);
    }
    Ok(numbers)
}

/// What each gateway has used of a subscription's quota in a period.
pub async fn totals(
    db: &mut Transaction,
    subscription: SubscriptionId,
    period_start: Timestamp,
) -> Result<Vec<(NodeId, i64)>, sqlx::Error> {
    let rows: Vec<(Vec<u8>, i64)> = query_as(
        "SELECT n.node, CAST(SUM(q.units) AS BIGINT)
         FROM ledger_node_quota q
         JOIN ledger_series s ON s.id = q.series
         JOIN ledger_node n ON n.id = q.node
         WHERE q.period_start_at = $1 AND s.subscription = $2
         GROUP BY n.node",
    )
    .bind(period_start.0)
    .bind(subscription.as_bytes().as_slice())
    .fetch_all(db)
    .await?;
    rows.into_iter().map(|(node, units)| Ok((NodeId::from_bytes(id_read(&node)?), units))).collect()
}
