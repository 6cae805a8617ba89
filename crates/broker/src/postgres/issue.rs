//! A role comes to be, in one transaction: all of it or nothing.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use postgres_protocol::password::scram_sha_256;
use safeconduct_model::{Lease, Timestamp};
use safeconduct_service::{Prospect, Secret, TargetFault};
use safeconduct_wire::config::{PostgresTarget, Privileges};
use zeroize::Zeroizing;

use super::connect::Connector;
use super::sql;

/// Random bytes of a password.
const PASSWORD_BYTES: usize = 32;

/// Makes and taking back hold this lock on a role's name, so that neither overtakes the other:
/// a role whose making is still under way at the server is seen by whoever takes it back.
pub(super) const LOCK: &str = "hashtextextended($1, 7411)";

/// Whoever grants or clears holds this lock too, always after the other one: PostgreSQL does not
/// let two change the privileges on one thing at a time, but fails one of them.
pub(super) const GRANTS_LOCK: &str = "hashtextextended('safeconduct grants', 7411)";

pub(super) async fn issue(
    connector: &Connector,
    config: &PostgresTarget,
    role: &str,
    privileges: &[&Privileges],
    lease: &Lease,
) -> Result<Secret, TargetFault> {
    let password = password()?;
    // PostgreSQL only ever gets what it needs to check the password, so that no log of
    // statements holds it.
    let verifier = Zeroizing::new(scram_sha_256(password.as_bytes()));
    let mut client = connector.open().await?;
    let fault = |step| move |error| connector.fault(step, &error);
    let transaction = client.transaction().await.map_err(fault("a transaction"))?;
    let lock = format!("SELECT pg_advisory_xact_lock({LOCK})");
    transaction.execute(&lock, &[&role]).await.map_err(fault("a lock"))?;
    let until = lease.expires_at;
    let create = Zeroizing::new(sql::create_role(role, &verifier, until, config.connections));
    transaction.batch_execute(&create).await.map_err(fault("to make a role"))?;
    let lock = format!("SELECT pg_advisory_xact_lock({GRANTS_LOCK})");
    transaction.execute(&lock, &[]).await.map_err(fault("a lock"))?;
    let grants = sql::grants(role, &config.database, privileges).join("; ");
    transaction.batch_execute(&grants).await.map_err(fault("to grant privileges"))?;
    let has_all = sql::has_all(role, &config.database, privileges);
    let row = transaction.query_one(&has_all, &[]).await.map_err(fault("to show privileges"))?;
    if !row.try_get::<_, bool>(0).map_err(fault("to show privileges"))? {
        return Err(TargetFault::Refused {
            target: lease.target.clone(),
            step: "to grant privileges",
            problem: format!("`{}` may not hand out all of them", config.user),
            prospect: Prospect::Lasting,
        });
    }
    transaction.commit().await.map_err(fault("to make a role"))?;
    Ok(Secret::new(password))
}

/// Makes a role last until then; `false` where there is none that can log in.
pub(super) async fn renew(
    connector: &Connector,
    role: &str,
    until: Timestamp,
) -> Result<bool, TargetFault> {
    let mut client = connector.open().await?;
    let fault = |step| move |error| connector.fault(step, &error);
    let transaction = client.transaction().await.map_err(fault("a transaction"))?;
    let lock = format!("SELECT pg_advisory_xact_lock({LOCK})");
    transaction.execute(&lock, &[&role]).await.map_err(fault("a lock"))?;
    let listed = "SELECT FROM pg_roles WHERE rolname = $1 AND rolcanlogin";
    let listed = transaction.query_opt(listed, &[&role]).await.map_err(fault("to list roles"))?;
    if listed.is_none() {
        return Ok(false);
    }
    let renew = sql::valid_until(role, until);
    transaction.batch_execute(&renew).await.map_err(fault("to renew a role"))?;
    transaction.commit().await.map_err(fault("to renew a role"))?;
    Ok(true)
}

pub(super) fn password() -> Result<Zeroizing<String>, TargetFault> {
    let mut random = Zeroizing::new([0; PASSWORD_BYTES]);
    getrandom::fill(&mut *random).map_err(|_| TargetFault::NoRandomness)?;
    Ok(Zeroizing::new(URL_SAFE_NO_PAD.encode(*random)))
}
