//! The read model and the published log, as folds that can be made again.

use std::fs;

use rusqlite::Connection;
use rusqlite::types::Value;
use safeconduct_model::{EntityId, EntityType, Executed, Execution};
use safeconduct_service::{ReadModel as _, RecordQuery, SeenAs, USES_MAX, UseQuery, UsedRights};

use super::*;

/// Every row of every table, in order.
fn content(folder: &Folder) -> Vec<Vec<Value>> {
    let connection = Connection::open(folder.data().join("read.sqlite")).unwrap();
    let mut rows = Vec::new();
    for statement in [
        "SELECT name, value, 0, 0, 0, 0, 0, 0, 0 FROM meta ORDER BY 1",
        "SELECT * FROM records ORDER BY 1",
        "SELECT policy, seq, 0, 0, 0, 0, 0, 0, 0 FROM reasons ORDER BY 1, 2",
        "SELECT principal, policy, action, day, permitted, succeeded, resources, latest,
            latest_denied FROM uses ORDER BY 1, 2, 3, 4",
        "SELECT seen, type, id, 0, 0, 0, 0, 0, 0 FROM entities ORDER BY 1, 2, 3",
        "SELECT type, name, tbl_name, sql, 0, 0, 0, 0, 0 FROM sqlite_schema ORDER BY 1, 2",
    ] {
        let mut statement = connection.prepare(statement).unwrap();
        let read = statement.query_map([], |row| (0..9).map(|n| row.get(n)).collect());
        rows.extend(read.unwrap().map(Result::unwrap));
    }
    rows
}

/// Every published file with its bytes.
fn published(folder: &Folder) -> Vec<(String, Vec<u8>)> {
    let root = folder.data().join("tlog");
    let (mut found, mut open) = (Vec::new(), vec![root.clone()]);
    while let Some(path) = open.pop() {
        if path.is_dir() {
            open.extend(fs::read_dir(path).unwrap().map(|file| file.unwrap().path()));
        } else {
            let name = path.strip_prefix(&root).unwrap().to_str().unwrap().to_owned();
            found.push((name, fs::read(path).unwrap()));
        }
    }
    found.sort();
    found
}

/// Files of a tree of that size that do not depend on when checkpoints were published.
fn full(published: Vec<(String, Vec<u8>)>) -> Vec<(String, Vec<u8>)> {
    published.into_iter().filter(|(name, _)| !name.contains(".p/")).collect()
}

fn filled(records: u64) -> Folder {
    let folder = Folder::new();
    let store = folder.open();
    for first in (0..records).step_by(50) {
        append(&store, (first..records.min(first + 50)).map(decision_entry).collect());
    }
    store.close();
    folder
}

#[test]
fn a_rebuild_gives_equal_content() {
    let folder = filled(700);
    let (rows, files) = (content(&folder), full(published(&folder)));
    // Of three agents, four rules and five tools each comes together with each.
    assert_eq!(rows.len(), 3 + 700 + 700 + 60 + 4 + 14, "{}", rows.len());
    assert!(files.iter().any(|(name, _)| name == "tile/entries/001"));
    assert_eq!(block_on(Store::rebuild(folder.options())).unwrap(), 700);
    assert_eq!(content(&folder), rows);
    assert_eq!(full(published(&folder)), files);
}

#[test]
fn what_is_lost_or_damaged_is_made_again() {
    let folder = filled(300);
    let (rows, files) = (content(&folder), full(published(&folder)));
    let path = folder.data().join("read.sqlite");
    let sql = |statement: &str| {
        Connection::open(&path).unwrap().execute_batch(statement).unwrap();
    };
    let damages: [&dyn Fn(); 8] = [
        &|| fs::remove_file(&path).unwrap(),
        &|| fs::write(&path, b"this is no database, and it is long enough to look at").unwrap(),
        &|| {
            let mut bytes = fs::read(&path).unwrap();
            let middle = bytes.len() / 2;
            bytes[middle..middle + 8192].fill(0x5a);
            fs::write(&path, bytes).unwrap();
        },
        &|| sql("UPDATE meta SET value = '0' WHERE name = 'schema'"),
        &|| sql("UPDATE meta SET value = 1000 WHERE name = 'applied'"),
        &|| sql("UPDATE meta SET value = 'x' WHERE name = 'last'; DELETE FROM records"),
        &|| fs::remove_dir_all(folder.data().join("tlog")).unwrap(),
        &|| fs::write(folder.data().join("tlog/tile/0/000"), [0; 8192]).unwrap(),
    ];
    for (place, damage) in damages.into_iter().enumerate() {
        damage();
        folder.open().close();
        assert_eq!(content(&folder), rows, "damage {place}");
        assert_eq!(full(published(&folder)), files, "damage {place}");
    }
}

#[test]
fn a_crash_between_append_and_apply_is_caught_up() {
    let folder = filled(120);
    let before = folder.data().join("read.sqlite");
    let kept = fs::read(&before).unwrap();
    let checkpoint = fs::read(folder.data().join("tlog/checkpoint")).unwrap();
    let store = folder.open();
    append(&store, (120..200).map(decision_entry).collect());
    store.close();
    let rows = content(&folder);
    // As if the follower had never come to the last records.
    fs::write(&before, kept).unwrap();
    fs::write(folder.data().join("tlog/checkpoint"), checkpoint).unwrap();
    folder.open().close();
    assert_eq!(content(&folder), rows);
    assert!(published(&folder).iter().any(|(name, _)| name == "tile/0/000.p/200"));
}

fn sequences(page: &safeconduct_service::Page) -> Vec<u64> {
    page.records.iter().map(|record| record.sequence).collect()
}

#[test]
fn queries_answer_what_fits_newest_first() {
    let folder = Folder::new();
    let store = folder.open();
    append(&store, (0..60).map(decision_entry).collect());
    let outcome = Executed {
        decision: RecordId::new("dec_4").unwrap(),
        session: SessionKey::credential(
            IdentityId::new("agent-1").unwrap(),
            TokenId::new("tok-0").unwrap(),
        ),
        execution: Execution::Succeeded,
        duration_ms: 3,
        result_digest: None,
        result_bytes: 10,
        detail: None,
        edits: Vec::new(),
        label: None,
        declassified: None,
    };
    let outcome = Record { body: Body::Executed(outcome), ..record(60) };
    append(&store, vec![Entry { leaf: encode(&outcome).unwrap(), attachment: None }]);
    block_on(store.applied(60));

    let model = store.read_model();
    let ask = |query: RecordQuery| {
        let page = model.query(&RecordQuery { limit: query.limit.max(10), ..query }).unwrap();
        assert_eq!(page.read_up_to, 61);
        sequences(&page)
    };
    let all = RecordQuery::default;
    assert_eq!(ask(all()), (51..=60).rev().collect::<Vec<_>>());
    assert_eq!(ask(RecordQuery { before: Some(3), ..all() }), [2, 1, 0]);
    assert_eq!(ask(RecordQuery { kind: Some("outcome".into()), ..all() }), [60]);
    let parent = Some(RecordId::new("dec_4").unwrap());
    assert_eq!(ask(RecordQuery { parent, ..all() }), [60]);
    let agent = IdentityId::new("agent-1").unwrap();
    let wanted: Vec<u64> = (0..=60).rev().filter(|n| n % 3 == 1 || *n == 60).take(10).collect();
    assert_eq!(ask(RecordQuery { identity: Some(agent.clone()), ..all() }), wanted);
    let session = SessionKey::credential(agent, TokenId::new("tok-1").unwrap());
    let wanted: Vec<u64> = (0..60).rev().filter(|n| n % 6 == 1).collect();
    assert_eq!(ask(RecordQuery { session: Some(session), ..all() }), wanted);
    let action = Some(ActionName::new("files.tool_3").unwrap());
    let decision = Some(Decision::Deny);
    let wanted: Vec<u64> = (0..60).rev().filter(|n| n % 10 == 3).collect();
    assert_eq!(ask(RecordQuery { action, decision, ..all() }), wanted);
    let policy = Some(PolicyId::new("rule-2").unwrap());
    let (since, until) = (Some(record(10).at), Some(record(20).at));
    assert_eq!(ask(RecordQuery { policy, since, until, ..all() }), [18, 14, 10]);

    let found = model.record(&RecordId::new("dec_7").unwrap()).unwrap();
    assert_eq!(sequences(&found), [7]);
    assert_eq!(found.records[0].leaf.as_bytes(), decision_entry(7).leaf);
    assert!(model.record(&RecordId::new("nobody").unwrap()).unwrap().records.is_empty());
    assert_eq!(sequences(&model.from(58, 100).unwrap()), [58, 59, 60]);
    assert_eq!(model.read_up_to(), 61);
}

/// The outcome of decision `of`, as record `n`.
fn outcome(n: u64, of: u64) -> Record {
    let executed = Executed {
        decision: RecordId::new(format!("dec_{of}")).unwrap(),
        session: SessionKey::credential(
            IdentityId::new("agent-1").unwrap(),
            TokenId::new("tok-0").unwrap(),
        ),
        execution: if of.is_multiple_of(3) { Execution::Failed } else { Execution::Succeeded },
        duration_ms: 3,
        result_digest: None,
        result_bytes: 10,
        detail: None,
        edits: Vec::new(),
        label: None,
        declassified: None,
    };
    Record { body: Body::Executed(executed), ..record(n) }
}

fn leaf(record: &Record) -> Entry {
    Entry { leaf: encode(record).unwrap(), attachment: None }
}

#[test]
fn use_is_counted_as_the_fold_counts_it_whenever_it_is_read() {
    let folder = Folder::new();
    let mut records: Vec<Record> = (0..300).map(decision).collect();
    // Outcomes of decisions before and after a restart, one twice, one of nothing.
    records.extend((0..150).map(|n| outcome(1000 + n, n * 2)));
    records.extend([outcome(2000, 4), outcome(2001, 9999), outcome(2002, 1)]);
    records.extend((300..360).map(decision));
    records.extend((360..420).map(decision_for_a_user));
    records.extend((0..60).map(|n| outcome(3000 + n, 300 + n * 2)));
    for part in records.chunks(97) {
        let store = folder.open();
        append(&store, part.iter().map(leaf).collect());
        store.close();
    }
    let mut usage = safeconduct_review::Usage::default();
    records.iter().for_each(|record| usage.take(record));
    let counted = || {
        let store = folder.open();
        block_on(store.applied(records.len() as u64 - 1));
        let all = store.read_model().uses(&UseQuery::default()).unwrap();
        assert!(!all.more && all.read_up_to == records.len() as u64);
        store.close();
        all.uses.into_iter().collect::<std::collections::BTreeMap<_, _>>()
    };
    assert_eq!(counted(), usage.rows());
    let rows = content(&folder);
    block_on(Store::rebuild(folder.options())).unwrap();
    assert_eq!(content(&folder), rows);
    assert_eq!(counted(), usage.rows());

    let store = folder.open();
    block_on(store.applied(records.len() as u64 - 1));
    let principal = EntityRef::new("Safeconduct::Agent", "agent-2").unwrap();
    let query = UseQuery {
        principal: Some(principal.clone()),
        policy: Some(PolicyId::new("rule-2").unwrap()),
        ..UseQuery::default()
    };
    let found = store.read_model().uses(&query).unwrap().uses;
    assert!(!found.is_empty());
    let fits = |(key, _): &&(_, _)| {
        let key: &safeconduct_review::UseKey = key;
        key.principal == principal && key.policy.as_deref() == Some("rule-2")
    };
    assert_eq!(found.iter().filter(fits).count(), found.len());
    let model = store.read_model();
    let agents = EntityType::new("Safeconduct::Agent").unwrap();
    let seen = |after, limit| model.entities(SeenAs::Principal, &agents, after, limit).unwrap();
    let ids = |found: Vec<EntityId>| found.iter().map(ToString::to_string).collect::<Vec<_>>();
    assert_eq!(ids(seen(None, 2)), ["agent-0", "agent-1"]);
    assert_eq!(ids(seen(Some("agent-1"), 1)), ["agent-2"]);
    assert!(model.entities(SeenAs::Resource, &agents, None, 9).unwrap().is_empty());
    let day = safeconduct_review::day_of(record(0).at);
    let ada = EntityRef::new("Safeconduct::User", "ada-1").unwrap();
    let query = UseQuery { principal: Some(ada), ..UseQuery::default() };
    let mut wanted = UsedRights::default();
    let all = store.read_model().uses(&query).unwrap().uses;
    all.iter().for_each(|(key, used)| wanted.take(key, used));
    assert!(all.len() > 4 && !all.iter().any(|(key, _)| key.policy.is_none()), "{all:?}");
    assert_eq!(model.used_rights(&query), Ok(wanted));
    let before = UseQuery { until_day: Some(day - 1), ..UseQuery::default() };
    assert!(store.read_model().uses(&before).unwrap().uses.is_empty());
    let since = UseQuery { since_day: Some(day), ..UseQuery::default() };
    assert_eq!(store.read_model().uses(&since).unwrap().uses.len(), usage.rows().len());
}

/// More rows than one answer holds do not keep anybody from being told which rights were used.
#[test]
fn rights_that_were_used_are_told_of_any_number_of_rows() {
    let folder = Folder::new();
    let days = USES_MAX as i64 + 50;
    let of_day = |n: i64| {
        let mut used = decision(n as u64 * 3);
        used.at = used.at.plus_ms(n * 86_400_000);
        used
    };
    let records: Vec<Record> = (0..days).map(of_day).collect();
    let store = folder.open();
    for part in records.chunks(500) {
        append(&store, part.iter().map(leaf).collect());
    }
    block_on(store.applied(records.len() as u64 - 1));
    let model = store.read_model();
    let mut usage = safeconduct_review::Usage::default();
    records.iter().for_each(|record| usage.take(record));
    let principal = usage.rows().keys().next().unwrap().principal.clone();
    let mine = |key: &&safeconduct_review::UseKey| key.principal == principal;
    assert!(usage.rows().keys().filter(mine).count() > USES_MAX, "{}", usage.rows().len());
    let query = UseQuery { principal: Some(principal.clone()), ..UseQuery::default() };
    assert!(model.uses(&query).unwrap().more);
    let mut wanted = UsedRights::default();
    let all = usage.rows();
    let rows = all.iter().filter(|(key, _)| mine(key));
    rows.for_each(|(key, used)| wanted.take(key, used));
    assert!(!wanted.policies.is_empty());
    assert_eq!(model.used_rights(&query), Ok(wanted));
    let none = UseQuery { until_day: Some(0), ..query };
    assert_eq!(model.used_rights(&none), Ok(UsedRights::default()));
}

#[test]
fn growth_is_told_and_so_is_the_end() {
    let folder = Folder::new();
    let store = folder.open();
    let model = store.read_model();
    append(&store, vec![entry(0)]);
    block_on(model.grown_beyond(0));
    assert_eq!(model.read_up_to(), 1);
    assert!(block_on(store.publish()));
    assert!(model.checkpoint().unwrap().unwrap().contains("\n1\n"));
    let waiting = model.clone();
    let waiter = std::thread::spawn(move || block_on(waiting.grown_beyond(1)));
    store.close();
    waiter.join().unwrap();
}

#[test]
fn a_finished_ledger_is_signed_whole_whoever_still_holds_it() {
    let folder = Folder::new();
    let store = std::sync::Arc::new(folder.open());
    let held = std::sync::Arc::clone(&store);
    append(&store, vec![entry(0)]);
    assert!(block_on(store.publish()));
    // Nobody waits for these.
    let last = store.submit(proposal((1..40).map(entry).collect())).unwrap();
    store.finish();
    let note = crate::published_checkpoint(&folder.data()).unwrap().unwrap();
    assert!(String::from_utf8(note).unwrap().contains("\n40\n"));
    block_on(held.durable(last)).unwrap();
    let late = held.submit(proposal(vec![entry(40)]));
    assert!(late.unwrap_err().to_string().contains("was closed"));
    held.finish();
    assert_eq!(held.records(), 40);
}

#[test]
fn keys_are_kept_from_others() {
    use std::os::unix::fs::PermissionsExt;
    let folder = Folder::new();
    folder.open().close();
    crate::Vault::open(&folder.keys()).unwrap();
    for name in [crate::SIGNING_KEY, crate::WRAPPING_KEY] {
        let path = folder.keys().join(name);
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600, "{name}");
    }
    let path = folder.keys().join(crate::SIGNING_KEY);
    fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
    let refused = Store::open(folder.options()).unwrap_err().to_string();
    assert!(refused.contains("chmod 600"), "{refused}");
}
