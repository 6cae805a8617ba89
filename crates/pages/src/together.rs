//! One answer for requests that are alike: each is shown in full, and what joined them since is
//! not answered.

use axum::extract::{Path, Request, State};
use axum::response::Response;
use http::HeaderMap;
use safeconduct_model::{Authentication, Digest, RecordId};
use safeconduct_service::ANSWERED_AT_ONCE_MAX;

use crate::answer::{handled, known, needs_passkey, proved};
use crate::ceremony::Purpose;
use crate::failure::Failure;
use crate::form::Form;
use crate::pages::Pages;
use crate::requests::{RequestError, Shown};
use crate::{said, show};

/// `GET /approve/{id}/all`: a request and those that are like it. Looking at them answers nothing.
pub(crate) async fn page(
    State(pages): State<Pages>,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Response {
    let browser = match pages.someone(&headers, &format!("/approve/{id}/all")) {
        Ok(browser) => browser,
        Err(failure) => return show::failure(&pages, None, failure),
    };
    let shown = async {
        let first = pages.requests().show(&known(&id)?, &browser.who).await?;
        all(&pages, &browser.who, first).await
    };
    match shown.await {
        Ok(shown) => show::together(&pages, &browser, &shown),
        Err(error) => show::failure(&pages, Some(&browser), error.into()),
    }
}

/// `POST /approve/{id}/all`: one answer for all that the form names.
pub(crate) async fn answer(
    State(pages): State<Pages>,
    Path(id): Path<String>,
    request: Request,
) -> Response {
    handled(pages, &id, request, "/all", async |pages, browser, id, form| {
        let shown = named(pages, &browser.who, id, form).await?;
        let answer = said::answer_to_all(form, &shown)?;
        let requests: Vec<_> =
            shown.iter().map(|one| (one.listed.id.clone(), one.binding)).collect();
        if !shown.iter().any(|one| needs_passkey(one, &browser.who)) {
            let settled = pages.requests().answer_all(&requests, &browser.who, &answer).await?;
            return Ok(show::answered_all(pages, browser, &requests, &answer, &settled));
        }
        let about = said::statement(&requests, browser, &answer);
        let purpose = Purpose::Answer { requests, answer: answer.clone() };
        let begun = pages.ceremonies().begin(browser.id, about, purpose, pages.now())?;
        let challenge = begun.ok_or_else(Failure::busy)?;
        show::prove_all(pages, browser, &shown, &answer, &challenge)
    })
    .await
}

/// `POST /approve/{id}/all/confirm`: the passkey has signed for all of them.
pub(crate) async fn confirm(
    State(pages): State<Pages>,
    Path(id): Path<String>,
    request: Request,
) -> Response {
    handled(pages, &id, request, "/all/confirm", async |pages, browser, id, form| {
        let ceremony =
            pages.ceremonies().end(&browser.id, pages.now()).ok_or_else(Failure::foreign)?;
        let Purpose::Answer { requests, answer } = &ceremony.purpose else {
            return Err(Failure::foreign());
        };
        if requests.first().is_none_or(|(first, _)| first != id) {
            return Err(Failure::foreign());
        }
        let who = proved(pages, browser, form, &ceremony).await?;
        let settled = pages.requests().answer_all(requests, &who, answer).await?;
        Ok(show::answered_all(pages, browser, requests, answer, &settled))
    })
    .await
}

/// A request with all that are like it, in full. Those that ended meanwhile are left out.
async fn all(
    pages: &Pages,
    who: &Authentication,
    first: Shown,
) -> Result<Vec<Shown>, RequestError> {
    if let Some(ended) = &first.ended {
        return Err(RequestError::Refused(ended.to_string()));
    }
    let others = first.like_it.clone();
    let mut shown = vec![first];
    for id in others.iter().take(ANSWERED_AT_ONCE_MAX - 1) {
        match pages.requests().show(id, who).await {
            Ok(one) if one.ended.is_none() => shown.push(one),
            Ok(_) | Err(RequestError::Unknown) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(shown)
}

/// Those that the form names, as long as they are what was shown: the one of the page first.
async fn named(
    pages: &Pages,
    who: &Authentication,
    id: &RecordId,
    form: &Form,
) -> Result<Vec<Shown>, Failure> {
    let named: Option<Vec<(RecordId, Digest)>> = form
        .beginning("shown:")
        .map(|(id, binding)| Some((RecordId::new(id).ok()?, Digest::parse(binding)?)))
        .collect();
    let named = named.filter(|named| named.len() <= ANSWERED_AT_ONCE_MAX);
    let mut named = named.ok_or_else(Failure::foreign)?;
    if !named.iter().any(|(one, _)| one == id) {
        return Err(Failure::foreign());
    }
    named.sort_by_key(|(one, _)| one != id);
    let mut shown = Vec::with_capacity(named.len());
    for (id, binding) in &named {
        let one = pages.requests().show(id, who).await?;
        if one.binding != *binding || one.ended.is_some() {
            let text = "One of these is not what you saw any more. Look at them again.";
            return Err(RequestError::Refused(text.to_owned()).into());
        }
        shown.push(one);
    }
    Ok(shown)
}
