//! A small OpenID Connect provider with a key of its own, which does as the standard says: a code is
//! good once, for the client, the URL and the verifier that it was asked for with.
//!
//! Whoever is sent to it is signed in at once, as the claims say that a test has set. What it says of
//! them is a test's to change, since most of what matters is what must not be believed.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use data_encoding::{BASE64, BASE64URL_NOPAD};
use http::{Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinHandle, JoinSet};
use url::form_urlencoded;

pub const CLIENT_ID: &str = "tollgate";
pub const CLIENT_SECRET: &str = "client-secret-of-the-tests";

type Fields = HashMap<String, String>;

/// What a test decides about.
pub struct Behaviour {
    /// Claims of the next ID token beside or instead of the usual ones; null leaves one out.
    pub claims: Value,
    /// Signs ID tokens with a key that is not published, under the name of the one that is.
    pub is_foreign: bool,
    /// Answers everything with 503.
    pub is_away: bool,
    /// Says where people sign out.
    pub has_sign_out: bool,
    /// Sends browsers back with this error.
    pub error: Option<&'static str>,
}

struct State {
    issuer: String,
    behaviour: Behaviour,
    key: Key,
    /// What each code was asked for with.
    codes: HashMap<String, Fields>,
}

/// The server. It ends when it is dropped.
pub struct Provider {
    pub address: SocketAddr,
    state: Arc<Mutex<State>>,
    server: JoinHandle<()>,
}

impl Provider {
    pub async fn start() -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a free port");
        let address = listener.local_addr().expect("it is bound");
        let behaviour = Behaviour {
            claims: json!({}),
            is_foreign: false,
            is_away: false,
            has_sign_out: true,
            error: None,
        };
        let (issuer, key, codes) = (format!("http://{address}"), Key::fresh(1), HashMap::new());
        let state = Arc::new(Mutex::new(State { issuer, behaviour, key, codes }));
        let server = tokio::spawn(serve(listener, Arc::clone(&state)));
        Self { address, state, server }
    }

    pub fn issuer(&self) -> String {
        format!("http://{}", self.address)
    }

    pub fn set(&self, change: impl FnOnce(&mut Behaviour)) {
        change(&mut lock(&self.state).behaviour);
    }

    /// Publishes and uses another key from now on.
    pub fn rotate_key(&self) {
        let mut state = lock(&self.state);
        state.key = Key::fresh(state.key.number + 1);
    }

    /// Publishes and uses another key under the name of the one before.
    pub fn replace_key(&self) {
        let mut state = lock(&self.state);
        state.key = Key::fresh(state.key.number);
    }
}

impl Drop for Provider {
    fn drop(&mut self) {
        self.server.abort();
    }
}

struct Key {
    number: u32,
    pair: EcdsaKeyPair,
}

impl Key {
    fn fresh(number: u32) -> Self {
        let (algorithm, random) = (&ECDSA_P256_SHA256_FIXED_SIGNING, SystemRandom::new());
        let document = EcdsaKeyPair::generate_pkcs8(algorithm, &random)
            .expect("the system gives random bytes");
        let pair = EcdsaKeyPair::from_pkcs8(algorithm, document.as_ref(), &random);
        Self { number, pair: pair.expect("it was written a moment ago") }
    }

    fn published(&self) -> Value {
        let (x, y) = self.pair.public_key().as_ref()[1..].split_at(32);
        json!({
            "kty": "EC", "crv": "P-256", "use": "sig", "alg": "ES256", "kid": self.number.to_string(),
            "x": BASE64URL_NOPAD.encode(x), "y": BASE64URL_NOPAD.encode(y),
        })
    }

    fn sign(&self, claims: &Value) -> String {
        let header = json!({ "alg": "ES256", "kid": self.number.to_string() });
        let encoded = |part: &Value| BASE64URL_NOPAD.encode(part.to_string().as_bytes());
        let signed = format!("{}.{}", encoded(&header), encoded(claims));
        let signature = self.pair.sign(&SystemRandom::new(), signed.as_bytes());
        let signature = signature.expect("the system gives random bytes");
        format!("{signed}.{}", BASE64URL_NOPAD.encode(signature.as_ref()))
    }
}

impl State {
    fn answer(&mut self, request: &Request<Bytes>) -> Response<Full<Bytes>> {
        if self.behaviour.is_away {
            return json_answer(StatusCode::SERVICE_UNAVAILABLE, &json!({}));
        }
        match (request.method(), request.uri().path()) {
            (&Method::GET, "/.well-known/openid-configuration") => {
                json_answer(StatusCode::OK, &self.document())
            }
            (&Method::GET, "/keys") => {
                json_answer(StatusCode::OK, &json!({ "keys": [self.key.published()] }))
            }
            (&Method::GET, "/authorize") => {
                self.authorize(fields(request.uri().query().unwrap_or_default().as_bytes()))
            }
            (&Method::GET, "/logout") => {
                let asked = fields(request.uri().query().unwrap_or_default().as_bytes());
                let is_client = asked.get("client_id").is_some_and(|client| client == CLIENT_ID);
                let status = if is_client { StatusCode::OK } else { StatusCode::BAD_REQUEST };
                json_answer(status, &json!({}))
            }
            (&Method::POST, "/token") => {
                let authorization = request.headers().get("authorization");
                let is_client = authorization.is_some_and(|value| *value == *credentials());
                match self.redeem(&fields(request.body())) {
                    Some(token) if is_client => {
                        let tokens = json!({
                            "access_token": "none", "token_type": "Bearer", "id_token": token,
                        });
                        json_answer(StatusCode::OK, &tokens)
                    }
                    _ => json_answer(StatusCode::BAD_REQUEST, &json!({ "error": "invalid_grant" })),
                }
            }
            _ => json_answer(StatusCode::NOT_FOUND, &json!({})),
        }
    }

    fn document(&self) -> Value {
        let issuer = &self.issuer;
        let mut document = json!({
            "issuer": issuer,
            "authorization_endpoint": format!("{issuer}/authorize"),
            "token_endpoint": format!("{issuer}/token"),
            "jwks_uri": format!("{issuer}/keys"),
            "response_types_supported": ["code"],
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": ["ES256"],
        });
        if self.behaviour.has_sign_out {
            document["end_session_endpoint"] = format!("{issuer}/logout").into();
        }
        document
    }

    fn authorize(&mut self, asked: Fields) -> Response<Full<Bytes>> {
        let is_whole = asked["response_type"] == "code"
            && asked["client_id"] == CLIENT_ID
            && asked["code_challenge_method"] == "S256"
            && asked["scope"].split(' ').any(|scope| scope == "openid");
        if !is_whole {
            return json_answer(StatusCode::BAD_REQUEST, &json!({ "error": "invalid_request" }));
        }
        let code = format!("code-{}", self.codes.len());
        let mut back = url::Url::parse(&asked["redirect_uri"]).expect("a URL to come back to");
        back.query_pairs_mut().append_pair("state", &asked["state"]);
        let (name, value) = match self.behaviour.error {
            Some(error) => ("error", error),
            None => ("code", code.as_str()),
        };
        back.query_pairs_mut().append_pair(name, value);
        self.codes.insert(code, asked);
        let response = Response::builder().status(StatusCode::FOUND);
        let response = response.header("location", back.as_str());
        response.body(Full::default()).expect("a URL fits into a header")
    }

    fn redeem(&mut self, shown: &Fields) -> Option<String> {
        let asked = self.codes.get_mut(shown.get("code")?)?;
        let challenge = BASE64URL_NOPAD.encode(&Sha256::digest(shown.get("code_verifier")?));
        let is_asked_for = shown.get("grant_type")? == "authorization_code"
            && shown.get("redirect_uri") == asked.get("redirect_uri")
            && asked.remove("code_challenge")? == challenge;
        if !is_asked_for {
            return None;
        }
        let since = SystemTime::now().duration_since(UNIX_EPOCH).expect("it is later than 1970");
        let mut claims = json!({
            "iss": self.issuer, "sub": "248289761001", "aud": CLIENT_ID, "nonce": asked["nonce"],
            "iat": since.as_secs(), "exp": since.as_secs() + 300, "name": "Ada Lovelace",
        });
        for (name, value) in self.behaviour.claims.as_object().into_iter().flatten() {
            claims[name] = value.clone();
        }
        claims.as_object_mut().expect("claims have names").retain(|_, value| !value.is_null());
        let foreign = Key::fresh(self.key.number);
        let key = if self.behaviour.is_foreign { &foreign } else { &self.key };
        Some(key.sign(&claims))
    }
}

fn credentials() -> String {
    format!("Basic {}", BASE64.encode(format!("{CLIENT_ID}:{CLIENT_SECRET}").as_bytes()))
}

fn fields(form: &[u8]) -> Fields {
    form_urlencoded::parse(form).into_owned().collect()
}

fn json_answer(status: StatusCode, body: &Value) -> Response<Full<Bytes>> {
    let response = Response::builder().status(status).header("content-type", "application/json");
    response.body(Full::new(body.to_string().into())).expect("these are a status and a header")
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().expect("no holder panics")
}

async fn serve(listener: TcpListener, state: Arc<Mutex<State>>) {
    let mut connections = JoinSet::new();
    while let Ok((socket, _)) = listener.accept().await {
        connections.spawn(connection(socket, Arc::clone(&state)));
        while connections.try_join_next().is_some() {}
    }
}

async fn connection(socket: TcpStream, state: Arc<Mutex<State>>) {
    let service = service_fn(move |request: Request<Incoming>| {
        let state = Arc::clone(&state);
        async move {
            let (head, body) = request.into_parts();
            let request = Request::from_parts(head, body.collect().await?.to_bytes());
            Ok::<_, hyper::Error>(lock(&state).answer(&request))
        }
    });
    // A client that goes away breaks its connections off.
    let _ = http1::Builder::new().serve_connection(TokioIo::new(socket), service).await;
}
