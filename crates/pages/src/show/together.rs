//! Requests that are alike, each in full, and one answer for all of them.

use axum::response::Response;
use maud::{Markup, html};
use safeconduct_model::{Digest, RecordId};

use super::facts::{common, for_whom, own};
use super::frame::token;
use super::request::{page, plain, refusal, words};
use super::time;
use crate::answer::needs_passkey;
use crate::browser::Browser;
use crate::failure::sentence;
use crate::pages::Pages;
use crate::requests::{Answer, RequestError, Settled, Shown};

/// The requests, the one that was opened first.
pub(crate) fn together(pages: &Pages, browser: &Browser, shown: &[Shown]) -> Response {
    let title = match shown.first() {
        Some(first) => {
            let (agent, action) = (&first.listed.agent, &first.listed.action);
            format!("{agent} wants to do {action}, {} times", shown.len())
        }
        None => "Nothing".to_owned(),
    };
    let body = html! { (all(pages, shown)) (answers(pages, browser, shown)) };
    page(pages, browser, &plain(&title), body)
}

/// All that is known of them.
pub(super) fn all(pages: &Pages, shown: &[Shown]) -> Markup {
    let now = pages.now();
    let first_to_end = shown.iter().map(|one| one.listed.answer_by).min();
    html! {
        @if let Some(first) = shown.first() {
            p.lead {
                (for_whom(first))
                @if let Some(at) = first_to_end {
                    "What nobody answers is refused, the first of them "
                    strong { (time::from_now(at, now)) } " (" (time::minute(at)) ")."
                }
            }
            @for (index, one) in shown.iter().enumerate() {
                section {
                    h2 { (index + 1) " of " (shown.len()) }
                    (own(one, now))
                    p { a href={ "/approve/" (one.listed.id.as_str()) } { "Answer this one alone" } }
                }
            }
            (common(first))
        }
    }
}

fn answers(pages: &Pages, browser: &Browser, shown: &[Shown]) -> Markup {
    let Some(first) = shown.first() else { return html! {} };
    let path = format!("/approve/{}/all", first.listed.id);
    let form = |answer: &str, fields: Markup| {
        html! {
            form.answer method="post" action=(path) {
                (token(pages, browser, &path))
                input type="hidden" name="answer" value=(answer);
                @for one in shown {
                    input type="hidden" name={ "shown:" (one.listed.id.as_str()) }
                        value=(one.binding);
                }
                (fields)
            }
        }
    };
    html! {
        section.answers aria-labelledby="answer" {
            h2 #answer { "Your answer to all " (shown.len()) }
            p.note {
                "What is asked after you have opened this page is not answered with it. "
                @if shown.iter().any(|one| needs_passkey(one, &browser.who)) {
                    "You are asked for your passkey, once, whatever you answer."
                }
            }
            @if shown.iter().all(Shown::is_all_shown) {
                (form("once", html! {
                    div.choice { h3 { "Each of them, once" }
                        p.note { "Exactly what stands above." } }
                    button.primary { "Approve all " (shown.len()) }
                }))
            }
            (form("refuse", refusal("Refuse all")))
        }
    }
}

/// What was answered, to each.
pub(crate) fn answered_all(
    pages: &Pages,
    browser: &Browser,
    requests: &[(RecordId, Digest)],
    answer: &Answer,
    settled: &[Result<Settled, RequestError>],
) -> Response {
    let done = settled.iter().filter(|one| one.is_ok()).count();
    let word = if matches!(answer, Answer::Refuse { .. }) { "Refused" } else { "Approved" };
    let title = format!("{word}: {done} of {}", settled.len());
    let body = html! {
        @if done > 0 { p.lead { "Recorded for each: " (words(answer)) "." } }
        @if done < settled.len() {
            p.warning { "Not all of them: others have answered meanwhile, or they have ended." }
        }
        ul.cards { @for (index, ((id, _), settled)) in requests.iter().zip(settled).enumerate() {
            li { a.card href={ "/approve/" (id.as_str()) } {
                span.card-head { strong { (index + 1) " of " (requests.len()) } }
                span.note { @match settled {
                    Ok(Settled::Done) => "Recorded.",
                    Ok(Settled::Waiting) => "Recorded. Others must approve it too.",
                    Err(error) => { "Not answered: " (sentence(&error.to_string())) "." }
                } }
            } }
        } }
        p { a.button href="/approve" { "What else waits for you" } }
    };
    page(pages, browser, &title, body)
}
