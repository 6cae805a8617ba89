//! PostgreSQL: each lease is a role of its own.

mod connect;
mod issue;
mod revoke;
mod sql;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use safeconduct_model::{Lease, LeaseId, LeaseKind, TargetName, Timestamp};
use safeconduct_service::{
    Awaited, GRANTS_MAX, GrantSpec, IssueError, Issuer, NamingError, Proof, RenewError,
    RevokeError, Secret, TargetFault,
};
use safeconduct_wire::config::{PostgresTarget, Privileges, Tls};

use connect::Connector;

/// How the name of each role begins; the lease's id follows.
pub const ROLE_PREFIX: &str = "sc_";

/// Longest name of a role, in bytes: PostgreSQL cuts longer ones off, so that two would be one.
pub const ROLE_BYTES_MAX: usize = 63;

/// Taking back may need connections to several databases: it has so many times the limit of one
/// answer.
const REVOKE_LIMITS: u32 = 6;

/// Makes roles in a PostgreSQL database.
///
/// Its own role needs `CREATEROLE`, membership in the role that owned things go to (where there
/// is one), and everything that grants hand out with the right to hand it out. PostgreSQL looks
/// at `VALID UNTIL` when a session begins and never again: what ends open sessions is `revoke`.
/// A lease's role can do what its grants say, and what every role can do (`PUBLIC`).
pub struct PostgresIssuer {
    target: TargetName,
    config: PostgresTarget,
    connector: Connector,
}

impl PostgresIssuer {
    /// One for that target; nothing is connected yet. `timeout_s` is how long PostgreSQL may take
    /// for one answer, in seconds.
    ///
    /// # Errors
    /// [`TargetFault::Setup`] where the configuration cannot be used.
    pub fn new(
        target: TargetName,
        config: PostgresTarget,
        timeout_s: u32,
    ) -> Result<Self, TargetFault> {
        let setup = |problem| TargetFault::Setup { target: target.clone(), problem };
        sql::check_names(&config).map_err(setup)?;
        let tls = match config.tls {
            Tls::Required => Some(crate::tls::client(config.ca_file.as_deref()).map_err(setup)?),
            Tls::Off => None,
        };
        let limit = Duration::from_secs(timeout_s.max(1).into());
        let connector = Connector::new(target.clone(), &config, tls, limit);
        Ok(Self { target, config, connector })
    }

    /// The role of a lease; `None` where the lease is none of ours. A record that names another
    /// role never reaches the database.
    fn role<'a>(&self, lease: &'a Lease) -> Option<&'a str> {
        let ours = lease.kind == LeaseKind::PostgresRole
            && lease.target == self.target
            && role_name(&lease.id).is_some_and(|name| *name == *lease.name);
        ours.then_some(&*lease.name)
    }

    fn privileges(&self, grant: &GrantSpec) -> Result<Vec<&Privileges>, NamingError> {
        let (asked, limit) = (grant.grants.len(), GRANTS_MAX);
        if asked == 0 || asked > limit {
            return Err(NamingError::Count { target: self.target.clone(), limit, asked });
        }
        let mut privileges = Vec::new();
        for name in &grant.grants {
            let known = self.config.grants.get(&**name).ok_or_else(|| {
                NamingError::UnknownGrant { target: self.target.clone(), grant: Arc::clone(name) }
            })?;
            privileges.extend(known);
        }
        Ok(privileges)
    }
}

/// The name of a lease's role; `None` where the id does not fit into one.
fn role_name(id: &LeaseId) -> Option<String> {
    let fits = |b: u8| b.is_ascii_alphanumeric() || b == b'_' || b == b'-';
    let name = format!("{ROLE_PREFIX}{id}");
    (name.len() <= ROLE_BYTES_MAX && id.as_str().bytes().all(fits)).then_some(name)
}

impl Issuer for PostgresIssuer {
    fn kind(&self) -> LeaseKind {
        LeaseKind::PostgresRole
    }

    fn name(&self, id: &LeaseId, grant: &GrantSpec) -> Result<Arc<str>, NamingError> {
        self.privileges(grant)?;
        let name = role_name(id);
        let unfit = || NamingError::Id { target: self.target.clone(), id: id.clone() };
        name.map(Into::into).ok_or_else(unfit)
    }

    fn address(&self) -> BTreeMap<&'static str, String> {
        BTreeMap::from([
            ("host", self.config.host.clone()),
            ("port", self.config.port.to_string()),
            ("database", self.config.database.clone()),
        ])
    }

    fn issue<'a>(
        &'a self,
        lease: &'a Lease,
        grant: &'a GrantSpec,
    ) -> Awaited<'a, Result<Secret, IssueError>> {
        Awaited::of(async move {
            let role = self.role(lease).ok_or_else(|| IssueError::Foreign(lease.id.clone()))?;
            let privileges = self.privileges(grant)?;
            let making = issue::issue(&self.connector, &self.config, role, &privileges, lease);
            Ok(self.connector.within(1, making).await?)
        })
    }

    fn renew<'a>(
        &'a self,
        lease: &'a Lease,
        until: Timestamp,
    ) -> Awaited<'a, Result<(), RenewError>> {
        Awaited::of(async move {
            let role = self.role(lease).ok_or_else(|| RenewError::Foreign(lease.id.clone()))?;
            let renewing = issue::renew(&self.connector, role, until);
            match self.connector.within(1, renewing).await? {
                true => Ok(()),
                false => Err(RenewError::Gone(lease.id.clone())),
            }
        })
    }

    fn revoke<'a>(&'a self, lease: &'a Lease) -> Awaited<'a, Result<Proof, RevokeError>> {
        Awaited::of(async move {
            let role = self.role(lease).ok_or_else(|| RevokeError::Foreign(lease.id.clone()))?;
            let owned_to = self.config.reassign_owned_to.as_deref();
            let taking = revoke::revoke(&self.connector, role, owned_to);
            match self.connector.within(REVOKE_LIMITS, taking).await? {
                Ok(proof) => Ok(proof),
                Err(found) => Err(RevokeError::StillThere { id: lease.id.clone(), found }),
            }
        })
    }
}
