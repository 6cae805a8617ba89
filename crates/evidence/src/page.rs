//! The page that people read: one file, without scripts, that loads nothing.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use maud::{DOCTYPE, Markup, html};
use sha2::{Digest as _, Sha256};

use crate::Replayed;
use crate::view::{Case, Review, Step};

/// Most rows of each table of the page: the others are in the tables as CSV.
pub(crate) const ROWS_MAX: usize = 2000;

/// Most decisions of one sort that the page names of a replay.
const NAMED_MAX: usize = 10;

const STYLE: &str = "body{font:16px/1.5 system-ui,sans-serif;max-width:80rem;margin:2rem auto;\
padding:0 1rem;color:#1b1b1b;background:#fff}table{border-collapse:collapse;width:100%;\
margin:1rem 0}th,td{border:1px solid #bbb;padding:.3rem .5rem;text-align:left;\
vertical-align:top;overflow-wrap:anywhere}th{background:#f0f0f0}pre{background:#f6f6f6;\
padding:1rem;overflow:auto}code{overflow-wrap:anywhere}caption{text-align:left;font-weight:600}";

/// The page.
pub(crate) fn page(review: &Review) -> Vec<u8> {
    let digest = BASE64_STANDARD.encode(Sha256::digest(STYLE));
    let policy = format!(
        "default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"
    );
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta http-equiv="Content-Security-Policy" content=(policy);
                meta name="viewport" content="width=device-width";
                title { "Access review " (review.name) }
                style { (maud::PreEscaped(STYLE)) }
            }
            body {
                h1 { "Access review: " (review.name) }
                (summary(review))
                h2 { "How this is verified" }
                p {
                    "This page says what the records in " code { "records.ndjson" } " say, and is \
                     made of them alone. " code { "safeconduct review verify" } " holds them \
                     against the signed checkpoint, folds the campaign again, and makes this page \
                     again. It is evidence toward controls; whether one is met is for an assessor \
                     to say."
                }
                h2 { "Definition" }
                pre { (pretty(&review.definition)) }
                h2 { "Rights and what became of them" }
                (cases(review))
                h2 { "Answers" }
                (decisions(review))
                h2 { "Changes of policies" }
                (diffs(review))
                @if let Some(all) = &review.replays { (replays(all)) }
                h2 { "Everything that happened" }
                (steps(review))
                h2 { "Records that are named" }
                (others(review))
            }
        }
    };
    page.into_string().into_bytes()
}

fn summary(review: &Review) -> Markup {
    let row = |name: &str, value: &str| html! { tr { th scope="row" { (name) } td { (value) } } };
    let count = |word: &str, of: fn(&Case) -> &'static str| {
        review.cases.iter().filter(|case| of(case) == word).count()
    };
    let effects = ["keep", "reduce", "suspend", "revoke"].map(|word| {
        let number = count(word, |case| case.effect);
        format!("{number} {word}")
    });
    html! {
        table {
            (row("Campaign", &review.id))
            (row("State", review.state))
            (row("Owner", &review.owner))
            (row("Began", &format!("{} {}", review.began_at, review.began_by)))
            (row("Rights", &review.cases.len().to_string()))
            (row("Population", &review.population.to_string()))
            @for (name, cursor) in &review.sources {
                (row(&format!("Read from {name}"), cursor))
            }
            (row("Effects", &effects.join(", ")))
            (row("Digest", &review.digest.to_string()))
            @match &review.signed {
                Some(signed) => (row(
                    "Signed off",
                    &format!("by {} at {} over {} ({})", signed.by, signed.at, signed.over, signed.record),
                )),
                None => (row("Signed off", "not yet")),
            }
        }
    }
}

/// Canonical JSON with a member on each line.
fn pretty(text: &str) -> String {
    serde_json::from_str::<serde_json::Value>(text)
        .and_then(|value| serde_json::to_string_pretty(&value))
        .unwrap_or_else(|_| text.to_owned())
}

fn more(total: usize, file: &str) -> Markup {
    let more = total.saturating_sub(ROWS_MAX);
    html! { @if more > 0 { p { "and " (more) " more in " code { (file) } } } }
}

fn head(names: &[&str]) -> Markup {
    html! { thead { tr { @for name in names { th scope="col" { (name) } } } } }
}

fn cases(review: &Review) -> Markup {
    html! {
        table {
            (head(&["Case", "Holder", "Right", "Permits", "Tier", "Outcome", "Effect"]))
            tbody {
                @for case in review.cases.iter().take(ROWS_MAX) {
                    tr {
                        td { (case.number) }
                        td { (case.holder) }
                        td { (case.kind) " " (case.name) " " (case.at) }
                        td { (case.words) }
                        td { (case.tier) }
                        td { (case.outcome) }
                        td { (case.effect) }
                    }
                }
            }
        }
        (more(review.cases.len(), "cases.csv"))
    }
}

fn decisions(review: &Review) -> Markup {
    html! {
        table {
            (head(&["Case", "By", "Answer", "Reason", "Opened", "Answered", "At once", "Shown", "Record"]))
            tbody {
                @for decided in review.decisions.iter().take(ROWS_MAX) {
                    tr {
                        td { (decided.case) }
                        td {
                            (decided.answer.by)
                            @if let Some(of) = &decided.answer.acting_for { ", for " (of) }
                        }
                        td { (decided.answer.response.as_str()) }
                        td { (decided.answer.reason) }
                        td { (decided.answer.opened_at) }
                        td { (decided.answer.at) }
                        td { (decided.answer.batch) }
                        td { code { (decided.answer.evidence) } }
                        td { code { (decided.record) } }
                    }
                }
            }
        }
        (more(review.decisions.len(), "decisions.csv"))
    }
}

fn diffs(review: &Review) -> Markup {
    html! {
        @if review.diffs.is_empty() { p { "None." } }
        @for diff in review.diffs.iter().take(ROWS_MAX) {
            h3 { (diff.file) " (" (diff.proposal) ")" }
            pre { (diff.text) }
        }
    }
}

fn replays(all: &[Replayed]) -> Markup {
    html! {
        h2 { "Replays of recorded decisions" }
        p {
            "What the decisions of the window before each change would have been under it. This was \
             computed from the ledger when the folder was written, and the records in the folder do \
             not vouch for it: verifying holds against them which changes there were and which \
             policy sets they put in force, and that the counts add up. Whoever has the ledger \
             computes it again by exporting again."
        }
        @if all.is_empty() { p { "No change of the policies was put in force." } }
        @else {
            table {
                (head(&["Change", "Since", "Until", "Decisions", "Same", "Newly denied",
                    "Newly permitted", "Not replayable", "Policy sets"]))
                tbody { @for one in all.iter().take(ROWS_MAX) { (replay(one)) } }
            }
            (more(all.len(), "replays.csv"))
        }
    }
}

fn replay(one: &Replayed) -> Markup {
    let named = |count: u64, records: &[String]| {
        html! { (count) @for record in records.iter().take(NAMED_MAX) { " " code { (record) } } }
    };
    html! {
        tr {
            td { (one.proposal) }
            @if let Some(problem) = &one.problem {
                td colspan="7" { "not replayed: " (problem) }
            } @else {
                td { (one.since.as_deref().unwrap_or_default()) }
                td { (one.until.as_deref().unwrap_or_default()) }
                td { (one.decisions) }
                td { (one.same) }
                td { (named(one.newly_denied, &one.denied)) }
                td { (named(one.newly_permitted, &one.permitted)) }
                td { (one.not_replayable) }
            }
            td {
                "from " code { (one.from.as_deref().unwrap_or("an unknown one")) }
                " to " code { (one.to) }
            }
        }
    }
}

fn steps(review: &Review) -> Markup {
    html! {
        table {
            (head(&["At", "Of", "What happened", "About", "By", "Detail", "Record"]))
            tbody { @for one in review.steps.iter().take(ROWS_MAX) { (step(one)) } }
        }
        (more(review.steps.len(), "steps.csv"))
    }
}

fn step(step: &Step) -> Markup {
    html! {
        tr {
            td { (step.at) }
            td { (step.what) " " (step.id) }
            td { (step.event) }
            td { (step.about) }
            td { (step.by) }
            td { code { (step.detail) } }
            td { code { (step.record) } " at " (step.sequence) }
        }
    }
}

fn others(review: &Review) -> Markup {
    html! {
        @if review.others.is_empty() { p { "None." } }
        @else {
            table {
                (head(&["At", "Kind", "Record"]))
                tbody {
                    @for other in review.others.iter().take(ROWS_MAX) {
                        tr {
                            td { (other.at) }
                            td { (other.kind) }
                            td { code { (other.record) } " at " (other.sequence) }
                        }
                    }
                }
            }
            (more(review.others.len(), "others.csv"))
        }
    }
}
