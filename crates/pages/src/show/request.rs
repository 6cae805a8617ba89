//! One request in full, and the answers that there are to it.

use axum::response::Response;
use http::StatusCode;
use maud::{Markup, html};
use safeconduct_model::Value;

use super::facts::facts;
use super::frame::{Page, Script, token};
use super::{arguments, time};
use crate::answer::needs_passkey;
use crate::browser::Browser;
use crate::pages::Pages;
use crate::requests::{Answer, Settled, Shown};
use crate::said::{REASON_BYTES_MAX, USES_MAX};

/// The request.
pub(crate) fn request(pages: &Pages, browser: &Browser, shown: &Shown) -> Response {
    let title = format!("{} wants to do {}", shown.listed.agent, shown.listed.action);
    let body = html! {
        (facts(pages, shown))
        @match &shown.ended {
            Some(how) => section.ended { p.lead { (how) } },
            None => (answers(pages, browser, shown)),
        }
    };
    page(pages, browser, &plain(&title), body)
}

/// What was answered.
pub(crate) fn answered(
    pages: &Pages,
    browser: &Browser,
    shown: &Shown,
    answer: &Answer,
    settled: Settled,
) -> Response {
    let title = match answer {
        Answer::Refuse { .. } => "Refused",
        _ => "Approved",
    };
    let body = html! {
        p.lead { "Recorded: " (words(answer)) "." }
        @match (answer, settled) {
            (Answer::Refuse { .. }, _) => p { "That is final for this request." },
            (_, Settled::Waiting) => p { "Others must approve it too; until then it waits." },
            (_, Settled::Done) => p { "The agent can go on, as far as you said. Policies are asked \
                                       once more when it does." },
        }
        p { a.button href="/approve" { "What else waits for you" } }
        p { a href={ "/approve/" (shown.listed.id.as_str()) } { "The request" } }
    };
    page(pages, browser, title, body)
}

pub(super) fn page(pages: &Pages, browser: &Browser, title: &str, body: Markup) -> Response {
    let (status, browser) = (StatusCode::OK, Some(browser));
    Page { title, status, browser, script: Script::None, body }.answer(pages)
}

/// A title with everything made visible, in one line.
pub(super) fn plain(title: &str) -> String {
    safeconduct_approval::shown_text(title).lines.join("⏎")
}

/// The forms. Each is one answer, so that no choice is made by what was left as it stood.
fn answers(pages: &Pages, browser: &Browser, shown: &Shown) -> Markup {
    let path = format!("/approve/{}", shown.listed.id);
    let form = |answer: &str, fields: Markup| {
        html! {
            form.answer method="post" action=(path) {
                (token(pages, browser, &path))
                input type="hidden" name="binding" value=(shown.binding);
                input type="hidden" name="answer" value=(answer);
                (fields)
            }
        }
    };
    html! {
        section.answers aria-labelledby="answer" {
            h2 #answer { "Your answer" }
            p.note {
                @if shown.quorum > 1 {
                    "It takes " (shown.quorum) " people, who say the same; of the times that they \
                     name the soonest counts. "
                }
                "What you approve reaches no further than the intent, and policies are asked once \
                 more. "
                @if needs_passkey(shown, &browser.who) {
                    "You are asked for your passkey, whatever you answer."
                }
            }
            @if !shown.like_it.is_empty() {
                p { a href={ (path) "/all" } {
                    "See the " (shown.like_it.len() + 1) " that are alike in this task, and answer \
                     them together"
                } }
            }
            @if let Some(exactly) = shown.exactly.as_ref().filter(|all| all.is_all_shown()) {
                (form("once", html! {
                    div.choice { h3 { "This, once" } p.note { "Exactly what stands above." } }
                    button.primary { "Approve once" }
                }))
                @if !exactly.lowerable.is_empty() {
                    (form("edited", html! {
                        div.choice { h3 { "Less than this, once" }
                            @for pointer in &exactly.lowerable {
                                (lower(&exactly.arguments, pointer))
                            } }
                        button { "Approve at most that" }
                    }))
                }
                @if shown.may_be_for_task {
                    (form("task", html! {
                        div.choice { h3 { "The same, more than once in this task" }
                            p.note { "The same arguments on the same resources." }
                            (uses(shown)) }
                        button { "Approve for this task" }
                    }))
                }
                @if let Some(most) = shown.may_be_until_m {
                    (form("until", html! {
                        div.choice { h3 { "The same, for a while" }
                            p.note { "The same arguments on the same resources, in whatever task \
                                      of this agent under this intent." }
                            div.short { (uses(shown))
                            label { "For how many minutes, at most " (most)
                                input type="number" name="minutes" value=(most.min(60)) min="1"
                                    max=(most) required; } } }
                        button { "Approve for a while" }
                    }))
                }
            }
            (form("refuse", refusal("Refuse")))
        }
    }
}

/// What a refusal says.
pub(super) fn refusal(button: &str) -> Markup {
    html! {
        div.choice { h3 { "No" }
            label { "Why"
                textarea name="reason" rows="2" maxlength=(REASON_BYTES_MAX) required {} } }
        button.danger { (button) }
    }
}

fn uses(shown: &Shown) -> Markup {
    html! { label { "How often"
    input type="number" name="uses" value=(shown.agreed_uses.unwrap_or(3)) min="1" max=(USES_MAX) required; } }
}

fn lower(arguments: &Value, pointer: &str) -> Markup {
    let asked = match arguments.pointer(pointer) {
        Some(Value::Integer(number)) => number.to_string(),
        Some(Value::Number(number)) => number.as_str().to_owned(),
        _ => String::new(),
    };
    html! {
        label {
            span { code { (arguments::name(pointer)) } " at most, instead of " (asked) }
            input type="text" inputmode="decimal" name={ "most:" (pointer) } autocomplete="off";
        }
    }
}

/// An answer, in words that go on a sentence.
pub(super) fn words(answer: &Answer) -> Markup {
    html! { @match answer {
        Answer::Once => "approved, exactly this, once",
        Answer::Edited(edits) => {
            "approved, once, with "
            @for (index, (pointer, most)) in edits.iter().enumerate() {
                @if index > 0 { ", " }
                code { (arguments::name(pointer)) } " at most "
                (safeconduct_wire::json::to_text(most))
            }
        },
        Answer::ForTask { uses } => { "approved for this task, " (uses) " times at most" },
        Answer::Until { uses, until } => {
            "approved until " (time::minute(*until)) ", " (uses) " times at most"
        },
        Answer::Refuse { reason } => { "refused, because: " (arguments::text(reason)) },
    } }
}
