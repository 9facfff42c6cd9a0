//! Signing in with a provider, as a browser does it.

use reqwest::header::HeaderMap;
use secrecy::SecretString;
use serde_json::{Value, json};
use tollgate_admin::access::Role;
use tollgate_admin::openid::{OpenIdOptions, RoleRules};
use tollgate_config::settings::OpenIdSettings;
use tollgate_test_support::openid::{CLIENT_ID, CLIENT_SECRET, Provider};

use super::*;

const CALLBACK_PATH: &str = OpenIdSettings::CALLBACK_PATH;
const USAGE: &str = "/dashboard/admin/usage";

fn options(issuer: &str) -> OpenIdOptions {
    let values = [("owners", Role::PlatformOwner), ("staff", Role::Operator)];
    OpenIdOptions {
        issuer: issuer.parse().unwrap(),
        client_id: CLIENT_ID.to_owned(),
        client_secret: Some(SecretString::from(CLIENT_SECRET)),
        redirect_url: format!("http://console.example{CALLBACK_PATH}").parse().unwrap(),
        scopes: vec!["groups".to_owned()],
        roles: RoleRules {
            claim: "groups".to_owned(),
            values: values.map(|(value, role)| (value.to_owned(), role)).to_vec(),
        },
    }
}

/// A provider that signs in an owner, and a console that knows it.
async fn start() -> (Provider, Admin) {
    let provider = Provider::start().await;
    provider.set(|behaviour| behaviour.claims = json!({ "groups": ["owners"] }));
    let issuer = provider.issuer();
    let admin = Admin::start_with(|admin| admin.openid = Some(options(&issuer))).await;
    (provider, admin)
}

fn header(headers: &HeaderMap, name: &str) -> String {
    headers.get(name).map_or("", |value| value.to_str().unwrap()).to_owned()
}

/// The value of a cookie that an answer sets, with what is said about it.
fn cookie(headers: &HeaderMap, name: &str) -> String {
    let cookies = headers.get_all("set-cookie").iter().map(|value| value.to_str().unwrap());
    let found = cookies.filter(|cookie| cookie.starts_with(&format!("{name}=")));
    found.map(str::to_owned).collect()
}

fn first_part(cookie: &str) -> String {
    cookie.split(';').next().unwrap().to_owned()
}

impl Browser<'_> {
    async fn answer(&self, path: &str) -> Response {
        let request = self.client.get(self.url(path)).header("cookie", &self.cookie);
        request.send().await.unwrap()
    }

    /// Goes to the provider, keeps the cookie, and says where the provider sends it back to.
    async fn leave(&mut self) -> String {
        let left = self.answer(&format!("/dashboard/sign-in/openid?next={USAGE}")).await;
        assert_eq!(left.status(), StatusCode::SEE_OTHER, "{}", left.text().await.unwrap());
        let kept = cookie(left.headers(), "tollgate-sign-in");
        assert!(kept.contains("HttpOnly") && kept.contains("SameSite=Lax"), "{kept}");
        self.cookie = first_part(&kept);
        let to = header(left.headers(), "location");
        let back = self.client.get(to).send().await.unwrap();
        let back = header(back.headers(), "location");
        back.strip_prefix("http://console.example").unwrap().to_owned()
    }

    async fn sign_in_with_provider(&mut self) -> (StatusCode, String) {
        let back = self.leave().await;
        self.come_back(&back).await
    }

    async fn come_back(&mut self, back: &str) -> (StatusCode, String) {
        let answer = self.answer(back).await;
        let session = cookie(answer.headers(), "tollgate");
        if !session.is_empty() {
            self.cookie = first_part(&session);
        }
        (answer.status(), answer.text().await.unwrap())
    }
}

#[tokio::test]
async fn an_owner_signs_in_and_what_they_do_is_in_the_audit_under_their_subject() {
    let (_provider, admin) = start().await;
    let mut browser = Browser::new(&admin);

    let back = browser.leave().await;
    let answer = browser.answer(&back).await;

    assert_eq!(answer.status(), StatusCode::OK);
    assert_eq!(header(answer.headers(), "refresh"), format!("0; url={USAGE}"));
    assert!(cookie(answer.headers(), "tollgate-sign-in").contains("Max-Age=0"));
    let session = cookie(answer.headers(), "tollgate");
    assert!(session.contains("SameSite=Strict") && session.contains("Max-Age=14400"), "{session}");
    browser.cookie = first_part(&session);
    let page = browser.get(USAGE).await;
    assert_eq!(page.status, StatusCode::OK);
    assert!(page.text.contains("Ada Lovelace"), "{}", page.text);
    let form = browser.get("/dashboard/admin/consumers/new").await;
    browser
        .send(
            "/dashboard/admin/consumers/new",
            &form,
            &[("name", "Acme"), ("email", ""), ("external_ids", "")],
        )
        .await;
    let audit = admin.get("/api/v1/audit").await.expect(200);
    assert_eq!(audit["items"][0]["actor"], "openid:248289761001", "{audit}");
    assert_eq!(audit["items"][0]["actor_name"], "Ada Lovelace");
}

#[tokio::test]
async fn the_button_is_there_only_where_a_provider_is_configured() {
    let (provider, with) = start().await;
    let without = Admin::start().await;
    let page = async |admin: &Admin| {
        Browser::new(admin).get(&format!("/dashboard/sign-in?next={USAGE}")).await.text
    };

    let button = "/dashboard/sign-in/openid?next=%2Fdashboard%2Fadmin%2Fusage";
    assert!(page(&with).await.contains(button), "{}", page(&with).await);
    assert!(page(&with).await.contains(&provider.address.ip().to_string()));
    assert!(!page(&without).await.contains("openid"));
    let browser = Browser::new(&without);
    assert_eq!(browser.get("/dashboard/sign-in/openid").await.status, StatusCode::NOT_FOUND);
    assert_eq!(browser.get(CALLBACK_PATH).await.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn an_id_token_that_cannot_be_believed_signs_nobody_in() {
    let (provider, admin) = start().await;
    let now = jiff::Timestamp::now().as_second();

    for (claim, value, said) in [
        ("nonce", json!("another"), "its nonce is another"),
        ("aud", json!("another"), "its audience is another"),
        ("iss", json!("https://another.example"), "its issuer is another"),
        ("exp", json!(now - 61), "has expired"),
        ("sub", Value::Null, "cannot be read"),
    ] {
        provider.set(|behaviour| behaviour.claims = json!({ "groups": "owners", claim: value }));
        let mut browser = Browser::new(&admin);

        let (status, text) = browser.sign_in_with_provider().await;

        assert_eq!(status, StatusCode::UNAUTHORIZED, "{claim}");
        assert!(text.contains(said), "{claim}: {text}");
        assert_eq!(browser.get(USAGE).await.status, StatusCode::SEE_OTHER, "{claim}");
    }
}

#[tokio::test]
async fn a_foreign_signature_signs_nobody_in_and_a_new_key_of_the_provider_does() {
    let (provider, admin) = start().await;
    let mut browser = Browser::new(&admin);

    provider.set(|behaviour| behaviour.is_foreign = true);
    let (foreign, text) = browser.sign_in_with_provider().await;
    provider.set(|behaviour| behaviour.is_foreign = false);
    provider.rotate_key();
    let (rotated, _) = browser.sign_in_with_provider().await;
    provider.replace_key();
    let (replaced, _) = browser.sign_in_with_provider().await;

    assert_eq!((foreign, rotated), (StatusCode::UNAUTHORIZED, StatusCode::OK));
    assert_eq!(replaced, StatusCode::OK, "a key under the name of the one before");
    assert!(text.contains("signature that does not fit"), "{text}");
}

#[tokio::test]
async fn an_answer_is_taken_from_the_browser_that_asked_and_once() {
    let (_provider, admin) = start().await;
    let (mut ada, mut eve) = (Browser::new(&admin), Browser::new(&admin));
    let for_eve = eve.leave().await;
    let for_ada = ada.leave().await;

    let (handed_over, text) = ada.come_back(&for_eve).await;
    let (without_cookie, _) = Browser::new(&admin).come_back(&for_ada).await;
    let (without_state, _) = ada.come_back(&format!("{CALLBACK_PATH}?code=code-1")).await;
    let attempt = ada.cookie.clone();
    let (own, _) = ada.come_back(&for_ada).await;
    ada.cookie = attempt;
    let (again, said_again) = ada.come_back(&for_ada).await;

    assert_eq!(handed_over, StatusCode::BAD_REQUEST);
    assert!(text.contains("This sign-in is out of date"), "{text}");
    assert_eq!((without_cookie, without_state), (StatusCode::BAD_REQUEST, StatusCode::BAD_REQUEST));
    assert_eq!(own, StatusCode::OK);
    assert_eq!(again, StatusCode::UNAUTHORIZED);
    assert!(said_again.contains("the provider refused: invalid_grant"), "{said_again}");
}

#[tokio::test]
async fn a_provider_that_is_away_or_refuses_is_told_on_a_page() {
    let (provider, admin) = start().await;
    let mut browser = Browser::new(&admin);

    let back = browser.leave().await;
    provider.set(|behaviour| behaviour.is_away = true);
    let (away, text) = browser.come_back(&back).await;
    provider.set(|behaviour| (behaviour.is_away, behaviour.error) = (false, Some("access_denied")));
    let (refused, said) = browser.sign_in_with_provider().await;

    assert_eq!(away, StatusCode::BAD_GATEWAY);
    assert!(text.contains("The provider cannot be used"), "{text}");
    assert_eq!(refused, StatusCode::UNAUTHORIZED);
    assert!(said.contains("the provider refused: access_denied"), "{said}");
    let nowhere =
        Admin::start_with(|admin| admin.openid = Some(options("http://127.0.0.1:1"))).await;
    let page = Browser::new(&nowhere).get("/dashboard/sign-in/openid").await;
    assert_eq!(page.status, StatusCode::BAD_GATEWAY);
    assert!(page.text.contains("sign in with a token"), "{}", page.text);
}

#[tokio::test]
async fn whoever_comes_back_in_vain_keeps_nobody_else_out() {
    let (_provider, admin) = start().await;
    let (mut ada, mut eve) = (Browser::new(&admin), Browser::new(&admin));
    let for_ada = ada.leave().await;
    let for_eve = url::Url::parse(&format!("http://console.example{}", eve.leave().await)).unwrap();
    let state = for_eve.query_pairs().find(|(name, _)| name == "state").unwrap().1.into_owned();

    for n in 0..20 {
        for answer in ["error=access_denied".to_owned(), format!("code=made-up-{n}")] {
            let (status, text) =
                eve.come_back(&format!("{CALLBACK_PATH}?state={state}&{answer}")).await;
            assert_eq!(status, StatusCode::UNAUTHORIZED, "{text}");
        }
    }

    let (own, text) = ada.come_back(&for_ada).await;
    assert_eq!(own, StatusCode::OK, "{text}");
}

#[tokio::test]
async fn a_role_is_that_of_the_last_sign_in() {
    let (provider, admin) = start().await;
    let mut first = Browser::new(&admin);
    first.sign_in_with_provider().await;

    provider.set(|behaviour| behaviour.claims = json!({ "groups": "staff" }));
    let mut second = Browser::new(&admin);
    second.sign_in_with_provider().await;
    provider.set(|behaviour| behaviour.claims = json!({ "groups": ["nobody"] }));
    let mut third = Browser::new(&admin);
    let (status, text) = third.sign_in_with_provider().await;

    assert_eq!(first.get(USAGE).await.status, StatusCode::OK);
    let denied = second.get(USAGE).await;
    assert_eq!(denied.status, StatusCode::FORBIDDEN);
    assert!(denied.text.contains("<code>operator</code>"), "{}", denied.text);
    assert_eq!(status, StatusCode::FORBIDDEN);
    assert!(text.contains("Access denied") && text.contains("gives you no role here"), "{text}");
    assert_eq!(third.get(USAGE).await.status, StatusCode::SEE_OTHER);
}

#[tokio::test]
async fn sessions_of_a_provider_end_for_good_when_another_one_or_none_is_configured() {
    let provider = Provider::start().await;
    provider.set(|behaviour| behaviour.claims = json!({ "groups": ["owners"] }));
    let same = || Some(options(&provider.issuer()));
    let other_client = || same().map(|same| OpenIdOptions { client_id: "other".to_owned(), ..same });
    let restarted = async |admin: Admin, openid| {
        let place = admin.stop().await;
        Admin::start_in(place, |admin| admin.openid = openid).await
    };
    let status = async |admin: &Admin, cookie: &str| {
        let mut browser = Browser::new(admin);
        browser.cookie = cookie.to_owned();
        browser.get(USAGE).await.status
    };

    let mut admin = Admin::start_with(|admin| admin.openid = same()).await;
    for other in [None, other_client()] {
        let mut browser = Browser::new(&admin);
        browser.sign_in_with_provider().await;
        let session = browser.cookie.clone();

        admin = restarted(admin, same()).await;
        assert_eq!(status(&admin, &session).await, StatusCode::OK);
        admin = restarted(admin, other).await;
        assert_eq!(status(&admin, &session).await, StatusCode::SEE_OTHER);
        admin = restarted(admin, same()).await;
        assert_eq!(status(&admin, &session).await, StatusCode::SEE_OTHER);
    }
}

#[tokio::test]
async fn whoever_signs_out_is_told_where_to_sign_out_with_the_provider() {
    let (provider, admin) = start().await;
    let mut browser = Browser::new(&admin);
    browser.sign_in_with_provider().await;
    let page = browser.get(USAGE).await;

    let left = browser.send(SIGN_OUT, &page, &[]).await;

    assert_eq!(left.status, StatusCode::OK);
    left.shows("You are signed out here, and may still be signed in at");
    assert_eq!(browser.get(USAGE).await.status, StatusCode::SEE_OTHER);
    let url = format!("{}/logout?client_id={CLIENT_ID}", provider.issuer());
    left.shows(&format!("href=\"{url}\""));
    assert_eq!(reqwest::get(url).await.unwrap().status(), 200);
}

#[tokio::test]
async fn whoever_cannot_sign_out_with_a_provider_is_led_to_the_door() {
    let provider = Provider::start().await;
    provider.set(|behaviour| {
        (behaviour.claims, behaviour.has_sign_out) = (json!({ "groups": ["staff"] }), false);
    });
    let issuer = provider.issuer();
    let admin = Admin::start_with(|admin| admin.openid = Some(options(&issuer))).await;
    let mut with_provider = Browser::new(&admin);
    with_provider.sign_in_with_provider().await;
    let with_token = Browser::signed_in(&admin, OWNER).await;

    for browser in [with_provider, with_token] {
        let page = browser.get(USAGE).await;
        let left = browser.send(SIGN_OUT, &page, &[]).await;
        assert_eq!((left.status, left.to.as_str()), (StatusCode::SEE_OTHER, "/dashboard/sign-in"));
    }
}
