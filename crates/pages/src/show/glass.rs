//! Rules that are set aside, and the form that sets them aside.

use axum::response::Response;
use maud::{Markup, html};
use safeconduct_service::{GLASS_REASON_BYTES_MAX, GlassView};

use super::frame::token;
use super::request::page;
use super::{arguments, prove, time};
use crate::browser::Browser;
use crate::glass::{Breaking, HERE, MINUTES_MAX};
use crate::pages::Pages;
use crate::webauthn::Challenge;

/// What is set aside, and the form for more.
pub(crate) fn glasses(pages: &Pages, browser: &Browser, glasses: &[GlassView]) -> Response {
    let body = html! {
        p.lead { "In an emergency, who has that right sets the rules that ask for an approval \
                  aside. It is recorded, its owner is told, and it is reviewed afterwards." }
        @if glasses.is_empty() { p { "Nothing of yours is set aside." } } @else {
            ul.cards { @for glass in glasses { li.card { (card(pages, browser, glass)) } } }
        }
        section.answers aria-labelledby="new" {
            h2 #new { "Set rules aside" }
            p.note { "All else stands: other rules that forbid, what tasks may do, budgets, the \
                      kill switch. You are asked for your passkey." }
            form.answer method="post" action=(HERE) {
                (token(pages, browser, HERE))
                div.choice {
                    label { "For which agent"
                        input type="text" name="agent" required autocomplete="off"; }
                    label { "In which task alone, if only in one"
                        input type="text" name="task" autocomplete="off"; }
                    label { "Why"
                        textarea name="reason" rows="2" maxlength=(GLASS_REASON_BYTES_MAX)
                            required {} }
                    label { "For how many minutes, at most " (MINUTES_MAX)
                        input type="number" name="minutes" value="15" min="1" max=(MINUTES_MAX)
                            required; }
                }
                button.danger { "Break the glass" }
            }
        }
    };
    page(pages, browser, "Break glass", body)
}

fn card(pages: &Pages, browser: &Browser, glass: &GlassView) -> Markup {
    let broken = &glass.broken;
    let mend = "/break-glass/mend";
    html! {
        span.card-head {
            strong { (arguments::text(broken.agent.as_str())) }
            @if broken.by == browser.who.identity {
                form method="post" action=(mend) {
                    (token(pages, browser, mend))
                    input type="hidden" name="id" value=(glass.id.as_str());
                    button.quiet aria-label={ "Mend for " (broken.agent.as_str()) } { "Mend" }
                }
            }
        }
        span { (arguments::text(&broken.reason)) }
        @if let Some(task) = &broken.task {
            span.note { "in task " (arguments::text(task.as_str())) " alone" }
        }
        span.note {
            "by " (arguments::text(broken.by.as_str())) ", until " (time::minute(broken.until))
            ", " (time::from_now(broken.until, pages.now()))
        }
    }
}

/// The page that asks for the passkey.
pub(crate) fn prove_glass(
    pages: &Pages,
    browser: &Browser,
    breaking: &Breaking,
    challenge: &Challenge,
) -> Response {
    let Breaking { agent, task, reason, minutes } = breaking;
    let said = html! { strong {
        "the rules that ask for an approval are set aside for " (arguments::text(agent.as_str()))
        @match task {
            Some(task) => { " in task " (arguments::text(task.as_str())) " alone" },
            None => ", in whatever it does",
        }
        ", for " (time::span(minutes.unsigned_abs() * 60)) ", because: " (arguments::text(reason))
    } };
    prove::asked(pages, browser, HERE, challenge, said, html! {})
}
