//! Differences and replays, for people and for programs.

use std::fmt::Write as _;

use safeconduct_policy::{Changes, Replay};
use serde_json::{Value as Json, json};
use similar::TextDiff;

/// Decisions of one sort that a table names.
const NAMED_MAX: usize = 10;

/// What has to change in a file, as `diff -u` says it.
pub(super) fn unified(name: &str, before: &str, after: &str) -> String {
    let header = |side: &str, text: &str| match text.is_empty() {
        true => "/dev/null".to_owned(),
        false => format!("{side}/{name}"),
    };
    TextDiff::from_lines(before, after)
        .unified_diff()
        .context_radius(3)
        .header(&header("a", before), &header("b", after))
        .to_string()
}

/// A replay for people.
pub(super) fn table(replay: &Replay) -> String {
    let mut text = format!(
        "replayed         {}\n  same           {}\n  newly denied   {}\n  newly permitted {}\n  not \
         replayable {}\n",
        replay.total(),
        replay.same,
        replay.newly_denied.count,
        replay.newly_permitted.count,
        replay.not_replayable.count,
    );
    for (word, changes) in
        [("newly denied", &replay.newly_denied), ("newly permitted", &replay.newly_permitted)]
    {
        for change in changes.listed.iter().take(NAMED_MAX) {
            let resources: Vec<String> = change.resources.iter().map(ToString::to_string).collect();
            let because: Vec<&str> = change.because.iter().map(|id| id.as_str()).collect();
            let because = if because.is_empty() { "no policy".into() } else { because.join(", ") };
            let _ = writeln!(
                text,
                "{word}: {} {} {} {} on {}: {because}",
                change.id,
                change.at,
                change.principal,
                change.action,
                resources.join(", ")
            );
        }
        more(&mut text, word, changes.count);
    }
    for (id, why) in replay.not_replayable.listed.iter().take(NAMED_MAX) {
        let _ = writeln!(text, "not replayable: {id}: {why}");
    }
    more(&mut text, "not replayable", replay.not_replayable.count);
    text
}

fn more(text: &mut String, word: &str, count: u64) {
    let more = count.saturating_sub(NAMED_MAX as u64);
    if more > 0 {
        let _ = writeln!(text, "{word}: and {more} more");
    }
}

/// A replay for programs.
pub(super) fn document(replay: &Replay) -> Json {
    let changes = |changes: &Changes| {
        let listed = changes.listed.iter().map(|change| {
            let resources: Vec<String> = change.resources.iter().map(ToString::to_string).collect();
            json!({
                "decision": change.id.as_str(),
                "at": change.at.to_string(),
                "principal": change.principal.to_string(),
                "action": change.action.as_str(),
                "resources": resources,
                "because": change.because.iter().map(|id| id.as_str()).collect::<Vec<_>>(),
            })
        });
        json!({"count": changes.count, "listed": listed.collect::<Vec<_>>()})
    };
    let unknown = replay.not_replayable.listed.iter().map(|(id, why)| {
        json!({
            "decision": id.as_str(),
            "why": why.as_str(),
            "policy": why.policy().map(|policy| policy.as_str()),
            "lacks": why.lacking().map(|lacking| json!({
                "fact": &*lacking.fact,
                "why": lacking.why.as_str(),
            })),
        })
    });
    json!({
        "decisions": replay.total(),
        "same": replay.same,
        "newly_denied": changes(&replay.newly_denied),
        "newly_permitted": changes(&replay.newly_permitted),
        "not_replayable": {
            "count": replay.not_replayable.count,
            "why": replay.not_replayable.why,
            "listed": unknown.collect::<Vec<_>>(),
        },
    })
}
