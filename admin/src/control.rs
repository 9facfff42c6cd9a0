//! What every request can reach.

use std::sync::Arc;

use axum::http::HeaderValue;
use secrecy::ExposeSecret;
use tokio_util::sync::CancellationToken;
use tollgate_common::catalog::KeyDigest;
use tollgate_common::connections::Slots;
use tollgate_common::time::{Clock, Timestamp};

use crate::access::Caller;
use crate::access::throttle::Throttle;
use crate::change::{Change, Door};
use crate::fresh::{Ids, SystemClock};
use crate::idempotency::Answers;
use crate::ledger::Ledger;
use crate::metrics::Metrics;
use crate::nodes::Nodes;
use crate::options::AdminOptions;
use crate::problem::Problem;
use crate::replicas::Replicas;
use crate::request::RequestId;
use crate::store::{CatalogRead, CatalogStore, Database, SqlCatalog, StoreError, identity};

pub struct Control {
    pub options: AdminOptions,
    pub store: Arc<dyn CatalogStore>,
    /// What gateways know the store by.
    pub store_name: HeaderValue,
    /// For the ledger, which keeps its tables beside the catalog's.
    pub database: Database,
    pub ledger: Arc<Ledger>,
    pub door: Door,
    pub nodes: Nodes,
    pub replicas: Replicas,
    pub answers: Answers,
    pub metrics: Metrics,
    pub clock: Arc<dyn Clock>,
    pub request_ids: Ids,
    pub bootstrap_digest: Option<KeyDigest>,
    pub node_digest: Option<KeyDigest>,
    /// Whoever comes with unknown tokens, to the API or the console.
    pub throttle: Throttle,
    /// Whatever comes with unknown node tokens: a gateway that is set up wrongly keeps nobody out.
    pub node_throttle: Throttle,
    /// Requests whose body is read before it is known who sent it. There are no more of them than
    /// connections, though one connection may bring a hundred.
    pub strangers: Arc<Slots>,
    /// Set when the control plane stops: endless answers end.
    pub stopping: CancellationToken,
}

impl Control {
    pub async fn open(
        options: AdminOptions,
        metrics: Metrics,
        stopping: CancellationToken,
    ) -> Result<Self, StoreError> {
        let database = Database::open(&options.store).await?;
        let store: Arc<dyn CatalogStore> = Arc::new(SqlCatalog::open(database.clone()).await?);
        let store_name = HeaderValue::try_from(identity::of(&database).await?)
            .expect("a store is named in hexadecimal");
        let clock: Arc<dyn Clock> = Arc::new(SystemClock::default());
        let ledger = Arc::new(Ledger::open(database.clone(), options.retention).await?);
        let door = Door::open(Arc::clone(&store), Arc::clone(&clock)).await?;
        let digest =
            |token: &secrecy::SecretString| KeyDigest::of(token.expose_secret().as_bytes());
        let strangers_max = options.connections_max;
        // As with connections, one address leaves room for others.
        let strangers = Slots::new(strangers_max, strangers_max.div_ceil(2), Vec::new());
        Ok(Self {
            bootstrap_digest: options.bootstrap_token.as_ref().map(digest),
            node_digest: options.node_token.as_ref().map(digest),
            throttle: Throttle::default(),
            node_throttle: Throttle::default(),
            strangers: Arc::new(strangers),
            options,
            store,
            store_name,
            database,
            ledger,
            door,
            nodes: Nodes::default(),
            replicas: Replicas::default(),
            answers: Answers::default(),
            metrics,
            clock,
            request_ids: Ids::default(),
            stopping,
        })
    }

    pub fn now(&self) -> Timestamp {
        self.clock.now().wall
    }

    /// A view of one state of the catalog.
    pub async fn catalog(&self) -> Result<Box<dyn CatalogRead>, Problem> {
        Ok(self.store.read().await?)
    }

    /// Begins a change.
    pub async fn change(&self, caller: &Caller, request: &RequestId) -> Result<Change, Problem> {
        self.door.begin(caller, &request.to_string()).await
    }
}
