//! Who calls. Frontier looks at a request's form and rules first, so a handler asks after both, and not
//! before. It is looked up before the body is read all the same: of whoever is not known little is read.

use std::sync::Arc;

use axum::extract::{FromRequest, Request};
use axum::http::{HeaderMap, header};
use bytes::Bytes;
use data_encoding::BASE64;
use tollgate_common::catalog::KeyDigest;

use crate::access::authenticate::{admit, authenticate, forbidden, unknown};
use crate::access::{Action, Caller};
use crate::api::body;
use crate::control::Control;
use crate::problem::{Code, Problem};
use crate::request::{Peer, RequestId};

/// A request, read whole, before it is asked who sent it.
pub struct Visit {
    caller: Result<Caller, Problem>,
    pub body: Bytes,
    pub id: RequestId,
}

impl FromRequest<Arc<Control>> for Visit {
    type Rejection = Problem;

    async fn from_request(request: Request, control: &Arc<Control>) -> Result<Self, Problem> {
        let peer = Peer::of(&request);
        let id = request.extensions().get::<RequestId>().copied();
        let caller = caller(control, peer, request.headers()).await;
        let content = request.into_body();
        let body = match &caller {
            Ok(_) => body::read(content, control.options.body_bytes_max).await?,
            Err(unknown) => {
                let body = body::read_of_stranger(content, control, peer.address).await;
                // Form and rules come first as far as they are read.
                let is_long = |problem: &Problem| problem.code == Code::ContentTooLarge;
                body.map_err(|problem| if is_long(&problem) { unknown.clone() } else { problem })?
            }
        };
        Ok(Self { caller, body, id: id.expect("the frame gives every request an id") })
    }
}

impl Visit {
    /// Lets in who may do `action`.
    pub fn admit(&self, action: Action) -> Result<Caller, Problem> {
        let caller = self.caller.clone()?;
        if caller.may(action) { Ok(caller) } else { Err(forbidden(&caller)) }
    }
}

async fn caller(control: &Control, peer: Peer, headers: &HeaderMap) -> Result<Caller, Problem> {
    match basic(headers) {
        Some(credentials) => client(control, peer, credentials?).await,
        None => authenticate(control, peer, headers).await,
    }
}

/// A client's secret is a token; its id is the token's id or name.
async fn client(
    control: &Control,
    peer: Peer,
    Credentials { id, secret }: Credentials,
) -> Result<Caller, Problem> {
    let digest = KeyDigest::of(secret.as_bytes());
    let caller = admit(control, peer.address, digest).await?;
    let is_it = id == caller.actor() || id == caller.name();
    if is_it { Ok(caller) } else { Err(unknown()) }
}

struct Credentials {
    id: String,
    secret: String,
}

/// The credentials of a request that has them in the form of RFC 7617.
fn basic(headers: &HeaderMap) -> Option<Result<Credentials, Problem>> {
    let mut values = headers.get_all(header::AUTHORIZATION).iter();
    let (Some(value), None) = (values.next(), values.next()) else {
        return None;
    };
    let (scheme, encoded) = value.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("basic").then(|| decoded(encoded).ok_or_else(unknown))
}

fn decoded(encoded: &str) -> Option<Credentials> {
    let text = String::from_utf8(BASE64.decode(encoded.trim().as_bytes()).ok()?).ok()?;
    let (id, secret) = text.split_once(':')?;
    Some(Credentials { id: id.to_owned(), secret: secret.to_owned() })
}
