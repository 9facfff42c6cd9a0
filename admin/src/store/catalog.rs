//! What the control plane asks of whatever keeps its catalog.
//!
//! The seam between rules and storage: the SQLite file, a copy in memory for tests, and whatever a
//! larger installation brings pass the same contract. It reads and writes whole entities and does
//! no more; what a change means is decided above it.

use std::slice;

use async_trait::async_trait;
use secrecy::SecretString;
use tollgate_common::catalog::{
    Bundle, Consumer, Feature, Key, KeyDigest, Offer, Plan, Product, ProductStatus, Subscription,
    SubscriptionStatus,
};
use tollgate_common::ids::{
    BundleId, ConsumerId, DestinationId, FeatureId, KeyId, PlanId, ProductId, SubscriptionId,
    TokenId,
};
use tollgate_common::snapshot::{KeyRules, Revision, SubscriptionRules};
use tollgate_common::time::Timestamp;

use super::StoreError;
use crate::access::Token;
use crate::audit::AuditRecord;
use crate::audit::chain::ChainHash;
use crate::reconcile::figures::Slot;
use crate::reconcile::order::{Decided, RepairOrder};
use crate::sending::order::Order;
use crate::sending::registration::Registration;

type Result<T> = std::result::Result<T, StoreError>;

/// Part of a list: what comes after `after`, at most `limit` items.
#[derive(Clone, Copy, Debug)]
pub struct Page<K> {
    pub after: Option<K>,
    pub limit: u32,
}

/// Which products; what is None does not matter.
#[derive(Clone, Debug, Default)]
pub struct ProductFilter {
    pub status: Option<ProductStatus>,
    /// Is part of the name or the title, letters from A to Z in any case.
    pub text: Option<String>,
}

/// Which subscriptions; what is None does not matter.
#[derive(Clone, Copy, Debug, Default)]
pub struct SubscriptionFilter {
    pub consumer: Option<ConsumerId>,
    pub product: Option<ProductId>,
    pub plan: Option<PlanId>,
    pub status: Option<SubscriptionStatus>,
}

/// A committed state of the catalog, and how many entries led to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CommittedRevision {
    pub revision: Revision,
    pub entries: u64,
}

/// What a commit says about itself.
#[derive(Clone, Debug)]
pub struct CommitRecord {
    pub revision: Revision,
    pub at: Timestamp,
    /// One encoded frame of the snapshot feed for each entry.
    pub frames: Vec<Vec<u8>>,
    pub audit: Vec<AuditRecord>,
}

/// A record in its place of the audit's chain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditLink {
    pub place: AuditPlace,
    pub record: AuditRecord,
    /// None where the record is older than the chain.
    pub hash: Option<ChainHash>,
}

impl AuditLink {
    fn state_bytes(&self) -> usize {
        [&self.record.before, &self.record.after].into_iter().flatten().map(String::len).sum()
    }
}

/// Bytes of states on a page of the audit, since a single one may have a megabyte.
const AUDIT_STATES_BYTES: usize = 4 << 20;

/// Whether a page of the audit ends with what it has, also where more was asked for.
pub fn is_full(page: &[AuditLink]) -> bool {
    page.iter().map(AuditLink::state_bytes).sum::<usize>() >= AUDIT_STATES_BYTES
}

/// Whether a key is neither revoked nor expired.
pub fn is_in_force(key: &Key, now: Timestamp) -> bool {
    key.revoked_at.is_none() && key.expires_at.is_none_or(|at| at > now)
}

/// The place of a record in the audit: which commit, and which record of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct AuditPlace {
    pub revision: Revision,
    pub position: u64,
}

/// The answer to a request that carried an `Idempotency-Key`, without its secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeptAnswer {
    pub request_digest: [u8; 32],
    pub status: u16,
    pub location: Option<String>,
    pub body: String,
    pub at: Timestamp,
}

#[async_trait]
pub trait CatalogStore: Send + Sync {
    /// A view of one state.
    async fn read(&self) -> Result<Box<dyn CatalogRead>>;

    /// The one writer. Waits for the one before; dropped without a commit, it has no effect.
    async fn write(&self) -> Result<Box<dyn CatalogWrite>>;

    /// Forgets answers that were kept before a moment, at most `limit` of them, in a write of its
    /// own that makes no new state. Says how many it forgot.
    async fn forget_answers(&self, before: Timestamp, limit: u32) -> Result<u64>;
}

/// Lists are in the order of their ids, which is that of creation, unless they say otherwise. What
/// was deleted is not there.
#[async_trait]
pub trait CatalogRead: Send {
    async fn product(&mut self, id: ProductId) -> Result<Option<Product>>;
    async fn product_named(&mut self, name: &str) -> Result<Option<Product>>;
    async fn product_with_host(&mut self, host: &str) -> Result<Option<ProductId>>;
    async fn products(
        &mut self,
        filter: &ProductFilter,
        page: Page<ProductId>,
    ) -> Result<Vec<Product>>;

    async fn plan(&mut self, id: PlanId) -> Result<Option<Plan>>;
    async fn plan_named(&mut self, product: ProductId, name: &str) -> Result<Option<Plan>>;
    async fn plans(&mut self, product: Option<ProductId>, page: Page<PlanId>) -> Result<Vec<Plan>>;
    /// A plan as it was just before a moment; one that was deleted by then, as it was last.
    async fn plan_before(&mut self, id: PlanId, moment: Timestamp) -> Result<Option<Plan>>;

    /// None for a product that was never offered: it has the default terms.
    async fn offer(&mut self, product: ProductId) -> Result<Option<Offer>>;
    async fn offer_aliased(&mut self, alias: &str) -> Result<Option<Offer>>;
    async fn offers(&mut self, page: Page<ProductId>) -> Result<Vec<Offer>>;

    async fn feature(&mut self, id: FeatureId) -> Result<Option<Feature>>;
    async fn feature_named(&mut self, name: &str) -> Result<Option<Feature>>;
    async fn features(&mut self, page: Page<FeatureId>) -> Result<Vec<Feature>>;

    async fn bundle(&mut self, id: BundleId) -> Result<Option<Bundle>>;
    async fn bundle_named(&mut self, name: &str) -> Result<Option<Bundle>>;
    async fn bundles(&mut self, page: Page<BundleId>) -> Result<Vec<Bundle>>;

    async fn consumer(&mut self, id: ConsumerId) -> Result<Option<Consumer>>;
    /// With a text, those whose name or email it is part of, letters from A to Z in any case.
    async fn consumers(
        &mut self,
        text: Option<&str>,
        page: Page<ConsumerId>,
    ) -> Result<Vec<Consumer>>;

    /// Whether any of them has an id under the name of a destination.
    async fn is_known_at(&mut self, destination: &str) -> Result<bool>;

    /// Destinations that some usage of a consumer is still to be sent to.
    async fn awaiting_usage(&mut self, consumer: ConsumerId) -> Result<Vec<DestinationId>>;

    async fn subscription(&mut self, id: SubscriptionId) -> Result<Option<Subscription>>;
    async fn subscriptions(
        &mut self,
        filter: SubscriptionFilter,
        page: Page<SubscriptionId>,
    ) -> Result<Vec<Subscription>>;
    /// The plans that a subscription has left, and when, oldest first.
    async fn plans_left(&mut self, id: SubscriptionId) -> Result<Vec<(Timestamp, PlanId)>>;

    /// Those that are active, as gateways know them.
    async fn subscriptions_in_force(
        &mut self,
        page: Page<SubscriptionId>,
    ) -> Result<Vec<SubscriptionRules>>;

    async fn key(&mut self, id: KeyId) -> Result<Option<Key>>;
    /// All keys that a subscription ever had, oldest first.
    async fn keys(
        &mut self,
        subscription: SubscriptionId,
        page: Page<(Timestamp, KeyId)>,
    ) -> Result<Vec<Key>>;
    /// Keys of some subscriptions that are neither revoked nor expired, those of each together and oldest
    /// first.
    async fn keys_in_force_of(
        &mut self,
        subscriptions: &[SubscriptionId],
        now: Timestamp,
    ) -> Result<Vec<Key>>;
    /// Keys of all subscriptions that are neither revoked nor expired, as gateways know them.
    async fn keys_in_force(
        &mut self,
        now: Timestamp,
        page: Page<KeyId>,
    ) -> Result<Vec<(KeyId, KeyRules)>>;

    async fn token(&mut self, id: TokenId) -> Result<Option<Token>>;
    async fn token_with_digest(&mut self, digest: KeyDigest) -> Result<Option<Token>>;
    async fn tokens(&mut self, page: Page<TokenId>) -> Result<Vec<Token>>;

    async fn destination(&mut self, id: DestinationId) -> Result<Option<Registration>>;
    async fn destination_named(&mut self, name: &str) -> Result<Option<Registration>>;
    async fn destinations(&mut self, page: Page<DestinationId>) -> Result<Vec<Registration>>;
    async fn destination_secret(&mut self, id: DestinationId) -> Result<Option<SecretString>>;
    /// What was ordered and is not carried out yet, oldest first.
    async fn orders(&mut self, destination: DestinationId) -> Result<Vec<Order>>;
    /// What was decided on differences, oldest first.
    async fn repairs(&mut self, destination: DestinationId) -> Result<Vec<RepairOrder>>;
    /// And on one window.
    async fn decided(&mut self, destination: DestinationId, slot: Slot) -> Result<Decided>;

    /// Newest first, no more of it than what [`is_full`].
    async fn audit(&mut self, page: Page<AuditPlace>) -> Result<Vec<AuditLink>>;
    /// Oldest first, likewise.
    async fn audit_from_start(&mut self, page: Page<AuditPlace>) -> Result<Vec<AuditLink>>;
    async fn kept_answer(&mut self, actor: &str, key: &str) -> Result<Option<KeptAnswer>>;

    /// The newest state; 0 when nothing was ever committed.
    async fn revision(&mut self) -> Result<Revision>;
    /// Whether the frames of all commits after it are still there.
    async fn is_known(&mut self, revision: Revision) -> Result<bool>;
    async fn revisions_after(
        &mut self,
        revision: Revision,
        limit: u32,
    ) -> Result<Vec<CommittedRevision>>;
    /// Frames of one commit, from the `first`th on, counted from 0.
    async fn frames(&mut self, revision: Revision, first: u64, limit: u32) -> Result<Vec<Vec<u8>>>;
}

/// Writes one state. A save makes or replaces.
#[async_trait]
pub trait CatalogWrite: CatalogRead {
    async fn save_product(&mut self, product: &Product) -> Result<()>;
    async fn delete_product(&mut self, id: ProductId, at: Timestamp) -> Result<()>;
    async fn save_plan(&mut self, plan: &Plan) -> Result<()>;
    async fn delete_plan(&mut self, id: PlanId, at: Timestamp) -> Result<()>;
    /// Keeps a plan that was in force until a moment, unless another was until then already. One that
    /// was kept until later, by a clock that was ahead, was in force until then instead of it.
    async fn keep_terms(&mut self, plan: &Plan, until: Timestamp) -> Result<()>;
    async fn save_offer(&mut self, offer: &Offer) -> Result<()>;
    async fn delete_offer(&mut self, product: ProductId) -> Result<()>;
    async fn save_feature(&mut self, feature: &Feature) -> Result<()>;
    async fn save_bundle(&mut self, bundle: &Bundle) -> Result<()>;
    async fn save_consumer(&mut self, consumer: &Consumer) -> Result<()>;
    /// Forgets who it was; the id stays, since usage names it, and the ids at destinations do, since
    /// usage that is not sent yet is sent by them.
    async fn delete_consumer(&mut self, id: ConsumerId, at: Timestamp) -> Result<()>;
    async fn save_subscription(&mut self, subscription: &Subscription) -> Result<()> {
        self.save_subscriptions(slice::from_ref(subscription)).await
    }
    /// Each of them once.
    async fn save_subscriptions(&mut self, subscriptions: &[Subscription]) -> Result<()>;
    /// Keeps that a subscription left a plan, unless it left another at that moment already. One that
    /// it left later, by a clock that was ahead, it left then instead of it.
    async fn keep_plan_left(
        &mut self,
        id: SubscriptionId,
        plan: PlanId,
        until: Timestamp,
    ) -> Result<()>;
    async fn save_key(&mut self, key: &Key) -> Result<()> {
        self.save_keys(slice::from_ref(key)).await
    }
    /// Each of them once.
    async fn save_keys(&mut self, keys: &[Key]) -> Result<()>;
    async fn save_token(&mut self, token: &Token) -> Result<()>;
    async fn delete_token(&mut self, id: TokenId) -> Result<()>;
    async fn save_destination(&mut self, registration: &Registration) -> Result<()>;
    async fn save_destination_secret(
        &mut self,
        id: DestinationId,
        secret: &SecretString,
    ) -> Result<()>;
    /// Forgets its secret and what was ordered; the id stays, since what was sent names it.
    async fn delete_destination(&mut self, id: DestinationId, at: Timestamp) -> Result<()>;
    async fn order(&mut self, destination: DestinationId, order: &Order) -> Result<()>;
    async fn repair(&mut self, destination: DestinationId, order: &RepairOrder) -> Result<()>;

    /// In the place of an older one under the same key.
    async fn keep_answer(&mut self, actor: &str, key: &str, answer: &KeptAnswer) -> Result<()>;

    /// Makes all of it the newest state, whole and for good.
    async fn commit(self: Box<Self>, record: CommitRecord) -> Result<()>;
}
