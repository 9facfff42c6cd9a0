//! Whoever looks at a page: signed in, and allowed to.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{FromRequest, FromRequestParts, OriginalUri, Request};
use axum::http::request::Parts;
use axum::http::{HeaderMap, Method, header};
use jiff::civil::Date;
use jiff::tz::TimeZone;
use secrecy::{ExposeSecret, SecretString};
use tollgate_common::catalog::KeyDigest;
use tollgate_common::time::Timestamp;

use super::Console;
use super::form::Form;
use super::stop::Stop;
use crate::access::session::{self, Session, Standing};
use crate::access::{Action, Caller, authenticate};
use crate::api::body;
use crate::problem::{Code, Problem};
use crate::request::{Peer, RequestId};
use crate::store::sessions;

/// The names of the cookie: over TLS one that no neighbouring host can set (RFC 6265bis).
pub const COOKIE_SECURE: &str = "__Host-tollgate";
pub const COOKIE_PLAIN: &str = "tollgate";

/// The field of a form that shows where it came from.
pub const PROOF: &str = "proof";

pub struct Visitor {
    pub(super) console: Arc<Console>,
    pub(super) caller: Caller,
    pub(super) request: RequestId,
    session_text: SecretString,
    is_vouched_for: bool,
}

impl Visitor {
    pub fn name(&self) -> &str {
        self.caller.name()
    }

    /// For the forms of a page.
    pub fn proof(&self) -> String {
        session::form_proof(self.session_text.expose_secret())
    }

    pub fn now(&self) -> Timestamp {
        self.console.control.now()
    }

    /// The day that it is, in UTC.
    pub fn today(&self) -> Date {
        let now = jiff::Timestamp::from_millisecond(self.now().0).unwrap_or_default();
        now.to_zoned(TimeZone::UTC).date()
    }

    /// A key for a form that makes something, so that sending it twice makes it once.
    pub fn once(&self) -> String {
        self.console.control.request_ids.next(self.now()).to_string()
    }

    pub fn session_digest(&self) -> KeyDigest {
        KeyDigest::of(self.session_text.expose_secret().as_bytes())
    }

    /// Whether a provider says who it is, and not a token.
    pub const fn is_vouched_for(&self) -> bool {
        self.is_vouched_for
    }

    /// Whoever is signed in, whatever their role opens.
    async fn signed_in(parts: &Parts, console: &Arc<Console>) -> Result<Self, Stop> {
        let back = || Stop::SignIn(sign_in_path(parts));
        let peer = *parts.extensions.get::<Peer>().expect("every request comes from somewhere");
        let Some(text) = cookie(&parts.headers, is_secure(peer, &parts.headers)) else {
            return Err(back());
        };
        let digest = KeyDigest::of(text.as_bytes());
        let control = &console.control;
        let session = sessions::find(&control.database, digest, control.now()).await;
        let Some(session) = session.map_err(Problem::from)? else {
            return Err(back());
        };
        let Some(caller) = caller(console, &session).await? else {
            return Err(back());
        };
        let request = parts.extensions.get::<RequestId>().copied();
        Ok(Self {
            console: Arc::clone(console),
            caller,
            request: request.expect("the frame around every request gives it an id"),
            session_text: text.into(),
            is_vouched_for: matches!(session.standing, Standing::Provider { .. }),
        })
    }
}

impl FromRequestParts<Arc<Console>> for Visitor {
    type Rejection = Stop;

    async fn from_request_parts(parts: &mut Parts, console: &Arc<Console>) -> Result<Self, Stop> {
        let visitor = Self::signed_in(parts, console).await?;
        if visitor.caller.may(Action::UseConsole) {
            return Ok(visitor);
        }
        let proof = visitor.proof();
        Err(Stop::Denied { caller: visitor.caller, proof })
    }
}

/// Who a session is for now; None when what it stands on has ended.
pub async fn caller(console: &Console, session: &Session) -> Result<Option<Caller>, Problem> {
    match &session.standing {
        Standing::Token(digest) => {
            match authenticate::caller_with(&console.control, *digest).await {
                Ok(caller) => Ok(Some(caller)),
                Err(problem) if problem.code == Code::TokenInvalid => Ok(None),
                Err(problem) => Err(problem),
            }
        }
        Standing::Provider { voucher, subject, role } => {
            // Who vouched may no longer be asked.
            let is_asked =
                console.openid.as_ref().is_some_and(|openid| openid.voucher() == *voucher);
            Ok(is_asked.then(|| Caller::of_provider(subject, session.name.clone(), *role)))
        }
    }
}

/// The page to sign in, which leads back to where the visitor wanted to go.
fn sign_in_path(parts: &Parts) -> String {
    // What a form would have done is not done later, by surprise.
    if parts.method != Method::GET {
        return "/dashboard/sign-in".to_owned();
    }
    // Inside of a nested table of URLs, a request's own has lost its beginning.
    let uri = parts.extensions.get::<OriginalUri>().map_or(&parts.uri, |uri| &uri.0);
    let wanted = uri.path_and_query().map_or("", |wanted| wanted.as_str());
    let query =
        url::form_urlencoded::Serializer::new(String::new()).append_pair("next", wanted).finish();
    format!("/dashboard/sign-in?{query}")
}

/// The session's text, where a browser sent one. A neighbouring host can set the plain name, so it
/// counts only where there can be no other.
fn cookie(headers: &HeaderMap, is_secure: bool) -> Option<String> {
    cookie_named(headers, COOKIE_SECURE)
        .or_else(|| cookie_named(headers, COOKIE_PLAIN).filter(|_| !is_secure))
}

/// What a browser sent under a name.
pub fn cookie_named(headers: &HeaderMap, wanted: &str) -> Option<String> {
    let cookies = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
    let pairs = cookies.flat_map(|cookies| cookies.split(';'));
    let mut found = pairs.filter_map(|pair| pair.trim().split_once('='));
    found.find(|(name, _)| *name == wanted).map(|(_, text)| text.to_owned())
}

/// Whether the browser speaks TLS, to us or to whoever stands before us. Whoever lies about that gets
/// a cookie that its browser sends less often.
pub fn is_secure(peer: Peer, headers: &HeaderMap) -> bool {
    peer.is_secure || headers.get("x-forwarded-proto").is_some_and(|scheme| scheme == "https")
}

/// A form that a visitor sent from a page of ours.
pub struct Sent {
    pub visitor: Visitor,
    pub form: Form,
}

impl FromRequest<Arc<Console>> for Sent {
    type Rejection = Stop;

    async fn from_request(request: Request<Body>, console: &Arc<Console>) -> Result<Self, Stop> {
        let (mut parts, content) = request.into_parts();
        let visitor = Visitor::from_request_parts(&mut parts, console).await?;
        Self::read(visitor, &parts.headers, content).await
    }
}

impl Sent {
    async fn read(visitor: Visitor, headers: &HeaderMap, content: Body) -> Result<Self, Stop> {
        if is_from_elsewhere(headers) {
            return Err(Stop::Forged);
        }
        let form = read(content, &visitor.console).await?;
        if !session::is_proof(visitor.session_text.expose_secret(), form.text(PROOF)) {
            return Err(Stop::Forged);
        }
        Ok(Self { visitor, form })
    }
}

/// Somebody who sent the form to sign out, which is open to whoever is signed in.
pub struct Leaving(pub Visitor);

impl FromRequest<Arc<Console>> for Leaving {
    type Rejection = Stop;

    async fn from_request(request: Request<Body>, console: &Arc<Console>) -> Result<Self, Stop> {
        let (parts, content) = request.into_parts();
        let visitor = Visitor::signed_in(&parts, console).await?;
        let sent = Sent::read(visitor, &parts.headers, content).await?;
        Ok(Self(sent.visitor))
    }
}

async fn read(content: Body, console: &Console) -> Result<Form, Problem> {
    let bytes = body::read(content, console.control.options.body_bytes_max).await?;
    Ok(Form::parse(&bytes))
}

/// Whether a browser says that a form of another site was sent (Fetch Metadata, and Origin where a
/// browser does not know that).
pub fn is_from_elsewhere(headers: &HeaderMap) -> bool {
    let value = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    if let Some(site) = value("sec-fetch-site") {
        return !matches!(site, "same-origin" | "none");
    }
    let Some(origin) = value("origin") else { return false };
    let host = origin.split_once("://").map(|(_, host)| host);
    host != value("host")
}
