//! What waits for an answer, and answering it.

use axum::extract::{Path, Request, State};
use axum::response::Response;
use http::HeaderMap;
use safeconduct_model::{Assurance, Authentication, Digest, Method, PasskeyId, RecordId, TokenId};

use crate::browser::Browser;
use crate::ceremony::{Ceremony, Purpose};
use crate::failure::Failure;
use crate::form::Form;
use crate::pages::Pages;
use crate::requests::{RequestError, Shown};
use crate::webauthn::{self, Assertion};
use crate::{said, show};

/// `GET /approve`: all that waits for them.
pub(crate) async fn list(State(pages): State<Pages>, headers: HeaderMap) -> Response {
    let browser = match pages.someone(&headers, "/approve") {
        Ok(browser) => browser,
        Err(failure) => return show::failure(&pages, None, failure),
    };
    match pages.requests().waiting(&browser.who).await {
        Ok(waiting) => show::list(&pages, &browser, &waiting),
        Err(error) => show::failure(&pages, Some(&browser), error.into()),
    }
}

/// `GET /approve/{id}`: one of them in full. Looking at it answers nothing.
pub(crate) async fn page(
    State(pages): State<Pages>,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Response {
    let browser = match pages.someone(&headers, &format!("/approve/{id}")) {
        Ok(browser) => browser,
        Err(failure) => return show::failure(&pages, None, failure),
    };
    let shown = async { pages.requests().show(&known(&id)?, &browser.who).await };
    match shown.await {
        Ok(shown) => show::request(&pages, &browser, &shown),
        Err(error) => show::failure(&pages, Some(&browser), error.into()),
    }
}

/// `POST /approve/{id}`: an answer; where much is at stake, a passkey is asked for first.
pub(crate) async fn answer(
    State(pages): State<Pages>,
    Path(id): Path<String>,
    request: Request,
) -> Response {
    handled(pages, &id, request, "", async |pages, browser, id, form| {
        let shown = pages.requests().show(id, &browser.who).await?;
        let binding = Digest::parse(form.text("binding")).ok_or_else(Failure::foreign)?;
        if binding != shown.binding {
            let text = "What you saw is not what the request is about now. Look at it again.";
            return Err(RequestError::Refused(text.to_owned()).into());
        }
        let answer = said::answer(form, &shown, pages.now())?;
        if !needs_passkey(&shown, &browser.who) {
            let settled = pages.requests().answer(id, &browser.who, binding, &answer).await?;
            return Ok(show::answered(pages, browser, &shown, &answer, settled));
        }
        let requests = vec![(id.clone(), binding)];
        let about = said::statement(&requests, browser, &answer);
        let purpose = Purpose::Answer { requests, answer: answer.clone() };
        let begun = pages.ceremonies().begin(browser.id, about, purpose, pages.now())?;
        let challenge = begun.ok_or_else(Failure::busy)?;
        show::prove(pages, browser, &shown, &answer, &challenge)
    })
    .await
}

/// `POST /approve/{id}/confirm`: the passkey has signed.
pub(crate) async fn confirm(
    State(pages): State<Pages>,
    Path(id): Path<String>,
    request: Request,
) -> Response {
    handled(pages, &id, request, "/confirm", async |pages, browser, id, form| {
        let ceremony =
            pages.ceremonies().end(&browser.id, pages.now()).ok_or_else(Failure::foreign)?;
        let Purpose::Answer { requests, answer } = &ceremony.purpose else {
            return Err(Failure::foreign());
        };
        let [(request, binding)] = requests.as_slice() else { return Err(Failure::foreign()) };
        if request != id {
            return Err(Failure::foreign());
        }
        let shown = pages.requests().show(id, &browser.who).await?;
        let who = proved(pages, browser, form, &ceremony).await?;
        let settled = pages.requests().answer(id, &who, *binding, answer).await?;
        Ok(show::answered(pages, browser, &shown, answer, settled))
    })
    .await
}

/// Who answers, proved by the passkey that has signed what the ceremony is about.
pub(crate) async fn proved(
    pages: &Pages,
    browser: &Browser,
    form: &Form,
    ceremony: &Ceremony,
) -> Result<Authentication, Failure> {
    let sent = Assertion {
        id: form.text("id"),
        client_data: form.text("client_data"),
        authenticator_data: form.text("authenticator_data"),
        signature: form.text("signature"),
    };
    let world = pages.service().world();
    let passkey = PasskeyId::new(sent.id).ok().and_then(|id| world.passkey(&id).cloned());
    let passkey = passkey.filter(|passkey| passkey.identity == browser.who.identity);
    let passkey = passkey.ok_or(webauthn::CeremonyError::Other)?;
    let used = webauthn::used(pages.site(), &ceremony.challenge, &passkey, sent)?;
    // Only what is recorded has been proved.
    pages.service().passkey_used(used).await?;
    Ok(Authentication {
        method: Method::Passkey,
        assurance: Assurance::High,
        at: pages.now(),
        token: TokenId::new(format!("passkey:{}", short(passkey.id.as_str())))
            .unwrap_or_else(|_| browser.who.token.clone()),
        ..browser.who.clone()
    })
}

/// Does what a form of ours asks for.
pub(crate) async fn handled(
    pages: Pages,
    id: &str,
    request: Request,
    step: &str,
    handle: impl AsyncFnOnce(&Pages, &Browser, &RecordId, &Form) -> Result<Response, Failure>,
) -> Response {
    let headers = request.headers().clone();
    let page = format!("/approve/{id}");
    let browser = match pages.someone(&headers, &page) {
        Ok(browser) => browser,
        Err(failure) => return show::failure(&pages, None, failure),
    };
    let done = async {
        let form = Form::read(request.into_body()).await?;
        pages.is_ours(&form, &browser, &format!("{page}{step}"))?;
        handle(&pages, &browser, &known(id)?, &form).await
    };
    done.await.unwrap_or_else(|failure| show::failure(&pages, Some(&browser), failure))
}

/// Where an answer needs a passkey: it is asked for each anew, however lately one was used.
pub(crate) fn needs_passkey(shown: &Shown, who: &Authentication) -> bool {
    shown.listed.assurance == Assurance::High || who.assurance < shown.listed.assurance
}

/// A request of that name; what is no name is no request.
pub(crate) fn known(id: &str) -> Result<RecordId, RequestError> {
    RecordId::new(id).map_err(|_| RequestError::Unknown)
}

/// Enough of a passkey's id to tell it from a person's others.
fn short(id: &str) -> String {
    id.chars().take(32).collect()
}
