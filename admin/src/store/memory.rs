//! The catalog in memory: the simplest thing that passes the contract, for tests of what stands
//! above it. Each state is a whole copy, so it is for small catalogs.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeInclusive;
use std::sync::Arc;

use async_trait::async_trait;
use parking_lot::RwLock;
use secrecy::SecretString;
use tokio::sync::{Mutex, OwnedMutexGuard};
use tollgate_common::catalog::{
    Bundle, Consumer, Feature, Key, KeyDigest, Offer, Plan, Product, Subscription,
    SubscriptionStatus,
};
use tollgate_common::ids::{
    BundleId, ConsumerId, DestinationId, FeatureId, KeyId, PlanId, ProductId, SubscriptionId,
    TokenId,
};
use tollgate_common::snapshot::{KeyRules, Revision, SubscriptionRules};
use tollgate_common::time::Timestamp;

use super::StoreError;
use super::catalog::{
    AuditLink, AuditPlace, CatalogRead, CatalogStore, CatalogWrite, CommitRecord,
    CommittedRevision, KeptAnswer, Page, ProductFilter, SubscriptionFilter, is_full, is_in_force,
};
use crate::access::Token;
use crate::audit::chain::ChainHash;
use crate::reconcile::figures::Slot;
use crate::reconcile::order::{Decided, RepairOrder};
use crate::sending::order::Order;
use crate::sending::registration::Registration;

type Result<T> = std::result::Result<T, StoreError>;

#[derive(Clone, Debug, Default)]
pub struct MemoryCatalog {
    newest: Newest,
    writer: Arc<Mutex<()>>,
}

/// The committed state, swapped whole.
type Newest = Arc<RwLock<Arc<State>>>;

#[derive(Clone, Debug, Default)]
struct State {
    products: BTreeMap<ProductId, Product>,
    plans: BTreeMap<PlanId, Plan>,
    offers: BTreeMap<ProductId, Offer>,
    features: BTreeMap<FeatureId, Feature>,
    bundles: BTreeMap<BundleId, Bundle>,
    consumers: BTreeMap<ConsumerId, Consumer>,
    /// Where consumers that were deleted are known.
    known_at: BTreeSet<String>,
    /// Plans as they were until a moment.
    terms: BTreeMap<(PlanId, Timestamp), Plan>,
    subscriptions: BTreeMap<SubscriptionId, Subscription>,
    plans_left: BTreeMap<(SubscriptionId, Timestamp), PlanId>,
    keys: BTreeMap<KeyId, Key>,
    tokens: BTreeMap<TokenId, Token>,
    destinations: BTreeMap<DestinationId, Registration>,
    secrets: BTreeMap<DestinationId, SecretString>,
    orders: BTreeMap<DestinationId, Vec<Order>>,
    repairs: BTreeMap<DestinationId, Vec<RepairOrder>>,
    answers: BTreeMap<(String, String), KeptAnswer>,
    audit: BTreeMap<AuditPlace, AuditLink>,
    revisions: BTreeMap<Revision, Vec<Vec<u8>>>,
}

#[async_trait]
impl CatalogStore for MemoryCatalog {
    async fn read(&self) -> Result<Box<dyn CatalogRead>> {
        let state = Arc::clone(&self.newest.read());
        Ok(Box::new(View { state, publish: None }))
    }

    async fn write(&self) -> Result<Box<dyn CatalogWrite>> {
        let turn = Arc::clone(&self.writer).lock_owned().await;
        let state = Arc::clone(&self.newest.read());
        Ok(Box::new(View { state, publish: Some((Arc::clone(&self.newest), turn)) }))
    }

    async fn forget_answers(&self, before: Timestamp, limit: u32) -> Result<u64> {
        let _turn = self.writer.lock().await;
        let mut state = State::clone(&self.newest.read());
        let is_old = |answer: &KeptAnswer| answer.at < before;
        let old = state.answers.extract_if(.., |_, answer| is_old(answer));
        let forgotten = old.take(limit as usize).count() as u64;
        *self.newest.write() = Arc::new(state);
        Ok(forgotten)
    }
}

/// One state, and for a writer its turn and the place where the state goes.
struct View {
    state: Arc<State>,
    publish: Option<(Newest, OwnedMutexGuard<()>)>,
}

impl View {
    fn edit(&mut self) -> &mut State {
        Arc::make_mut(&mut self.state)
    }
}

/// The items of a map that a page takes.
fn page_of<K: Ord + Copy, V: Clone>(
    map: &BTreeMap<K, V>,
    page: Page<K>,
    is_wanted: impl Fn(&V) -> bool,
) -> Vec<V> {
    map.iter()
        .filter(|(key, value)| page.after.is_none_or(|after| **key > after) && is_wanted(value))
        .map(|(_, value)| value.clone())
        .take(page.limit as usize)
        .collect()
}

/// Takes out what was to end then or later; the first of it is what has ended.
fn ended<K: Ord + Copy, V>(map: &mut BTreeMap<K, V>, later: RangeInclusive<K>) -> Option<V> {
    let mut first = None;
    for key in map.range(later).map(|(key, _)| *key).collect::<Vec<_>>() {
        first = first.or(map.remove(&key));
    }
    first
}

/// The records of a page of the audit, up to the one that makes it full.
fn until_full<'l>(links: impl Iterator<Item = &'l AuditLink>) -> Vec<AuditLink> {
    let mut page = Vec::new();
    for link in links {
        page.push(link.clone());
        if is_full(&page) {
            break;
        }
    }
    page
}

fn is_wanted(filter: &SubscriptionFilter, subscription: &Subscription) -> bool {
    filter.consumer.is_none_or(|id| subscription.consumer_id == id)
        && filter.product.is_none_or(|id| subscription.product_id == id)
        && filter.plan.is_none_or(|id| subscription.plan_id == id)
        && filter.status.is_none_or(|status| subscription.status == status)
}

fn has_text<const N: usize>(text: &str, places: [&str; N]) -> bool {
    let text = text.to_ascii_lowercase();
    places.iter().any(|place| place.to_ascii_lowercase().contains(&text))
}

#[async_trait]
impl CatalogRead for View {
    async fn product(&mut self, id: ProductId) -> Result<Option<Product>> {
        Ok(self.state.products.get(&id).cloned())
    }

    async fn product_named(&mut self, name: &str) -> Result<Option<Product>> {
        Ok(self.state.products.values().find(|product| product.name == name).cloned())
    }

    async fn product_with_host(&mut self, host: &str) -> Result<Option<ProductId>> {
        let has_host = |product: &&Product| product.hosts.iter().any(|known| known == host);
        Ok(self.state.products.values().find(has_host).map(|product| product.id))
    }

    async fn products(
        &mut self,
        filter: &ProductFilter,
        page: Page<ProductId>,
    ) -> Result<Vec<Product>> {
        let text = filter.text.as_deref();
        Ok(page_of(&self.state.products, page, |product| {
            filter.status.is_none_or(|status| product.status == status)
                && text.is_none_or(|text| has_text(text, [&product.name, &product.title]))
        }))
    }

    async fn plan(&mut self, id: PlanId) -> Result<Option<Plan>> {
        Ok(self.state.plans.get(&id).cloned())
    }

    async fn plan_named(&mut self, product: ProductId, name: &str) -> Result<Option<Plan>> {
        let is_it = |plan: &&Plan| plan.product_id == product && plan.name == name;
        Ok(self.state.plans.values().find(is_it).cloned())
    }

    async fn plans(&mut self, product: Option<ProductId>, page: Page<PlanId>) -> Result<Vec<Plan>> {
        Ok(page_of(&self.state.plans, page, |plan| {
            product.is_none_or(|product| plan.product_id == product)
        }))
    }

    async fn plan_before(&mut self, id: PlanId, moment: Timestamp) -> Result<Option<Plan>> {
        let terms = &self.state.terms;
        let kept = |from| terms.range((id, from)..=(id, Timestamp(i64::MAX)));
        let then = kept(moment).next().map(|(_, plan)| plan);
        let now = then.or_else(|| self.state.plans.get(&id));
        let last = || kept(Timestamp(i64::MIN)).next_back().map(|(_, plan)| plan);
        Ok(now.or_else(last).cloned())
    }

    async fn offer(&mut self, product: ProductId) -> Result<Option<Offer>> {
        Ok(self.state.offers.get(&product).cloned())
    }

    async fn offer_aliased(&mut self, alias: &str) -> Result<Option<Offer>> {
        let is_it = |offer: &&Offer| offer.alias.as_deref() == Some(alias);
        Ok(self.state.offers.values().find(is_it).cloned())
    }

    async fn offers(&mut self, page: Page<ProductId>) -> Result<Vec<Offer>> {
        Ok(page_of(&self.state.offers, page, |_| true))
    }

    async fn feature(&mut self, id: FeatureId) -> Result<Option<Feature>> {
        Ok(self.state.features.get(&id).cloned())
    }

    async fn feature_named(&mut self, name: &str) -> Result<Option<Feature>> {
        Ok(self.state.features.values().find(|feature| feature.name == name).cloned())
    }

    async fn features(&mut self, page: Page<FeatureId>) -> Result<Vec<Feature>> {
        Ok(page_of(&self.state.features, page, |_| true))
    }

    async fn bundle(&mut self, id: BundleId) -> Result<Option<Bundle>> {
        Ok(self.state.bundles.get(&id).cloned())
    }

    async fn bundle_named(&mut self, name: &str) -> Result<Option<Bundle>> {
        Ok(self.state.bundles.values().find(|bundle| bundle.name == name).cloned())
    }

    async fn bundles(&mut self, page: Page<BundleId>) -> Result<Vec<Bundle>> {
        Ok(page_of(&self.state.bundles, page, |_| true))
    }

    async fn consumer(&mut self, id: ConsumerId) -> Result<Option<Consumer>> {
        Ok(self.state.consumers.get(&id).cloned())
    }

    async fn consumers(
        &mut self,
        text: Option<&str>,
        page: Page<ConsumerId>,
    ) -> Result<Vec<Consumer>> {
        Ok(page_of(&self.state.consumers, page, |consumer| {
            let email = consumer.email.as_deref().unwrap_or("");
            text.is_none_or(|text| has_text(text, [&consumer.name, email]))
        }))
    }

    async fn is_known_at(&mut self, destination: &str) -> Result<bool> {
        let mut consumers = self.state.consumers.values();
        let is_known = consumers.any(|consumer| consumer.external_ids.contains_key(destination));
        Ok(is_known || self.state.known_at.contains(destination))
    }

    /// Nothing is sent from memory.
    async fn awaiting_usage(&mut self, _consumer: ConsumerId) -> Result<Vec<DestinationId>> {
        Ok(Vec::new())
    }

    async fn subscription(&mut self, id: SubscriptionId) -> Result<Option<Subscription>> {
        Ok(self.state.subscriptions.get(&id).cloned())
    }

    async fn subscriptions(
        &mut self,
        filter: SubscriptionFilter,
        page: Page<SubscriptionId>,
    ) -> Result<Vec<Subscription>> {
        Ok(page_of(&self.state.subscriptions, page, |subscription| {
            is_wanted(&filter, subscription)
        }))
    }

    async fn subscriptions_in_force(
        &mut self,
        page: Page<SubscriptionId>,
    ) -> Result<Vec<SubscriptionRules>> {
        let active = page_of(&self.state.subscriptions, page, |subscription| {
            subscription.status == SubscriptionStatus::Active
        });
        Ok(active.iter().map(SubscriptionRules::from).collect())
    }

    async fn plans_left(&mut self, id: SubscriptionId) -> Result<Vec<(Timestamp, PlanId)>> {
        let all = (id, Timestamp(i64::MIN))..=(id, Timestamp(i64::MAX));
        let left = self.state.plans_left.range(all);
        Ok(left.map(|((_, until), plan)| (*until, *plan)).collect())
    }

    async fn key(&mut self, id: KeyId) -> Result<Option<Key>> {
        Ok(self.state.keys.get(&id).cloned())
    }

    async fn keys(
        &mut self,
        subscription: SubscriptionId,
        page: Page<(Timestamp, KeyId)>,
    ) -> Result<Vec<Key>> {
        let by_age: BTreeMap<(Timestamp, KeyId), Key> = self
            .state
            .keys
            .values()
            .filter(|key| key.subscription_id == subscription)
            .map(|key| ((key.created_at, key.id), key.clone()))
            .collect();
        Ok(page_of(&by_age, page, |_| true))
    }

    async fn keys_in_force_of(
        &mut self,
        subscriptions: &[SubscriptionId],
        now: Timestamp,
    ) -> Result<Vec<Key>> {
        let in_force =
            self.state.keys.values().filter(|key| {
                is_in_force(key, now) && subscriptions.contains(&key.subscription_id)
            });
        let mut in_force: Vec<Key> = in_force.cloned().collect();
        in_force.sort_by_key(|key| (key.subscription_id, key.created_at, key.id));
        Ok(in_force)
    }

    async fn keys_in_force(
        &mut self,
        now: Timestamp,
        page: Page<KeyId>,
    ) -> Result<Vec<(KeyId, KeyRules)>> {
        let in_force = page_of(&self.state.keys, page, |key| is_in_force(key, now));
        Ok(in_force.iter().map(|key| (key.id, KeyRules::from(key))).collect())
    }

    async fn token(&mut self, id: TokenId) -> Result<Option<Token>> {
        Ok(self.state.tokens.get(&id).cloned())
    }

    async fn token_with_digest(&mut self, digest: KeyDigest) -> Result<Option<Token>> {
        Ok(self.state.tokens.values().find(|token| token.digest == digest).cloned())
    }

    async fn tokens(&mut self, page: Page<TokenId>) -> Result<Vec<Token>> {
        Ok(page_of(&self.state.tokens, page, |_| true))
    }

    async fn destination(&mut self, id: DestinationId) -> Result<Option<Registration>> {
        Ok(self.state.destinations.get(&id).cloned())
    }

    async fn destination_named(&mut self, name: &str) -> Result<Option<Registration>> {
        Ok(self.state.destinations.values().find(|known| known.name == name).cloned())
    }

    async fn destinations(&mut self, page: Page<DestinationId>) -> Result<Vec<Registration>> {
        Ok(page_of(&self.state.destinations, page, |_| true))
    }

    async fn destination_secret(&mut self, id: DestinationId) -> Result<Option<SecretString>> {
        Ok(self.state.secrets.get(&id).cloned())
    }

    async fn orders(&mut self, destination: DestinationId) -> Result<Vec<Order>> {
        Ok(self.state.orders.get(&destination).cloned().unwrap_or_default())
    }

    async fn repairs(&mut self, destination: DestinationId) -> Result<Vec<RepairOrder>> {
        Ok(self.state.repairs.get(&destination).cloned().unwrap_or_default())
    }

    /// Nobody carries anything out here.
    async fn decided(&mut self, destination: DestinationId, slot: Slot) -> Result<Decided> {
        let repairs = self.state.repairs.get(&destination).into_iter().flatten();
        let orders = repairs.filter(|order| order.slot() == slot).count() as i64;
        Ok(Decided { orders, is_open: orders > 0 })
    }

    async fn audit(&mut self, page: Page<AuditPlace>) -> Result<Vec<AuditLink>> {
        let links = self.state.audit.values().rev();
        let older = links.filter(|link| page.after.is_none_or(|after| link.place < after));
        Ok(until_full(older.take(page.limit as usize)))
    }

    async fn audit_from_start(&mut self, page: Page<AuditPlace>) -> Result<Vec<AuditLink>> {
        let links = self.state.audit.values();
        let newer = links.filter(|link| page.after.is_none_or(|after| link.place > after));
        Ok(until_full(newer.take(page.limit as usize)))
    }

    async fn kept_answer(&mut self, actor: &str, key: &str) -> Result<Option<KeptAnswer>> {
        Ok(self.state.answers.get(&(actor.to_owned(), key.to_owned())).cloned())
    }

    async fn revision(&mut self) -> Result<Revision> {
        Ok(self.state.revisions.last_key_value().map_or(0, |(revision, _)| *revision))
    }

    async fn is_known(&mut self, revision: Revision) -> Result<bool> {
        Ok(self.state.revisions.contains_key(&revision))
    }

    async fn revisions_after(
        &mut self,
        revision: Revision,
        limit: u32,
    ) -> Result<Vec<CommittedRevision>> {
        let later = self.state.revisions.iter().filter(|(known, _)| **known > revision);
        Ok(later
            .map(|(revision, frames)| CommittedRevision {
                revision: *revision,
                entries: frames.len() as u64,
            })
            .take(limit as usize)
            .collect())
    }

    async fn frames(&mut self, revision: Revision, first: u64, limit: u32) -> Result<Vec<Vec<u8>>> {
        let frames = self.state.revisions.get(&revision).into_iter().flatten();
        Ok(frames.skip(first as usize).take(limit as usize).cloned().collect())
    }
}

#[async_trait]
impl CatalogWrite for View {
    async fn save_product(&mut self, product: &Product) -> Result<()> {
        self.edit().products.insert(product.id, product.clone());
        Ok(())
    }

    async fn delete_product(&mut self, id: ProductId, _at: Timestamp) -> Result<()> {
        self.edit().products.remove(&id);
        Ok(())
    }

    async fn save_plan(&mut self, plan: &Plan) -> Result<()> {
        self.edit().plans.insert(plan.id, plan.clone());
        Ok(())
    }

    async fn delete_plan(&mut self, id: PlanId, _at: Timestamp) -> Result<()> {
        self.edit().plans.remove(&id);
        Ok(())
    }

    async fn keep_terms(&mut self, plan: &Plan, until: Timestamp) -> Result<()> {
        let later = (plan.id, until)..=(plan.id, Timestamp(i64::MAX));
        let terms = ended(&mut self.edit().terms, later).unwrap_or_else(|| plan.clone());
        self.edit().terms.insert((plan.id, until), terms);
        Ok(())
    }

    async fn save_offer(&mut self, offer: &Offer) -> Result<()> {
        self.edit().offers.insert(offer.product_id, offer.clone());
        Ok(())
    }

    async fn delete_offer(&mut self, product: ProductId) -> Result<()> {
        self.edit().offers.remove(&product);
        Ok(())
    }

    async fn save_feature(&mut self, feature: &Feature) -> Result<()> {
        self.edit().features.insert(feature.id, feature.clone());
        Ok(())
    }

    async fn save_bundle(&mut self, bundle: &Bundle) -> Result<()> {
        self.edit().bundles.insert(bundle.id, bundle.clone());
        Ok(())
    }

    async fn save_consumer(&mut self, consumer: &Consumer) -> Result<()> {
        self.edit().consumers.insert(consumer.id, consumer.clone());
        Ok(())
    }

    async fn delete_consumer(&mut self, id: ConsumerId, _at: Timestamp) -> Result<()> {
        let state = self.edit();
        let consumer = state.consumers.remove(&id);
        state.known_at.extend(consumer.into_iter().flat_map(|gone| gone.external_ids.into_keys()));
        Ok(())
    }

    async fn save_subscriptions(&mut self, subscriptions: &[Subscription]) -> Result<()> {
        let saved = subscriptions.iter().map(|saved| (saved.id, saved.clone()));
        self.edit().subscriptions.extend(saved);
        Ok(())
    }

    async fn keep_plan_left(
        &mut self,
        id: SubscriptionId,
        plan: PlanId,
        until: Timestamp,
    ) -> Result<()> {
        let later = (id, until)..=(id, Timestamp(i64::MAX));
        let left = ended(&mut self.edit().plans_left, later).unwrap_or(plan);
        self.edit().plans_left.insert((id, until), left);
        Ok(())
    }

    async fn save_keys(&mut self, keys: &[Key]) -> Result<()> {
        self.edit().keys.extend(keys.iter().map(|key| (key.id, key.clone())));
        Ok(())
    }

    async fn save_token(&mut self, token: &Token) -> Result<()> {
        self.edit().tokens.insert(token.id, token.clone());
        Ok(())
    }

    async fn delete_token(&mut self, id: TokenId) -> Result<()> {
        self.edit().tokens.remove(&id);
        Ok(())
    }

    async fn save_destination(&mut self, registration: &Registration) -> Result<()> {
        self.edit().destinations.insert(registration.id, registration.clone());
        Ok(())
    }

    async fn save_destination_secret(
        &mut self,
        id: DestinationId,
        secret: &SecretString,
    ) -> Result<()> {
        self.edit().secrets.insert(id, secret.clone());
        Ok(())
    }

    async fn delete_destination(&mut self, id: DestinationId, _at: Timestamp) -> Result<()> {
        let state = self.edit();
        state.destinations.remove(&id);
        state.secrets.remove(&id);
        state.orders.remove(&id);
        state.repairs.remove(&id);
        Ok(())
    }

    async fn order(&mut self, destination: DestinationId, order: &Order) -> Result<()> {
        self.edit().orders.entry(destination).or_default().push(*order);
        Ok(())
    }

    async fn repair(&mut self, destination: DestinationId, order: &RepairOrder) -> Result<()> {
        self.edit().repairs.entry(destination).or_default().push(order.clone());
        Ok(())
    }

    async fn keep_answer(&mut self, actor: &str, key: &str, answer: &KeptAnswer) -> Result<()> {
        self.edit().answers.insert((actor.to_owned(), key.to_owned()), answer.clone());
        Ok(())
    }

    async fn commit(mut self: Box<Self>, record: CommitRecord) -> Result<()> {
        let state = self.edit();
        state.revisions.insert(record.revision, record.frames);
        let last = state.audit.last_key_value().and_then(|(_, link)| link.hash);
        let mut hash = last.unwrap_or(ChainHash::START);
        for (position, audited) in (0..).zip(record.audit) {
            let place = AuditPlace { revision: record.revision, position };
            hash = hash.next(place, &audited);
            let link = AuditLink { place, record: audited, hash: Some(hash) };
            state.audit.insert(place, link);
        }
        let (newest, _turn) = self.publish.take().expect("only a writer's view is committed");
        *newest.write() = Arc::clone(&self.state);
        Ok(())
    }
}
