//! The contract of [`CatalogStore`]: what every implementation of it keeps.

use std::collections::BTreeMap;

use rstest::rstest;
use secrecy::{ExposeSecret, SecretString};
use tempfile::TempDir;
use tollgate_common::catalog::offer::{Behavior, ListPrice, Terms};
use tollgate_common::catalog::product::UpstreamSettings;
use tollgate_common::catalog::{
    BillingMode, Bundle, Consumer, Feature, Key, KeyDigest, Offer, OutageMode, PeriodKind, Plan,
    Product, ProductStatus, QuotaMode, Subscription, SubscriptionStatus,
};
use tollgate_common::ids::{
    BundleId, ConsumerId, DestinationId, FeatureId, PlanId, PriceId, ProductId, SubscriptionId,
    TokenId,
};
use tollgate_common::meter::Meter;
use tollgate_common::outcome::OutcomeSet;
use tollgate_common::price::{
    Aggregate, BillingScheme, Charge, Interval, Price, TierMode, UsageType,
};
use tollgate_common::route::Route;
use tollgate_common::snapshot::{KeyRules, SubscriptionRules};
use tollgate_common::time::Timestamp;
use tollgate_config::{PostgresUrl, StoreUrl};
use tollgate_test_support::postgres::Postgres;

use super::catalog::{
    AuditLink, AuditPlace, CommitRecord, KeptAnswer, Page, ProductFilter, SubscriptionFilter,
    is_full,
};
use super::query::{ROWS_AT_ONCE, query};
use super::{CatalogRead, CatalogStore, CatalogWrite, Database, MemoryCatalog, Part, SqlCatalog};
use crate::access::{Role, Token};
use crate::audit::AuditRecord;
use crate::audit::chain::ChainHash;
use crate::ledger::window::Window;
use crate::reconcile::cause::{Cause, Repair};
use crate::reconcile::figures::Slot;
use crate::reconcile::order::{Decided, RepairOrder};
use crate::sending::kind::Kind as Destination;
use crate::sending::order::{Decision, Order};
use crate::sending::registration::{Registration, Status};

/// Which implementation is held to the contract.
#[derive(Clone, Copy)]
enum Kind {
    Memory,
    Sqlite,
    Postgres,
}

struct Fixture {
    store: Box<dyn CatalogStore>,
    _directory: TempDir,
}

/// An empty database on a PostgreSQL server.
pub(crate) async fn on_a_server() -> Database {
    let url = StoreUrl::Postgres(PostgresUrl::parse(&Postgres::shared().database()).unwrap());
    Database::open(&url).await.unwrap()
}

impl Kind {
    async fn open(self) -> Fixture {
        let directory = tempfile::tempdir().unwrap();
        let store: Box<dyn CatalogStore> = match self {
            Self::Memory => Box::new(MemoryCatalog::default()),
            Self::Sqlite => {
                let path = directory.path().join("tollgate.db");
                let database = Database::open_file(&path).await.unwrap();
                Box::new(SqlCatalog::open(database).await.unwrap())
            }
            Self::Postgres => Box::new(SqlCatalog::open(on_a_server().await).await.unwrap()),
        };
        Fixture { store, _directory: directory }
    }
}

impl Fixture {
    async fn write(&self) -> Box<dyn CatalogWrite> {
        self.store.write().await.unwrap()
    }

    async fn read(&self) -> Box<dyn CatalogRead> {
        self.store.read().await.unwrap()
    }
}

const ALL_OF_IT: u32 = 1_000;

fn all<K>() -> Page<K> {
    Page { after: None, limit: ALL_OF_IT }
}

fn after<K>(place: K) -> Page<K> {
    Page { after: Some(place), limit: ALL_OF_IT }
}

fn record(revision: u64) -> CommitRecord {
    CommitRecord { revision, at: Timestamp(5), frames: vec![], audit: vec![] }
}

pub(crate) fn product(id: u8) -> Product {
    Product {
        id: ProductId::from_bytes([id; 16]),
        name: format!("p{id}"),
        title: "T\u{fc}r".into(),
        description: "a\nb".into(),
        gateway_endpoint: Some("https://api.example.com".into()),
        status: ProductStatus::Active,
        hosts: vec![format!("h{id}.example")],
        routes: vec![Route {
            method: Some("GET".into()),
            path: "/a".into(),
            cost: 0,
            units_header: None,
            body_bytes_max: Some(u64::from(u32::MAX) + 1),
        }],
        upstream: UpstreamSettings { retries: 3, ..Default::default() },
        key_query_parameter: Some("key".into()),
        body_bytes_max: Some((1 << 53) - 1),
        metadata: BTreeMap::from([("a".into(), serde_json::json!([1, null]))]),
        created_at: Timestamp(-1),
        updated_at: Timestamp(2),
    }
}

pub(crate) fn plan(id: u8, of: u8) -> Plan {
    Plan {
        id: PlanId::from_bytes([id; 16]),
        product_id: product(of).id,
        name: format!("plan {id}"),
        billing_mode: BillingMode::Metered,
        price_label: "$1".into(),
        monthly_quota: Some((1 << 53) - 1),
        rate_limit: Some(u32::MAX),
        burst: None,
        quota_mode: QuotaMode::Soft,
        period: PeriodKind::Anniversary,
        time_zone: "Europe/Berlin".into(),
        counted_outcomes: OutcomeSet::ANSWERED,
        billed_outcomes: OutcomeSet::from_iter([]),
        outage_mode: OutageMode::Open,
        prices: vec![price("0.000000000001"), price("9007199254740991")],
        created_at: Timestamp(1),
        updated_at: Timestamp(2),
    }
}

/// Amounts at both ends of what can be stored.
fn price(amount: &str) -> Price {
    Price {
        name: amount.into(),
        interval: Interval::Year,
        currency: "CLF".parse().unwrap(),
        charge: Charge::Licensed { amount: amount.parse().unwrap() },
    }
}

fn offer(of: u8) -> Offer {
    let price = ListPrice {
        id: PriceId::from_bytes([of; 16]),
        name: String::new(),
        interval: Interval::Week,
        usage_type: UsageType::Metered,
        billing_scheme: BillingScheme::Tiered,
        currency: "eur".into(),
        amount: i64::MAX,
        metered_aggregate: Aggregate::LastDuringPeriod,
        tier_mode: TierMode::Volume,
        metadata: BTreeMap::from([("a".into(), serde_json::json!({ "b": null }))]),
        created_at: Timestamp(1),
        updated_at: Timestamp(2),
    };
    let terms = Terms {
        behavior: Behavior::PerSeat,
        credit_amount: i64::MIN,
        plan_ids: vec!["any".into()],
        prices: vec![price],
        ..Default::default()
    };
    Offer { product_id: product(of).id, alias: Some(format!("Offer {of}")), terms }
}

fn feature(id: u8) -> Feature {
    Feature {
        id: FeatureId::from_bytes([id; 16]),
        name: format!("Feature {id}"),
        title: "T\u{fc}r".into(),
        product_ids: vec![product(id).id.to_string()],
        metadata: BTreeMap::from([("a".into(), serde_json::json!([1.5]))]),
        created_at: Timestamp(1),
        updated_at: Timestamp(2),
    }
}

fn bundle(id: u8) -> Bundle {
    Bundle {
        id: BundleId::from_bytes([id; 16]),
        name: format!("Bundle {id}"),
        title: "T".into(),
        description: "D".into(),
        interval: Interval::Year,
        on_start_credits: i64::MAX,
        trial_days: -1,
        metadata: BTreeMap::new(),
        created_at: Timestamp(1),
        updated_at: Timestamp(2),
    }
}

pub(crate) fn consumer(id: u8) -> Consumer {
    Consumer {
        id: ConsumerId::from_bytes([id; 16]),
        name: "Ada".into(),
        email: Some("ada@example.com".into()),
        external_ids: BTreeMap::from([("stripe".into(), "cus_1".into())]),
        created_at: Timestamp(1),
        updated_at: Timestamp(2),
    }
}

pub(crate) fn subscription(id: u8, plan_of: &Plan) -> Subscription {
    Subscription {
        id: SubscriptionId::from_bytes([id; 16]),
        consumer_id: consumer(1).id,
        product_id: plan_of.product_id,
        plan_id: plan_of.id,
        status: SubscriptionStatus::Active,
        started_at: Timestamp(3),
        canceled_at: None,
        created_at: Timestamp(3),
        updated_at: Timestamp(3),
    }
}

pub(crate) fn key(text: &str, subscription_id: SubscriptionId, created_at: i64) -> Key {
    let digest = KeyDigest::of(text.as_bytes());
    Key {
        id: digest.key_id(),
        subscription_id,
        digest,
        prefix: "tg_abcdef".into(),
        created_at: Timestamp(created_at),
        expires_at: None,
        own_expires_at: None,
        revoked_at: None,
        last_used_at: None,
    }
}

fn destination(id: u8) -> Registration {
    Registration {
        id: DestinationId::from_bytes([id; 16]),
        name: format!("d{id}"),
        kind: Destination::Lago,
        settings: BTreeMap::from([("batch".to_owned(), 5.into())]),
        meters: vec![Meter::Calls, Meter::BytesOut],
        window: Window::Day,
        starts_at: Timestamp(60_000),
        status: Status::Paused,
        pause_reason: Some("410".into()),
        has_secret: true,
        created_at: Timestamp(1),
        updated_at: Timestamp(2),
    }
}

fn audited(action: &str) -> AuditRecord {
    AuditRecord {
        at: Timestamp(9),
        actor: "bootstrap".into(),
        actor_name: "bootstrap".into(),
        request_id: "r".into(),
        action: action.into(),
        resource: "plan".into(),
        resource_id: "1".into(),
        before: None,
        after: Some("{}".into()),
    }
}

/// A product with a plan, a consumer and a subscription, committed as revision 1.
async fn furnished(kind: Kind) -> Fixture {
    let fixture = kind.open().await;
    let mut catalog = fixture.write().await;
    catalog.save_product(&product(1)).await.unwrap();
    catalog.save_plan(&plan(1, 1)).await.unwrap();
    catalog.save_consumer(&consumer(1)).await.unwrap();
    catalog.save_subscription(&subscription(1, &plan(1, 1))).await.unwrap();
    catalog.commit(record(1)).await.unwrap();
    fixture
}

#[rstest]
#[tokio::test]
async fn what_is_saved_is_read_back_whole(
    #[values(Kind::Memory, Kind::Sqlite, Kind::Postgres)] kind: Kind,
    #[values(true, false)] is_committed: bool,
) {
    let fixture = furnished(kind).await;
    let mut catalog = fixture.write().await;
    let token = Token {
        id: TokenId::from_bytes([1; 16]),
        name: "ci".into(),
        role: Role::Operator,
        digest: KeyDigest::of(b"token"),
        created_at: Timestamp(1),
        expires_at: Some(Timestamp(2)),
    };
    let key = key("a", subscription(1, &plan(1, 1)).id, 1);
    catalog.save_token(&token).await.unwrap();
    catalog.save_key(&key).await.unwrap();
    let destination = destination(1);
    catalog.save_destination(&destination).await.unwrap();

    let mut catalog: Box<dyn CatalogRead> = if is_committed {
        catalog.commit(record(2)).await.unwrap();
        fixture.read().await
    } else {
        catalog
    };

    let found = catalog.product(product(1).id).await.unwrap();
    assert_eq!(found, Some(product(1)));
    assert_eq!(catalog.product_named("p1").await.unwrap(), Some(product(1)));
    assert_eq!(catalog.product_with_host("h1.example").await.unwrap(), Some(product(1).id));
    assert_eq!(catalog.products(&ProductFilter::default(), all()).await.unwrap(), [product(1)]);
    assert_eq!(catalog.plan(plan(1, 1).id).await.unwrap(), Some(plan(1, 1)));
    assert_eq!(catalog.plan_named(product(1).id, "plan 1").await.unwrap(), Some(plan(1, 1)));
    assert_eq!(catalog.plans(None, all()).await.unwrap(), [plan(1, 1)]);
    assert_eq!(catalog.consumer(consumer(1).id).await.unwrap(), Some(consumer(1)));
    assert_eq!(catalog.consumers(None, all()).await.unwrap(), [consumer(1)]);
    let expected = subscription(1, &plan(1, 1));
    assert_eq!(catalog.subscription(expected.id).await.unwrap(), Some(expected));
    assert_eq!(catalog.key(key.id).await.unwrap(), Some(key.clone()));
    assert_eq!(catalog.keys(key.subscription_id, all()).await.unwrap(), [key]);
    assert_eq!(catalog.token(token.id).await.unwrap(), Some(token.clone()));
    assert_eq!(catalog.token_with_digest(token.digest).await.unwrap(), Some(token.clone()));
    assert_eq!(catalog.tokens(all()).await.unwrap(), [token]);
    assert_eq!(catalog.destination(destination.id).await.unwrap(), Some(destination.clone()));
    assert_eq!(catalog.destination_named("d1").await.unwrap(), Some(destination.clone()));
    assert_eq!(catalog.destinations(all()).await.unwrap(), [destination]);
}

#[rstest]
#[tokio::test]
async fn what_is_not_there_is_none(
    #[values(Kind::Memory, Kind::Sqlite, Kind::Postgres)] kind: Kind,
) {
    let fixture = kind.open().await;

    let mut catalog = fixture.read().await;

    assert_eq!(catalog.revision().await.unwrap(), 0);
    assert!(!catalog.is_known(0).await.unwrap());
    assert_eq!(catalog.product(product(1).id).await.unwrap(), None);
    assert_eq!(catalog.product_named("p1").await.unwrap(), None);
    assert_eq!(catalog.product_with_host("h1.example").await.unwrap(), None);
    assert_eq!(catalog.plan(plan(1, 1).id).await.unwrap(), None);
    assert_eq!(catalog.consumer(consumer(1).id).await.unwrap(), None);
    assert_eq!(catalog.token_with_digest(KeyDigest([0; 32])).await.unwrap(), None);
    assert_eq!(catalog.kept_answer("a", "k").await.unwrap(), None);
    assert!(catalog.audit(all()).await.unwrap().is_empty());
}

#[rstest]
#[tokio::test]
async fn what_is_not_committed_never_was(
    #[values(Kind::Memory, Kind::Sqlite, Kind::Postgres)] kind: Kind,
) {
    let fixture = furnished(kind).await;
    let mut catalog = fixture.write().await;
    catalog.save_product(&product(2)).await.unwrap();
    catalog.delete_plan(plan(1, 1).id, Timestamp(5)).await.unwrap();

    drop(catalog);

    let mut catalog = fixture.write().await;
    assert_eq!(catalog.product(product(2).id).await.unwrap(), None);
    assert_eq!(catalog.plan(plan(1, 1).id).await.unwrap(), Some(plan(1, 1)));
    assert_eq!(catalog.revision().await.unwrap(), 1);
}

#[rstest]
#[tokio::test]
async fn a_reader_sees_one_state_while_another_writes(
    #[values(Kind::Memory, Kind::Sqlite, Kind::Postgres)] kind: Kind,
) {
    let fixture = furnished(kind).await;
    let mut reader = fixture.read().await;
    assert_eq!(reader.revision().await.unwrap(), 1);

    let mut writer = fixture.write().await;
    writer.save_product(&product(2)).await.unwrap();
    writer.commit(record(2)).await.unwrap();

    assert_eq!(reader.products(&ProductFilter::default(), all()).await.unwrap().len(), 1);
    assert_eq!(reader.revision().await.unwrap(), 1);
    assert_eq!(
        fixture.read().await.products(&ProductFilter::default(), all()).await.unwrap().len(),
        2
    );
}

#[rstest]
#[tokio::test]
async fn there_is_one_writer_at_a_time(
    #[values(Kind::Memory, Kind::Sqlite, Kind::Postgres)] kind: Kind,
) {
    let fixture = furnished(kind).await;
    let first = fixture.write().await;

    let second = async {
        let mut catalog = fixture.write().await;
        catalog.revision().await.unwrap()
    };
    let (seen, ()) = tokio::join!(second, async {
        tokio::task::yield_now().await;
        first.commit(record(2)).await.unwrap();
    });

    assert_eq!(seen, 2);
}

#[rstest]
#[tokio::test]
async fn a_save_replaces_what_was_there(
    #[values(Kind::Memory, Kind::Sqlite, Kind::Postgres)] kind: Kind,
) {
    let fixture = furnished(kind).await;
    let mut catalog = fixture.write().await;
    let renamed = Product { name: "new".into(), hosts: vec!["x.example".into()], ..product(1) };
    let moved = Subscription {
        status: SubscriptionStatus::Canceled,
        canceled_at: Some(Timestamp(8)),
        ..subscription(1, &plan(1, 1))
    };
    catalog.save_product(&renamed).await.unwrap();
    catalog.save_subscription(&moved).await.unwrap();
    catalog.commit(record(2)).await.unwrap();

    let mut catalog = fixture.read().await;
    assert_eq!(catalog.product_named("p1").await.unwrap(), None);
    assert_eq!(catalog.product_named("new").await.unwrap(), Some(renamed));
    assert_eq!(catalog.product_with_host("h1.example").await.unwrap(), None);
    assert_eq!(catalog.product_with_host("x.example").await.unwrap(), Some(product(1).id));
    assert_eq!(catalog.subscription(moved.id).await.unwrap(), Some(moved));
}

#[rstest]
#[tokio::test]
async fn what_is_deleted_is_gone_and_its_names_are_free(
    #[values(Kind::Memory, Kind::Sqlite, Kind::Postgres)] kind: Kind,
) {
    let fixture = furnished(kind).await;
    let mut catalog = fixture.write().await;
    catalog.delete_plan(plan(1, 1).id, Timestamp(5)).await.unwrap();
    catalog.delete_product(product(1).id, Timestamp(5)).await.unwrap();
    catalog.delete_consumer(consumer(1).id, Timestamp(5)).await.unwrap();
    let namesake = Product { name: "p1".into(), hosts: vec!["h1.example".into()], ..product(2) };
    catalog.save_product(&namesake).await.unwrap();
    catalog.commit(record(2)).await.unwrap();

    let mut catalog = fixture.read().await;
    assert_eq!(catalog.product(product(1).id).await.unwrap(), None);
    assert_eq!(catalog.products(&ProductFilter::default(), all()).await.unwrap(), [namesake]);
    assert_eq!(catalog.plan(plan(1, 1).id).await.unwrap(), None);
    assert!(catalog.plans(None, all()).await.unwrap().is_empty());
    assert_eq!(catalog.consumer(consumer(1).id).await.unwrap(), None);
    let kept = catalog.subscription(subscription(1, &plan(1, 1)).id).await.unwrap();
    assert!(kept.is_some(), "usage names it");
}

#[rstest]
#[tokio::test]
async fn subscriptions_are_found_by_what_they_belong_to(
    #[values(Kind::Memory, Kind::Sqlite, Kind::Postgres)] kind: Kind,
) {
    let fixture = furnished(kind).await;
    let mut catalog = fixture.write().await;
    catalog.save_product(&product(2)).await.unwrap();
    catalog.save_plan(&plan(2, 2)).await.unwrap();
    let canceled =
        Subscription { status: SubscriptionStatus::Canceled, ..subscription(2, &plan(2, 2)) };
    catalog.save_subscription(&canceled).await.unwrap();
    let mut found = async |filter| {
        let found = catalog.subscriptions(filter, all()).await.unwrap();
        found.into_iter().map(|subscription| subscription.id.as_bytes()[0]).collect::<Vec<u8>>()
    };
    let any = SubscriptionFilter::default();

    assert_eq!(found(any).await, [1, 2]);
    assert_eq!(found(SubscriptionFilter { plan: Some(plan(2, 2).id), ..any }).await, [2]);
    assert_eq!(found(SubscriptionFilter { product: Some(product(1).id), ..any }).await, [1]);
    assert_eq!(found(SubscriptionFilter { consumer: Some(consumer(1).id), ..any }).await, [1, 2]);
    assert_eq!(found(SubscriptionFilter { consumer: Some(consumer(2).id), ..any }).await, [0; 0]);
    let status = Some(SubscriptionStatus::Canceled);
    assert_eq!(found(SubscriptionFilter { status, ..any }).await, [2]);
    let filter = SubscriptionFilter { status, product: Some(product(1).id), ..any };
    assert_eq!(found(filter).await, [0; 0]);
    let active = SubscriptionRules::from(&subscription(1, &plan(1, 1)));
    assert_eq!(catalog.subscriptions_in_force(all()).await.unwrap(), [active]);
    let after = Page { after: Some(active.id), limit: 1 };
    assert_eq!(catalog.subscriptions_in_force(after).await.unwrap(), []);
}

#[rstest]
#[tokio::test]
async fn pages_follow_one_another(
    #[values(Kind::Memory, Kind::Sqlite, Kind::Postgres)] kind: Kind,
) {
    let fixture = kind.open().await;
    let mut catalog = fixture.write().await;
    for id in [3, 1, 2] {
        let status = if id == 2 { ProductStatus::Draft } else { ProductStatus::Active };
        catalog.save_product(&Product { status, ..product(id) }).await.unwrap();
    }
    let mut page = async |status, after: Option<u8>, limit| {
        let after = after.map(|id| product(id).id);
        let filter = ProductFilter { status, text: None };
        let found = catalog.products(&filter, Page { after, limit }).await.unwrap();
        found.into_iter().map(|product| product.id.as_bytes()[0]).collect::<Vec<u8>>()
    };

    assert_eq!(page(None, None, 2).await, [1, 2]);
    assert_eq!(page(None, Some(2), 2).await, [3]);
    assert_eq!(page(None, Some(3), 2).await, [0; 0]);
    assert_eq!(page(Some(ProductStatus::Active), None, 5).await, [1, 3]);
}

#[rstest]
#[tokio::test]
async fn a_text_finds_what_it_is_part_of(
    #[values(Kind::Memory, Kind::Sqlite, Kind::Postgres)] kind: Kind,
) {
    let fixture = kind.open().await;
    let mut catalog = fixture.write().await;
    for (id, name, title) in [(1, "maps", "Maps of 100%"), (2, "weather", "M\u{fc}nchen")] {
        let named = Product { name: name.into(), title: title.into(), ..product(id) };
        catalog.save_product(&named).await.unwrap();
    }
    for (id, name, email) in [(1, "Ada_L", None), (2, "Bob", Some("bob@maps.example"))] {
        let email = email.map(str::to_owned);
        let named = Consumer { name: name.into(), email, ..consumer(id) };
        catalog.save_consumer(&named).await.unwrap();
    }
    let mut found = async |text: &str| {
        let filter = ProductFilter { status: None, text: Some(text.to_owned()) };
        let products = catalog.products(&filter, all()).await.unwrap();
        let consumers = catalog.consumers(Some(text), all()).await.unwrap();
        let products = products.into_iter().map(|product| product.name);
        products.chain(consumers.into_iter().map(|consumer| consumer.name)).collect::<Vec<_>>()
    };

    assert_eq!(found("MAPS").await, ["maps", "Bob"]);
    assert_eq!(found("m\u{fc}n").await, ["weather"]);
    assert_eq!(found("0%").await, ["maps"]);
    assert_eq!(found("a_l").await, ["Ada_L"]);
    assert_eq!(found("_").await, ["Ada_L"]);
    assert_eq!(found("!").await, [""; 0]);
    assert_eq!(found("'").await, [""; 0]);
}

#[rstest]
#[tokio::test]
async fn keys_are_in_the_order_of_their_making_and_only_some_are_in_force(
    #[values(Kind::Memory, Kind::Sqlite, Kind::Postgres)] kind: Kind,
) {
    let fixture = furnished(kind).await;
    let of = subscription(1, &plan(1, 1)).id;
    let mut catalog = fixture.write().await;
    let plain = key("a", of, 3);
    let own_expires_at = Some(Timestamp(900));
    let ends_later = Key { expires_at: Some(Timestamp(101)), own_expires_at, ..key("b", of, 1) };
    let ends_now = Key { expires_at: Some(Timestamp(100)), ..key("c", of, 2) };
    let revoked = Key { revoked_at: Some(Timestamp(50)), ..key("d", of, 4) };
    for key in [&plain, &ends_later, &ends_now, &revoked] {
        catalog.save_key(key).await.unwrap();
    }

    let first = catalog.keys(of, Page { after: None, limit: 3 }).await.unwrap();
    let after = Some((Timestamp(3), plain.id));
    let rest = catalog.keys(of, Page { after, limit: 3 }).await.unwrap();
    let in_force = catalog.keys_in_force(Timestamp(100), all()).await.unwrap();

    assert_eq!(first, [ends_later.clone(), ends_now, plain.clone()]);
    assert_eq!(rest, [revoked]);
    let mut expected = [plain, ends_later].map(|key| (key.id, KeyRules::from(&key)));
    expected.sort_by_key(|(id, _)| *id);
    assert_eq!(in_force, expected);
    let page = Page { after: Some(expected[0].0), limit: 1 };
    assert_eq!(catalog.keys_in_force(Timestamp(100), page).await.unwrap(), [expected[1]]);
}

#[rstest]
#[tokio::test]
async fn of_more_than_one_statement_takes_each_is_saved_and_its_keys_in_force_are_found(
    #[values(Kind::Memory, Kind::Sqlite, Kind::Postgres)] kind: Kind,
) {
    let fixture = furnished(kind).await;
    let mut catalog = fixture.write().await;
    let many: Vec<_> = (2..ROWS_AT_ONCE as u128 + 5)
        .map(|n| Subscription {
            id: SubscriptionId::from_bytes(n.to_be_bytes()),
            ..subscription(1, &plan(1, 1))
        })
        .collect();
    let (first, last) = (many[0].id, many[many.len() - 1].id);
    let mut keys: Vec<_> = many.iter().map(|of| key(&of.id.to_string(), of.id, 5)).collect();
    let older = key("older", last, 1);
    let ends_now = Key { expires_at: Some(Timestamp(100)), ..key("ends now", first, 1) };
    let revoked = Key { revoked_at: Some(Timestamp(50)), ..key("revoked", first, 1) };

    catalog.save_subscriptions(&many).await.unwrap();
    catalog.save_keys(&keys).await.unwrap();
    catalog.save_keys(&[older.clone(), ends_now, revoked]).await.unwrap();
    catalog.save_keys(&[]).await.unwrap();
    let ids: Vec<_> = many.iter().map(|of| of.id).collect();
    let in_force = catalog.keys_in_force_of(&ids, Timestamp(100)).await.unwrap();

    keys.insert(keys.len() - 1, older);
    assert_eq!(in_force, keys);
    assert_eq!(catalog.subscription(last).await.unwrap().as_ref(), many.last());
    assert_eq!(catalog.keys_in_force_of(&[], Timestamp(100)).await.unwrap(), []);
}

#[rstest]
#[tokio::test]
async fn a_plan_is_known_as_it_was_also_when_it_is_gone(
    #[values(Kind::Memory, Kind::Sqlite, Kind::Postgres)] kind: Kind,
) {
    let fixture = furnished(kind).await;
    let mut catalog = fixture.write().await;
    let (first, second) = (plan(1, 1), Plan { prices: vec![], ..plan(1, 1) });
    let before = async |catalog: &mut dyn CatalogRead, moment| {
        catalog.plan_before(first.id, Timestamp(moment)).await.unwrap()
    };

    assert_eq!(before(&mut *catalog, 10).await, Some(first.clone()));
    catalog.keep_terms(&first, Timestamp(10)).await.unwrap();
    catalog.save_plan(&second).await.unwrap();
    assert_eq!(before(&mut *catalog, 10).await, Some(first.clone()));
    assert_eq!(before(&mut *catalog, 11).await, Some(second.clone()));
    // A second edit in the same millisecond was never in force before it.
    catalog.keep_terms(&second, Timestamp(10)).await.unwrap();
    assert_eq!(before(&mut *catalog, 10).await, Some(first.clone()));
    catalog.keep_terms(&second, Timestamp(20)).await.unwrap();
    catalog.delete_plan(second.id, Timestamp(20)).await.unwrap();
    assert_eq!(before(&mut *catalog, 20).await, Some(second.clone()));
    assert_eq!(before(&mut *catalog, 21).await, Some(second));
    let other = PlanId::from_bytes([9; 16]);
    assert_eq!(catalog.plan_before(other, Timestamp(1)).await.unwrap(), None);
}

#[rstest]
#[tokio::test]
async fn what_a_clock_kept_for_too_long_ends_with_the_next_edit(
    #[values(Kind::Memory, Kind::Sqlite, Kind::Postgres)] kind: Kind,
) {
    let fixture = furnished(kind).await;
    let mut catalog = fixture.write().await;
    let named = |name: &str| Plan { price_label: name.to_owned(), ..plan(1, 1) };
    let (first, ahead, second, third) =
        (named("first"), named("ahead"), named("second"), named("third"));
    for (plan, until) in [(&first, 1_000), (&ahead, 1_001), (&second, 20)] {
        catalog.keep_terms(plan, Timestamp(until)).await.unwrap();
    }
    catalog.save_plan(&third).await.unwrap();

    for (moment, known) in [(10, &first), (20, &first), (21, &third), (1_000, &third)] {
        let then = catalog.plan_before(third.id, Timestamp(moment)).await.unwrap();
        assert_eq!(then.as_ref(), Some(known), "before {moment}");
    }
}

#[rstest]
#[tokio::test]
async fn consumers_are_known_at_destinations_by_their_names(
    #[values(Kind::Memory, Kind::Sqlite, Kind::Postgres)] kind: Kind,
) {
    let fixture = furnished(kind).await;
    let mut catalog = fixture.write().await;
    let ids = BTreeMap::from([("om_1\"".to_owned(), "\"other\":".to_owned())]);
    catalog.save_consumer(&Consumer { external_ids: ids, ..consumer(1) }).await.unwrap();

    for is_deleted in [false, true] {
        if is_deleted {
            catalog.delete_consumer(consumer(1).id, Timestamp(5)).await.unwrap();
        }
        let known = [("om_1\"", true), ("om-1\"", false), ("other", false), ("1", false)];
        for (name, is_known) in known {
            assert_eq!(catalog.is_known_at(name).await.unwrap(), is_known, "{name} {is_deleted}");
        }
    }
}

#[rstest]
#[tokio::test]
async fn the_plans_that_a_subscription_left_are_told_in_order(
    #[values(Kind::Memory, Kind::Sqlite, Kind::Postgres)] kind: Kind,
) {
    let fixture = furnished(kind).await;
    let mut catalog = fixture.write().await;
    catalog.save_plan(&plan(2, 1)).await.unwrap();
    let id = subscription(1, &plan(1, 1)).id;
    let (first, second) = (plan(1, 1).id, plan(2, 1).id);

    assert_eq!(catalog.plans_left(id).await.unwrap(), []);
    for (plan, until) in [(first, 10), (second, 10), (second, 20)] {
        catalog.keep_plan_left(id, plan, Timestamp(until)).await.unwrap();
    }

    let left = catalog.plans_left(id).await.unwrap();
    assert_eq!(left, [(Timestamp(10), first), (Timestamp(20), second)]);
    // By a clock that was ahead, and then by one that is right.
    for (plan, until) in [(first, 1_000), (second, 1_001), (first, 30)] {
        catalog.keep_plan_left(id, plan, Timestamp(until)).await.unwrap();
    }
    let left = catalog.plans_left(id).await.unwrap();
    assert_eq!(left[2..], [(Timestamp(30), first)]);
}

#[rstest]
#[tokio::test]
async fn offers_features_and_bundles_come_back_as_they_were(
    #[values(Kind::Memory, Kind::Sqlite, Kind::Postgres)] kind: Kind,
) {
    let fixture = kind.open().await;
    let mut catalog = fixture.write().await;
    for id in [1, 2] {
        catalog.save_product(&product(id)).await.unwrap();
        catalog.save_offer(&Offer { alias: None, ..offer(id) }).await.unwrap();
        catalog.save_offer(&offer(id)).await.unwrap();
        catalog.save_feature(&Feature { name: "before".into(), ..feature(id) }).await.unwrap();
        catalog.save_feature(&feature(id)).await.unwrap();
        catalog.save_bundle(&Bundle { name: "before".into(), ..bundle(id) }).await.unwrap();
        catalog.save_bundle(&bundle(id)).await.unwrap();
    }
    catalog.commit(record(1)).await.unwrap();

    let mut catalog = fixture.read().await;

    assert_eq!(catalog.offer(product(1).id).await.unwrap(), Some(offer(1)));
    assert_eq!(catalog.offer_aliased("Offer 2").await.unwrap(), Some(offer(2)));
    assert_eq!(catalog.offer_aliased("offer 2").await.unwrap(), None);
    assert_eq!(catalog.offers(Page { after: None, limit: 1 }).await.unwrap(), [offer(1)]);
    assert_eq!(catalog.offers(after(product(1).id)).await.unwrap(), [offer(2)]);
    assert_eq!(catalog.feature(feature(1).id).await.unwrap(), Some(feature(1)));
    assert_eq!(catalog.feature_named("Feature 2").await.unwrap(), Some(feature(2)));
    assert_eq!(catalog.feature_named("before").await.unwrap(), None);
    assert_eq!(catalog.features(after(feature(1).id)).await.unwrap(), [feature(2)]);
    assert_eq!(catalog.features(all()).await.unwrap().len(), 2);
    assert_eq!(catalog.bundle(bundle(1).id).await.unwrap(), Some(bundle(1)));
    assert_eq!(catalog.bundle_named("Bundle 2").await.unwrap(), Some(bundle(2)));
    assert_eq!(catalog.bundles(after(bundle(1).id)).await.unwrap(), [bundle(2)]);

    let mut catalog = fixture.write().await;
    catalog.delete_offer(product(1).id).await.unwrap();
    assert_eq!(catalog.offer(product(1).id).await.unwrap(), None);
    assert_eq!(catalog.offers(all()).await.unwrap(), [offer(2)]);
}

#[rstest]
#[tokio::test]
async fn the_audit_is_read_from_its_end(
    #[values(Kind::Memory, Kind::Sqlite, Kind::Postgres)] kind: Kind,
) {
    let fixture = kind.open().await;
    let first = CommitRecord { audit: vec![audited("a"), audited("b")], ..record(1) };
    fixture.write().await.commit(first).await.unwrap();
    let second = CommitRecord { audit: vec![audited("c")], ..record(2) };
    fixture.write().await.commit(second).await.unwrap();

    let mut catalog = fixture.read().await;
    let newest = catalog.audit(Page { after: None, limit: 2 }).await.unwrap();
    let after = Some(AuditPlace { revision: 1, position: 1 });
    let oldest = catalog.audit(Page { after, limit: 2 }).await.unwrap();

    let place = AuditPlace { revision: 1, position: 0 };
    let hash = ChainHash::START.next(place, &audited("a"));
    assert_eq!(actions(&newest), "cb");
    assert_eq!(newest[0].place, AuditPlace { revision: 2, position: 0 });
    assert_eq!(oldest, [AuditLink { place, record: audited("a"), hash: Some(hash) }]);
}

#[rstest]
#[tokio::test]
async fn a_page_of_the_audit_ends_with_what_makes_it_large(
    #[values(Kind::Memory, Kind::Sqlite, Kind::Postgres)] kind: Kind,
) {
    let fixture = kind.open().await;
    let large = |action: &str| AuditRecord { after: Some("x".repeat(3 << 20)), ..audited(action) };
    let audit = ["a", "b", "c", "d", "e"].map(large).to_vec();
    fixture.write().await.commit(CommitRecord { audit, ..record(1) }).await.unwrap();

    let mut catalog = fixture.read().await;
    let newest = catalog.audit(all()).await.unwrap();
    let oldest = catalog.audit_from_start(all()).await.unwrap();
    let next = catalog.audit_from_start(after(oldest[1].place)).await.unwrap();
    let last = catalog.audit_from_start(after(next[1].place)).await.unwrap();

    assert_eq!((actions(&newest), actions(&oldest)), ("ed".to_owned(), "ab".to_owned()));
    assert_eq!((actions(&next), actions(&last)), ("cd".to_owned(), "e".to_owned()));
    assert!(is_full(&newest) && is_full(&next) && !is_full(&last));
}

fn actions(found: &[AuditLink]) -> String {
    found.iter().map(|link| link.record.action.clone()).collect()
}

#[rstest]
#[tokio::test]
async fn the_audit_from_its_start_is_one_chain_over_all_commits(
    #[values(Kind::Memory, Kind::Sqlite, Kind::Postgres)] kind: Kind,
) {
    let fixture = kind.open().await;
    for (revision, names) in [(1, vec!["a", "b"]), (2, vec![]), (3, vec!["c"])] {
        let audit = names.into_iter().map(audited).collect();
        let commit = CommitRecord { audit, ..record(revision) };
        fixture.write().await.commit(commit).await.unwrap();
    }

    let mut catalog = fixture.read().await;
    let first = catalog.audit_from_start(Page { after: None, limit: 2 }).await.unwrap();
    let after = Some(first[1].place);
    let rest = catalog.audit_from_start(Page { after, limit: 2 }).await.unwrap();

    assert_eq!((actions(&first).as_str(), actions(&rest).as_str()), ("ab", "c"));
    let mut hash = ChainHash::START;
    for link in first.iter().chain(&rest) {
        hash = hash.next(link.place, &link.record);
        assert_eq!(link.hash, Some(hash));
    }
}

#[rstest]
#[tokio::test]
async fn commits_and_their_frames_are_kept_in_order(
    #[values(Kind::Memory, Kind::Sqlite, Kind::Postgres)] kind: Kind,
) {
    let fixture = kind.open().await;
    for (revision, frames) in [(10, vec![b"a".to_vec(), b"b".to_vec()]), (20, vec![]), (25, vec![])]
    {
        let record = CommitRecord { frames, ..record(revision) };
        fixture.write().await.commit(record).await.unwrap();
    }

    let mut catalog = fixture.read().await;
    let after = catalog.revisions_after(0, 2).await.unwrap();

    assert_eq!(catalog.revision().await.unwrap(), 25);
    let after: Vec<(u64, u64)> =
        after.iter().map(|commit| (commit.revision, commit.entries)).collect();
    assert_eq!(after, [(10, 2), (20, 0)]);
    assert_eq!(catalog.frames(10, 0, 10).await.unwrap(), [b"a", b"b"]);
    assert_eq!(catalog.frames(10, 1, 10).await.unwrap(), [b"b"]);
    assert_eq!(catalog.frames(10, 0, 1).await.unwrap(), [b"a"]);
    assert!(catalog.is_known(20).await.unwrap());
    assert!(!catalog.is_known(15).await.unwrap());
}

#[rstest]
#[tokio::test]
async fn answers_are_kept_until_they_are_old(
    #[values(Kind::Memory, Kind::Sqlite, Kind::Postgres)] kind: Kind,
) {
    let fixture = kind.open().await;
    let mut catalog = fixture.write().await;
    let answer = |at| KeptAnswer {
        request_digest: [7; 32],
        status: 201,
        location: Some("/x".into()),
        body: "{}".into(),
        at: Timestamp(at),
    };
    catalog.keep_answer("a", "k", &answer(1)).await.unwrap();
    catalog.keep_answer("a", "k", &answer(100)).await.unwrap();
    for at in [10, 20, 30] {
        let old = KeptAnswer { location: None, ..answer(at) };
        catalog.keep_answer("b", &at.to_string(), &old).await.unwrap();
    }
    assert_eq!(catalog.kept_answer("a", "k").await.unwrap(), Some(answer(100)));
    catalog.commit(record(1)).await.unwrap();

    let store = &fixture.store;
    assert_eq!(store.forget_answers(Timestamp(100), 2).await.unwrap(), 2);
    assert_eq!(store.forget_answers(Timestamp(100), 2).await.unwrap(), 1);
    assert_eq!(store.forget_answers(Timestamp(100), 2).await.unwrap(), 0);

    let mut catalog = fixture.read().await;
    assert_eq!(catalog.kept_answer("a", "k").await.unwrap(), Some(answer(100)));
    assert_eq!(catalog.kept_answer("b", "30").await.unwrap(), None);
    assert_eq!(catalog.revision().await.unwrap(), 1, "nothing that gateways must know");
}

/// Only what is on a disk can come from another version of the program or grow without end.
mod on_disk {
    use tollgate_common::snapshot::wire;

    use super::*;

    #[tokio::test]
    async fn frames_of_another_form_are_forgotten() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("tollgate.db");
        let database = Database::open_file(&path).await.unwrap();
        let store = SqlCatalog::open(database.clone()).await.unwrap();
        store.write().await.unwrap().commit(record(1)).await.unwrap();
        let mut transaction = database.write(Part::Catalog).await.unwrap();
        query("UPDATE catalog_state SET frames_format = $1")
            .bind(wire::FORMAT + 1)
            .execute(&mut transaction)
            .await
            .unwrap();
        transaction.commit().await.unwrap();

        let store = SqlCatalog::open(database).await.unwrap();

        let mut catalog = store.read().await.unwrap();
        assert_eq!(catalog.revision().await.unwrap(), 1);
        assert!(!catalog.is_known(1).await.unwrap());
    }

    #[tokio::test]
    async fn old_frames_are_cut_off_by_size() {
        let directory = tempfile::tempdir().unwrap();
        let database = Database::open_file(&directory.path().join("tollgate.db")).await.unwrap();
        let store = SqlCatalog::open(database).await.unwrap();
        for revision in 1..=3 {
            let frames = vec![b"x".to_vec(); 50_000];
            let record = CommitRecord { frames, ..record(revision) };
            store.write().await.unwrap().commit(record).await.unwrap();
        }

        let mut catalog = store.read().await.unwrap();

        let known = [
            catalog.is_known(1).await.unwrap(),
            catalog.is_known(2).await.unwrap(),
            catalog.is_known(3).await.unwrap(),
        ];
        assert_eq!(known, [false, true, true]);
        assert!(catalog.frames(1, 0, 1).await.unwrap().is_empty());
    }
}

#[rstest]
#[tokio::test]
async fn a_destination_takes_its_secret_and_orders_along_and_leaves_its_name(
    #[values(Kind::Memory, Kind::Sqlite, Kind::Postgres)] kind: Kind,
) {
    let fixture = kind.open().await;
    let mut catalog = fixture.write().await;
    let (id, secret) = (destination(1).id, |text: &str| SecretString::from(text));
    let order = |delivery| Order { delivery, decision: Decision::Resend, ordered_at: Timestamp(3) };
    let repair = |repair| RepairOrder {
        subscription: SubscriptionId::from_bytes([1; 16]),
        plan: PlanId::from_bytes([2; 16]),
        meter: Meter::Units,
        window_start: Timestamp(3_600_000),
        cause: Cause::MissingAtDestination,
        repair,
        quantity: -3,
        acknowledged: 5,
        note: Some("seen".to_owned()),
        ordered_at: Timestamp(4),
    };
    catalog.save_destination(&destination(1)).await.unwrap();
    catalog.save_destination_secret(id, &secret("first")).await.unwrap();
    catalog.save_destination_secret(id, &secret("second")).await.unwrap();
    catalog.order(id, &order(Some(7))).await.unwrap();
    catalog.order(id, &order(None)).await.unwrap();
    catalog.repair(id, &repair(Repair::Accept)).await.unwrap();
    catalog.repair(id, &repair(Repair::Resend)).await.unwrap();

    let kept = catalog.destination_secret(id).await.unwrap().unwrap();
    assert_eq!(kept.expose_secret(), "second");
    assert_eq!(catalog.orders(id).await.unwrap(), [order(Some(7)), order(None)]);
    let repairs = catalog.repairs(id).await.unwrap();
    assert_eq!(repairs, [Repair::Accept, Repair::Resend].map(repair));
    let slot = repair(Repair::Accept).slot();
    let other = Slot { meter: Meter::Calls, ..slot };
    let decided = Decided { orders: 2, is_open: true };
    assert_eq!(catalog.decided(id, slot).await.unwrap(), decided);
    assert_eq!(catalog.decided(id, other).await.unwrap(), Decided::default());
    catalog.delete_destination(id, Timestamp(5)).await.unwrap();
    assert_eq!(catalog.destination(id).await.unwrap(), None);
    assert_eq!(catalog.destination_named("d1").await.unwrap(), None);
    assert!(catalog.destinations(all()).await.unwrap().is_empty());
    assert!(catalog.destination_secret(id).await.unwrap().is_none());
    assert_eq!(catalog.orders(id).await.unwrap(), []);
    assert_eq!(catalog.repairs(id).await.unwrap(), []);
    let namesake = Registration { name: "d1".into(), ..destination(2) };
    catalog.save_destination(&namesake).await.unwrap();
    assert_eq!(catalog.destination_named("d1").await.unwrap(), Some(namesake));
}
