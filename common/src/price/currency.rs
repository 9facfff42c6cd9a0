//! Currencies by ISO 4217.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Codes of ISO 4217's list one as of January 2026, by the decimal places of their minor unit. Units
/// of account that nobody pays with and has no minor unit of, such as gold, are left out.
const CODES: [(u8, &str); 4] = [
    (0, "BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX UYI VND VUV XAF XOF XPF"),
    (
        2,
        "AED AFN ALL AMD AOA ARS AUD AWG AZN BAM BBD BDT BMD BND BOB BOV BRL BSD BTN BWP BYN BZD \
         CAD CDF CHE CHF CHW CNY COP COU CRC CUP CVE CZK DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP \
         GEL GHS GIP GMD GTQ GYD HKD HNL HTG HUF IDR ILS INR IRR JMD KES KGS KHR KPW KYD KZT LAK \
         LBP LKR LRD LSL MAD MDL MGA MKD MMK MNT MOP MRU MUR MVR MWK MXN MXV MYR MZN NAD NGN NIO \
         NOK NPR NZD PAB PEN PGK PHP PKR PLN QAR RON RSD RUB SAR SBD SCR SDG SEK SGD SHP SLE SOS \
         SRD SSP STN SVC SYP SZL THB TJS TMT TOP TRY TTD TWD TZS UAH USD USN UYU UZS VED VES WST \
         XCD XCG YER ZAR ZMW ZWG",
    ),
    (3, "BHD IQD JOD KWD LYD OMR TND"),
    (4, "CLF UYW"),
];

/// A currency that is known. Written in capitals, read in any case.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct Currency {
    code: [u8; 3],
    exponent: u8,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("is not the code of a currency in ISO 4217, such as USD")]
pub struct CurrencyError;

impl Currency {
    /// The code of no currency (ISO 4217), which no price can be read in.
    pub const NONE: Self = Self { code: *b"XXX", exponent: 0 };

    /// Decimal places of the minor unit: 2 for USD, 0 for JPY.
    pub const fn exponent(self) -> u8 {
        self.exponent
    }

    pub fn code(&self) -> &str {
        str::from_utf8(&self.code).expect("a code is three letters")
    }
}

impl FromStr for Currency {
    type Err = CurrencyError;

    fn from_str(text: &str) -> Result<Self, CurrencyError> {
        let code: [u8; 3] =
            text.to_ascii_uppercase().as_bytes().try_into().map_err(|_| CurrencyError)?;
        let is_listed = |codes: &str| codes.split(' ').any(|known| known.as_bytes() == code);
        let known = CODES.iter().find(|(_, codes)| is_listed(codes));
        known.map(|(exponent, _)| Self { code, exponent: *exponent }).ok_or(CurrencyError)
    }
}

impl fmt::Display for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

impl fmt::Debug for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

impl From<Currency> for String {
    fn from(currency: Currency) -> Self {
        currency.code().to_owned()
    }
}

impl TryFrom<String> for Currency {
    type Error = CurrencyError;

    fn try_from(text: String) -> Result<Self, CurrencyError> {
        text.parse()
    }
}

/// What is owed: a whole number of minor units of a currency.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Money {
    pub minor_units: i64,
    pub currency: Currency,
}

impl Money {
    /// Whole units of the currency with its decimal places, without its code: `47.34`, `47`.
    pub fn number(&self) -> String {
        let exponent = self.currency.exponent();
        let one = 10_u64.pow(exponent.into());
        let sign = if self.minor_units < 0 { "-" } else { "" };
        let (whole, fraction) =
            (self.minor_units.unsigned_abs() / one, self.minor_units.unsigned_abs() % one);
        match exponent {
            0 => format!("{sign}{whole}"),
            digits => format!("{sign}{whole}.{fraction:0width$}", width = digits.into()),
        }
    }
}

/// As people write it: `47.34 USD`, `47 JPY`.
impl fmt::Display for Money {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.number(), self.currency)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn a_code_is_read_in_any_case_and_only_if_it_is_listed() {
        let usd: Currency = "usd".parse().unwrap();

        assert_eq!((usd.to_string().as_str(), usd.exponent()), ("USD", 2));
        for text in ["", "US", "USDX", "ABC", "XAU", "XXX", "US ", "D E", "ＵＳＤ"] {
            assert_eq!(text.parse::<Currency>(), Err(CurrencyError), "{text:?}");
        }
    }

    #[test]
    fn every_code_is_three_letters_and_there_once() {
        let codes: Vec<&str> = CODES.iter().flat_map(|(_, codes)| codes.split(' ')).collect();

        assert!(codes.iter().all(|code| code.len() == 3 && code.parse::<Currency>().is_ok()));
        assert_eq!(codes.iter().collect::<HashSet<_>>().len(), codes.len());
    }

    #[test]
    fn money_is_shown_with_the_decimal_places_of_its_currency() {
        let shown = |minor_units, code: &str| {
            Money { minor_units, currency: code.parse().unwrap() }.to_string()
        };

        assert_eq!(shown(4_734, "USD"), "47.34 USD");
        assert_eq!(shown(5, "EUR"), "0.05 EUR");
        assert_eq!(shown(-105, "EUR"), "-1.05 EUR");
        assert_eq!(shown(47, "JPY"), "47 JPY");
        assert_eq!(shown(1, "KWD"), "0.001 KWD");
        assert_eq!(shown(12_345, "CLF"), "1.2345 CLF");
        assert_eq!(shown(i64::MIN, "JPY"), "-9223372036854775808 JPY");
    }
}
