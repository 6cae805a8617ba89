//! A person's passkeys: which there are, a new one, one less.

use axum::extract::{Request, State};
use axum::response::Response;
use http::HeaderMap;
use safeconduct_model::{Digest, PasskeyId};

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

/// `POST /passkeys/new`: a name is given, and the authenticator is asked for a key.
pub(crate) async fn begin(State(pages): State<Pages>, request: Request) -> Response {
    handled(pages, request, "/passkeys/new", async |pages, browser, form| {
        let name = form.text("name").trim().to_owned();
        let browser_id = browser.id;
        let about = [b"register\0", browser.who.identity.as_str().as_bytes()].concat();
        let about = Digest::from_bytes(secret::digest(&about));
        let purpose = Purpose::Register { name: name.clone() };
        let begun = pages.ceremonies().begin(browser_id, about, purpose, pages.now())?;
        let challenge = begun.ok_or_else(Failure::busy)?;
        show::register(pages, browser, &challenge, &name)
    })
    .await
}

/// `POST /passkeys/confirm`: the authenticator has made a key.
pub(crate) async fn confirm(State(pages): State<Pages>, request: Request) -> Response {
    handled(pages, request, "/passkeys/confirm", async |pages, browser, form| {
        let now = pages.now();
        let ceremony = pages.ceremonies().end(&browser.id, now).ok_or_else(Failure::foreign)?;
        let Purpose::Register { name } = &ceremony.purpose else {
            return Err(Failure::foreign());
        };
        let sent = Creation {
            client_data: form.text("client_data"),
            attestation_object: form.text("attestation_object"),
        };
        let identity = browser.who.identity.clone();
        let passkey = webauthn::made(pages.site(), &ceremony.challenge, identity, name, sent, now)?;
        pages.service().register_passkey(passkey, &browser.who.identity).await?;
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
