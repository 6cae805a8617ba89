//! A query as a statement.

use rusqlite::types::Value;
use safeconduct_service::{PAGE_RECORDS_MAX, RecordQuery};

use super::row::KIND;

/// The statement that gives the sequence numbers that fit, newest first.
pub(super) fn statement(query: &RecordQuery) -> (String, Vec<Value>) {
    let RecordQuery {
        kind,
        decision,
        identity,
        session,
        action,
        policy,
        parent,
        since,
        until,
        before,
        limit,
    } = query;
    let mut filter = Filter::default();
    filter.text("kind", "=", kind.as_deref());
    if kind.as_deref().is_some_and(|kind| kind != KIND) {
        // What the index of kinds holds, in its own words: only then is it used.
        filter.conditions.push_str(" AND kind <> 'decision'");
    }
    filter.text("decision", "=", decision.map(|decision| decision.as_str()));
    filter.text("identity", "=", identity.as_ref().map(AsRef::as_ref));
    if let Some(session) = session {
        filter.text("identity", "=", Some(session.identity.as_str()));
        filter.text("token", "=", Some(session.scope.as_str()));
    }
    filter.text("action", "=", action.as_ref().map(AsRef::as_ref));
    filter.text("parent", "=", parent.as_ref().map(AsRef::as_ref));
    filter.number("at", ">=", since.map(|since| since.as_millis()));
    filter.number("at", "<", until.map(|until| until.as_millis()));
    // No record is beyond the range of signed numbers.
    let before = before.map(|before| i64::try_from(before).unwrap_or(i64::MAX));
    filter.number("seq", "<", before);
    let table = match policy {
        Some(policy) => {
            filter.text("policy", "=", Some(policy.as_str()));
            "reasons JOIN records USING (seq)"
        }
        None => "records",
    };
    let Filter { mut conditions, values } = filter;
    if conditions.is_empty() {
        conditions.push_str(" WHERE TRUE");
    }
    let limit = limit.min(&PAGE_RECORDS_MAX);
    (format!("SELECT seq FROM {table}{conditions} ORDER BY seq DESC LIMIT {limit}"), values)
}

#[derive(Default)]
struct Filter {
    conditions: String,
    values: Vec<Value>,
}

impl Filter {
    fn text(&mut self, column: &str, operator: &str, value: Option<&str>) {
        self.add(column, operator, value.map(|value| Value::Text(value.to_owned())));
    }

    fn number(&mut self, column: &str, operator: &str, value: Option<i64>) {
        self.add(column, operator, value.map(Value::Integer));
    }

    fn add(&mut self, column: &str, operator: &str, value: Option<Value>) {
        let Some(value) = value else { return };
        let and = if self.values.is_empty() { "WHERE" } else { "AND" };
        self.values.push(value);
        let place = self.values.len();
        self.conditions.push_str(&format!(" {and} {column} {operator} ?{place}"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_rare_is_found_by_its_index() {
        let connection = rusqlite::Connection::open_in_memory().unwrap();
        connection.execute_batch(super::super::apply::SCHEMA).unwrap();
        let plan = |query: RecordQuery| {
            let (statement, values) = statement(&query);
            let mut explained =
                connection.prepare(&format!("EXPLAIN QUERY PLAN {statement}")).unwrap();
            let lines = explained.query_map(rusqlite::params_from_iter(values), |row| row.get(3));
            lines.unwrap().map(Result::unwrap).collect::<Vec<String>>().join("\n")
        };
        let all = RecordQuery::default;
        let kind = |kind: &str| plan(RecordQuery { kind: Some(kind.into()), ..all() });
        assert!(kind("policies_loaded").contains("records_by_kind"), "{}", kind("policies_loaded"));
        assert!(!kind("decision").contains("records_by_kind"));
        let identity = Some(safeconduct_model::IdentityId::new("a").unwrap());
        assert!(plan(RecordQuery { identity, ..all() }).contains("records_by_identity"));
        let action = Some(safeconduct_model::ActionName::new("a").unwrap());
        assert!(plan(RecordQuery { action, ..all() }).contains("records_by_action"));
        let parent = Some(safeconduct_model::RecordId::new("a").unwrap());
        assert!(plan(RecordQuery { parent, ..all() }).contains("records_by_parent"));
    }
}
