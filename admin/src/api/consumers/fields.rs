//! What an owner may say of a consumer.

use std::collections::BTreeMap;

use crate::change::ConsumerFields;
use crate::json::{Fields, Object, Text};
use crate::problem::Problem;

/// What is seen but not set.
pub const READ_ONLY: [&str; 3] = ["id", "created_at", "updated_at"];

const NAME: Text = Text::line(1, 200);

/// Longest path of mail (RFC 5321, section 4.5.3.1.3), without its angle brackets.
const EMAIL_LENGTH_MAX: usize = 254;
const EXTERNAL_IDS_MAX: usize = 32;
const EXTERNAL_NAME_LENGTH_MAX: usize = 63;
const EXTERNAL_ID: Text = Text::line(1, 255);

/// Reads a whole consumer.
pub fn read(object: Object) -> Result<ConsumerFields, Problem> {
    let mut fields = Fields::new(object);
    fields.refuse_read_only(&READ_ONLY);
    let consumer = ConsumerFields {
        name: fields.text_required("name", NAME),
        email: fields.parsed_optional("email", parse_email),
        external_ids: read_external_ids(&mut fields),
    };
    fields.finish()?;
    Ok(consumer)
}

/// Something, an at sign, something with neither spaces nor a second one. Whether mail arrives
/// there only mail can tell.
fn parse_email(text: &str) -> Result<String, String> {
    let is_plausible = |part: &str| {
        !part.is_empty()
            && !part.contains(|c: char| c.is_whitespace() || "@<>()[],;:\\\"".contains(c))
    };
    let is_address = text.len() <= EMAIL_LENGTH_MAX
        && text
            .split_once('@')
            .is_some_and(|(name, host)| is_plausible(name) && is_plausible(host));
    if is_address { Ok(text.to_owned()) } else { Err("must be an email address".to_owned()) }
}

fn read_external_ids(fields: &mut Fields) -> BTreeMap<String, String> {
    let ids = fields.texts_defaulted("external_ids", EXTERNAL_NAME_LENGTH_MAX, EXTERNAL_ID);
    let ids = ids.unwrap_or_default();
    if ids.len() > EXTERNAL_IDS_MAX {
        fields.reject("external_ids", format!("must have at most {EXTERNAL_IDS_MAX} members"));
    }
    ids
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_email_address_has_one_at_sign_and_no_spaces() {
        for good in ["a@b", "ada.lovelace+x@mail.example.com", "\u{fc}@example.com"] {
            assert!(parse_email(good).is_ok(), "{good}");
        }
        for bad in ["", "a", "a@", "@b", "a b@c", "a@b@c", "a@b\r\nBcc: c@d", "A <a@b>"] {
            assert!(parse_email(bad).is_err(), "{bad}");
        }
    }
}
