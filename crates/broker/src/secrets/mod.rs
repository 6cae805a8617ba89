//! Static secrets: they exist before a lease and after it. A lease of one lets the gateway put it
//! into the calls of one task; nothing is made at the store and nothing taken away.

mod age_edit;
mod age_file;
mod vault;

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use safeconduct_model::{Lease, LeaseId, LeaseKind, TargetName, Timestamp};
use safeconduct_service::{
    Awaited, GrantSpec, IssueError, Issuer, NamingError, Proof, RenewError, RevokeError,
    SECRET_BYTES_MAX, Secret, Seen, TargetFault,
};
use safeconduct_wire::config::{SecretStore, SecretsTarget};
use zeroize::Zeroizing;

pub use age_edit::{AGE_SECRETS_MAX, AgeFile, AgeFileError, AgeSet};
pub use age_file::AGE_FILE_BYTES_MAX;
pub use vault::VAULT_ANSWER_BYTES_MAX;

/// Fetches secrets from one store. Each is fetched anew for each lease, so that one that was
/// changed is used at once, and nothing is kept here.
pub struct SecretsIssuer {
    target: TargetName,
    names: BTreeSet<Arc<str>>,
    store: Store,
    limit: Duration,
}

enum Store {
    Age { file: PathBuf, identity_file: PathBuf },
    Vault(vault::Vault),
}

/// What a store answers.
enum Fetched {
    /// It has the secret.
    Found(Zeroizing<String>),
    /// It has none of that name.
    Absent,
}

impl SecretsIssuer {
    /// One for that target; nothing is read yet. `timeout_s` is how long the store may take, in
    /// seconds.
    ///
    /// # Errors
    /// [`TargetFault::Setup`] where the configuration cannot be used.
    pub fn new(
        target: TargetName,
        config: &SecretsTarget,
        timeout_s: u32,
    ) -> Result<Self, TargetFault> {
        let limit = Duration::from_secs(timeout_s.max(1).into());
        let store = match &config.store {
            SecretStore::Age { file, identity_file } => {
                Store::Age { file: file.clone(), identity_file: identity_file.clone() }
            }
            SecretStore::Vault(store) => Store::Vault(
                vault::Vault::new(store.clone(), limit)
                    .map_err(|problem| TargetFault::Setup { target: target.clone(), problem })?,
            ),
        };
        let names = config.uses.keys().map(|name| name.as_str().into()).collect();
        Ok(Self { target, names, store, limit })
    }

    fn is_ours(&self, lease: &Lease) -> bool {
        lease.kind == LeaseKind::StaticSecret
            && lease.target == self.target
            && self.names.contains(&lease.name)
    }

    async fn fetch(&self, name: &Arc<str>) -> Result<Secret, IssueError> {
        let fetched = match &self.store {
            Store::Vault(vault) => vault.fetch(&self.target, name).await?,
            Store::Age { file, identity_file } => {
                let (file, identity, name) =
                    (file.clone(), identity_file.clone(), Arc::clone(name));
                let read = move || age_file::fetch(&file, &identity, &name);
                let setup = |problem| TargetFault::Setup { target: self.target.clone(), problem };
                tokio::task::spawn_blocking(read)
                    .await
                    .map_err(|_| setup("the age file could not be read".into()))?
                    .map_err(setup)?
            }
        };
        let Fetched::Found(secret) = fetched else {
            let (target, name) = (self.target.clone(), Arc::clone(name));
            return Err(IssueError::NoSuchSecret { target, name });
        };
        if secret.is_empty() || secret.len() > SECRET_BYTES_MAX {
            let problem = format!(
                "secret `{name}` has {} bytes; it must have 1 to {SECRET_BYTES_MAX}",
                secret.len()
            );
            return Err(TargetFault::Setup { target: self.target.clone(), problem }.into());
        }
        Ok(Secret::new(secret))
    }
}

impl Issuer for SecretsIssuer {
    fn kind(&self) -> LeaseKind {
        LeaseKind::StaticSecret
    }

    fn name(&self, _: &LeaseId, grant: &GrantSpec) -> Result<Arc<str>, NamingError> {
        let target = || self.target.clone();
        let mut asked = grant.grants.iter();
        let (Some(name), None) = (asked.next(), asked.next()) else {
            let asked = grant.grants.len();
            return Err(NamingError::Count { target: target(), limit: 1, asked });
        };
        let unknown = || NamingError::UnknownGrant { target: target(), grant: Arc::clone(name) };
        self.names.get(name).cloned().ok_or_else(unknown)
    }

    fn address(&self) -> BTreeMap<&'static str, String> {
        BTreeMap::new()
    }

    fn issue<'a>(
        &'a self,
        lease: &'a Lease,
        grant: &'a GrantSpec,
    ) -> Awaited<'a, Result<Secret, IssueError>> {
        Awaited::of(async move {
            let name = self.name(&lease.id, grant)?;
            if !self.is_ours(lease) || lease.name != name {
                return Err(IssueError::Foreign(lease.id.clone()));
            }
            let limit_ms = u64::try_from(self.limit.as_millis()).unwrap_or(u64::MAX);
            let slow = TargetFault::Slow { target: self.target.clone(), limit_ms };
            match tokio::time::timeout(self.limit, self.fetch(&name)).await {
                Ok(fetched) => fetched,
                Err(_) => Err(slow.into()),
            }
        })
    }

    /// Nothing at the store has an end; the lease's own is in the ledger.
    fn renew<'a>(&'a self, lease: &'a Lease, _: Timestamp) -> Awaited<'a, Result<(), RenewError>> {
        let ours = self.is_ours(lease);
        Awaited::of(async move {
            if ours { Ok(()) } else { Err(RenewError::Foreign(lease.id.clone())) }
        })
    }

    /// A secret that is no longer in the configuration was not kept either.
    fn revoke<'a>(&'a self, lease: &'a Lease) -> Awaited<'a, Result<Proof, RevokeError>> {
        let ours = lease.kind == LeaseKind::StaticSecret && lease.target == self.target;
        Awaited::of(async move {
            if ours {
                Ok(Proof { seen: [Seen::NotKept].into() })
            } else {
                Err(RevokeError::Foreign(lease.id.clone()))
            }
        })
    }
}

#[cfg(test)]
mod tests;
