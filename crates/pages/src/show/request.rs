//! One request in full, and the answers that there are to it.

use axum::response::Response;
use http::StatusCode;
use maud::{Markup, html};
use safeconduct_model::Value;

use super::frame::{Page, Script, token};
use super::{arguments, list, time};
use crate::answer::{REASON_BYTES_MAX, USES_MAX, needs_passkey};
use crate::browser::Browser;
use crate::pages::Pages;
use crate::requests::{Answer, Earlier, Settled, Shown};

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

fn page(pages: &Pages, browser: &Browser, title: &str, body: Markup) -> Response {
    let (status, browser) = (StatusCode::OK, Some(browser));
    Page { title, status, browser, script: Script::None, body }.answer(pages)
}

/// A title with everything made visible, in one line.
fn plain(title: &str) -> String {
    safeconduct_approval::shown_text(title).lines.join("⏎")
}

/// All that is known of it.
pub(super) fn facts(pages: &Pages, shown: &Shown) -> Markup {
    let now = pages.now();
    let listed = &shown.listed;
    html! {
        p.lead {
            @match &listed.on_behalf_of {
                Some(user) => { "On behalf of " strong { (arguments::text(user.as_str())) } ". " },
                None => "It acts for itself. ",
            }
            @if shown.ended.is_none() {
                "If nobody answers, it is refused " strong { (time::from_now(listed.answer_by, now)) }
                " (" (time::minute(listed.answer_by)) ")."
            }
        }
        section aria-labelledby="what" {
            h2 #what { "What exactly" }
            p.action {
                code { (arguments::text(&listed.action)) }
                @if let Some(exactly) = &shown.exactly { (list::tier(exactly.tier)) }
            }
            @if !listed.resources.is_empty() {
                ul.resources { @for resource in &listed.resources {
                    li { span.role { (resource.ty.as_str()) } code { (arguments::text(resource.id.as_str())) } }
                } }
            }
            @match &shown.exactly {
                None => p.warning { "The arguments were erased. Nobody can see what this is \
                                     about, so it can only be refused." },
                Some(exactly) => {
                    (arguments::arguments(&exactly.arguments, &shown.origins))
                    @if let Some(beside) = &exactly.beside {
                        h3 { "What the enforcement point says beside them" }
                        (arguments::arguments(beside, &[]))
                    }
                }
            }
        }
        section aria-labelledby="why" {
            h2 #why { "Who asks, and why" }
            dl.facts {
                dt { "Agent" }
                dd { @for (index, actor) in shown.actors.iter().enumerate() {
                    @if index > 0 { " for " }
                    (arguments::text(actor.as_str()))
                } }
                @if let Some(owner) = &shown.owner {
                    dt { "Accountable" } dd { (arguments::text(owner.as_str())) }
                }
                @if let Some((name, words)) = &shown.intent {
                    dt { "Intent" } dd { code { (name.as_str()) } " – " (arguments::text(words)) }
                }
                @if let Some(task) = &shown.task { dt { "Task" } dd { code { (task.as_str()) } } }
                dt { "Asked" }
                dd { (time::minute(shown.asked_at)) ", " (time::from_now(shown.asked_at, now)) }
                @if let Some(words) = &shown.justification {
                    dt { "Says" } dd { "“" (arguments::shown_line(words)) "”"
                        span.note { " – the agent's words, which nobody has checked" } }
                }
                @for why in &shown.why { dt { "Stopped because" } dd { (arguments::text(why)) } }
            }
        }
        section aria-labelledby="risk" {
            h2 #risk { "Risk now: " (shown.risk.score) " of 100, " (shown.risk.level) }
            @if shown.risk.parts.is_empty() { p.note { "Nothing was noticed." } }
            ul.parts { @for (points, what) in &shown.risk.parts {
                li { strong { "+" (points) } " " (arguments::text(what)) }
            } }
            @if shown.risk_then != shown.risk.score {
                p.note { "It was " (shown.risk_then) " when this was stopped." }
            }
        }
        section aria-labelledby="earlier" {
            h2 #earlier { "Earlier requests of this agent for the same action" }
            @let Earlier { approved, refused, unanswered } = shown.earlier;
            @if approved + refused + unanswered == 0 { p.note { "None." } } @else {
                p { (approved) " approved, " (refused) " refused, " (unanswered) " not answered." }
            }
            @if !shown.answers.is_empty() {
                h3 { "Answers to this one so far" }
                ul.parts { @for (who, what) in &shown.answers {
                    li { (arguments::text(who.as_str())) ": " (arguments::text(what)) }
                } }
            }
            @if shown.like_it > 0 {
                p { (shown.like_it) " more like it "
                    @if shown.like_it == 1 { "waits" } @else { "wait" } " in the same task. "
                    a href="/approve" { "See all" } }
            }
        }
    }
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
                @if shown.quorum > 1 { "It takes " (shown.quorum) " people. " }
                "What you approve reaches no further than the task, and policies are asked once \
                 more. "
                @if needs_passkey(shown, &browser.who) {
                    "You are asked for your passkey, whatever you answer."
                }
            }
            @if let Some(exactly) = &shown.exactly {
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
                            label { "How often"
                                input type="number" name="uses" value="3" min="1" max=(USES_MAX)
                                    required; } }
                        button { "Approve for this task" }
                    }))
                }
            }
            (form("refuse", html! {
                div.choice { h3 { "No" }
                    label { "Why"
                        textarea name="reason" rows="2" maxlength=(REASON_BYTES_MAX) required {} } }
                button.danger { "Refuse" }
            }))
        }
    }
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
        Answer::Refuse { reason } => { "refused, because: " (arguments::text(reason)) },
    } }
}
