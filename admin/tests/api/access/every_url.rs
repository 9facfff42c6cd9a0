//! Every URL, asked with every kind of credential: what came of it is `docs/access.md`.

use std::fmt::Write;
use std::fs;
use std::path::Path;

use jiff::{SignedDuration, Timestamp};
use reqwest::redirect::Policy;
use reqwest::{Client, Method, RequestBuilder, Response};
use serde_json::{Value, json};
use tollgate_admin::access::Role;
use tollgate_admin::router::{Part, Url, table, urls};
use uuid::Uuid;

use crate::console::{Browser, with};
use crate::support::{Admin, NODE};

const HEAD: &str = "\
# Who may ask what

Every URL of the admin port with what each caller is answered. `yes`: let in, whatever comes of it then; `401`: not known;
`403`: known, and not allowed; `sign in`: led to the page where one does.

`none` has no token, `wrong` one that nobody has been given, `expired` one that was good until a moment ago; `gateway` is the
node token. A token is sent as `Authorization: Bearer`, at the console as the session that one signed in to with it, and to
sign in it is what is typed into the form.

This page is made from the tables of URLs and from real answers by `admin/tests/api/access/every_url.rs`, which fails where it is
out of date and writes it anew.
";

/// What whoever comes without a token may ask. None of it says anything of this installation.
const OPEN: [&str; 8] = [
    "GET /",
    "GET /dashboard",
    "GET /dashboard/admin",
    "GET /dashboard/assets/{file}",
    "GET /dashboard/sign-in",
    "GET /dashboard/sign-in/openid",
    "GET /dashboard/sign-in/openid/callback",
    "GET /api/v1/openapi.json",
];

/// Whoever calls, with a session of the same standing.
struct Credential {
    name: &'static str,
    token: Option<String>,
    /// The cookie of a session that has seen better days; all others sign in when they need one.
    cookie: Option<String>,
}

impl Credential {
    fn token(name: &'static str, token: &str) -> Self {
        Self { name, token: Some(token.to_owned()), cookie: None }
    }

    /// A token that has expired, and a session that was begun before.
    async fn expired(admin: &Admin) -> Self {
        let at = Timestamp::now() + SignedDuration::from_secs(1);
        let body = json!({ "name": "old", "role": "platform_owner", "expires_at": at.to_string() });
        let made = admin.post("/api/v1/tokens", body).await.expect(201);
        let token = made["token"].as_str().unwrap().to_owned();
        let cookie = Browser::signed_in(admin, &token).await.cookie;
        while admin.call_as(&token, Method::GET, "/api/v1/products").send().await.status == 200 {
            tokio::task::yield_now().await;
        }
        Self { name: "expired", token: Some(token), cookie: Some(cookie) }
    }

    async fn all(admin: &Admin) -> Vec<Self> {
        let mut all = vec![
            Self { name: "none", token: None, cookie: None },
            Self::token("wrong", "tga_wrong"),
            Self::expired(admin).await,
        ];
        for role in Role::ALL {
            all.push(Self::token(role.word(), &admin.token(role.word()).await));
        }
        all.push(Self::token("gateway", NODE));
        all
    }

    /// A request of this caller.
    async fn request(&self, admin: &Admin, client: &Client, url: &Url) -> RequestBuilder {
        let id = Uuid::nil().to_string();
        let segments = url.path.split('/');
        let segments = segments.map(|segment| if segment.starts_with('{') { &id } else { segment });
        let path = segments.collect::<Vec<_>>().join("/");
        let request = client.request(url.method.clone(), format!("http://{}{path}", admin.address()));
        if url.part == Part::Console {
            return self.page_request(admin, request, url).await;
        }
        let request = request.json(&body(url));
        match &self.token {
            Some(token) => request.bearer_auth(token),
            None => request,
        }
    }

    async fn page_request(&self, admin: &Admin, request: RequestBuilder, url: &Url) -> RequestBuilder {
        if url.path == "/dashboard/sign-in" && url.method == Method::POST {
            return with(request, &[("token", self.token.as_deref().unwrap_or(""))]);
        }
        let Some(token) = &self.token else { return request };
        let mut browser = Browser::new(admin);
        browser.cookie = match &self.cookie {
            Some(cookie) => cookie.clone(),
            None if Role::ALL.iter().any(|role| role.word() == self.name) => {
                Browser::signed_in(admin, token).await.cookie
            }
            None => format!("tollgate={token}"),
        };
        let proof = browser.get("/dashboard/admin/apis/new").await.hidden("proof");
        let request = request.header("cookie", &browser.cookie);
        if url.method == Method::POST { with(request, &[("proof", &proof)]) } else { request }
    }
}

/// What passes Frontier's rules of form, which come before the door there; elsewhere nothing, so
/// that whoever is let in changes nothing.
fn body(url: &Url) -> Value {
    if url.part != Part::Frontier {
        return json!({});
    }
    if url.path.ends_with("/check") {
        return json!({ "feature": "any" });
    }
    if url.path.contains("/plans") {
        let products = json!([{ "name": "abc", "prices": [{ "interval": "month" }] }]);
        return json!({ "body": { "name": "abc", "interval": "month", "products": products } });
    }
    json!({ "body": { "name": "abc" } })
}

async fn outcome(response: Response, line: &str) -> &'static str {
    let status = response.status().as_u16();
    let to = response.headers().get("location").map_or("", |to| to.to_str().unwrap());
    // Frontier has a path without a deed, which answers 501.
    let is_served = status < 500 && status != 405 || status == 501;
    assert!(is_served, "{line} is answered with {status}");
    match status {
        303 if to.starts_with("/dashboard/sign-in") => "sign in",
        401 => "401",
        403 => {
            let text = response.text().await.unwrap();
            assert!(!text.contains("out of date"), "{line} needs a form of its page");
            "403"
        }
        _ => "yes",
    }
}

fn title(part: Part) -> &'static str {
    match part {
        Part::Api => "The API",
        Part::Frontier => "Frontier's product API",
        Part::Console => "The console",
        Part::Gateways => "What gateways ask",
        Part::Description => "The API's description",
    }
}

#[tokio::test]
async fn the_page_says_what_each_caller_is_answered_at_each_url() {
    let admin = Admin::start().await;
    let client = Client::builder().no_proxy().redirect(Policy::none()).build().unwrap();
    let credentials = Credential::all(&admin).await;
    let mut page = HEAD.to_owned();
    let mut open = Vec::new();

    let mut part = None;
    for url in urls() {
        if part.replace(url.part) != Some(url.part) {
            let names: Vec<_> = credentials.iter().map(|credential| credential.name).collect();
            write!(page, "\n## {}\n\n| URL | {} |\n", title(url.part), names.join(" | ")).unwrap();
            writeln!(page, "|---|{}", "---|".repeat(names.len())).unwrap();
        }
        let line = format!("{} {}", url.method, url.path);
        let mut outcomes = Vec::new();
        for credential in &credentials {
            let request = credential.request(&admin, &client, &url).await;
            // What is asked here is who is let in, and not how often one may ask.
            admin.forgive_guesses();
            outcomes.push(outcome(request.send().await.unwrap(), &line).await);
        }
        if outcomes[0] == "yes" {
            open.push(line.clone());
        }
        writeln!(page, "| `{line}` | {} |", outcomes.join(" | ")).unwrap();
    }

    assert_eq!(open, OPEN);
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/access.md");
    if fs::read_to_string(&path).unwrap_or_default() != page {
        fs::write(&path, page).unwrap();
        panic!("{} was out of date and is written anew: read what has changed", path.display());
    }
}

/// The page is what is so; this is what was meant.
#[test]
fn the_page_says_of_the_api_what_the_table_says() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/access.md");
    let page = fs::read_to_string(path).unwrap();

    for route in table() {
        let marks = Role::ALL.map(|role| if role.may(route.action) { "yes" } else { "403" });
        let line = format!(
            "| `{} {}` | 401 | 401 | 401 | {} | 401 |",
            route.method,
            route.path,
            marks.join(" | ")
        );
        assert!(page.contains(&line), "{line}");
    }
}

/// So that no URL is answered that is not in the list.
#[test]
fn routes_are_made_from_the_tables_alone() {
    let mut left = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join("src")];
    let mut found = Vec::new();
    while let Some(path) = left.pop() {
        if path.is_dir() {
            left.extend(fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
        } else if fs::read_to_string(&path).unwrap().contains(".route(") {
            found.push(path.file_name().unwrap().to_owned());
        }
    }
    assert_eq!(found, ["line.rs"]);
}
