//! Who usage belongs to at a destination.

use tollgate_common::catalog::Consumer;

/// The id that the consumer has there.
pub fn required(consumer: &Consumer, name: &str) -> Result<String, String> {
    let known = consumer.external_ids.get(name).cloned();
    known.ok_or_else(|| format!("consumer {} has no external id \"{name}\"", consumer.id))
}

/// The id that the consumer has there, or ours.
pub fn or_ours(consumer: &Consumer, name: &str) -> String {
    consumer.external_ids.get(name).cloned().unwrap_or_else(|| consumer.id.to_string())
}
