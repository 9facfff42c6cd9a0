//! What the demo says to its visitor.

use std::fmt;
use std::path::PathBuf;

use reqwest::Url;

use super::shop::Shop;

pub struct Guide {
    pub shop: Shop,
    pub proxy: Url,
    pub admin: Url,
    pub metrics: Url,
    pub token: String,
    pub data_dir: PathBuf,
}

impl fmt::Display for Guide {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { shop, proxy, admin, metrics, token, data_dir } = self;
        let Shop { product, subscription, key, calls_per_minute } = shop;
        let too_many = calls_per_minute + 3;
        let data_dir = data_dir.display();
        write!(
            f,
            "
Tollgate is running, and sells the product `{product}` in three plans: free, fixed and metered.

  its owner's console: {admin}dashboard/admin/apis
  and API:             {admin}api/docs
  with the token:      {token}

Call the product as a consumer of the plan `free`:

  curl -i -H 'X-API-Key: {key}' {proxy}{product}/forecast

Then try:

  # more than the {calls_per_minute} calls a minute of the plan
  for i in $(seq {too_many}); do curl -s -o /dev/null -w '%{{http_code}}\\n' -H 'X-API-Key: {key}' {proxy}{product}/; done

  # what the consumer has left
  curl -s -H 'X-API-Key: {key}' {proxy}.tollgate/usage

  # what the owner sees of it
  curl -s -H 'Authorization: Bearer {token}' '{admin}api/v1/usage?subscription_id={subscription}'

  # what Prometheus reads
  curl -s {metrics}metrics | grep '^tollgate_'

Ctrl-C ends the demo and removes {data_dir}.
"
        )
    }
}
