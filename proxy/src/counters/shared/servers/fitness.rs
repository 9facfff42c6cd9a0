//! Whether servers can be counted on.

use futures_util::future::join_all;
use redis::cluster_async::ClusterConnection;
use redis::cluster_routing::{Route, RoutingInfo, SingleNodeRoutingInfo, SlotAddr};
use redis::{Cmd, RedisError, Value};

use super::ServersError;
use super::way::Line;
use crate::counters::lease::roll::BUCKETS;
use crate::counters::shared::asking::roll_key;

/// Sees that the servers never drop a counter to make room. One that was dropped would be counted anew
/// from the ledger, but what was held of it meanwhile could pass twice.
///
/// Of a cluster those are looked at that answer: one that hangs takes nothing from the others.
pub async fn fitness(line: &Line) -> Result<(), ServersError> {
    let mut info = redis::cmd("INFO");
    info.arg("memory");
    let answers = match line {
        Line::Direct(line, _) => vec![info.query_async::<Value>(&mut line.clone()).await],
        Line::Cluster(line) => {
            let asked = (0..BUCKETS).map(|bucket| ask_master(line.clone(), &info, bucket));
            join_all(asked).await
        }
    };
    let mut failure = None;
    let (mut is_known, mut is_forbidden) = (false, false);
    for answer in answers {
        match answer {
            Ok(answer) => match evicts(&answer) {
                Some(policy) => return Err(ServersError::Evicts(policy)),
                None => is_known = true,
            },
            Err(error) if error.code() == Some("NOPERM") => is_forbidden = true,
            Err(error) => failure = Some(error),
        }
    }
    if is_forbidden {
        tracing::info!("INFO is not permitted: whether counters may be evicted is not known");
    }
    match failure {
        Some(error) if !is_known && !is_forbidden => Err(error.into()),
        Some(_) | None => Ok(()),
    }
}

async fn ask_master(
    mut line: ClusterConnection,
    command: &Cmd,
    bucket: usize,
) -> Result<Value, RedisError> {
    let route = Route::with_key(roll_key(bucket), SlotAddr::Master);
    let routing = RoutingInfo::SingleNode(SingleNodeRoutingInfo::SpecificNode(route));
    line.route_command(command.clone(), routing).await?.extract_error()
}

/// Whether the server that has a key answers.
pub async fn is_reached(line: &Line, roll_key: &str) -> Result<(), RedisError> {
    let mut get = redis::cmd("HGET");
    get.arg(roll_key).arg("since");
    match line {
        Line::Direct(line, _) => get.query_async::<Option<String>>(&mut line.clone()).await,
        Line::Cluster(line) => get.query_async::<Option<String>>(&mut line.clone()).await,
    }
    .map(drop)
}

/// The policy by which one of the servers would drop keys when its memory is full.
fn evicts(answer: &Value) -> Option<String> {
    use Value::{Array, BulkString, Map, SimpleString, VerbatimString};
    match answer {
        Map(pairs) => pairs.iter().find_map(|(_, answer)| evicts(answer)),
        Array(answers) => answers.iter().find_map(evicts),
        BulkString(text) => policy(&String::from_utf8_lossy(text)),
        SimpleString(text) | VerbatimString { text, .. } => policy(text),
        _ => None,
    }
}

fn policy(info: &str) -> Option<String> {
    let value =
        |name: &str| info.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    let is_bounded = value("maxmemory").is_some_and(|bytes| bytes.trim() != "0");
    let policy = value("maxmemory_policy")?.trim();
    (is_bounded && policy != "noeviction").then(|| policy.to_owned())
}
