//! The words of the catalog's enums, for the API's description. The enums themselves are in the
//! common vocabulary, which knows nothing of descriptions; a test holds the two together.

use serde::Serialize;
use utoipa::ToSchema;

macro_rules! words {
    ($($(#[$doc:meta])* $name:ident { $($word:ident),* $(,)? })*) => {
        $(
            $(#[$doc])*
            #[derive(Clone, Copy, Serialize, ToSchema)]
            #[serde(rename_all = "snake_case")]
            pub enum $name { $($word),* }

            #[cfg(test)]
            impl $name {
                fn all() -> Vec<serde_json::Value> {
                    [$(Self::$word),*].iter().map(|word| serde_json::json!(word)).collect()
                }
            }
        )*
    };
}

words! {
    ProductStatus { Draft, Active }
    BillingMode { Free, Fixed, Metered }
    QuotaMode { Hard, Soft }
    PeriodKind { CalendarMonth, Anniversary }
    OutageMode { Strict, Share, Open }
    SubscriptionStatus { Active, Canceled }
    Outcome { Success, ClientError, ServerError, Aborted, UpstreamFailed }
    Balance { RoundRobin, Random, Consistent }
    UpstreamProtocol { Auto, Http1, Http2 }
    Interval { Day, Week, Month, Year }
    UsageType { Licensed, Metered }
    BillingScheme { Flat, Tiered }
    TierMode { Graduated, Volume }
    MeteredAggregate { Sum, Max, LastDuringPeriod }
    Meter { Calls, Units, BytesIn, BytesOut }
    DestinationWindow { Minute, Hour, Day }
}

#[cfg(test)]
mod tests {
    use serde::de::DeserializeOwned;
    use tollgate_common::catalog::{self, product};
    use tollgate_common::{meter, price};

    use super::*;
    use crate::ledger::window::Window;

    fn same<T: DeserializeOwned + Serialize>(words: Vec<serde_json::Value>) {
        for word in words {
            let value: T = serde_json::from_value(word.clone()).unwrap();
            assert_eq!(serde_json::json!(value), word);
        }
    }

    #[test]
    fn the_words_are_those_of_the_vocabulary() {
        same::<catalog::ProductStatus>(ProductStatus::all());
        same::<catalog::BillingMode>(BillingMode::all());
        same::<catalog::QuotaMode>(QuotaMode::all());
        same::<catalog::PeriodKind>(PeriodKind::all());
        same::<catalog::OutageMode>(OutageMode::all());
        same::<catalog::SubscriptionStatus>(SubscriptionStatus::all());
        same::<tollgate_common::outcome::Outcome>(Outcome::all());
        same::<product::Balance>(Balance::all());
        same::<product::UpstreamProtocol>(UpstreamProtocol::all());
        same::<price::Interval>(Interval::all());
        same::<price::UsageType>(UsageType::all());
        same::<price::BillingScheme>(BillingScheme::all());
        same::<price::TierMode>(TierMode::all());
        same::<price::Aggregate>(MeteredAggregate::all());
        same::<meter::Meter>(Meter::all());
        for word in DestinationWindow::all() {
            assert_eq!(Window::from_label(word.as_str().unwrap()).unwrap().label(), word);
        }
    }
}
