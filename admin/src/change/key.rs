//! Changes to keys. All keys of a subscription share its balance, so none of these touches usage.

use secrecy::SecretString;
use tollgate_common::catalog::key::{KEY_PREFIX_SHOWN, key_text};
use tollgate_common::catalog::{Key, KeyDigest, Subscription};
use tollgate_common::ids::SubscriptionId;
use tollgate_common::snapshot::{Entry, KeyRules};
use tollgate_common::time::Timestamp;

use super::Change;
use crate::audit::Deed;
use crate::fresh;
use crate::problem::{Code, Problem};
use crate::store::catalog::is_in_force;

/// A key and its text, which exists nowhere else and is shown once.
pub struct NewKey {
    pub key: Key,
    pub text: SecretString,
}

/// Keys of one subscription that are in force at once: enough for a rotation in each of a few
/// deployments, and a bound on what a gateway holds.
const KEYS_IN_FORCE_MAX: usize = 20;

impl Change {
    pub async fn create_key(
        &mut self,
        subscription: &Subscription,
        expires_at: Option<Timestamp>,
    ) -> Result<NewKey, Problem> {
        self.require_live(subscription)?;
        let in_force = self.catalog.keys_in_force_of(&[subscription.id], self.now).await?;
        if in_force.len() >= KEYS_IN_FORCE_MAX {
            let detail = format!("a subscription has at most {KEYS_IN_FORCE_MAX} keys in force");
            return Err(Problem::new(Code::KeysTooMany, detail));
        }
        let text = key_text(&fresh::secret());
        let digest = KeyDigest::of(text.as_bytes());
        let key = Key {
            id: digest.key_id(),
            subscription_id: subscription.id,
            digest,
            prefix: text[..KEY_PREFIX_SHOWN].to_owned(),
            created_at: self.now,
            expires_at,
            own_expires_at: expires_at,
            revoked_at: None,
            last_used_at: None,
        };
        self.save_key(Deed::Create, None, &key).await?;
        Ok(NewKey { key, text: text.into() })
    }

    /// Makes a key that takes the place of another, which goes on for `overlap_ms`. The new one ends
    /// at `expires_at`.
    pub async fn rotate_key(
        &mut self,
        subscription: &Subscription,
        before: &Key,
        overlap_ms: i64,
        expires_at: Option<Timestamp>,
    ) -> Result<NewKey, Problem> {
        self.require_in_force(before)?;
        if overlap_ms == 0 {
            self.revoke_key(before).await?;
        } else {
            let end = self.now.plus_ms(overlap_ms);
            let end = before.expires_at.map_or(end, |already| already.min(end));
            let key = Key { expires_at: Some(end), ..before.clone() };
            self.save_key(Deed::Rotate, Some(before), &key).await?;
        }
        self.create_key(subscription, expires_at).await
    }

    /// Ends a key at once.
    pub async fn revoke_key(&mut self, before: &Key) -> Result<Key, Problem> {
        self.require_in_force(before)?;
        let key = self.revoked(before);
        self.catalog.save_key(&key).await?;
        Ok(key)
    }

    /// Makes a key that takes the place of all others, which end at once. It ends when the last of them
    /// would have, whatever overlap that was in.
    pub async fn replace_all_keys(
        &mut self,
        subscription: &Subscription,
    ) -> Result<NewKey, Problem> {
        let before = self.catalog.keys_in_force_of(&[subscription.id], self.now).await?;
        let ends: Option<Vec<Timestamp>> = before.iter().map(|key| key.own_expires_at).collect();
        let keys: Vec<Key> = before.iter().map(|key| self.revoked(key)).collect();
        self.catalog.save_keys(&keys).await?;
        self.create_key(subscription, ends.unwrap_or_default().into_iter().max()).await
    }

    /// A key that ends now, once it is saved.
    pub(super) fn revoked(&mut self, before: &Key) -> Key {
        let key = Key { revoked_at: Some(self.now), ..before.clone() };
        self.tell_key(Deed::Revoke, Some(before), &key);
        key
    }

    fn require_in_force(&self, key: &Key) -> Result<(), Problem> {
        if is_in_force(key, self.now) {
            return Ok(());
        }
        Err(Problem::new(Code::KeyEnded, "a key that has ended stays as it is; make a new one"))
    }

    async fn save_key(
        &mut self,
        deed: Deed,
        before: Option<&Key>,
        key: &Key,
    ) -> Result<(), Problem> {
        self.catalog.save_key(key).await?;
        self.tell_key(deed, before, key);
        Ok(())
    }

    fn tell_key(&mut self, deed: Deed, before: Option<&Key>, key: &Key) {
        self.tell(match key.revoked_at {
            Some(_) => Entry::KeyRemoved(key.digest),
            None => Entry::Key(KeyRules {
                digest: key.digest,
                subscription: key.subscription_id,
                expires_at: key.expires_at,
            }),
        });
        let before = before.map(KeyState::of);
        self.audit(deed, "key", key.id, before.as_ref(), Some(&KeyState::of(key)));
    }
}

/// A key as the audit keeps it: without the digest, by which calls could be told apart elsewhere.
#[derive(serde::Serialize)]
struct KeyState {
    subscription_id: SubscriptionId,
    prefix: String,
    #[serde(with = "tollgate_common::time::rfc3339::option")]
    expires_at: Option<Timestamp>,
    #[serde(with = "tollgate_common::time::rfc3339::option")]
    revoked_at: Option<Timestamp>,
}

impl KeyState {
    fn of(key: &Key) -> Self {
        Self {
            subscription_id: key.subscription_id,
            prefix: key.prefix.clone(),
            expires_at: key.expires_at,
            revoked_at: key.revoked_at,
        }
    }
}
