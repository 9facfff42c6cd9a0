use rstest::rstest;

use crate::browser::{APIS, Theme, Visit};

/// `portal.md` 1, 2 and 13: the console has an address, needs a role, and says so who lacks it; a
/// change of role is felt at once.
#[rstest]
#[tokio::test]
async fn owners_are_let_in_and_others_are_told(#[values(Theme::Light, Theme::Dark)] theme: Theme) {
    let visit = Visit::start("door", theme).await;
    let auditor = visit.admin.token("auditor").await;

    visit.goto(APIS).await;
    visit.says("Sign in").await;
    visit.is_sound("sign-in").await;
    visit.type_into("#token", "tga_wrong").await;
    visit.press("button[type=submit]").await;
    visit.says("This token is unknown").await;
    visit.is_sound("unknown").await;

    visit.sign_in(&auditor).await;
    visit.says("Access denied").await;
    visit.says("platform_owner").await;
    visit.is_sound("denied").await;
    visit.press("form[action='/dashboard/sign-out'] button").await;
    visit.until("location.pathname === '/dashboard/sign-in'").await;

    visit.sign_in(&auditor).await;
    visit.press("a[href^='/dashboard/sign-in']").await;
    visit.type_into("#token", crate::support::OWNER).await;
    visit.press("button[type=submit]").await;
    visit.says("There is no product yet").await;
    visit.press(".sign-out button").await;
    visit.until("location.pathname === '/dashboard/sign-in'").await;
    visit.end().await;
}
