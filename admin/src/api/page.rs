//! Lists, page by page.
//!
//! A cursor is the place of the last item of a page, not a count, so a page never shows an item
//! twice or leaves one out when others come or go. Its text is base64url and means nothing to a
//! client; a letter in front tells the cursors of different lists apart.

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use data_encoding::BASE64URL_NOPAD;
use serde::Serialize;
use tollgate_common::ids::KeyId;
use tollgate_common::time::Timestamp;
use utoipa::{IntoParams, ToSchema};

use crate::json::Text;
use crate::problem::{FieldError, Problem};
use crate::store::catalog::{AuditPlace, Page};

pub const LIMIT_DEFAULT: u32 = 50;

/// A page of this many products with all their routes stays within some megabytes.
pub const LIMIT_MAX: u32 = 500;

/// Mistakes that one answer names, as of a body.
const ERRORS_MAX: usize = 100;

/// The query parameters of every list, as the API's description shows them.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "its fields describe parameters that Params reads")]
pub struct Paging {
    /// Items on a page.
    #[param(minimum = 1, maximum = 500, default = 50)]
    limit: Option<u32>,
    /// `next` of the page before.
    after: Option<String>,
}

/// A page of a list.
#[derive(Serialize, ToSchema)]
pub struct List<T> {
    pub items: Vec<T>,
    /// Goes into `after` for the next page; null on the last one.
    pub next: Option<String>,
}

/// The place of an item in its list.
pub trait Cursor: Copy {
    /// Tells the cursors of different lists apart.
    const LETTER: u8;
    fn to_bytes(self) -> Vec<u8>;
    fn of_bytes(bytes: &[u8]) -> Option<Self>;
}

/// The query of a request, taken parameter by parameter.
pub struct Params {
    pairs: Vec<(String, String)>,
    errors: Vec<FieldError>,
}

impl Params {
    /// Whether a parameter that was not taken yet is there.
    pub fn has(&self, name: &str) -> bool {
        self.pairs.iter().any(|(known, _)| known == name)
    }

    /// The text of a parameter, by the rule for texts of bodies: what holds a NUL is cut there by
    /// SQLite and refused by PostgreSQL.
    pub fn take(&mut self, name: &str) -> Option<String> {
        let position = self.pairs.iter().position(|(known, _)| known == name)?;
        let (_, value) = self.pairs.remove(position);
        if self.pairs.iter().any(|(known, _)| known == name) {
            self.pairs.retain(|(known, _)| known != name);
            self.reject(name, "is there twice");
        }
        if let Err(message) = Text::ANY.check(&value) {
            self.reject(name, &message);
            return None;
        }
        Some(value)
    }

    pub fn parsed<T>(
        &mut self,
        name: &str,
        message: &str,
        parse: impl FnOnce(&str) -> Option<T>,
    ) -> Option<T> {
        let text = self.take(name)?;
        let parsed = parse(&text);
        if parsed.is_none() {
            self.reject(name, message);
        }
        parsed
    }

    /// An id that a list is filtered by.
    pub fn id<I: std::str::FromStr>(&mut self, name: &str) -> Option<I> {
        self.parsed(name, "must be an id", |text| text.parse().ok())
    }

    /// Which part of the list is asked for.
    pub fn page<K: Cursor>(&mut self) -> Page<K> {
        let message = format!("must be a whole number from 1 to {LIMIT_MAX}");
        let limit = self.parsed("limit", &message, |text| {
            text.parse().ok().filter(|limit| (1..=LIMIT_MAX).contains(limit))
        });
        let after = self.parsed("after", "is no cursor of this list", parse_cursor);
        Page { after, limit: limit.unwrap_or(LIMIT_DEFAULT) }
    }

    /// Says all that is wrong, unknown parameters included: one that is misspelled would otherwise
    /// show a list that is not the one that was meant.
    pub fn finish(mut self) -> Result<(), Problem> {
        let unknown = self.pairs.iter().take(ERRORS_MAX);
        let unknown: Vec<String> = unknown.map(|(name, _)| name.clone()).collect();
        for name in unknown {
            self.reject(&name, "is not a known parameter");
        }
        if self.errors.is_empty() { Ok(()) } else { Err(Problem::fields(self.errors)) }
    }

    pub fn reject(&mut self, name: &str, message: &str) {
        const SHOWN_MAX: usize = 64;
        if self.errors.len() >= ERRORS_MAX {
            return;
        }
        let field = name.chars().filter(|c| !c.is_control()).take(SHOWN_MAX).collect();
        self.errors.push(FieldError { field, message: message.to_owned() });
    }
}

impl<S: Sync> FromRequestParts<S> for Params {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let query = parts.uri.query().unwrap_or("");
        let pairs = url::form_urlencoded::parse(query.as_bytes()).into_owned().collect();
        Ok(Self { pairs, errors: Vec::new() })
    }
}

/// Asks the store for one item more than the page holds, to know whether there is a next one.
pub fn one_more<K>(page: Page<K>) -> Page<K> {
    Page { limit: page.limit + 1, ..page }
}

impl<T> List<T> {
    /// Makes a page of what the store gave for [`one_more`].
    pub fn of<I, K: Cursor>(
        mut items: Vec<I>,
        limit: u32,
        place: impl Fn(&I) -> K,
        view: impl Fn(I) -> T,
    ) -> Self {
        let has_more = items.len() > limit as usize;
        items.truncate(limit as usize);
        Self::part(items, has_more, place, view)
    }

    /// Makes a page of items after which there are more, or none.
    pub fn part<I, K: Cursor>(
        items: Vec<I>,
        has_more: bool,
        place: impl Fn(&I) -> K,
        view: impl Fn(I) -> T,
    ) -> Self {
        let last = items.last().filter(|_| has_more);
        let next = last.map(|item| cursor_text(place(item)));
        Self { items: items.into_iter().map(view).collect(), next }
    }
}

pub fn cursor_text<K: Cursor>(place: K) -> String {
    let mut bytes = vec![K::LETTER];
    bytes.extend(place.to_bytes());
    BASE64URL_NOPAD.encode(&bytes)
}

fn parse_cursor<K: Cursor>(text: &str) -> Option<K> {
    let bytes = BASE64URL_NOPAD.decode(text.as_bytes()).ok()?;
    match bytes.split_first() {
        Some((letter, place)) if *letter == K::LETTER => K::of_bytes(place),
        _ => None,
    }
}

macro_rules! id_cursor {
    ($($name:ident: $letter:literal),* $(,)?) => {
        $(impl Cursor for tollgate_common::ids::$name {
            const LETTER: u8 = $letter;

            fn to_bytes(self) -> Vec<u8> {
                self.as_bytes().to_vec()
            }

            fn of_bytes(bytes: &[u8]) -> Option<Self> {
                bytes.try_into().ok().map(Self::from_bytes)
            }
        })*
    };
}

id_cursor!(
    ProductId: b'p',
    PlanId: b'l',
    ConsumerId: b'c',
    SubscriptionId: b's',
    TokenId: b't',
    DestinationId: b'd',
    NodeId: b'g',
);

impl Cursor for (Timestamp, KeyId) {
    const LETTER: u8 = b'k';

    fn to_bytes(self) -> Vec<u8> {
        [&self.0.0.to_be_bytes()[..], self.1.as_bytes()].concat()
    }

    fn of_bytes(bytes: &[u8]) -> Option<Self> {
        let (time, id) = bytes.split_first_chunk()?;
        let id = KeyId::from_bytes(id.try_into().ok()?);
        Some((Timestamp(i64::from_be_bytes(*time)), id))
    }
}

/// The number of a delivery.
impl Cursor for i64 {
    const LETTER: u8 = b'n';

    fn to_bytes(self) -> Vec<u8> {
        self.to_be_bytes().to_vec()
    }

    fn of_bytes(bytes: &[u8]) -> Option<Self> {
        bytes.try_into().ok().map(Self::from_be_bytes)
    }
}

impl Cursor for AuditPlace {
    const LETTER: u8 = b'a';

    fn to_bytes(self) -> Vec<u8> {
        [self.revision.to_be_bytes(), self.position.to_be_bytes()].concat()
    }

    fn of_bytes(bytes: &[u8]) -> Option<Self> {
        let (revision, position) = bytes.split_first_chunk()?;
        Some(Self {
            revision: u64::from_be_bytes(*revision),
            position: u64::from_be_bytes(position.try_into().ok()?),
        })
    }
}

#[cfg(test)]
mod tests {
    use tollgate_common::ids::{PlanId, ProductId};

    use super::*;

    #[test]
    fn a_cursor_leads_back_to_its_place_and_to_no_other_list() {
        let place = ProductId::from_bytes([7; 16]);

        let text = cursor_text(place);

        assert_eq!(parse_cursor(&text), Some(place));
        assert_eq!(parse_cursor::<PlanId>(&text), None);
        for bad in ["", "x", "cA", "!!!!", &text[1..]] {
            assert_eq!(parse_cursor::<ProductId>(bad), None);
        }
    }
}
