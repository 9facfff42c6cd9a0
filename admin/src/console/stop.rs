//! Why there is no page, and what is shown in its place.

use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Redirect, Response};
use maud::html;

use super::layout::{SIGN_OUT, bare, proof_field};
use crate::access::Caller;
use crate::problem::{Code, Problem};
use crate::request::RequestId;

#[derive(Debug)]
pub enum Stop {
    /// Nobody is signed in; where to do that.
    SignIn(String),
    /// The visitor's role does not open the console. The proof is for the form to sign out.
    Denied {
        caller: Caller,
        proof: String,
    },
    /// A form did not come from a page of this session.
    Forged,
    Problem(Problem),
}

impl From<Problem> for Stop {
    fn from(problem: Problem) -> Self {
        Self::Problem(problem)
    }
}

impl IntoResponse for Stop {
    fn into_response(self) -> Response {
        match self {
            Self::SignIn(path) => Redirect::to(&path).into_response(),
            Self::Denied { caller, proof } => denied(&caller, &proof),
            Self::Forged => forged(),
            // The frame around every request knows its id, and comes back here.
            Self::Problem(problem) => problem.into_response(),
        }
    }
}

fn denied(caller: &Caller, proof: &str) -> Response {
    let content = html! {
        section.notice {
            h1 { "Access denied" }
            p {
                "The console is for platform owners. You are signed in as " strong { (caller.name()) }
                ", whose role is " code { (caller.role().word()) } "."
            }
            p {
                "If you need it, ask the operator of this platform to give you the role "
                code { "platform_owner" } ": a token with it is made with "
                code { "tollgate token create --role platform_owner --name you" } "."
            }
            div.actions {
                a.button href="/dashboard/sign-in?again=1" { "Sign in as someone else" }
                form.inline method="post" action=(SIGN_OUT) {
                    (proof_field(proof))
                    button.plain type="submit" { "Sign out" }
                }
            }
        }
    };
    bare(StatusCode::FORBIDDEN, "Access denied", &content)
}

fn forged() -> Response {
    let content = html! {
        section.notice {
            h1 { "This form is out of date" }
            p {
                "It was not sent from a page of your present session, so nothing was done. Go back, \
                 load the page again, and send it once more."
            }
            p { a.button href="/dashboard/admin/apis" { "To the console" } }
        }
    };
    bare(StatusCode::FORBIDDEN, "Form out of date", &content)
}

/// The page for a problem that no form can show.
pub fn page(problem: &Problem, id: &RequestId) -> Response {
    let status = problem.code.status();
    let content = html! {
        section.notice {
            h1 { (problem.code.title()) }
            p { (problem.detail) }
            @if !problem.errors.is_empty() {
                ul { @for error in &problem.errors { li { code { (error.field) } " " (error.message) } } }
            }
            p.quiet { "Request " code { (id) } }
            p { a.button href="/dashboard/admin/apis" { "To the console" } }
        }
    };
    let mut response = bare(status, problem.code.title(), &content);
    if problem.code == Code::StoreUnavailable {
        let soon = header::HeaderValue::from_static("5");
        response.headers_mut().insert(header::RETRY_AFTER, soon);
    }
    response
}
