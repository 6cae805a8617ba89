//! A person's passkeys.

use axum::response::Response;
use http::StatusCode;
use maud::html;

use super::frame::{Page, Script, token};
use super::prove::{asked, button};
use super::{arguments, time};
use crate::browser::Browser;
use crate::failure::Failure;
use crate::pages::Pages;
use crate::webauthn::{ALGORITHMS, Challenge};

/// Which there are.
pub(crate) fn passkeys(pages: &Pages, browser: &Browser) -> Response {
    let now = pages.now();
    let world = pages.service().world();
    let known: Vec<_> = world.passkeys_of(&browser.who.identity).collect();
    let body = html! {
        p.lead { "A passkey proves that it is you who answers, where much is at stake. It cannot \
                  be phished, and its secret never leaves your authenticator for here." }
        @if known.is_empty() { p { "You have none yet." } } @else {
            ul.cards { @for passkey in &known {
                li.card {
                    span.card-head {
                        strong { (arguments::text(&passkey.name)) }
                        form method="post" action="/passkeys/remove" {
                            (token(pages, browser, "/passkeys/remove"))
                            input type="hidden" name="id" value=(passkey.id.as_str());
                            button.quiet aria-label={ "Remove " (passkey.name) } { "Remove" }
                        }
                    }
                    span.note {
                        "registered " (time::minute(passkey.registered_at)) ", "
                        (time::from_now(passkey.registered_at, now))
                        @if passkey.synced { " · may be copied between your devices" }
                        @else { " · stays on one device" }
                        @if passkey.rp != pages.site().rp { " · for " (passkey.rp) ", not for here" }
                    }
                }
            } }
            p.note { "One that you do not know? Remove it, and tell who runs Safeconduct." }
        }
        section.answers aria-labelledby="new" {
            h2 #new { "A new one" }
            form.answer method="post" action="/passkeys/new" {
                (token(pages, browser, "/passkeys/new"))
                div.choice { label { "What you call it"
                    input type="text" name="name" maxlength="60" required autocomplete="off"; } }
                button.primary { "Register a passkey" }
            }
            @if !browser.is_fresh(now) {
                p.note { "You will be asked to sign in once more." }
            }
        }
    };
    let (title, status, browser) = ("Your passkeys", StatusCode::OK, Some(browser));
    Page { title, status, browser, script: Script::None, body }.answer(pages)
}

/// The page on which a passkey that is known vouches for another.
pub(crate) fn vouch(
    pages: &Pages,
    browser: &Browser,
    challenge: &Challenge,
    name: &str,
) -> Response {
    let said = html! {
        strong { "I want another passkey, named " (arguments::text(name)) }
    };
    let facts = html! {
        p.note { "Whoever has it can answer in your name. Confirm with a passkey that you have; \
                  then the new one is made." }
    };
    asked(pages, browser, "/passkeys", challenge, said, facts)
}

/// The page on which the authenticator makes one.
pub(crate) fn register(
    pages: &Pages,
    browser: &Browser,
    challenge: &Challenge,
    name: &str,
) -> Result<Response, Failure> {
    let path = "/passkeys/confirm";
    let world = pages.service().world();
    let known: Vec<_> =
        world.passkeys_of(&browser.who.identity).map(|passkey| passkey.id.as_str()).collect();
    let algorithms = ALGORITHMS.map(|number| number.to_string()).join(" ");
    let handle = crate::secret::text(pages.user_handle(browser).as_bytes());
    let body = html! {
        section.confirm {
            p.lead { "Your browser will ask you to make a passkey named "
                strong { (arguments::text(name)) } "." }
            form method="post" action=(path) data-passkey="create"
                data-challenge=(challenge.text()) data-rp=(pages.site().rp)
                data-known=(known.join(" ")) data-algorithms=(algorithms)
                data-user=(handle) data-name=(browser.who.identity.as_str()) {
                (token(pages, browser, path))
                @for field in ["client_data", "attestation_object"] {
                    input type="hidden" name=(field);
                }
                (button("Make the passkey"))
            }
            p { a href="/passkeys" { "Back, make none" } }
        }
    };
    let (title, status, browser) = ("A new passkey", StatusCode::OK, Some(browser));
    Ok(Page { title, status, browser, script: Script::Passkey, body }.answer(pages))
}
