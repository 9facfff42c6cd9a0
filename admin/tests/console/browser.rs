//! A Chromium of its own for each test.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use chromiumoxide::cdp::browser_protocol::emulation::{
    MediaFeature, SetDeviceMetricsOverrideParams,
};
use chromiumoxide::page::ScreenshotParams;
use chromiumoxide::{Browser, BrowserConfig, Page};
use futures_util::StreamExt;
use serde::de::DeserializeOwned;
use tempfile::TempDir;
use tokio::time::{Instant, sleep, timeout};

use crate::support::{Admin, OWNER};

pub const APIS: &str = "/dashboard/admin/apis";

/// What every text that people type may hold. A script that came from it would leave its mark.
pub const HOSTILE: &str = "<img src=x onerror=\"window.harmed=1\">";

/// Chromium starts slowly on a machine that is compiling.
const PATIENCE: Duration = Duration::from_secs(20);

/// Finds what people who cannot see or point would stumble over (axe-core, Mozilla Public License 2.0).
const AXE: &str = include_str!("axe.min.js");

/// Counts what the content security policy kept from being loaded or run.
const WATCH: &str = "window.violations = []; document.addEventListener('securitypolicyviolation', \
     event => window.violations.push(event.violatedDirective + ' ' + event.blockedURI));";

const WIDTH: i64 = 1_280;

#[derive(Clone, Copy, Debug)]
pub enum Theme {
    Light,
    Dark,
}

pub struct Visit {
    pub admin: Admin,
    browser: Browser,
    page: Page,
    theme: Theme,
    test: &'static str,
    _profile: TempDir,
}

fn program() -> PathBuf {
    let places = ["/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome"];
    let found = places.into_iter().map(PathBuf::from).find(|place| place.exists());
    found.expect("Chromium is not installed: run scripts/prepare tests")
}

impl Visit {
    pub async fn start(test: &'static str, theme: Theme) -> Self {
        let admin = Admin::start().await;
        let profile = tempfile::tempdir().unwrap();
        let config = BrowserConfig::builder()
            .chrome_executable(program())
            .user_data_dir(profile.path())
            .launch_timeout(PATIENCE * 3)
            .no_sandbox()
            .args(["--disable-gpu", "--disable-dev-shm-usage", "--no-proxy-server"])
            .build()
            .unwrap();
        let (browser, mut handler) = Browser::launch(config).await.unwrap();
        tokio::spawn(async move { while handler.next().await.is_some() {} });
        let page = browser.new_page("about:blank").await.unwrap();
        let scheme = match theme {
            Theme::Light => "light",
            Theme::Dark => "dark",
        };
        let scheme = MediaFeature::new("prefers-color-scheme", scheme);
        page.emulate_media_features(vec![scheme]).await.unwrap();
        page.evaluate_on_new_document(WATCH).await.unwrap();
        let visit = Self { admin, browser, page, theme, test, _profile: profile };
        visit.width(WIDTH).await;
        visit
    }

    pub async fn width(&self, width: i64) {
        let metrics = SetDeviceMetricsOverrideParams::new(width, 900, 1.0, width < 600);
        self.page.execute(metrics).await.unwrap();
    }

    pub async fn goto(&self, path: &str) {
        let url = format!("http://{}{path}", self.admin.address());
        timeout(PATIENCE, self.page.goto(url)).await.unwrap().unwrap();
    }

    pub async fn sign_in(&self, token: &str) {
        self.goto(APIS).await;
        self.type_into("#token", token).await;
        self.press("button[type=submit]").await;
        self.until("location.pathname === '/dashboard/admin/apis'").await;
    }

    pub async fn sign_in_as_owner(&self) {
        self.sign_in(OWNER).await;
    }

    /// What an expression is now; None while the page is changing.
    async fn try_value<T: DeserializeOwned>(&self, expression: &str) -> Option<T> {
        let answer = timeout(PATIENCE, self.page.evaluate(expression)).await.unwrap();
        answer.ok()?.into_value().ok()
    }

    pub async fn value<T: DeserializeOwned>(&self, expression: &str) -> T {
        self.try_value(expression).await.unwrap_or_else(|| panic!("{expression} has no value"))
    }

    pub async fn run(&self, script: &str) {
        self.value::<bool>(&format!("{script}; true")).await;
    }

    /// Waits for what a script of the page brings about.
    pub async fn until(&self, condition: &str) {
        let end = Instant::now() + PATIENCE;
        while self.try_value::<bool>(&format!("Boolean({condition})")).await != Some(true) {
            if Instant::now() > end {
                self.picture("late").await;
                let text: Option<String> = self.try_value("document.body.innerText").await;
                panic!("{condition} did not come about; the page says: {text:?}");
            }
            sleep(Duration::from_millis(20)).await;
        }
    }

    pub async fn press(&self, selector: &str) {
        self.until(&format!("document.querySelector({selector:?})")).await;
        self.page.find_element(selector).await.unwrap().click().await.unwrap();
    }

    /// With the keys, in the place of what is there.
    pub async fn type_into(&self, selector: &str, text: &str) {
        self.press(selector).await;
        self.run(&format!("document.querySelector({selector:?}).value = ''")).await;
        self.page.find_element(selector).await.unwrap().type_str(text).await.unwrap();
    }

    pub async fn key(&self, key: &str) {
        self.page.find_element("body").await.unwrap().press_key(key).await.unwrap();
    }

    pub async fn dialog_opens(&self, title: &str) {
        self.until(&format!(
            "document.querySelector('dialog[open] h1')?.textContent === {title:?}"
        ))
        .await;
    }

    pub async fn dialog_closes(&self) {
        self.until("!document.querySelector('dialog[open]')").await;
    }

    pub async fn says(&self, text: &str) {
        self.until(&format!("document.body.innerText.includes({text:?})")).await;
    }

    /// Keeps a picture, and sees to it that the page harms nobody and shuts out nobody.
    pub async fn is_sound(&self, step: &str) {
        self.picture(step).await;
        let violations: Vec<String> = self.value("window.violations").await;
        assert!(violations.is_empty(), "{step}: {violations:?}");
        assert!(self.value::<bool>("window.harmed === undefined").await, "{step}");
        self.run(AXE).await;
        let found: Vec<String> = self
            .value(
                "axe.run().then(found => found.violations.flatMap(violation => \
                 violation.nodes.map(node => violation.id + ' ' + node.html + ' ' + node.failureSummary)))",
            )
            .await;
        assert!(found.is_empty(), "{step}: {found:#?}");
        // A phone's window grows with what sticks out of it; the page's own width does not.
        let is_within =
            "document.documentElement.scrollWidth <= document.documentElement.clientWidth";
        assert!(self.value::<bool>(is_within).await, "{step}: wider than the window");
    }

    /// The same for every page of a list, also on a phone.
    pub async fn are_sound(&self, pages: &[(&str, String)]) {
        for (name, path) in pages {
            self.goto(path).await;
            self.is_sound(name).await;
            self.width(390).await;
            self.is_sound(&format!("{name}-phone")).await;
            self.width(WIDTH).await;
        }
    }

    async fn picture(&self, step: &str) {
        let directory = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("../console");
        fs::create_dir_all(&directory).unwrap();
        let name = format!("{}-{step}-{:?}.png", self.test, self.theme).to_lowercase();
        let picture = timeout(PATIENCE, self.page.screenshot(ScreenshotParams::builder().build()));
        fs::write(directory.join(name), picture.await.unwrap().unwrap()).unwrap();
    }

    pub async fn end(mut self) {
        self.browser.close().await.unwrap();
        timeout(PATIENCE, self.browser.wait()).await.unwrap().unwrap();
        self.admin.stop().await;
    }
}
