//! All that waits.

use axum::response::Response;
use http::StatusCode;
use maud::{Markup, html};
use safeconduct_model::{Assurance, Tier};

use super::frame::{Page, Script};
use super::{arguments, time};
use crate::browser::Browser;
use crate::pages::Pages;
use crate::requests::Listed;

/// The list.
pub(crate) fn list(pages: &Pages, browser: &Browser, waiting: &[Listed]) -> Response {
    let now = pages.now();
    let body = html! {
        @if waiting.is_empty() {
            p.lead { "Nothing. Agents that need you will show up here." }
        } @else {
            p.lead {
                @if waiting.len() == 1 { "One request." } @else { (waiting.len()) " requests." }
                " What nobody answers in time is refused."
            }
            ul.cards {
                @for request in waiting {
                    li {
                        a.card href={ "/approve/" (request.id.as_str()) } {
                            span.card-head {
                                strong { (arguments::text(&request.action)) }
                                @if request.assurance == Assurance::High { span.tier.high { "passkey" } }
                            }
                            span { (arguments::text(request.agent.as_str())) (on_behalf(request)) }
                            @for resource in request.resources.iter().take(3) {
                                span.note { (arguments::text(resource.id.as_str())) }
                            }
                            span.note { "until " (time::minute(request.answer_by)) ", "
                                (time::from_now(request.answer_by, now)) }
                        }
                    }
                }
            }
        }
    };
    let (title, status, browser) = ("What waits for you", StatusCode::OK, Some(browser));
    Page { title, status, browser, script: Script::None, body }.answer(pages)
}

fn on_behalf(request: &Listed) -> Markup {
    html! { @if let Some(user) = &request.on_behalf_of {
        " on behalf of " (arguments::text(user.as_str()))
    } }
}

/// A tier, by word and by look.
pub(super) fn tier(tier: Tier) -> Markup {
    html! { span class={ "tier " (tier.as_str()) } { (tier.as_str()) } }
}
