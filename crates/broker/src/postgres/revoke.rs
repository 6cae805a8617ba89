//! A role goes, and is proved gone.
//!
//! The order matters: first nobody can log in any more, then what is open is cut, then what the
//! role owns and was granted is cleared in every database that knows it, then it is dropped, and
//! then it is looked for. Each step can be done again, so whoever was stopped begins anew.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use safeconduct_service::{Proof, Prospect, Seen, TargetFault};
use tokio_postgres::Client;

use super::connect::Connector;
use super::issue::{GRANTS_LOCK, LOCK, password};
use super::sql;

/// The first and the longest wait for sessions to end, in milliseconds.
const ENDING_MS: (u64, u64) = (2, 50);

/// Takes the role back. The inner error says what is still there.
pub(super) async fn revoke(
    connector: &Connector,
    role: &str,
    owned_to: Option<&str>,
) -> Result<Result<Proof, &'static str>, TargetFault> {
    let client = connector.open().await?;
    let fault = |step| move |error| connector.fault(step, &error);
    let lock = format!("SELECT pg_advisory_lock({LOCK})");
    client.execute(&lock, &[&role]).await.map_err(fault("a lock"))?;
    let oid = oid(connector, &client, role).await?;
    if let Some(oid) = oid {
        let lock_out = sql::lock_out(role);
        client.batch_execute(&lock_out).await.map_err(fault("to lock a role out"))?;
        join(connector, &client, role).await?;
        end_sessions(connector, &client, oid).await?;
        let lock = format!("SELECT pg_advisory_lock({GRANTS_LOCK})");
        client.execute(&lock, &[]).await.map_err(fault("a lock"))?;
        clear(connector, &client, role, oid, owned_to).await?;
        for statement in sql::drop_role(role) {
            client.batch_execute(&statement).await.map_err(fault("to drop a role"))?;
        }
        let unlock = format!("SELECT pg_advisory_unlock({GRANTS_LOCK})");
        client.execute(&unlock, &[]).await.map_err(fault("a lock"))?;
    }
    prove(connector, &client, role, oid).await
}

async fn oid(
    connector: &Connector,
    client: &Client,
    role: &str,
) -> Result<Option<u32>, TargetFault> {
    let fault = |error| connector.fault("to list roles", &error);
    let row = client.query_opt("SELECT oid FROM pg_roles WHERE rolname = $1", &[&role]).await;
    row.map_err(fault)?.map(|row| row.try_get(0).map_err(fault)).transpose()
}

/// Our own role becomes a member of the one that goes: only members may end its sessions and
/// clear what it owns. The membership goes with the role.
async fn join(connector: &Connector, client: &Client, role: &str) -> Result<(), TargetFault> {
    let fault = |error| connector.fault("membership in a role", &error);
    let member = "SELECT pg_has_role(current_user, $1::text::name, 'USAGE')";
    let row = client.query_one(member, &[&role]).await.map_err(fault)?;
    if row.try_get(0).map_err(fault)? {
        return Ok(());
    }
    let join = format!("GRANT {} TO CURRENT_USER", sql::name(role));
    client.batch_execute(&join).await.map_err(fault)
}

/// Ends every session of the role and waits until they have ended. The caller's time limit
/// bounds the wait.
async fn end_sessions(connector: &Connector, client: &Client, oid: u32) -> Result<(), TargetFault> {
    let fault = |error| connector.fault("to end sessions", &error);
    let (mut wait, longest) = ENDING_MS;
    let end = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE usesysid = $1";
    loop {
        let row = client.query_one(end, &[&oid]).await.map_err(fault)?;
        if row.try_get::<_, i64>(0).map_err(fault)? == 0 {
            return Ok(());
        }
        tokio::time::sleep(Duration::from_millis(wait)).await;
        wait = (wait * 2).min(longest);
    }
}

/// Clears every database in which the role owns something, has a privilege, or left a prepared
/// transaction, which would hold its locks for ever.
async fn clear(
    connector: &Connector,
    client: &Client,
    role: &str,
    oid: u32,
    owned_to: Option<&str>,
) -> Result<(), TargetFault> {
    let fault = |error| connector.fault("to clear a database of a role", &error);
    let rows = client
        .query("SELECT database::text, gid FROM pg_prepared_xacts WHERE owner = $1::text", &[&role])
        .await
        .map_err(fault)?;
    let mut prepared: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for row in rows {
        let database = row.try_get(0).map_err(fault)?;
        prepared.entry(database).or_default().push(row.try_get(1).map_err(fault)?);
    }
    let known = "SELECT DISTINCT datname::text FROM pg_shdepend JOIN pg_database d ON d.oid = dbid \
                 WHERE refclassid = 'pg_authid'::regclass AND refobjid = $1 \
                 AND datname <> current_database()";
    let rows = client.query(known, &[&oid]).await.map_err(fault)?;
    let mut others = BTreeSet::new();
    for row in rows {
        others.insert(row.try_get::<_, String>(0).map_err(fault)?);
    }
    let row = client.query_one("SELECT current_database()::text", &[]).await.map_err(fault)?;
    let here: String = row.try_get(0).map_err(fault)?;
    others.extend(prepared.keys().filter(|database| **database != here).cloned());
    let statements = |database: &str| {
        let prepared = prepared.get(database).into_iter().flatten();
        let undo = prepared.flat_map(|id| sql::roll_back_prepared(role, id));
        undo.chain([sql::clear(role, owned_to)]).collect::<Vec<_>>()
    };
    for database in others {
        let other = connector.open_database(&database).await?;
        for statement in statements(&database) {
            other.batch_execute(&statement).await.map_err(fault)?;
        }
    }
    for statement in statements(&here) {
        client.batch_execute(&statement).await.map_err(fault)?;
    }
    Ok(())
}

/// Looks for the role: a login must be refused, the catalogue must not list it, and no session
/// of it may go on.
async fn prove(
    connector: &Connector,
    client: &Client,
    role: &str,
    gone: Option<u32>,
) -> Result<Result<Proof, &'static str>, TargetFault> {
    // The role is gone or it is not, whatever the password.
    match connector.log_in(role, &password()?).await {
        Ok(_) => return Ok(Err("a login succeeded")),
        Err(error) => {
            // Class 28 says that this name may not log in; anything else says nothing about it.
            let refused = error.as_db_error().is_some_and(|db| db.code().code().starts_with("28"));
            if !refused {
                return Err(match connector.fault("a login", &error) {
                    TargetFault::Refused { target, step, problem, .. } => {
                        TargetFault::Refused { target, step, problem, prospect: Prospect::Passing }
                    }
                    fault => fault,
                });
            }
        }
    }
    let mut seen = BTreeSet::from([Seen::LoginRefused]);
    if oid(connector, client, role).await?.is_some() {
        return Ok(Err("the role is listed"));
    }
    seen.insert(Seen::NotListed);
    if let Some(oid) = gone {
        let fault = |error| connector.fault("to list sessions", &error);
        let sessions = "SELECT count(*) FROM pg_stat_activity WHERE usesysid = $1";
        let row = client.query_one(sessions, &[&oid]).await.map_err(fault)?;
        if row.try_get::<_, i64>(0).map_err(fault)? > 0 {
            return Ok(Err("a session goes on"));
        }
        seen.insert(Seen::NoSessions);
    }
    Ok(Ok(Proof { seen }))
}
