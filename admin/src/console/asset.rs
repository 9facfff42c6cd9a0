//! The console's own files. Their names hold a digest of what is in them, so a browser may keep them
//! for ever and still has those of the running program.

use std::sync::LazyLock;

use axum::extract::Path;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use sha2::{Digest, Sha256};

use crate::problem::Problem;

const STYLE: &str = include_str!("../../console/console.css");
const SCRIPT: &str = include_str!("../../console/console.js");
const ICON: &str = include_str!("../../console/icon.svg");

pub struct Asset {
    pub name: String,
    kind: &'static str,
    content: &'static str,
}

pub static STYLESHEET: LazyLock<Asset> =
    LazyLock::new(|| Asset::new("css", "text/css; charset=utf-8", STYLE));
pub static JAVASCRIPT: LazyLock<Asset> =
    LazyLock::new(|| Asset::new("js", "text/javascript; charset=utf-8", SCRIPT));
pub static FAVICON: LazyLock<Asset> = LazyLock::new(|| Asset::new("svg", "image/svg+xml", ICON));

impl Asset {
    fn new(ending: &str, kind: &'static str, content: &'static str) -> Self {
        let digest = Sha256::digest(content.as_bytes());
        let digest = data_encoding::HEXLOWER.encode(&digest[..6]);
        Self { name: format!("console-{digest}.{ending}"), kind, content }
    }

    pub fn path(&self) -> String {
        format!("/dashboard/assets/{}", self.name)
    }
}

pub async fn asset(Path(name): Path<String>) -> Result<Response, Problem> {
    let assets = [&*STYLESHEET, &*JAVASCRIPT, &*FAVICON];
    let found = assets.into_iter().find(|asset| asset.name == name);
    let asset = found.ok_or_else(|| Problem::not_found("file"))?;
    let headers = [
        (header::CONTENT_TYPE, asset.kind),
        (header::CACHE_CONTROL, "public, max-age=31536000, immutable"),
    ];
    Ok((StatusCode::OK, headers, asset.content).into_response())
}
