//! What every core of a gateway shares.

use std::sync::Arc;

use tollgate_common::time::Clock;

use crate::counters::Counters;
use crate::journal::Journal;
use crate::metrics::Metrics;
use crate::report::refusals::Refusals;
use crate::server::Flood;
use crate::settings::Settings;
use crate::snapshot::catalog::Catalog;

pub struct Gateway {
    pub settings: Settings,
    pub catalog: Arc<Catalog>,
    pub counters: Box<dyn Counters>,
    pub journal: Arc<Journal>,
    pub refusals: Arc<Refusals>,
    pub flood: Flood,
    pub metrics: Arc<Metrics>,
    pub clock: Box<dyn Clock>,
}
