//! The console as a browser without scripts uses it.

mod callers;
mod openid;
mod operations;

use reqwest::redirect::Policy;
use reqwest::{Client, RequestBuilder, Response, StatusCode};
use serde_json::json;
use url::form_urlencoded;

use crate::support::{Admin, OWNER};

const APIS: &str = "/dashboard/admin/apis";
const SIGN_OUT: &str = "/dashboard/sign-out";

/// What every text that people type may hold.
const HOSTILE: &str = "<img src=x onerror=alert(1)>\"'&";

/// Follows no redirect by itself, so that a test sees where one leads.
pub struct Browser<'a> {
    admin: &'a Admin,
    client: Client,
    pub cookie: String,
}

pub struct Page {
    status: StatusCode,
    to: String,
    text: String,
}

impl<'a> Browser<'a> {
    pub fn new(admin: &'a Admin) -> Self {
        let client = Client::builder().redirect(Policy::none()).build().unwrap();
        Self { admin, client, cookie: String::new() }
    }

    pub async fn signed_in(admin: &'a Admin, token: &str) -> Self {
        let mut browser = Self::new(admin);
        let reply = browser.sign_in(token).await;
        assert_eq!(reply.status(), StatusCode::SEE_OTHER);
        let cookie = reply.headers()["set-cookie"].to_str().unwrap();
        assert!(cookie.contains("HttpOnly") && cookie.contains("SameSite=Strict"), "{cookie}");
        cookie.split(';').next().unwrap().clone_into(&mut browser.cookie);
        browser
    }

    async fn sign_in(&self, token: &str) -> Response {
        let url = self.url("/dashboard/sign-in");
        with(self.client.post(url), &[("token", token), ("next", APIS)]).send().await.unwrap()
    }

    fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.admin.address())
    }

    pub async fn get(&self, path: &str) -> Page {
        let request = self.client.get(self.url(path)).header("cookie", &self.cookie);
        Page::of(request.send().await.unwrap()).await
    }

    /// Sends a form as it was on its page, with what is typed into it.
    async fn send(&self, path: &str, page: &Page, typed: &[(&str, &str)]) -> Page {
        let hidden = ["proof", "tag", "once"].map(|name| (name, page.hidden(name)));
        let hidden = hidden.iter().filter(|(_, value)| !value.is_empty());
        let mut fields: Vec<(&str, &str)> = hidden.map(|(name, value)| (*name, value.as_str())).collect();
        fields.extend(typed);
        let request = self.client.post(self.url(path)).header("cookie", &self.cookie);
        Page::of(with(request, &fields).send().await.unwrap()).await
    }
}

pub fn with(request: RequestBuilder, fields: &[(&str, &str)]) -> RequestBuilder {
    let form = form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
    request.header("content-type", "application/x-www-form-urlencoded").body(form)
}

impl Page {
    async fn of(response: Response) -> Self {
        let policy = response.headers()["content-security-policy"].to_str().unwrap();
        assert!(!policy.contains("unsafe"), "{policy}");
        let to = response.headers().get("location").map(|to| to.to_str().unwrap().to_owned());
        let status = response.status();
        Self { status, to: to.unwrap_or_default(), text: response.text().await.unwrap() }
    }

    pub fn hidden(&self, name: &str) -> String {
        let before = format!("name=\"{name}\" value=\"");
        let value = self.text.split_once(&before).map_or("", |(_, rest)| rest);
        value.split('"').next().unwrap().replace("&quot;", "\"")
    }

    #[track_caller]
    fn shows(&self, text: &str) {
        assert!(self.text.contains(text), "{text} is not in {}", self.text);
    }
}

#[tokio::test]
async fn whoever_is_not_signed_in_is_asked_to_and_comes_back() {
    let admin = Admin::start().await;
    let browser = Browser::new(&admin);

    let page = browser.get(APIS).await;

    assert_eq!(page.status, StatusCode::SEE_OTHER);
    assert_eq!(page.to, "/dashboard/sign-in?next=%2Fdashboard%2Fadmin%2Fapis");
    let refused = browser.sign_in("tga_wrong").await;
    assert_eq!(refused.status(), StatusCode::UNAUTHORIZED);
    assert!(refused.headers().get("set-cookie").is_none());
    Browser::signed_in(&admin, OWNER).await.get(APIS).await.shows("There is no product yet");
}

#[tokio::test]
async fn whoever_lacks_the_role_is_told_and_not_sent_away() {
    let admin = Admin::start().await;
    for role in ["operator", "auditor"] {
        let token = admin.token(role).await;
        let browser = Browser::signed_in(&admin, &token).await;

        let page = browser.get(APIS).await;

        assert_eq!(page.status, StatusCode::FORBIDDEN);
        page.shows("Access denied");
        page.shows("platform_owner");
        page.shows(&format!("whose role is <code>{role}</code>"));
        page.shows("Sign in as someone else");
    }
}

#[tokio::test]
async fn whoever_lacks_the_role_signs_out_where_they_are_told_so() {
    let admin = Admin::start().await;
    let auditor = admin.token("auditor").await;
    let browser = Browser::signed_in(&admin, &auditor).await;
    let page = browser.get(APIS).await;
    page.shows("<form class=\"inline\" method=\"post\" action=\"/dashboard/sign-out\">");

    let without_proof = browser.send(SIGN_OUT, &browser.get("/dashboard/sign-in").await, &[]).await;
    let other = Browser::signed_in(&admin, OWNER).await;
    let other = other.send(SIGN_OUT, &page, &[]).await;
    let denied = browser.send("/dashboard/admin/apis/new", &page, &[("name", "maps")]).await;
    let still = browser.get(APIS).await;
    let left = browser.send(SIGN_OUT, &page, &[]).await;

    without_proof.shows("This form is out of date");
    other.shows("This form is out of date");
    assert_eq!((denied.status, still.status), (StatusCode::FORBIDDEN, StatusCode::FORBIDDEN));
    assert_eq!((left.status, left.to.as_str()), (StatusCode::SEE_OTHER, "/dashboard/sign-in"));
    assert_eq!(browser.get(APIS).await.status, StatusCode::SEE_OTHER);
}

#[tokio::test]
async fn a_session_ends_with_its_token_and_when_it_is_left() {
    let admin = Admin::start().await;
    let body = json!({ "name": "Grace", "role": "platform_owner" });
    let token = admin.post("/api/v1/tokens", body).await.expect(201);
    let browser = Browser::signed_in(&admin, token["token"].as_str().unwrap()).await;
    assert_eq!(browser.get(APIS).await.status, StatusCode::OK);

    let path = format!("/api/v1/tokens/{}", token["id"].as_str().unwrap());
    admin.delete(&path).await.expect(204);

    assert_eq!(browser.get(APIS).await.status, StatusCode::SEE_OTHER);
    let browser = Browser::signed_in(&admin, OWNER).await;
    let page = browser.get(APIS).await;
    let left = browser.send("/dashboard/sign-out", &page, &[]).await;
    assert_eq!(left.to, "/dashboard/sign-in");
    assert_eq!(browser.get(APIS).await.status, StatusCode::SEE_OTHER);
}

fn a_draft(proof: &str) -> [(&str, &str); 3] {
    [("proof", proof), ("title", "Weather"), ("status", "draft")]
}

#[tokio::test]
async fn a_form_from_elsewhere_changes_nothing() {
    let admin = Admin::start().await;
    let browser = Browser::signed_in(&admin, OWNER).await;
    let page = browser.get(&format!("{APIS}/new")).await;
    let url = browser.url(&format!("{APIS}/new"));
    let post = || browser.client.post(&url).header("cookie", &browser.cookie);
    let proof = page.hidden("proof");

    for request in [
        with(post(), &a_draft("")),
        with(post(), &a_draft("wrong")),
        with(post(), &a_draft(&proof)).header("sec-fetch-site", "cross-site"),
        with(post(), &a_draft(&proof)).header("sec-fetch-site", "same-site"),
        with(post(), &a_draft(&proof)).header("origin", "https://evil.example"),
    ] {
        assert_eq!(request.send().await.unwrap().status(), StatusCode::FORBIDDEN);
    }

    assert_eq!(admin.count("/api/v1/products").await, 0);
    let own = with(post(), &a_draft(&proof)).header("sec-fetch-site", "same-origin");
    assert_eq!(own.send().await.unwrap().status(), StatusCode::SEE_OTHER);
    assert_eq!(admin.count("/api/v1/products").await, 1);
}

#[tokio::test]
async fn guessing_tokens_is_slowed() {
    let admin = Admin::start().await;
    let browser = Browser::new(&admin);
    let mut refused = Vec::new();

    for _ in 0..7 {
        refused.push(browser.sign_in("tga_guess").await.status().as_u16());
    }

    assert_eq!(refused, [401, 401, 401, 401, 401, 401, 429]);
    let reply = browser.sign_in(OWNER).await;
    assert_eq!(reply.status(), StatusCode::TOO_MANY_REQUESTS);
    assert!(reply.headers().contains_key("retry-after"));
}

#[tokio::test]
async fn a_token_of_the_store_signs_in_also_where_others_guess() {
    let admin = Admin::start().await;
    let token = admin.token("platform_owner").await;
    let browser = Browser::new(&admin);
    for _ in 0..7 {
        browser.sign_in("tga_guess").await;
    }
    admin.guess_on();

    let signed_in = browser.sign_in(&token).await;

    assert_eq!(signed_in.status(), StatusCode::SEE_OTHER);
    assert_eq!(browser.sign_in(OWNER).await.status(), StatusCode::TOO_MANY_REQUESTS);
}

#[tokio::test]
async fn a_product_is_added_edited_activated_and_deleted() {
    let admin = Admin::start().await;
    let browser = Browser::signed_in(&admin, OWNER).await;
    let new = format!("{APIS}/new");
    let page = browser.get(&new).await;
    let typed = [("title", HOSTILE), ("description", HOSTILE), ("name", "weather"), ("status", "draft"),
        ("gateway_endpoint", "https://api.example.com/v1")];

    let wrong = browser.send(&new, &page, &[("title", "Kept"), ("status", "draft"), ("gateway_endpoint", "ftp://x")]).await;
    assert_eq!(wrong.status, StatusCode::BAD_REQUEST);
    wrong.shows("value=\"Kept\"");
    wrong.shows("id=\"field-gateway-endpoint-error\"");
    let added = browser.send(&new, &page, &typed).await;
    assert_eq!(added.status, StatusCode::SEE_OTHER, "{}", added.text);
    let again = browser.send(&new, &page, &typed).await;
    assert_eq!(again.to, added.to, "sent twice, it is made once");

    let grid = browser.get(APIS).await;
    grid.shows("badge draft");
    grid.shows("&lt;img src=x onerror=alert(1)&gt;&quot;");
    assert!(!grid.text.contains("<img"));
    let product = admin.get("/api/v1/products/weather").await.expect(200);
    let place = format!("{APIS}/{}", product["id"].as_str().unwrap());

    let activated = browser.send(&format!("{place}/status"), &grid, &[("status", "active")]).await;
    assert_eq!(activated.status, StatusCode::SEE_OTHER);
    browser.get(APIS).await.shows("badge active");

    let edit = browser.get(&format!("{place}/edit")).await;
    edit.shows("https://api.example.com/v1");
    let typed = [("title", "Weather"), ("name", "weather"), ("status", "active"),
        ("gateway_endpoint", "https://other.example.com"), ("hosts", "a.example.com\r\nb.example.com"),
        ("routes", "GET /v1/forecast/{day} cost=5")];
    let saved = browser.send(&format!("{place}/edit"), &edit, &typed).await;
    assert_eq!(saved.status, StatusCode::SEE_OTHER, "{}", saved.text);
    let product = admin.get("/api/v1/products/weather").await.expect(200);
    assert_eq!(product["title"], "Weather");
    assert_eq!(product["hosts"], json!(["a.example.com", "b.example.com"]));
    assert_eq!(product["routes"][0]["cost"], 5);

    let ask = browser.get(&format!("{place}/delete")).await;
    ask.shows("is removed for good");
    let deleted = browser.send(&format!("{place}/delete"), &ask, &[]).await;
    assert_eq!(deleted.to, APIS, "{}", deleted.text);
    assert_eq!(admin.count("/api/v1/products").await, 0);
    assert_eq!(browser.get(&format!("{place}/edit")).await.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn the_product_that_was_just_saved_is_on_the_page_however_many_there_are() {
    let admin = Admin::start().await;
    for n in 0..16 {
        admin.product(&format!("p{n}")).await;
    }
    let browser = Browser::signed_in(&admin, OWNER).await;
    let page = browser.get(&format!("{APIS}/new")).await;

    let typed = [("title", "The newest"), ("status", "draft"), ("gateway_endpoint", "https://a.example")];
    let added = browser.send(&format!("{APIS}/new"), &page, &typed).await;

    let (seen, card) = added.to.split_once('#').expect(&added.text);
    let card = format!("id=\"{card}\"");
    let page = browser.get(seen).await;
    page.shows(&card);
    assert_eq!(page.text.matches("<article").count(), 17);
    let place = format!("{APIS}/{}", card.trim_start_matches("id=\"product-").trim_end_matches('"'));
    let switched = browser.send(&format!("{place}/status"), &page, &[("status", "active")]).await;
    browser.get(switched.to.split('#').next().unwrap()).await.shows(&card);
    let first = browser.get(APIS).await.text.split("id=\"product-").nth(1).unwrap().to_owned();
    let first = format!("{APIS}?open={}", first.split('"').next().unwrap());
    assert_eq!(browser.get(&first).await.text.matches("<article").count(), 16);
}

#[tokio::test]
async fn a_plan_is_added_with_prices_edited_and_deleted() {
    let admin = Admin::start().await;
    let product = admin.product("weather").await;
    let browser = Browser::signed_in(&admin, OWNER).await;
    let new = format!("{APIS}/{}/plans/new", product["id"].as_str().unwrap());
    let page = browser.get(&new).await;
    let plan = [("name", HOSTILE), ("billing_mode", "metered"), ("price_label", "$49/month"),
        ("monthly_quota", "100,000"), ("rate_limit", "600"), ("quota_mode", "hard"),
        ("period", "calendar_month"), ("time_zone", "UTC"), ("outage_mode", "share"),
        ("counted_outcomes", "success")];

    let one_more = browser.send(&new, &page, &[&plan[..], &[("add_price", "1")]].concat()).await;
    assert_eq!(one_more.status, StatusCode::OK);
    one_more.shows("name=\"prices[0].amount\"");
    one_more.shows("value=\"100,000\"");
    let form = one_more.text.split_once(&format!("action=\"{new}\"")).unwrap().1;
    let pressed_by_enter = form.split("<button").nth(1).unwrap();
    assert!(!pressed_by_enter.split('>').next().unwrap().contains("add_price"), "{pressed_by_enter}");
    let by_comma = [("prices[0].usage_type", "licensed"), ("prices[0].currency", "USD"), ("prices[0].amount", "1,50")];
    let by_comma = browser.send(&new, &one_more, &[&plan[..], &by_comma].concat()).await;
    assert_eq!(by_comma.status, StatusCode::BAD_REQUEST);
    by_comma.shows("must be an amount such as 1.50");
    assert!(!by_comma.text.contains("minor units"), "{}", by_comma.text);
    let price = [("prices[0].usage_type", "metered"), ("prices[0].currency", "USD"),
        ("prices[0].amount", "0.005"), ("prices[0].meter", "calls")];
    let wrong = [&plan[..], &price, &[("prices[0].package_size", "many")]].concat();
    let wrong = browser.send(&new, &one_more, &wrong).await;
    assert_eq!(wrong.status, StatusCode::BAD_REQUEST);
    wrong.shows("id=\"field-prices-0--package-size-error\"");
    wrong.shows("value=\"0.005\"");
    let added = browser.send(&new, &wrong, &[&plan[..], &price].concat()).await;
    assert_eq!(added.status, StatusCode::SEE_OTHER, "{}", added.text);

    let plans = admin.get("/api/v1/products/weather/plans").await.expect(200);
    let saved = &plans["items"][0];
    assert_eq!((&saved["monthly_quota"], &saved["rate_limit"]), (&json!(100_000), &json!(600)));
    assert_eq!(saved["prices"][0]["amount"], "0.5");
    assert_eq!(saved["prices"][0]["meter"], "calls");
    assert!(!browser.get(APIS).await.text.contains("<img"));
    let place = format!("/dashboard/admin/plans/{}", saved["id"].as_str().unwrap());

    let edit = browser.get(&format!("{place}/edit")).await;
    edit.shows("value=\"0.005\"");
    let sent = [&plan[..], &price].concat();
    let sent = browser.send(&format!("{place}/edit"), &edit, &sent).await;
    assert_eq!(sent.status, StatusCode::SEE_OTHER, "{}", sent.text);
    let ask = browser.get(&format!("{place}/delete")).await;
    let deleted = browser.send(&format!("{place}/delete"), &ask, &[]).await;
    assert_eq!(deleted.status, StatusCode::SEE_OTHER, "{}", deleted.text);
    assert_eq!(admin.count("/api/v1/products/weather/plans").await, 0);
}

#[tokio::test]
async fn the_second_of_two_editors_is_told_and_overwrites_knowingly_or_not_at_all() {
    let admin = Admin::start().await;
    admin.product("weather").await;
    let terms = json!({
        "name": "Pro", "billing_mode": "metered",
        "prices": [{ "usage_type": "metered", "currency": "USD", "amount": 25 }],
    });
    let plan = admin.post("/api/v1/products/weather/plans", terms).await.expect(201);
    let (ada, grace) =
        (Browser::signed_in(&admin, OWNER).await, Browser::signed_in(&admin, OWNER).await);
    let path = format!("/dashboard/admin/plans/{}/edit", plan["id"].as_str().unwrap());
    let (of_ada, of_grace) = (ada.get(&path).await, grace.get(&path).await);
    let typed = |name| {
        [("name", name), ("billing_mode", "metered"), ("quota_mode", "hard"), ("time_zone", "UTC"),
            ("period", "calendar_month"), ("outage_mode", "share"), ("counted_outcomes", "success"),
            ("counted_outcomes", "client_error"), ("prices[0].name", "price-1"),
            ("prices[0].usage_type", "metered"), ("prices[0].billing_scheme", "flat"),
            ("prices[0].currency", "USD"), ("prices[0].amount", "0.25"), ("prices[0].interval", "month"),
            ("prices[0].meter", "units"), ("prices[0].metered_aggregate", "sum"),
            ("prices[0].included_units", "0")]
    };
    let api = format!("/api/v1/plans/{}", plan["id"].as_str().unwrap());

    assert_eq!(ada.send(&path, &of_ada, &typed("Ada's")).await.status, StatusCode::SEE_OTHER);
    let told = grace.send(&path, &of_grace, &typed("Grace's")).await;

    assert_eq!(told.status, StatusCode::PRECONDITION_FAILED);
    told.shows("Somebody else has changed this");
    told.shows("Now name: there it is &quot;Ada's&quot;, here &quot;Grace's&quot;. Save again");
    assert_eq!(admin.get(&api).await.expect(200)["name"], "Ada's");
    let knowingly = grace.send(&path, &told, &typed("Grace's")).await;
    assert_eq!(knowingly.status, StatusCode::SEE_OTHER);
    assert_eq!(admin.get(&api).await.expect(200)["name"], "Grace's");
}

#[tokio::test]
async fn its_files_may_be_kept_for_ever_and_what_is_not_there_is_a_page() {
    let admin = Admin::start().await;
    let browser = Browser::signed_in(&admin, OWNER).await;
    let page = browser.get(APIS).await;
    let names = page.text.split("/dashboard/assets/").skip(1);
    let names: Vec<&str> = names.map(|rest| rest.split('"').next().unwrap()).collect();
    assert_eq!(names.len(), 3);

    for name in names {
        let file = browser.client.get(browser.url(&format!("/dashboard/assets/{name}"))).send().await.unwrap();
        assert_eq!(file.status(), StatusCode::OK);
        assert!(file.headers()["cache-control"].to_str().unwrap().contains("immutable"));
    }
    for path in [
        "/dashboard/assets/console.css",
        "/dashboard/nowhere",
        "/dashboard/admin/apis/x/edit",
        "/dashboard/admin/apis/%00/edit",
        "/dashboard/admin/usage?product=%00",
    ] {
        let page = browser.get(path).await;
        assert_eq!(page.status, StatusCode::NOT_FOUND, "{path}");
        page.shows("<!DOCTYPE html>");
    }
    for path in ["/", "/dashboard", "/dashboard/admin"] {
        assert_eq!(browser.get(path).await.to, APIS);
    }
}

#[tokio::test]
async fn a_browser_is_let_say_which_page_a_form_was_on() {
    let admin = Admin::start().await;
    let browser = Browser::new(&admin);

    let page = browser.client.get(browser.url("/dashboard/sign-in")).send().await.unwrap();

    // By `no-referrer` it would say `Origin: null`, like a page of somewhere else.
    assert_eq!(page.headers()["referrer-policy"], "same-origin");
    let own = format!("http://{}", admin.address());
    for (origin, status) in [(own.as_str(), StatusCode::SEE_OTHER), ("null", StatusCode::FORBIDDEN)] {
        let post = browser.client.post(browser.url("/dashboard/sign-in")).header("origin", origin);
        let reply = with(post, &[("token", OWNER)]).send().await.unwrap();
        assert_eq!(reply.status(), status, "{origin}");
    }
}

#[tokio::test]
async fn over_tls_no_cookie_counts_that_a_neighbouring_host_can_set() {
    let admin = Admin::start().await;
    let plain = Browser::signed_in(&admin, OWNER).await;
    let ask = async |cookie: &str| {
        let request = plain.client.get(plain.url(APIS)).header("x-forwarded-proto", "https");
        request.header("cookie", cookie).send().await.unwrap().status()
    };
    let url = plain.url("/dashboard/sign-in");
    let post = plain.client.post(url).header("x-forwarded-proto", "https");
    let reply = with(post, &[("token", OWNER)]).send().await.unwrap();
    let set: Vec<_> = reply.headers().get_all("set-cookie").iter().collect();
    let secure = set[0].to_str().unwrap().split(';').next().unwrap();

    assert!(secure.starts_with("__Host-tollgate="), "{secure}");
    assert!(set[1].to_str().unwrap().starts_with("tollgate=; "), "the one from before ends: {set:?}");
    assert_eq!(ask(&plain.cookie).await, StatusCode::SEE_OTHER);
    assert_eq!(ask(&format!("tollgate=other; {secure}")).await, StatusCode::OK);
    assert_eq!(ask(&format!("{}; __Host-tollgate=other", plain.cookie)).await, StatusCode::SEE_OTHER);
}

#[tokio::test]
async fn without_tls_a_new_session_is_not_hidden_by_one_over_tls() {
    let admin = Admin::start().await;

    let reply = Browser::new(&admin).sign_in(OWNER).await;

    let set = reply.headers().get_all("set-cookie").iter();
    let set: Vec<_> = set.map(|cookie| cookie.to_str().unwrap()).collect();
    assert!(set[0].starts_with("tollgate=tgs_") && !set[0].contains("Secure"), "{set:?}");
    assert_eq!(
        set[1],
        "__Host-tollgate=; Path=/; HttpOnly; SameSite=Strict; Max-Age=0; Secure"
    );
}
