//! The table: what happens to each method, by who sends it and in which revision.
//!
//! A method that has no row is refused, and so is one whose row does not name the revision that
//! the two sides speak.

use crate::Revision;
use Direction::{ToClient, ToServer};
use Form::{Notification as Note, Request as Ask};
use Rule::{Gated, Handled, Listed, Passed, Refused};

/// Which way a message goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// The client sends it.
    ToServer,
    /// The upstream sends it.
    ToClient,
}

/// Whether an answer is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// It is.
    Request,
    /// It is not.
    Notification,
}

/// What happens to a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rule {
    /// Decided first; only a permit takes it further.
    Gated,
    /// Forwarded.
    Passed,
    /// Forwarded; the answer shows only what the caller could be permitted.
    Listed(List),
    /// The gateway itself acts on it.
    Handled,
    /// Not forwarded.
    Refused(Why),
}

/// Which list an answer holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum List {
    /// `tools`.
    Tools,
    /// `resources`.
    Resources,
    /// `resourceTemplates`.
    Templates,
    /// `prompts`.
    Prompts,
}

/// Why a method is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Why {
    /// Nobody knows it.
    Unknown,
    /// Another revision has it.
    OtherRevision,
    /// Tasks outlive the call that was decided; they are not supported yet.
    Tasks,
}

struct Row {
    method: &'static str,
    direction: Direction,
    form: Form,
    revisions: &'static [Revision],
    rule: Rule,
}

const R06: Revision = Revision::V2025_06_18;
const R11: Revision = Revision::V2025_11_25;
const R07: Revision = Revision::V2026_07_28;
const ALL: &[Revision] = &[R06, R11, R07];
const OLD: &[Revision] = &[R06, R11];
const NEW: &[Revision] = &[R07];
const TASKS: Rule = Refused(Why::Tasks);

const fn row(
    method: &'static str,
    direction: Direction,
    form: Form,
    revisions: &'static [Revision],
    rule: Rule,
) -> Row {
    Row { method, direction, form, revisions, rule }
}

#[rustfmt::skip]
const TABLE: &[Row] = &[
    row("tools/call",                           ToServer, Ask,  ALL, Gated),
    row("resources/read",                       ToServer, Ask,  ALL, Gated),
    row("prompts/get",                          ToServer, Ask,  ALL, Gated),
    row("completion/complete",                  ToServer, Ask,  ALL, Gated),
    row("resources/subscribe",                  ToServer, Ask,  OLD, Gated),
    row("resources/unsubscribe",                ToServer, Ask,  OLD, Passed),
    row("logging/setLevel",                     ToServer, Ask,  OLD, Gated),
    row("tools/list",                           ToServer, Ask,  ALL, Listed(List::Tools)),
    row("resources/list",                       ToServer, Ask,  ALL, Listed(List::Resources)),
    row("resources/templates/list",             ToServer, Ask,  ALL, Listed(List::Templates)),
    row("prompts/list",                         ToServer, Ask,  ALL, Listed(List::Prompts)),
    row("initialize",                           ToServer, Ask,  OLD, Handled),
    row("ping",                                 ToServer, Ask,  OLD, Passed),
    row("server/discover",                      ToServer, Ask,  NEW, Handled),
    row("subscriptions/listen",                 ToServer, Ask,  NEW, Handled),
    row("tasks/get",                            ToServer, Ask,  ALL, TASKS),
    row("tasks/result",                         ToServer, Ask,  ALL, TASKS),
    row("tasks/list",                           ToServer, Ask,  ALL, TASKS),
    row("tasks/cancel",                         ToServer, Ask,  ALL, TASKS),
    row("tasks/update",                         ToServer, Ask,  ALL, TASKS),
    row("notifications/initialized",            ToServer, Note, OLD, Handled),
    row("notifications/cancelled",              ToServer, Note, ALL, Handled),
    row("notifications/progress",               ToServer, Note, OLD, Passed),
    row("notifications/roots/list_changed",     ToServer, Note, OLD, Passed),
    row("ping",                                 ToClient, Ask,  OLD, Passed),
    row("roots/list",                           ToClient, Ask,  OLD, Passed),
    row("sampling/createMessage",               ToClient, Ask,  OLD, Gated),
    row("elicitation/create",                   ToClient, Ask,  OLD, Gated),
    row("tasks/get",                            ToClient, Ask,  ALL, TASKS),
    row("tasks/result",                         ToClient, Ask,  ALL, TASKS),
    row("tasks/list",                           ToClient, Ask,  ALL, TASKS),
    row("tasks/cancel",                         ToClient, Ask,  ALL, TASKS),
    row("notifications/message",                ToClient, Note, ALL, Passed),
    row("notifications/progress",               ToClient, Note, ALL, Passed),
    row("notifications/cancelled",              ToClient, Note, ALL, Handled),
    row("notifications/tools/list_changed",     ToClient, Note, ALL, Handled),
    row("notifications/resources/list_changed", ToClient, Note, ALL, Passed),
    row("notifications/prompts/list_changed",   ToClient, Note, ALL, Passed),
    row("notifications/resources/updated",      ToClient, Note, ALL, Passed),
    row("notifications/elicitation/complete",   ToClient, Note, &[R11], Passed),
    row("notifications/subscriptions/acknowledged", ToClient, Note, NEW, Passed),
    row("notifications/tasks/status",           ToClient, Note, ALL, TASKS),
];

/// What happens to a method.
pub fn classify(direction: Direction, form: Form, revision: Revision, method: &str) -> Rule {
    let row = TABLE
        .iter()
        .find(|row| row.direction == direction && row.form == form && row.method == method);
    match row {
        None => Refused(Why::Unknown),
        Some(row) if row.revisions.contains(&revision) => row.rule,
        Some(_) => Refused(Why::OtherRevision),
    }
}

/// Every method that is decided before it goes further, in the given direction.
pub fn gated(direction: Direction) -> impl Iterator<Item = &'static str> {
    TABLE
        .iter()
        .filter(move |row| row.direction == direction && row.rule == Gated)
        .map(|row| row.method)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_says_what_happens() {
        for (direction, form, revision, method, rule) in [
            (ToServer, Ask, R06, "tools/call", Gated),
            (ToServer, Ask, R07, "tools/call", Gated),
            (ToServer, Note, R07, "tools/call", Refused(Why::Unknown)),
            (ToClient, Ask, R11, "tools/call", Refused(Why::Unknown)),
            (ToServer, Ask, R11, "completion/complete", Gated),
            (ToServer, Ask, R07, "resources/subscribe", Refused(Why::OtherRevision)),
            (ToServer, Ask, R07, "initialize", Refused(Why::OtherRevision)),
            (ToServer, Ask, R06, "server/discover", Refused(Why::OtherRevision)),
            (ToServer, Ask, R11, "tasks/get", TASKS),
            (ToServer, Ask, R11, "tools/Call", Refused(Why::Unknown)),
            (ToServer, Ask, R11, "made/up", Refused(Why::Unknown)),
            (ToClient, Ask, R11, "sampling/createMessage", Gated),
            (ToClient, Ask, R07, "sampling/createMessage", Refused(Why::OtherRevision)),
            (ToClient, Ask, R06, "elicitation/create", Gated),
            (
                ToClient,
                Note,
                R06,
                "notifications/elicitation/complete",
                Refused(Why::OtherRevision),
            ),
        ] {
            assert_eq!(classify(direction, form, revision, method), rule, "{method} {revision}");
        }
    }

    #[test]
    fn no_method_has_two_rows() {
        for (n, row) in TABLE.iter().enumerate() {
            let twins = TABLE.iter().skip(n + 1).filter(|other| {
                (other.method, other.direction, other.form) == (row.method, row.direction, row.form)
            });
            assert_eq!(twins.count(), 0, "{}", row.method);
        }
    }

    #[test]
    fn what_must_be_decided_is_gated() {
        let to_server: Vec<_> = gated(ToServer).collect();
        for method in ["tools/call", "resources/read", "prompts/get", "completion/complete"] {
            assert!(to_server.contains(&method), "{method}");
        }
        let to_client: Vec<_> = gated(ToClient).collect();
        assert_eq!(to_client, ["sampling/createMessage", "elicitation/create"]);
    }
}
