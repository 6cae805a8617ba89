//! What waits for an answer, and answering it.

use std::sync::Arc;

use axum::extract::{Path, Request, State};
use axum::response::Response;
use http::{HeaderMap, StatusCode};
use safeconduct_model::{
    Assurance, Authentication, Digest, Method, Number, PasskeyId, RecordId, TokenId, Value,
};
use safeconduct_wire::json;

use crate::browser::Browser;
use crate::ceremony::Purpose;
use crate::failure::Failure;
use crate::form::Form;
use crate::pages::Pages;
use crate::requests::{Answer, RequestError, Shown};
use crate::webauthn::{self, Assertion};
use crate::{secret, show};

/// Most uses that the form offers.
pub(crate) const USES_MAX: u32 = 1000;

/// Longest reason, in bytes.
pub(crate) const REASON_BYTES_MAX: usize = 1024;

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
        let answer = read(form, &shown)?;
        if !needs_passkey(&shown, &browser.who) {
            let settled = pages.requests().answer(id, &browser.who, binding, &answer).await?;
            return Ok(show::answered(pages, browser, &shown, &answer, settled));
        }
        let about = statement(id, binding, browser, &answer);
        let purpose = Purpose::Answer { request: id.clone(), binding, answer: answer.clone() };
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
        let now = pages.now();
        let ceremony = pages.ceremonies().end(&browser.id, now).ok_or_else(Failure::foreign)?;
        let Purpose::Answer { request, binding, answer } = &ceremony.purpose else {
            return Err(Failure::foreign());
        };
        if request != id {
            return Err(Failure::foreign());
        }
        let shown = pages.requests().show(id, &browser.who).await?;
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
        let who = Authentication {
            method: Method::Passkey,
            assurance: Assurance::High,
            at: now,
            token: TokenId::new(format!("passkey:{}", short(passkey.id.as_str())))
                .unwrap_or_else(|_| browser.who.token.clone()),
            ..browser.who.clone()
        };
        let settled = pages.requests().answer(id, &who, *binding, answer).await?;
        Ok(show::answered(pages, browser, &shown, answer, settled))
    })
    .await
}

/// Does what a form of ours asks for.
async fn handled(
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

/// What a passkey signs: this answer of this person to this request, and nothing else.
fn statement(id: &RecordId, binding: Digest, browser: &Browser, answer: &Answer) -> Digest {
    let (word, rest) = match answer {
        Answer::Once => ("once", Value::Null),
        Answer::Edited(edits) => {
            let edit = |(pointer, most): &(Arc<str>, Value)| {
                Value::object([
                    ("at_most", most.clone()),
                    ("pointer", Value::String(Arc::clone(pointer))),
                ])
            };
            ("edited", Value::from(edits.iter().map(edit).collect::<Vec<_>>()))
        }
        Answer::ForTask { uses } => ("task", Value::Integer(i64::from(*uses))),
        Answer::Refuse { reason } => ("refuse", Value::String(Arc::clone(reason))),
    };
    let statement = Value::object([
        ("answer", Value::from(word)),
        ("binding", Value::from(binding.to_string().as_str())),
        ("by", Value::String(browser.who.identity.shared())),
        ("request", Value::String(id.shared())),
        ("scope", rest),
        ("v", Value::Integer(1)),
    ]);
    Digest::from_bytes(secret::digest(&json::to_bytes(&statement)))
}

/// The answer that a form gives.
fn read(form: &Form, shown: &Shown) -> Result<Answer, Failure> {
    let bad = |text: &str| Failure::says(StatusCode::BAD_REQUEST, format!("{text} Go back."));
    match (form.text("answer"), &shown.exactly) {
        ("once", Some(_)) => Ok(Answer::Once),
        ("task", Some(_)) if shown.may_be_for_task => {
            let uses = form.text("uses").trim().parse().ok().filter(|n| (1..=USES_MAX).contains(n));
            let uses = uses.ok_or_else(|| bad("Say how often: 1 to 1000 times."))?;
            Ok(Answer::ForTask { uses })
        }
        ("edited", Some(exactly)) => {
            let mut edits = Vec::new();
            for (pointer, text) in form.beginning("most:") {
                let pointer = exactly.lowerable.iter().find(|known| &***known == pointer);
                let pointer = pointer.ok_or_else(Failure::foreign)?;
                let most = number(text).ok_or_else(|| bad("Only numbers can be lowered."))?;
                edits.push((Arc::clone(pointer), most));
            }
            if edits.is_empty() {
                return Err(bad("Say how much at most."));
            }
            Ok(Answer::Edited(edits))
        }
        ("refuse", _) => {
            let reason = form.text("reason").trim();
            if reason.is_empty() || reason.len() > REASON_BYTES_MAX {
                return Err(bad("Say why, in at most 1024 bytes."));
            }
            Ok(Answer::Refuse { reason: reason.into() })
        }
        _ => Err(Failure::foreign()),
    }
}

/// A number from 0 on.
fn number(text: &str) -> Option<Value> {
    let value = match text.parse::<i64>() {
        Ok(number) => Value::Integer(number),
        Err(_) => Value::Number(Number::parse(text)?),
    };
    (!text.starts_with('-')).then_some(value)
}

/// A request of that name; what is no name is no request.
fn known(id: &str) -> Result<RecordId, RequestError> {
    RecordId::new(id).map_err(|_| RequestError::Unknown)
}

/// Enough of a passkey's id to tell it from a person's others.
fn short(id: &str) -> String {
    id.chars().take(32).collect()
}
