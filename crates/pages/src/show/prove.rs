//! The last page before an answer of much weight: what is about to be said, and the passkey.

use axum::response::Response;
use http::StatusCode;
use maud::{Markup, html};

use super::facts::facts;
use super::frame::{Page, Script, token};
use super::request::words;
use super::together::all;
use crate::browser::Browser;
use crate::failure::Failure;
use crate::pages::Pages;
use crate::requests::{Answer, Shown};
use crate::webauthn::Challenge;

/// The page that asks for the passkey, for one request.
pub(crate) fn prove(
    pages: &Pages,
    browser: &Browser,
    shown: &Shown,
    answer: &Answer,
    challenge: &Challenge,
) -> Result<Response, Failure> {
    let path = format!("/approve/{}", shown.listed.id);
    let said = html! { strong { (words(answer)) } };
    Ok(asked(pages, browser, &path, challenge, said, facts(pages, shown)))
}

/// The same for several.
pub(crate) fn prove_all(
    pages: &Pages,
    browser: &Browser,
    shown: &[Shown],
    answer: &Answer,
    challenge: &Challenge,
) -> Result<Response, Failure> {
    let first = shown.first().ok_or_else(Failure::foreign)?;
    let path = format!("/approve/{}/all", first.listed.id);
    let said = html! { strong { "each of these " (shown.len()) " " (words(answer)) } };
    Ok(asked(pages, browser, &path, challenge, said, all(pages, shown)))
}

/// What is about to be said, all that it is about, and the form that the passkey fills. The form
/// goes to `/confirm` below the page that it comes from.
pub(super) fn asked(
    pages: &Pages,
    browser: &Browser,
    back: &str,
    challenge: &Challenge,
    said: Markup,
    facts: Markup,
) -> Response {
    let world = pages.service().world();
    let here = |passkey: &&safeconduct_model::Passkey| passkey.rp == pages.site().rp;
    let known = world.passkeys_of(&browser.who.identity).filter(here);
    let known: Vec<&str> = known.map(|passkey| passkey.id.as_str()).collect();
    if known.is_empty() {
        let body = html! {
            p.lead { "So much is at stake that a passkey must prove it is you, and you have none \
                      yet. Nothing has happened." }
            p { a.button.primary href="/passkeys" { "Register a passkey" } }
            p { a href=(back) { "Back" } }
        };
        let (title, browser) = ("First, a passkey", Some(browser));
        let status = StatusCode::FORBIDDEN;
        return Page { title, status, browser, script: Script::None, body }.answer(pages);
    }
    let path = format!("{back}/confirm");
    let body = html! {
        section.confirm {
            p.lead { "You are about to say: " (said) "." }
            form method="post" action=(path) data-passkey="get" data-challenge=(challenge.text())
                data-rp=(pages.site().rp) data-known=(known.join(" ")) {
                (token(pages, browser, &path))
                @for field in ["id", "client_data", "authenticator_data", "signature"] {
                    input type="hidden" name=(field);
                }
                (button("Confirm with passkey"))
            }
            p { a href=(back) { "Back, say nothing" } }
        }
        (facts)
    };
    let (title, status, browser) = ("Confirm that it is you", StatusCode::OK, Some(browser));
    Page { title, status, browser, script: Script::Passkey, body }.answer(pages)
}

/// The button that the script wakes, and what stands there without it.
pub(super) fn button(label: &str) -> Markup {
    html! {
        button.primary type="submit" disabled { (label) }
        p.note data-say role="status" { "This needs JavaScript and a browser with passkeys." }
    }
}
