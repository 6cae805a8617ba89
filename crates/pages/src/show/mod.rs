//! What the pages look like. Every text goes through a template that escapes it; there is no
//! other way to make markup here.

mod arguments;
mod facts;
mod frame;
mod glass;
mod keys;
mod list;
mod prove;
mod request;
mod time;
mod together;

use axum::response::{IntoResponse as _, Response};
use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use http::{HeaderValue, StatusCode};
use maud::html;

use crate::browser::Browser;
use crate::failure::Failure;
use crate::pages::Pages;
use frame::{Page, Script};

pub(crate) use glass::{glasses, prove_glass};
pub(crate) use keys::{passkeys, register, vouch};
pub(crate) use list::list;
pub(crate) use prove::{prove, prove_all};
pub(crate) use request::{answered, request};
pub(crate) use together::{answered_all, together};

/// `GET /pages/style.css`.
pub(crate) async fn style() -> Response {
    asset("text/css; charset=utf-8", include_str!("style.css"))
}

/// `GET /pages/passkey.js`: the one script there is.
pub(crate) async fn script() -> Response {
    asset("text/javascript; charset=utf-8", include_str!("passkey.js"))
}

fn asset(media: &'static str, text: &'static str) -> Response {
    let mut response = text.into_response();
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(media));
    let kept = HeaderValue::from_static("public, max-age=300");
    response.headers_mut().insert(CACHE_CONTROL, kept);
    response
}

/// What went wrong, and what to do.
pub(crate) fn failure(pages: &Pages, browser: Option<&Browser>, failure: Failure) -> Response {
    let (status, title, body) = match failure {
        Failure::SignIn { next } => (
            StatusCode::UNAUTHORIZED,
            "Sign in",
            html! {
                p.lead { "See what waits for your answer, and answer it." }
                p { a.button.primary href=(start(&next, "")) { "Sign in" } }
                p.note { "You are sent to your OpenID provider, and come back here." }
            },
        ),
        Failure::Fresh { next } => (
            StatusCode::FORBIDDEN,
            "Show once more that it is you",
            html! {
                p.lead {
                    "Passkeys answer for you. To register or remove one, sign in again: it must \
                     not be longer than five minutes ago. Nothing has happened yet."
                }
                p { a.button.primary href=(start(next, "&anew")) { "Sign in again" } }
            },
        ),
        Failure::Says(status, text) => (
            status,
            match status {
                StatusCode::NOT_FOUND => "Nothing here for you",
                StatusCode::CONFLICT => "This does not count",
                StatusCode::SERVICE_UNAVAILABLE | StatusCode::BAD_GATEWAY => "Not now",
                _ => "This did not work",
            },
            html! {
                p.lead { (text) }
                p { a.button href="/approve" { "What waits for you" } }
            },
        ),
    };
    Page { title, status, browser, script: Script::None, body }.answer(pages)
}

fn start(next: &str, demand: &str) -> String {
    let next: String = url::form_urlencoded::byte_serialize(next.as_bytes()).collect();
    format!("/sign-in/start?next={next}{demand}")
}
