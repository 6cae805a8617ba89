//! What is known of a request, in the parts that a page shows.

use maud::{Markup, html};
use safeconduct_model::Timestamp;

use super::{arguments, list, time};
use crate::pages::Pages;
use crate::requests::{Earlier, Shown};

/// All that is known of one.
pub(super) fn facts(pages: &Pages, shown: &Shown) -> Markup {
    let now = pages.now();
    html! {
        p.lead { (for_whom(shown)) (ends(shown, now)) }
        section { h2 { "What exactly" } (what(shown)) }
        section { h2 { "Who asks, and why" } dl.facts { (who(shown)) (why(shown, now)) } }
        (around(shown))
        @if !shown.answers.is_empty() { section { h2 { "Answers so far" } (answers(shown)) } }
    }
}

/// What tells one of several that are alike from the others, in full.
pub(super) fn own(shown: &Shown, now: Timestamp) -> Markup {
    html! {
        (what(shown))
        dl.facts { (why(shown, now)) }
        @if !shown.answers.is_empty() { h3 { "Answers so far" } (answers(shown)) }
    }
}

/// What is the same of several that are alike.
pub(super) fn common(shown: &Shown) -> Markup {
    html! {
        section { h2 { "Who asks for all of them" } dl.facts { (who(shown)) } }
        (around(shown))
    }
}

/// On whose behalf.
pub(super) fn for_whom(shown: &Shown) -> Markup {
    html! { @match &shown.listed.on_behalf_of {
        Some(user) => { "On behalf of " strong { (arguments::text(user.as_str())) } ". " },
        None => "It acts for itself. ",
    } }
}

/// What happens if nobody answers.
fn ends(shown: &Shown, now: Timestamp) -> Markup {
    let answer_by = shown.listed.answer_by;
    html! { @if shown.ended.is_none() {
        "If nobody answers, it is refused " strong { (time::from_now(answer_by, now)) }
        " (" (time::minute(answer_by)) ")."
    } }
}

fn what(shown: &Shown) -> Markup {
    let listed = &shown.listed;
    html! {
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
            None => p.warning { "The arguments were erased. Nobody can see what this is about, so \
                                 it can only be refused." },
            Some(exactly) => {
                (arguments::arguments(&exactly.arguments, &shown.origins))
                @if let Some(beside) = &exactly.beside {
                    h3 { "What is said beside them" }
                    (arguments::arguments(beside, &[]))
                }
            }
        }
    }
}

fn who(shown: &Shown) -> Markup {
    html! {
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
        @if !shown.open_to.is_empty() {
            dt { "May answer" }
            dd { @for (index, term) in shown.open_to.iter().enumerate() {
                @if index > 0 { ", " }
                (arguments::text(&in_words(term)))
            }
            @if shown.quorum > 1 { ": " (shown.quorum) " of them" } }
        }
        @if let Some(other) = &shown.instead_of {
            dt { "You answer for" }
            dd { (arguments::text(other.as_str())) ", whose fallback owner you are" }
        }
    }
}

/// Who may answer, in other words than the policy's.
fn in_words(term: &str) -> String {
    match term {
        "resource.owner" => "whoever owns what it touches".to_owned(),
        "principal.owner" => "whoever owns the agent".to_owned(),
        "on_behalf_of" => "whom it acts for".to_owned(),
        term => match term.split_once(':') {
            Some(("group", name)) => format!("the group {name}"),
            Some((_, name)) => name.to_owned(),
            None => term.to_owned(),
        },
    }
}

fn why(shown: &Shown, now: Timestamp) -> Markup {
    html! {
        dt { "Asked" }
        dd { (time::minute(shown.asked_at)) ", " (time::from_now(shown.asked_at, now)) }
        @if let Some(words) = &shown.justification {
            dt { "Says" } dd { "“" (arguments::shown_line(words)) "”"
                span.note { " – the agent's words, which nobody has checked" } }
        }
        @for why in &shown.why { dt { "Stopped because" } dd { (arguments::text(why)) } }
        @if shown.risk_then != shown.risk.score {
            dt { "Risk then" } dd { (shown.risk_then) " of 100" }
        }
    }
}

fn around(shown: &Shown) -> Markup {
    html! {
        section {
            h2 { "Risk now: " (shown.risk.score) " of 100, " (shown.risk.level) }
            @if shown.risk.parts.is_empty() { p.note { "Nothing was noticed." } } @else {
                ul.parts { @for (points, what) in &shown.risk.parts {
                    li { strong { "+" (points) } " " (arguments::text(what)) }
                } }
            }
        }
        section {
            h2 { "Earlier requests of this agent for the same action" }
            @let Earlier { approved, refused, unanswered } = shown.earlier;
            @if approved + refused + unanswered == 0 { p.note { "None." } } @else {
                p { (approved) " approved, " (refused) " refused, " (unanswered) " not answered." }
            }
        }
    }
}

fn answers(shown: &Shown) -> Markup {
    html! { ul.parts { @for (who, what) in &shown.answers {
        li { (arguments::text(who.as_str())) ": " (arguments::text(what)) }
    } }
    @if !shown.reaches.is_empty() {
        p.note { "What is approved so far; others must say the same:" }
        ul.parts { @for bound in &shown.reaches { li { (arguments::text(bound)) } } }
    } }
}
