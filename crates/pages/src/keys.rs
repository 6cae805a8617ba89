//! A person's passkeys: which there are, a new one, one less.

use axum::extract::{Request, State};
use axum::response::Response;
use http::HeaderMap;
use safeconduct_model::{Authentication, Digest, PasskeyId};

use crate::answer::proved;
use crate::browser::Browser;
use crate::ceremony::Purpose;
use crate::failure::Failure;
use crate::form::Form;
use crate::pages::Pages;
use crate::webauthn::{self, Creation};
use crate::{guard, secret, show};

const HERE: &str = "/passkeys";

/// `GET /passkeys`.
pub(crate) async fn page(State(pages): State<Pages>, headers: HeaderMap) -> Response {
    match pages.someone(&headers, HERE) {
        Ok(browser) => show::passkeys(&pages, &browser),
        Err(failure) => show::failure(&pages, None, failure),
    }
}

/// `POST /passkeys/new`: a name is given, and the authenticator is asked for a key; first for one
/// that is known, where there is any.
pub(crate) async fn begin(State(pages): State<Pages>, request: Request) -> Response {
    handled(pages, request, "/passkeys/new", async |pages, browser, form| {
        let name = form.text("name").trim().to_owned();
        let world = pages.service().world();
        let here = |passkey: &safeconduct_model::Passkey| passkey.rp == pages.site().rp;
        if !world.passkeys_of(&browser.who.identity).any(here) {
            return make(pages, browser, name, browser.who.clone());
        }
        let about = about(browser, &[b"another passkey", name.as_bytes()]);
        let purpose = Purpose::Vouch { name: name.clone() };
        let begun = pages.ceremonies().begin(browser.id, about, purpose, pages.now())?;
        let challenge = begun.ok_or_else(Failure::busy)?;
        Ok(show::vouch(pages, browser, &challenge, &name))
    })
    .await
}

/// Asks the authenticator for a new key.
fn make(
    pages: &Pages,
    browser: &Browser,
    name: String,
    by: Authentication,
) -> Result<Response, Failure> {
    let about = about(browser, &[b"register"]);
    let purpose = Purpose::Register { name: name.clone(), by: Box::new(by) };
    let begun = pages.ceremonies().begin(browser.id, about, purpose, pages.now())?;
    let challenge = begun.ok_or_else(Failure::busy)?;
    show::register(pages, browser, &challenge, &name)
}

/// What somebody's authenticator is asked about.
fn about(browser: &Browser, what: &[&[u8]]) -> Digest {
    let who = browser.who.identity.as_str().as_bytes();
    let parts = what.iter().copied().chain([who]).flat_map(|part| [part, b"\0"]);
    Digest::from_bytes(secret::digest(&parts.collect::<Vec<_>>().concat()))
}

/// `POST /passkeys/confirm`: a known passkey has signed that there shall be another, or the
/// authenticator has made it.
pub(crate) async fn confirm(State(pages): State<Pages>, request: Request) -> Response {
    handled(pages, request, "/passkeys/confirm", async |pages, browser, form| {
        let now = pages.now();
        let ceremony = pages.ceremonies().end(&browser.id, now).ok_or_else(Failure::foreign)?;
        let (name, by) = match &ceremony.purpose {
            Purpose::Vouch { name } => {
                let by = proved(pages, browser, form, &ceremony).await?;
                return make(pages, browser, name.clone(), by);
            }
            Purpose::Register { name, by } => (name, by),
            _ => return Err(Failure::foreign()),
        };
        let sent = Creation {
            client_data: form.text("client_data"),
            attestation_object: form.text("attestation_object"),
        };
        let identity = browser.who.identity.clone();
        let passkey = webauthn::made(pages.site(), &ceremony.challenge, identity, name, sent, now)?;
        pages.service().register_passkey(passkey, by).await?;
        Ok(guard::see(HERE))
    })
    .await
}

/// `POST /passkeys/remove`.
pub(crate) async fn remove(State(pages): State<Pages>, request: Request) -> Response {
    handled(pages, request, "/passkeys/remove", async |pages, browser, form| {
        let id = PasskeyId::new(form.text("id")).map_err(|_| Failure::foreign())?;
        let who = &browser.who.identity;
        pages.service().remove_passkey(&id, who, who).await?;
        Ok(guard::see(HERE))
    })
    .await
}

/// Does what a form of ours asks for, for somebody who has signed in just now.
async fn handled(
    pages: Pages,
    request: Request,
    path: &str,
    handle: impl AsyncFnOnce(&Pages, &Browser, &Form) -> Result<Response, Failure>,
) -> Response {
    let headers = request.headers().clone();
    let browser = match pages.someone(&headers, HERE) {
        Ok(browser) => browser,
        Err(failure) => return show::failure(&pages, None, failure),
    };
    let done = async {
        let form = Form::read(request.into_body()).await?;
        pages.is_ours(&form, &browser, path)?;
        if !browser.is_fresh(pages.now()) {
            return Err(Failure::Fresh { next: HERE });
        }
        handle(&pages, &browser, &form).await
    };
    done.await.unwrap_or_else(|failure| show::failure(&pages, Some(&browser), failure))
}
