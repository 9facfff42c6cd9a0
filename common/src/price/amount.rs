//! Amounts of money as owners state them.
//!
//! A price may be far below the smallest coin, so an amount is a decimal number of minor units, kept
//! as a whole number of its last decimal place. No step goes through a float.

use std::fmt;
use std::str::FromStr;

use serde::de::{Deserializer, Error, Visitor};
use serde::{Deserialize, Serialize, Serializer};

/// Decimal places of a minor unit: enough for a millionth of a cent on a million bytes.
pub const AMOUNT_DIGITS: usize = 12;

/// One minor unit.
pub(crate) const AMOUNT_ONE: i128 = 10_i128.pow(AMOUNT_DIGITS as u32);

/// The largest amount, in minor units, is the largest whole number that every JSON reader takes for
/// itself (RFC 8259, section 6).
pub const AMOUNT_MAX: u64 = (1 << 53) - 1;

/// A number of minor units, such as cents, from zero to [`AMOUNT_MAX`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Amount(i128);

/// Why something is not an amount.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AmountError {
    #[error(
        "must be a whole number of minor units, or a decimal number in a string such as \"0.05\""
    )]
    Form,
    #[error("must have at most {AMOUNT_DIGITS} decimal places")]
    Digits,
    #[error("must be at most {AMOUNT_MAX}")]
    Large,
}

impl Amount {
    pub const ZERO: Self = Self(0);

    pub fn of_minor_units(units: u64) -> Result<Self, AmountError> {
        match units {
            0..=AMOUNT_MAX => Ok(Self(i128::from(units) * AMOUNT_ONE)),
            _ => Err(AmountError::Large),
        }
    }

    /// Units of the last decimal place.
    pub(crate) const fn scaled(self) -> i128 {
        self.0
    }

    /// The whole number that it is, if it is one.
    fn whole(self) -> Option<u64> {
        let is_whole = self.0 % AMOUNT_ONE == 0;
        is_whole.then(|| (self.0 / AMOUNT_ONE).try_into().expect("an amount is within AMOUNT_MAX"))
    }
}

/// Digits, and perhaps a point with digits after it.
impl FromStr for Amount {
    type Err = AmountError;

    fn from_str(text: &str) -> Result<Self, AmountError> {
        let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
        let is_number = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
        if !is_number(whole) || !is_number(fraction) {
            return Err(AmountError::Form);
        }
        if fraction.len() > AMOUNT_DIGITS {
            return Err(AmountError::Digits);
        }
        let whole: u64 = whole.parse().map_err(|_| AmountError::Large)?;
        let fraction: i128 = format!("{fraction:0<AMOUNT_DIGITS$}").parse().expect("12 digits");
        let amount = Self(i128::from(whole) * AMOUNT_ONE + fraction);
        if amount.0 > i128::from(AMOUNT_MAX) * AMOUNT_ONE {
            return Err(AmountError::Large);
        }
        Ok(amount)
    }
}

/// The shortest text that reads as the same amount.
impl fmt::Display for Amount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (whole, fraction) = (self.0 / AMOUNT_ONE, self.0 % AMOUNT_ONE);
        if fraction == 0 {
            return write!(f, "{whole}");
        }
        let fraction = format!("{fraction:0AMOUNT_DIGITS$}");
        write!(f, "{whole}.{}", fraction.trim_end_matches('0'))
    }
}

/// A JSON number where it is whole, and a string where it is not: a reader of JSON may turn a number
/// with a point into a float.
impl Serialize for Amount {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.whole() {
            Some(whole) => serializer.serialize_u64(whole),
            None => serializer.collect_str(self),
        }
    }
}

impl<'de> Deserialize<'de> for Amount {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(AmountVisitor)
    }
}

struct AmountVisitor;

impl Visitor<'_> for AmountVisitor {
    type Value = Amount;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a number of minor units")
    }

    fn visit_u64<E: Error>(self, units: u64) -> Result<Amount, E> {
        Amount::of_minor_units(units).map_err(E::custom)
    }

    fn visit_i64<E: Error>(self, units: i64) -> Result<Amount, E> {
        u64::try_from(units)
            .map_err(|_| E::custom(AmountError::Form))
            .and_then(|u| self.visit_u64(u))
    }

    fn visit_f64<E: Error>(self, _: f64) -> Result<Amount, E> {
        Err(E::custom(AmountError::Form))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Amount, E> {
        text.parse().map_err(E::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_amount_is_shown_as_it_was_written_without_what_adds_nothing() {
        let shown = |text: &str| text.parse::<Amount>().map(|amount| amount.to_string());

        assert_eq!(shown("445.56"), Ok("445.56".to_owned()));
        assert_eq!(shown("007.50"), Ok("7.5".to_owned()));
        assert_eq!(shown("0.000000000001"), Ok("0.000000000001".to_owned()));
        assert_eq!(shown("9007199254740991"), Ok("9007199254740991".to_owned()));
    }

    #[test]
    fn what_has_no_one_exact_reading_is_no_amount() {
        for text in
            ["", ".", "1.", ".5", "-1", "+1", "1e3", "1,5", "1.5.0", "١", " 1", "0x1", "NaN"]
        {
            assert_eq!(text.parse::<Amount>(), Err(AmountError::Form), "{text:?}");
        }
        assert_eq!("0.0000000000001".parse::<Amount>(), Err(AmountError::Digits));
        for text in ["9007199254740991.1", "9007199254740992", "99999999999999999999999"] {
            assert_eq!(text.parse::<Amount>(), Err(AmountError::Large), "{text}");
        }
    }

    #[test]
    fn json_holds_whole_amounts_as_numbers_and_others_as_text_and_never_a_float() {
        let read = |json: &str| serde_json::from_str::<Amount>(json);

        assert_eq!(serde_json::to_string(&read("\"4900.0\"").unwrap()).unwrap(), "4900");
        assert_eq!(serde_json::to_string(&read("\"0.05\"").unwrap()).unwrap(), "\"0.05\"");
        assert_eq!(read("4900").unwrap(), "4900".parse().unwrap());
        for json in ["0.05", "4900.0", "-1", "9007199254740992", "null", "true"] {
            assert!(read(json).is_err(), "{json}");
        }
    }

    proptest::proptest! {
        #[test]
        fn text_and_json_lead_back_to_the_amount(scaled in 0..=i128::from(AMOUNT_MAX) * AMOUNT_ONE) {
            let amount = Amount(scaled);

            let json = serde_json::to_string(&amount).unwrap();

            proptest::prop_assert_eq!(amount.to_string().parse(), Ok(amount));
            proptest::prop_assert_eq!(serde_json::from_str::<Amount>(&json).unwrap(), amount);
        }
    }
}
