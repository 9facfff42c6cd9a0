//! The frame of every page.

use axum::http::StatusCode;
use axum::response::{Html, IntoResponse, Response};
use maud::{DOCTYPE, Markup, html};

use super::Shown;
use super::asset::{FAVICON, JAVASCRIPT, STYLESHEET};
use super::visitor::{PROOF, Visitor};

/// Where every form to sign out is sent.
pub const SIGN_OUT: &str = "/dashboard/sign-out";

/// Where a page stands in the menu.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Section {
    Apis,
    Consumers,
    Usage,
    Destinations,
    Gateways,
    Audit,
    Tokens,
}

impl Section {
    const ALL: [Section; 7] = [
        Self::Apis,
        Self::Consumers,
        Self::Usage,
        Self::Destinations,
        Self::Gateways,
        Self::Audit,
        Self::Tokens,
    ];

    const fn label(self) -> &'static str {
        match self {
            Self::Apis => "APIs",
            Self::Consumers => "Consumers",
            Self::Usage => "Usage",
            Self::Destinations => "Destinations",
            Self::Gateways => "Gateways",
            Self::Audit => "Audit",
            Self::Tokens => "Tokens",
        }
    }

    pub const fn path(self) -> &'static str {
        match self {
            Self::Apis => "/dashboard/admin/apis",
            Self::Consumers => "/dashboard/admin/consumers",
            Self::Usage => "/dashboard/admin/usage",
            Self::Destinations => "/dashboard/admin/destinations",
            Self::Gateways => "/dashboard/admin/gateways",
            Self::Audit => "/dashboard/admin/audit",
            Self::Tokens => "/dashboard/admin/tokens",
        }
    }
}

impl Visitor {
    pub fn page(&self, section: Section, title: &str, content: &Markup) -> Response {
        let menu = self.menu(section);
        shown(StatusCode::OK, &whole(title, &menu, content))
    }

    /// A page that a script may show as a dialog over the one before.
    pub fn sheet(&self, section: Section, title: &str, content: &Markup) -> Response {
        self.sheet_with(StatusCode::OK, section, title, content)
    }

    pub fn sheet_with(
        &self,
        status: StatusCode,
        section: Section,
        title: &str,
        content: &Markup,
    ) -> Response {
        let content = html! {
            section.sheet data-dialog-body aria-labelledby="sheet-title" {
                h1 #sheet-title { (title) }
                (content)
            }
        };
        shown(status, &whole(title, &self.menu(section), &content))
    }

    fn menu(&self, section: Section) -> Markup {
        html! {
            nav aria-label="Console" {
                ul {
                    @for known in Section::ALL {
                        li {
                            a href=(known.path()) aria-current=[(known == section).then_some("page")] {
                                (known.label())
                            }
                        }
                    }
                }
            }
            form.sign-out method="post" action=(SIGN_OUT) {
                (self.proof_field())
                span.who { (self.name()) }
                button.plain type="submit" { "Sign out" }
            }
        }
    }

    /// Shows that a form came from a page of this session.
    pub fn proof_field(&self) -> Markup {
        proof_field(&self.proof())
    }
}

/// The field of a page that has no visitor, but knows of a session.
pub fn proof_field(proof: &str) -> Markup {
    html! { input type="hidden" name=(PROOF) value=(proof); }
}

/// A page without a visitor.
pub fn bare(status: StatusCode, title: &str, content: &Markup) -> Response {
    shown(status, &whole(title, &html! {}, content))
}

fn shown(status: StatusCode, page: &Markup) -> Response {
    let mut response = (status, Html(page.0.clone())).into_response();
    response.extensions_mut().insert(Shown);
    response
}

fn whole(title: &str, menu: &Markup, content: &Markup) -> Markup {
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                title { (title) " · Tollgate" }
                link rel="icon" type="image/svg+xml" href=(FAVICON.path());
                link rel="stylesheet" href=(STYLESHEET.path());
                script src=(JAVASCRIPT.path()) defer {}
            }
            body {
                a.skip href="#main" { "Skip to content" }
                header.top {
                    a.brand href="/dashboard/admin/apis" { "Tollgate" }
                    (menu)
                }
                main #main tabindex="-1" { (content) }
            }
        }
    }
}
