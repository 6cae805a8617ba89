//! What stands around every page.

use axum::response::{Html, IntoResponse as _, Response};
use http::{HeaderName, HeaderValue, StatusCode};
use maud::{DOCTYPE, Markup, html};

use crate::browser::Browser;
use crate::pages::Pages;
use crate::secret;

/// Whether a page runs the script of passkeys.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Script {
    /// It runs none.
    None,
    /// It runs that one.
    Passkey,
}

/// A page.
pub(super) struct Page<'a> {
    pub(super) title: &'a str,
    pub(super) status: StatusCode,
    pub(super) browser: Option<&'a Browser>,
    pub(super) script: Script,
    pub(super) body: Markup,
}

impl Page<'_> {
    pub(super) fn answer(self, pages: &Pages) -> Response {
        // A script runs by a number that is new for each page. Without randomness it has none.
        let nonce = match self.script {
            Script::None => None,
            Script::Passkey => secret::random().ok().map(|bytes| secret::text(&bytes)),
        };
        let scripts = nonce.as_ref().map(|nonce| format!("script-src 'nonce-{nonce}'; "));
        let policy = format!(
            "default-src 'none'; style-src 'self'; {}form-action 'self'; base-uri 'none'; \
             frame-ancestors 'none'",
            scripts.unwrap_or_default()
        );
        let status = self.status;
        let page = self.markup(pages, nonce.as_deref()).into_string();
        let mut response = (status, Html(page)).into_response();
        if let Ok(policy) = HeaderValue::try_from(policy) {
            let name = HeaderName::from_static("content-security-policy");
            response.headers_mut().insert(name, policy);
        }
        response
    }

    fn markup(&self, pages: &Pages, nonce: Option<&str>) -> Markup {
        html! {
            (DOCTYPE)
            html lang="en" {
                head {
                    meta charset="utf-8";
                    meta name="viewport" content="width=device-width, initial-scale=1";
                    meta name="color-scheme" content="light dark";
                    title { (self.title) " · Safeconduct" }
                    link rel="stylesheet" href="/pages/style.css";
                    @if let Some(nonce) = nonce {
                        script src="/pages/passkey.js" nonce=(nonce) defer {}
                    }
                }
                body {
                    a.skip href="#main" { "To the content" }
                    header.top {
                        a.mark href="/approve" { "Safeconduct" }
                        @if let Some(browser) = self.browser {
                            nav aria-label="Pages" {
                                a href="/approve" { "Waiting" }
                                a href="/passkeys" { "Passkeys" }
                                a href="/break-glass" { "Break glass" }
                            }
                            form.who method="post" action="/sign-out" {
                                (token(pages, browser, "/sign-out"))
                                span.name { (browser.who.identity.as_str()) }
                                button.quiet { "Sign out" }
                            }
                        }
                    }
                    main #main { h1 { (self.title) } (self.body) }
                    footer { p { "Every answer is recorded before it counts." } }
                }
            }
        }
    }
}

/// What makes a form ours.
pub(super) fn token(pages: &Pages, browser: &Browser, path: &str) -> Markup {
    html! { input type="hidden" name="token" value=(pages.form_token(browser, path)); }
}
