//! Tables as CSV (RFC 4180), safe to open in a spreadsheet.

use safeconduct_model::Timestamp;

use crate::Replayed;
use crate::view::{Review, Step};

/// What formulas begin with, and its full-width forms.
const FORMULA: [char; 8] = ['=', '+', '-', '@', '\u{ff1d}', '\u{ff0b}', '\u{ff0d}', '\u{ff20}'];

/// A cell that no spreadsheet takes for a formula: one that begins with `=`, `+`, `-`, `@` or their
/// full-width forms, behind any blanks, or with a tab or a line end, gets an apostrophe in front
/// (<https://owasp.org/www-community/attacks/CSV_Injection>).
pub fn cell(text: &str) -> String {
    let blank = |c: char| c.is_whitespace() || c.is_control() || c == '\u{feff}';
    let formula =
        text.trim_start_matches(blank).starts_with(FORMULA) || text.starts_with(['\t', '\r', '\n']);
    if formula { format!("'{text}") } else { text.to_owned() }
}

/// Every cell is quoted: what holds a `;` is one cell for those too who part cells by it.
fn table(head: &[&str], rows: impl Iterator<Item = Vec<String>>) -> Vec<u8> {
    let mut writer = csv::WriterBuilder::new()
        .quote_style(csv::QuoteStyle::Always)
        .terminator(csv::Terminator::CRLF)
        .from_writer(Vec::new());
    // Writing to memory does not fail, and every row has as many cells as the head.
    let _ = writer.write_record(head);
    for row in rows {
        let _ = writer.write_record(row.iter().map(|text| cell(text)));
    }
    writer.into_inner().unwrap_or_default()
}

/// The rights that were reviewed, and what became of them.
pub(crate) fn cases(review: &Review) -> Vec<u8> {
    let head = [
        "case", "holder", "kind", "name", "at", "permits", "actions", "tier", "given_by", "grant",
        "outcome", "effect", "answers",
    ];
    let rows = review.cases.iter().map(|case| {
        vec![
            case.number.to_string(),
            case.holder.clone(),
            case.kind.to_owned(),
            case.name.clone(),
            case.at.clone(),
            case.words.clone(),
            case.actions.to_string(),
            case.tier.to_owned(),
            case.given_by.clone(),
            case.grant.clone(),
            case.outcome.to_owned(),
            case.effect.to_owned(),
            case.answers.to_string(),
        ]
    });
    table(&head, rows)
}

/// Every answer, in the order in which they were given.
pub(crate) fn decisions(review: &Review) -> Vec<u8> {
    let head = [
        "sequence",
        "record",
        "case",
        "by",
        "acting_for",
        "response",
        "reason",
        "opened_at",
        "at",
        "took_ms",
        "batch",
        "evidence",
    ];
    let rows = review.decisions.iter().map(|decided| {
        let answer = &decided.answer;
        vec![
            decided.sequence.to_string(),
            decided.record.clone(),
            decided.case.to_string(),
            answer.by.to_string(),
            answer.acting_for.as_ref().map(ToString::to_string).unwrap_or_default(),
            answer.response.as_str().to_owned(),
            answer.reason.to_string(),
            answer.opened_at.to_string(),
            answer.at.to_string(),
            answer.took_ms().to_string(),
            answer.batch.to_string(),
            answer.evidence.to_string(),
        ]
    });
    table(&head, rows)
}

/// Every step of the campaign and of what came of it.
pub(crate) fn steps(review: &Review) -> Vec<u8> {
    let head = ["sequence", "at", "record", "what", "id", "event", "about", "by", "detail"];
    table(&head, review.steps.iter().map(step))
}

fn step(step: &Step) -> Vec<String> {
    vec![
        step.sequence.to_string(),
        time(step.at),
        step.record.clone(),
        step.what.to_owned(),
        step.id.clone(),
        step.event.clone(),
        step.about.clone(),
        step.by.clone(),
        step.detail.clone(),
    ]
}

/// The other records that are named.
pub(crate) fn others(review: &Review) -> Vec<u8> {
    let head = ["sequence", "at", "record", "kind"];
    let rows = review.others.iter().map(|other| {
        vec![
            other.sequence.to_string(),
            time(other.at),
            other.record.clone(),
            other.kind.to_owned(),
        ]
    });
    table(&head, rows)
}

/// What decisions would have been under changes of the policies: computed when the folder was
/// written.
pub(crate) fn replays(replays: &[Replayed]) -> Vec<u8> {
    let head = [
        "proposal",
        "from",
        "to",
        "since",
        "until",
        "decisions",
        "same",
        "newly_denied",
        "newly_permitted",
        "not_replayable",
        "denied",
        "permitted",
        "problem",
    ];
    let rows = replays.iter().map(|one| {
        let said = |text: &Option<String>| text.clone().unwrap_or_default();
        vec![
            one.proposal.clone(),
            said(&one.from),
            one.to.clone(),
            said(&one.since),
            said(&one.until),
            one.decisions.to_string(),
            one.same.to_string(),
            one.newly_denied.to_string(),
            one.newly_permitted.to_string(),
            one.not_replayable.to_string(),
            one.denied.join(" "),
            one.permitted.join(" "),
            said(&one.problem),
        ]
    });
    table(&head, rows)
}

fn time(at: Timestamp) -> String {
    at.to_string()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn nothing_is_a_formula() {
        let bad = ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "\n=1", "\u{ff1d}1"];
        for text in bad {
            assert_eq!(cell(text), format!("'{text}"));
        }
        for blank in [" ", "\t", "\r", "\n", "  ", " \r\n", "\u{a0}", "\u{3000}", "\u{feff}", "\0"]
        {
            for sign in FORMULA {
                let text = format!("{blank}{sign}1");
                assert_eq!(cell(&text), format!("'{text}"));
            }
        }
        assert_eq!((&*cell("a=b"), &*cell(" a =b")), ("a=b", " a =b"));
        let parted = table(&["a"], [vec!["x;y".to_owned()]].into_iter());
        assert_eq!(parted, b"\"a\"\r\n\"x;y\"\r\n");
        let line = table(&["a"], [vec!["=cmd|' /C calc'!A0".to_owned()]].into_iter());
        assert_eq!(line, b"\"a\"\r\n\"'=cmd|' /C calc'!A0\"\r\n");
        let quoted = table(&["a"], [vec!["x\",=1,\"".to_owned()]].into_iter());
        assert_eq!(quoted, b"\"a\"\r\n\"x\"\",=1,\"\"\"\r\n");
    }

    proptest! {
        #[test]
        fn what_is_read_back_is_what_was_said(text in ".{0,40}") {
            let bytes = table(&["a"], [vec![text.clone()]].into_iter());
            let mut reader = csv::Reader::from_reader(&*bytes);
            let row = reader.records().next().unwrap().unwrap();
            let read = row.get(0).unwrap();
            prop_assert_eq!(read.strip_prefix('\'').filter(|_| read != text).unwrap_or(read), &text);
            prop_assert!(!read.starts_with(['=', '+', '-', '@', '\t', '\r', '\n']));
        }
    }
}
