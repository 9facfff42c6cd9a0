//! An owner keeps the catalog in a file.

use std::path::PathBuf;
use std::process::Output;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::extract::{Request, State};
use axum::http::{Method, StatusCode};
use axum::response::{IntoResponse, Response};
use serde_json::json;
use tempfile::TempDir;
use tokio::net::TcpListener;
use tollgate_test_support::owner::{Owner, TOKEN};
use tollgate_test_support::tollgate::{self, Tollgate, on_free_ports};

use crate::BINARY;

/// A control plane, and a directory with what an owner has at hand.
struct House {
    tollgate: Tollgate,
    owner: Owner,
    directory: TempDir,
    runtime: tokio::runtime::Runtime,
}

impl House {
    fn start() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let mut command = tollgate::command(BINARY, &["admin"]);
        command
            .envs(on_free_ports(&directory))
            .env("TOLLGATE_NODE_TOKEN", "node-token")
            .env("TOLLGATE_ADMIN__BOOTSTRAP_TOKEN", TOKEN);
        let tollgate = Tollgate::start(command, &["admin"]);
        let owner = Owner::new(tollgate.address("admin"));
        let runtime = tokio::runtime::Runtime::new().unwrap();
        Self { tollgate, owner, directory, runtime }
    }

    fn file(&self, name: &str, text: &str) -> PathBuf {
        let path = self.directory.path().join(name);
        std::fs::write(&path, text).unwrap();
        path
    }

    fn run(&self, arguments: &[&str]) -> Output {
        let mut command = tollgate::command(BINARY, arguments);
        let admin = self.tollgate.address("admin").to_string();
        command.current_dir(self.directory.path());
        command.env("TOLLGATE_ADMIN__LISTEN", admin).env("TOLLGATE_ADMIN__BOOTSTRAP_TOKEN", TOKEN);
        command.output().unwrap()
    }

    /// What a command says, with the code that it ends with.
    fn said(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        let text = |bytes| without_ids(&String::from_utf8(bytes).unwrap());
        let code = output.status.code().unwrap();
        format!("{}{}exit {code}", text(output.stdout), text(output.stderr))
    }

    /// The number of entries in the audit, each of which is a change.
    fn changes(&self) -> usize {
        let audit = self.runtime.block_on(self.owner.get("audit?limit=500")).ok();
        audit["items"].as_array().unwrap().len()
    }

    /// Someone subscribes to a plan.
    fn subscribe(&self, product: &str, plan: &str) {
        self.runtime.block_on(async {
            let plans = self.owner.get(&format!("products/{product}/plans")).await.ok();
            let plans = plans["items"].as_array().unwrap();
            let plan = plans.iter().find(|it| it["name"] == plan).unwrap();
            self.owner.subscribe("Ada", plan["id"].as_str().unwrap()).await;
        });
    }
}

/// Ids are new in each run.
fn without_ids(text: &str) -> String {
    let is_id = |piece: &str| piece.len() == 36 && piece.matches('-').count() == 4;
    let pieces = text.split_inclusive([' ', '/', '\n']).map(|piece| {
        let word = piece.trim_end_matches([' ', '/', '\n']);
        if is_id(word) { piece.replace(word, "ID") } else { piece.to_owned() }
    });
    pieces.collect()
}

/// The example of the documentation.
fn example() -> &'static str {
    let paper = include_str!("../../docs/catalog.md");
    let (_, rest) = paper.split_once("```yaml\n").unwrap();
    rest.split_once("```").unwrap().0
}

#[test]
fn the_documented_example_is_applied_once_and_exported_as_it_is() {
    let house = House::start();
    house.file("catalog.yaml", example());

    let dry = house.run(&["apply", "catalog.yaml", "--dry-run"]);
    assert_eq!(dry.status.code(), Some(3), "{dry:?}");
    assert_eq!(house.changes(), 0);
    let applied = house.run(&["apply", "catalog.yaml"]);
    assert_eq!(applied.status.code(), Some(0), "{applied:?}");
    let changes = house.changes();
    assert!(changes > 0);
    assert_eq!(house.said(&["apply", "catalog.yaml", "--prune"]), "nothing to do\nexit 0");
    assert_eq!(house.said(&["apply", "catalog.yaml", "--dry-run"]), "nothing to do\nexit 0");

    let exported = house.run(&["export"]);
    assert_eq!(exported.status.code(), Some(0), "{exported:?}");
    house.file("exported.yaml", &String::from_utf8(exported.stdout).unwrap());
    assert_eq!(house.said(&["apply", "exported.yaml", "--prune"]), "nothing to do\nexit 0");
    assert_eq!(house.changes(), changes);
}

#[test]
fn a_file_with_a_mistake_changes_nothing() {
    let house = House::start();
    let text = "products:\n  - name: maps\n  - name: Weather\n    plans:\n      - rate_limit: 0\n";
    house.file("c.yaml", text);

    insta::assert_snapshot!(house.said(&["apply", "c.yaml"]), @r"
    c.yaml:3:5: products[1].name: must consist of a-z, 0-9 and inner hyphens
    c.yaml:5:9: products[1].plans[0].name: is required
    c.yaml:5:9: products[1].plans[0].rate_limit: must be a whole number from 1 to 4294967295
    exit 1
    ");
    assert_eq!(house.changes(), 0);
}

#[test]
fn what_is_edited_is_shown_and_what_is_sold_is_not_deleted() {
    let house = House::start();
    let text = "products:\n  - name: maps\n    gateway_endpoint: https://example.com\n    \
                status: active\n    hosts: [maps.example.com]\n    metadata: {team: a, tier: 1}\n    \
                plans:\n      - {name: sold, rate_limit: 60}\n      - {name: unsold}\n";
    house.file("c.yaml", text);
    house.run(&["apply", "c.yaml"]);
    house.subscribe("maps", "sold");
    let text = "products:\n  - name: maps\n    title: Maps\n    \
                gateway_endpoint: https://example.com/v2\n    status: active\n    \
                metadata: {team: b}\n    plans:\n      - {name: unsold, monthly_quota: 5}\n  \
                - name: new\n    hosts: [maps.example.com]\n";
    house.file("c.yaml", text);

    insta::assert_snapshot!(house.said(&["apply", "c.yaml"]), @r#"
    ~ product maps
        hosts: ["maps.example.com"] -> []
    ~ product maps
        gateway_endpoint: "https://example.com" -> "https://example.com/v2"
        metadata.team: "a" -> "b"
        metadata.tier: 1 -> none
        title: "maps" -> "Maps"
    + product new
        hosts: ["maps.example.com"]
    ~ plan maps/unsold
        monthly_quota: null -> 5
      plan maps/sold: not in the file; stays without --prune
    1 to create, 3 to change, 0 to remove
    done
    exit 0
    "#);
    insta::assert_snapshot!(house.said(&["apply", "c.yaml"]), @r"
      plan maps/sold: not in the file; stays without --prune
    nothing to do
    exit 0
    ");
    insta::assert_snapshot!(house.said(&["apply", "c.yaml", "--prune"]), @r"
    - plan maps/sold
    0 to create, 0 to change, 1 to remove
    tollgate: stopped at `- plan maps/sold`: DELETE /api/v1/plans/ID was answered 409 Conflict: The plan has live subscriptions: move its subscriptions to another plan or cancel them first
    not done:
      - plan maps/sold
    apply the file again to go on from here
    exit 1
    ");
    house.file("c.yaml", "products: []\n");
    insta::assert_snapshot!(house.said(&["apply", "c.yaml", "--prune"]), @r"
    - plan maps/sold
    - plan maps/unsold
    - product maps
    - product new
    0 to create, 0 to change, 4 to remove
    tollgate: stopped at `- plan maps/sold`: DELETE /api/v1/plans/ID was answered 409 Conflict: The plan has live subscriptions: move its subscriptions to another plan or cancel them first
    not done:
      - plan maps/sold
      - plan maps/unsold
      - product maps
      - product new
    apply the file again to go on from here
    exit 1
    ");
    let products = house.runtime.block_on(house.owner.get("products")).ok();
    assert_eq!(products["items"].as_array().unwrap().len(), 2);
}

#[test]
fn what_the_control_plane_alone_can_refuse_is_told_with_what_was_done() {
    let house = House::start();
    let ends_badly = "products:\n  - name: fine\n  - name: inside\n    \
                      gateway_endpoint: http://10.0.0.1\n    plans: [{name: free}]\n";
    house.file("c.yaml", ends_badly);

    insta::assert_snapshot!(house.said(&["apply", "c.yaml"]), @r#"
    + product fine
    + product inside
        gateway_endpoint: "http://10.0.0.1"
    + plan inside/free
    3 to create, 0 to change, 0 to remove
    tollgate: stopped at `+ product inside`: POST /api/v1/products was answered 400 Bad Request: Some fields are not valid: nothing was saved; see errors
        gateway_endpoint: private addresses are not allowed by the settings
    done:
      + product fine
    not done:
      + product inside
      + plan inside/free
    apply the file again to go on from here
    exit 4
    "#);
    house.file("c.yaml", &ends_badly.replace("http://10.0.0.1", "https://example.com"));
    insta::assert_snapshot!(house.said(&["apply", "c.yaml"]), @r#"
    + product inside
        gateway_endpoint: "https://example.com"
    + plan inside/free
    2 to create, 0 to change, 0 to remove
    done
    exit 0
    "#);
}

/// Stands between the command and the control plane. Before the first edit it edits the product
/// itself; the answer to the first thing that is made is lost.
#[derive(Clone)]
struct Between {
    owner: Owner,
    admin: String,
    client: reqwest::Client,
    made: Arc<AtomicUsize>,
    edited: Arc<AtomicUsize>,
}

impl Between {
    async fn serve(self, listener: TcpListener) {
        let pass = |State(between): State<Self>, request: Request| between.pass(request);
        let router = axum::Router::new().fallback(pass).with_state(self);
        axum::serve(listener, router).await.unwrap();
    }

    async fn pass(self, request: Request) -> Response {
        let (head, body) = request.into_parts();
        let body = axum::body::to_bytes(body, usize::MAX).await.unwrap();
        let first = |count: &AtomicUsize| count.fetch_add(1, Ordering::Relaxed) == 0;
        if head.method == Method::PATCH && first(&self.edited) {
            self.owner.patch("products/maps", json!({ "description": "by Bob" })).await.ok();
        }
        let url = format!("http://{}{}", self.admin, head.uri);
        let passed = self.client.request(head.method.clone(), url).headers(head.headers);
        let answer = passed.body(body).send().await.unwrap();
        if head.method == Method::POST && first(&self.made) {
            return StatusCode::SERVICE_UNAVAILABLE.into_response();
        }
        let (status, headers) = (answer.status(), answer.headers().clone());
        (status, headers, answer.bytes().await.unwrap()).into_response()
    }
}

#[test]
fn an_edit_in_between_is_not_overwritten_and_a_lost_answer_makes_nothing_twice() {
    let house = House::start();
    let made = Arc::new(AtomicUsize::new(0));
    let between = Between {
        owner: house.owner.clone(),
        admin: house.tollgate.address("admin").to_string(),
        client: reqwest::Client::builder().no_proxy().build().unwrap(),
        made: made.clone(),
        edited: Arc::default(),
    };
    let (url, listener) = house.runtime.block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        (format!("http://{}", listener.local_addr().unwrap()), listener)
    });
    let serving = house.runtime.spawn(between.serve(listener));
    let apply = ["apply", "c.yaml", "--admin-url", &url];
    house.file("c.yaml", "products: [{name: maps}]\n");

    assert_eq!(
        house.said(&apply),
        "+ product maps\n1 to create, 0 to change, 0 to remove\ndone\nexit 0"
    );
    assert_eq!((made.load(Ordering::Relaxed), house.changes()), (2, 1));
    house.file("c.yaml", "products: [{name: maps, title: Maps}]\n");
    insta::assert_snapshot!(house.said(&apply), @r#"
    ~ product maps
        title: "maps" -> "Maps"
    0 to create, 1 to change, 0 to remove
    tollgate: stopped at `~ product maps`: PATCH /api/v1/products/ID was answered 412 Precondition Failed: It has changed since it was read: read it again, then decide again
    not done:
      ~ product maps
    apply the file again to go on from here
    exit 1
    "#);
    insta::assert_snapshot!(house.said(&apply), @r#"
    ~ product maps
        description: "by Bob" -> ""
        title: "maps" -> "Maps"
    0 to create, 1 to change, 0 to remove
    done
    exit 0
    "#);
    serving.abort();
}

#[test]
fn an_auditor_may_look_and_not_touch() {
    let house = House::start();
    let body = json!({ "name": "Eve", "role": "auditor" });
    let made = house.runtime.block_on(house.owner.post("tokens", body)).ok();
    house.file("token", made["token"].as_str().unwrap());
    house.file("c.yaml", "products: [{name: maps}]\n");
    let url = format!("http://{}", house.tollgate.address("admin"));
    let as_auditor = ["--admin-url", &url, "--token-file", "token"];

    let looked = house.said(&[&["apply", "c.yaml", "--dry-run"][..], &as_auditor].concat());
    assert_eq!(looked, "+ product maps\n1 to create, 0 to change, 0 to remove\nexit 3");
    let touched = house.run(&[&["apply", "c.yaml"][..], &as_auditor].concat());
    assert_eq!(touched.status.code(), Some(1));
    let said = String::from_utf8(touched.stderr).unwrap();
    assert!(said.contains("403 Forbidden: The token's role does not allow this"), "{said}");
}

#[test]
fn an_openapi_file_becomes_a_product_and_is_held_against_the_one_that_is_there() {
    let house = House::start();
    let openapi = "openapi: 3.1.0\npaths:\n  /now:\n    get: {}\n  /forecast:\n    \
                   x-tollgate-weight: 5\n    get: {}\n";
    house.file("o.yaml", openapi);
    let import = ["import-openapi", "o.yaml", "--product", "weather"];
    let dry_run = [&import[..], &["--dry-run"]].concat();

    insta::assert_snapshot!(house.said(&dry_run), @r#"
    + product weather
        routes: [{"cost":1,"method":"GET","path":"/now"},{"cost":5,"method":"GET","path":"/forecast"}]
    1 to create, 0 to change, 0 to remove
    exit 3
    "#);
    let fragment = String::from_utf8(house.run(&import).stdout).unwrap();
    house.file("c.yaml", &fragment);
    house.run(&["apply", "c.yaml"]);
    assert_eq!(house.said(&dry_run), "nothing to do\nexit 0");
    house.file("o.yaml", &openapi.replace("weight: 5", "weight: 6"));
    insta::assert_snapshot!(house.said(&dry_run), @r"
    ~ product weather
        routes[GET /forecast].cost: 5 -> 6
    0 to create, 1 to change, 0 to remove
    exit 3
    ");
}
