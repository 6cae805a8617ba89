//! The use of rights, counted while records are taken in: sums by row and day, in a table.
//!
//! Sums are added to, so it does not matter how many records one transaction holds: made again,
//! the table is the same.

use std::collections::BTreeSet;
use std::sync::Arc;

use rusqlite::types::Value;
use rusqlite::{Connection, OptionalExtension, Row, Transaction, params};
use safeconduct_model::{
    ActionName, Amount, EntityId, EntityRef, EntityType, Execution, IntentName, RecordId, Timestamp,
};
use safeconduct_review::{Tally, TaskKind, Use, UseKey, UsedDecision};
use safeconduct_service::{SeenAs, USES_MAX, UseQuery, UsedRights};

use super::row;
use crate::follower::FollowError;
use crate::index::Index;

pub(super) const SCHEMA: &str = "
    CREATE TABLE uses (
        principal_type TEXT NOT NULL,
        principal TEXT NOT NULL,
        policy TEXT NOT NULL,
        action TEXT NOT NULL,
        intent TEXT NOT NULL,
        task TEXT NOT NULL,
        day INTEGER NOT NULL,
        permitted INTEGER NOT NULL,
        approved INTEGER NOT NULL,
        denied INTEGER NOT NULL,
        observed INTEGER NOT NULL,
        succeeded INTEGER NOT NULL,
        failed INTEGER NOT NULL,
        not_executed INTEGER NOT NULL,
        unknown INTEGER NOT NULL,
        first INTEGER,
        last INTEGER,
        largest_spend INTEGER,
        largest_bytes_out INTEGER NOT NULL,
        resources BLOB NOT NULL,
        latest TEXT NOT NULL,
        latest_denied TEXT NOT NULL,
        PRIMARY KEY (principal_type, principal, policy, action, intent, task, day)
    ) WITHOUT ROWID;
    CREATE INDEX uses_by_policy ON uses (policy, day);
    CREATE TABLE entities (
        seen TEXT NOT NULL,
        type TEXT NOT NULL,
        id TEXT NOT NULL,
        PRIMARY KEY (seen, type, id)
    ) WITHOUT ROWID;
";

const READ: &str = "SELECT permitted, approved, denied, observed, succeeded, failed, not_executed,
    unknown, first, last, largest_spend, largest_bytes_out, resources, latest, latest_denied
    FROM uses WHERE principal_type = ?1 AND principal = ?2 AND policy = ?3 AND action = ?4
    AND intent = ?5 AND task = ?6 AND day = ?7";

const WRITE: &str = "REPLACE INTO uses VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11,
    ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19, ?20, ?21, ?22)";

/// What a record says of use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Told {
    /// A decision, and the resources that it is about.
    Decided(Box<UsedDecision>, Vec<EntityRef>),
    Executed(RecordId, Execution),
}

/// Adds up what the records of a transaction add, and writes it once.
#[derive(Debug, Default)]
pub(super) struct Uses {
    /// Outcomes nearly always come soon. Decisions that it no longer holds are looked up.
    tally: Tally,
    seen: BTreeSet<(SeenAs, EntityRef)>,
}

impl Uses {
    /// Takes in what one record says.
    pub(super) fn take(
        &mut self,
        told: Told,
        sequence: u64,
        within: &Transaction<'_>,
        index: &Index,
    ) -> Result<(), FollowError> {
        match told {
            Told::Decided(decision, resources) => {
                self.seen.insert((SeenAs::Principal, decision.principal.clone()));
                self.seen.extend(resources.into_iter().map(|uid| (SeenAs::Resource, uid)));
                self.tally.decided(*decision);
            }
            Told::Executed(decision, execution) => {
                if !self.tally.executed(&decision, execution)
                    && let Some(decision) = long_ago(&decision, sequence, within, index)?
                {
                    self.tally.executed_long_ago(&decision, execution);
                }
            }
        }
        Ok(())
    }

    /// Writes what was added.
    pub(super) fn flush(&mut self, within: &Transaction<'_>) -> rusqlite::Result<()> {
        let mut seen =
            within.prepare_cached("INSERT OR IGNORE INTO entities VALUES (?1, ?2, ?3)")?;
        for (role, uid) in std::mem::take(&mut self.seen) {
            seen.execute(params![role.as_str(), uid.ty.as_str(), uid.id.as_str()])?;
        }
        let mut read = within.prepare_cached(READ)?;
        let mut write = within.prepare_cached(WRITE)?;
        for (key, mut used) in self.tally.take_sums() {
            let policy = key.policy.as_deref().unwrap_or_default();
            let intent = key.intent.as_ref().map_or("", |intent| intent.as_str());
            let (ty, id) = (key.principal.ty.as_str(), key.principal.id.as_str());
            let (action, task) = (key.action.as_str(), key.task.as_str());
            let own = params![ty, id, policy, action, intent, task, key.day];
            if let Some(before) = read.query_row(own, |row| use_of(row, 0)).optional()? {
                used.add(&before);
            }
            let resources: Vec<u8> =
                used.resources.iter().flat_map(|print| print.to_be_bytes()).collect();
            write.execute(params![
                ty,
                id,
                policy,
                action,
                intent,
                task,
                key.day,
                used.permitted.cast_signed(),
                used.approved.cast_signed(),
                used.denied.cast_signed(),
                used.observed.cast_signed(),
                used.succeeded.cast_signed(),
                used.failed.cast_signed(),
                used.not_executed.cast_signed(),
                used.unknown.cast_signed(),
                used.first.map(Timestamp::as_millis),
                used.last.map(Timestamp::as_millis),
                used.largest_spend.map(|spend| spend.0.cast_signed()),
                used.largest_bytes_out.cast_signed(),
                resources,
                named(&used.latest),
                named(&used.latest_denied),
            ])?;
        }
        Ok(())
    }
}

/// The decision of an outcome that is no longer waited for; `None` where an outcome came before: it
/// counts once.
fn long_ago(
    decision: &RecordId,
    sequence: u64,
    within: &Transaction<'_>,
    index: &Index,
) -> Result<Option<UsedDecision>, FollowError> {
    const BEFORE: &str = "SELECT EXISTS
        (SELECT 1 FROM records WHERE parent = ?1 AND kind = 'outcome' AND seq < ?2)";
    const WHERE: &str = "SELECT seq FROM records WHERE id = ?1 AND kind = 'decision' LIMIT 1";
    let mut before = within.prepare_cached(BEFORE)?;
    if before.query_row(params![decision.as_str(), sequence.cast_signed()], |row| row.get(0))? {
        return Ok(None);
    }
    let mut place = within.prepare_cached(WHERE)?;
    let place: Option<i64> = place.query_row([decision.as_str()], |row| row.get(0)).optional()?;
    let Some(place) = place else { return Ok(None) };
    let told = |leaf: &[u8]| row::Row::of(leaf).map(|row| row.told);
    let told = index.read(place.cast_unsigned(), |frame| told(frame.leaf))?.transpose()?;
    Ok(match told.flatten() {
        Some(Told::Decided(decision, _)) if decision.awaits_outcome() => Some(*decision),
        _ => None,
    })
}

/// The rows that a question is about, the latest days first; one more than it may have says that
/// there are more.
pub(super) fn query(
    connection: &Connection,
    query: &UseQuery,
) -> rusqlite::Result<Vec<(UseKey, Use)>> {
    let (conditions, values) = asked(query);
    let mut statement = format!("SELECT * FROM uses WHERE TRUE{conditions}");
    statement.push_str(&format!(" ORDER BY day DESC, action LIMIT {}", USES_MAX + 1));
    let mut statement = connection.prepare_cached(&statement)?;
    let rows = statement.query_map(rusqlite::params_from_iter(values), |row| {
        let text = |at: usize| row.get::<_, String>(at);
        let (policy, intent) = (text(2)?, text(4)?);
        let optional = |text: String| Some(text).filter(|text| !text.is_empty());
        let key = UseKey {
            principal: EntityRef::new(text(0)?, text(1)?).map_err(damaged)?,
            policy: optional(policy).map(Arc::from),
            action: ActionName::new(text(3)?).map_err(damaged)?,
            intent: optional(intent).map(IntentName::new).transpose().map_err(damaged)?,
            task: TaskKind::parse(&text(5)?).unwrap_or(TaskKind::Taskless),
            day: row.get(6)?,
        };
        Ok((key, use_of(row, 7)?))
    })?;
    rows.collect()
}

/// Which policies permitted, and under which intents: as many rows as there are of those, however
/// many days and actions they were used on.
pub(super) fn rights(connection: &Connection, query: &UseQuery) -> rusqlite::Result<UsedRights> {
    let (conditions, values) = asked(query);
    let statement = format!(
        "SELECT DISTINCT policy, intent, task FROM uses WHERE permitted + observed > 0{conditions}"
    );
    let mut statement = connection.prepare_cached(&statement)?;
    let mut rows = statement.query(rusqlite::params_from_iter(values))?;
    let mut used = UsedRights::default();
    while let Some(row) = rows.next()? {
        let named = |at: usize| {
            let name = row.get::<_, String>(at)?;
            Ok::<_, rusqlite::Error>((!name.is_empty()).then(|| Arc::from(name)))
        };
        used.policies.extend(named(0)?);
        // An intent is the agent's: of the user it used a policy.
        if row.get_ref(2)?.as_str()? != TaskKind::ThroughAgent.as_str() {
            used.intents.extend(named(1)?);
        }
    }
    Ok(used)
}

/// What a question wants of rows, after other conditions, and the values in it.
fn asked(query: &UseQuery) -> (String, Vec<Value>) {
    let mut conditions = String::new();
    let mut values: Vec<Value> = Vec::new();
    let mut asked = |condition: &str, value: Option<Value>| {
        if let Some(value) = value {
            values.push(value);
            conditions.push_str(&format!(" AND {condition} ?{}", values.len()));
        }
    };
    let text = |text: &str| Value::Text(text.to_owned());
    let principal = query.principal.as_ref();
    asked("principal_type =", principal.map(|principal| text(principal.ty.as_str())));
    asked("principal =", principal.map(|principal| text(principal.id.as_str())));
    asked("policy =", query.policy.as_ref().map(|policy| text(policy.as_str())));
    asked("day >=", query.since_day.map(Value::Integer));
    asked("day <=", query.until_day.map(Value::Integer));
    (conditions, values)
}

/// The ids of entities that decisions were about, in order.
pub(super) fn entities(
    connection: &Connection,
    (seen, ty): (SeenAs, &EntityType),
    after: Option<&str>,
    limit: usize,
) -> rusqlite::Result<Vec<EntityId>> {
    let mut statement = connection.prepare_cached(
        "SELECT id FROM entities WHERE seen = ?1 AND type = ?2 AND id > ?3 ORDER BY id LIMIT ?4",
    )?;
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let asked = params![seen.as_str(), ty.as_str(), after.unwrap_or_default(), limit];
    let rows = statement
        .query_map(asked, |row| EntityId::new(row.get::<_, String>(0)?).map_err(damaged))?;
    rows.collect()
}

fn use_of(row: &Row<'_>, from: usize) -> rusqlite::Result<Use> {
    let count = |at: usize| row.get::<_, i64>(from + at).map(i64::cast_unsigned);
    let time = |at: usize| {
        row.get::<_, Option<i64>>(from + at).map(|time| time.map(Timestamp::from_millis))
    };
    let resources: Vec<u8> = row.get(from + 12)?;
    let prints = resources.chunks_exact(8);
    let print = |bytes: &[u8]| bytes.iter().fold(0, |number, byte| number << 8 | u64::from(*byte));
    Ok(Use {
        permitted: count(0)?,
        approved: count(1)?,
        denied: count(2)?,
        observed: count(3)?,
        succeeded: count(4)?,
        failed: count(5)?,
        not_executed: count(6)?,
        unknown: count(7)?,
        first: time(8)?,
        last: time(9)?,
        largest_spend: row.get::<_, Option<i64>>(from + 10)?.map(|n| Amount(n.cast_unsigned())),
        largest_bytes_out: count(11)?,
        resources: prints.map(print).collect(),
        latest: records(&row.get::<_, String>(from + 13)?)?,
        latest_denied: records(&row.get::<_, String>(from + 14)?)?,
    })
}

/// `1795319000000 dec_1` and the next: no id of a record holds a line break.
fn named(records: &BTreeSet<(Timestamp, RecordId)>) -> String {
    let lines = records.iter().map(|(at, id)| format!("{} {id}", at.as_millis()));
    lines.collect::<Vec<_>>().join("\n")
}

fn records(text: &str) -> rusqlite::Result<BTreeSet<(Timestamp, RecordId)>> {
    let record = |line: &str| {
        let (at, id) = line.split_once(' ')?;
        Some((Timestamp::from_millis(at.parse().ok()?), RecordId::new(id).ok()?))
    };
    let all: Option<BTreeSet<_>> = text.lines().map(record).collect();
    all.ok_or(rusqlite::Error::InvalidQuery)
}

fn damaged(error: impl std::error::Error + Send + Sync + 'static) -> rusqlite::Error {
    rusqlite::Error::ToSqlConversionFailure(Box::new(error))
}
