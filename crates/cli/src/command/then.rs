//! The world of some time: policies, catalogue and intents as they were in force, and everyone and
//! everything that the records up to then tell of, folded as a server folds them when it starts.
//! Nothing is written anywhere.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::sync::Arc;

use safeconduct_ledger::decode;
use safeconduct_model::{
    ActionName, Body, Digest, Identity, IdentityId, Record, RecordId, SessionKey, Timestamp,
};
use safeconduct_service::{
    AppendError, Attachment, Clock, Durable, Ledger, LedgerHealth, Ports, Proposal, Service,
    SessionKeys, Settings, SubmitError, Ticket, Vault, VaultError, Vocabulary, World,
};
use safeconduct_store::AttachmentState;
use serde::Serialize;
use serde_json::{Value, json};

use crate::args::Shared;
use crate::exit::{CommandError, failed};
use crate::system::UuidIds;
use crate::wiring::kept::{Kept, KeptTexts};
use crate::wiring::project::{self, Project};
use crate::wiring::runtime;

/// The world of some time.
pub(super) struct Then {
    /// What decides, standing where the records of then end. Its clock stands still.
    pub(super) service: Service,
    /// The time.
    pub(super) at: Timestamp,
    /// How many records were folded.
    pub(super) records: u64,
    /// Which sets were in force, and by which records.
    pub(super) sets: Sets,
}

/// The sets that were in force at some time.
#[derive(Debug, Clone, Default)]
pub(super) struct Sets {
    /// The policies.
    pub(super) policies: Option<(Digest, RecordId)>,
    /// The catalogue.
    pub(super) catalogue: Option<(Digest, RecordId)>,
    /// The intents, where there were any.
    pub(super) intents: Option<(Digest, RecordId)>,
}

impl Sets {
    fn take(&mut self, record: &Record) {
        let loaded = |digest: &Digest| Some((*digest, record.id.clone()));
        match &record.body {
            // What was undertaken before is told again by the process that takes over.
            Body::ServerStarted { .. } => self.intents = None,
            Body::PoliciesLoaded { digest, .. } => self.policies = loaded(digest),
            Body::CatalogueLoaded { digest, .. } => self.catalogue = loaded(digest),
            Body::IntentsLoaded { digest, .. } => self.intents = loaded(digest),
            _ => {}
        }
    }
}

impl Then {
    /// The world of that time, from the data folder.
    ///
    /// # Errors
    /// The folder cannot be read, no policy set was in force then, or what it was made of is not
    /// known any more.
    pub(super) fn of(shared: &Shared, at: Timestamp) -> Result<Self, CommandError> {
        let config = project::read_config(&shared.config)?;
        let shown = config.data.display().to_string();
        let unread = |error| failed(&shown, error);
        let (mut sets, mut texts) = (Sets::default(), BTreeMap::new());
        each(&config.data, |sequence, record, attachment| {
            if attachment == Attachment::Present
                && let Body::PoliciesLoaded { digest, .. }
                | Body::CatalogueLoaded { digest, .. }
                | Body::IntentsLoaded { digest, .. } = &record.body
            {
                texts.entry(*digest).or_insert(sequence);
            }
            if record.at <= at {
                sets.take(record);
            }
            Ok(())
        })
        .map_err(unread)?;
        let kept = loaded(shared, at, &sets, &texts)?;
        let service = decision_point(kept, at, config.session_calls, config.tiers.clone())?;
        let mut records = 0;
        let mut fold = service.restore();
        each(&config.data, |sequence, record, attachment| {
            if record.at <= at {
                fold.apply(sequence, record, attachment).map_err(io::Error::other)?;
                records += 1;
            }
            Ok(())
        })
        .map_err(unread)?;
        fold.finish();
        Ok(Self { service, at, records, sets })
    }

    /// Who was registered then.
    ///
    /// # Errors
    /// Nobody was, under that id.
    pub(super) fn identity(&self, id: &str) -> Result<Identity, CommandError> {
        let wanted = IdentityId::new(id).map_err(|error| failed("identity", error))?;
        let found = self.service.world().identity(&wanted).cloned();
        found.ok_or_else(|| {
            CommandError::Failed(format!("nobody was registered as `{id}` at {}", self.at))
        })
    }

    /// What somebody could do then, as the API answers it.
    ///
    /// # Errors
    /// Nobody was registered under that id.
    pub(super) fn can(&self, id: &str) -> Result<Value, CommandError> {
        let identity = self.identity(id)?;
        let held = self.service.can(&identity.id).map_err(|error| failed(id, error))?;
        self.answer(&safeconduct_api::shown_rights(&identity, &held))
    }

    /// Why somebody could or could not do something then, as the API answers it.
    ///
    /// # Errors
    /// Nobody was registered under that id, or the policies of then knew no such thing.
    pub(super) fn why(
        &self,
        id: &str,
        action: &str,
        resource: Option<&str>,
    ) -> Result<Value, CommandError> {
        let identity = self.identity(id)?;
        let action = ActionName::new(action).map_err(|error| failed("action", error))?;
        let resource = resource.map(|text| {
            safeconduct_api::read_entity(text).ok_or_else(|| {
                let example = "Safeconduct::Path::\"/cases\"";
                failed(text, format!("this is no entity; write it as policies do: `{example}`"))
            })
        });
        let resource = resource.transpose()?;
        let why = self.service.why(&identity.id, &action, resource);
        let why = why.map_err(|error| failed(id, error))?;
        self.answer(&safeconduct_api::shown_why(&identity.id, &action, &why))
    }

    fn answer(&self, answer: &impl Serialize) -> Result<Value, CommandError> {
        let mut answer = serde_json::to_value(answer).map_err(|error| failed("answer", error))?;
        if let Some(members) = answer.as_object_mut() {
            members.insert("as_of".into(), self.document());
        }
        Ok(answer)
    }

    /// What was rested on, for programs.
    pub(super) fn document(&self) -> Value {
        let set = |set: &Option<(Digest, RecordId)>| {
            let set = set.as_ref();
            set.map(|(digest, by)| json!({ "digest": digest.to_string(), "record": by.as_str() }))
        };
        json!({
            "at": self.at.to_string(),
            "records": self.records,
            "policies": set(&self.sets.policies),
            "catalogue": set(&self.sets.catalogue),
            "intents": set(&self.sets.intents),
        })
    }

    /// What was rested on, in words.
    pub(super) fn rests_on(&self) -> String {
        let (digest, record) = match &self.sets.policies {
            Some((digest, record)) => (digest.to_string(), record.as_str()),
            None => (String::new(), ""),
        };
        format!(
            "as of {}: {} records replayed, policies {digest} in force by {record}",
            self.at, self.records
        )
    }
}

/// The rules that were in force then.
fn loaded(
    shared: &Shared,
    at: Timestamp,
    sets: &Sets,
    texts: &BTreeMap<Digest, u64>,
) -> Result<Kept, CommandError> {
    let none = |what: &str| CommandError::Failed(format!("no {what} was in force at {at}"));
    let (policies, by) = sets.policies.as_ref().ok_or_else(|| none("policy set"))?;
    let (catalogue, _) = sets.catalogue.as_ref().ok_or_else(|| none("catalogue"))?;
    let intents = sets.intents.as_ref().map(|(digest, _)| digest);
    let wanted: Option<BTreeSet<u64>> = [Some(policies), Some(catalogue), intents]
        .into_iter()
        .flatten()
        .map(|digest| texts.get(digest).copied())
        .collect();
    let Some(wanted) = wanted else {
        return as_now(shared, (policies, catalogue, intents)).ok_or_else(|| {
            CommandError::Failed(format!(
                "the ledger does not hold what the sets were made of that were in force at {at} \
                 (policies {policies}, by {by}): it was written by a version that did not keep \
                 them, or they have more than 8 MiB; put the files of then in place of those of \
                 today, in a copy of the project, and ask again"
            ))
        });
    };
    let config = project::read_config(&shared.config)?;
    let beside = safeconduct_store::attachments(&config.data, &wanted);
    let beside = beside.map_err(|error| failed(&config.data.display().to_string(), error))?;
    let bytes = |digest: &Digest| {
        let found = texts.get(digest).and_then(|sequence| beside.get(sequence));
        found.map(Vec::as_slice).unwrap_or_default()
    };
    Kept::load(&KeptTexts {
        policies: (*policies, bytes(policies)),
        catalogue: (*catalogue, bytes(catalogue)),
        intents: intents.map(|digest| (*digest, bytes(digest))),
    })
}

/// The rules of today, where they are those of then.
fn as_now(
    shared: &Shared,
    (policies, catalogue, intents): (&Digest, &Digest, Option<&Digest>),
) -> Option<Kept> {
    let Project { rules, config, .. } = Project::load(&shared.config).ok()?;
    let same = rules.policies.digest() == *policies
        && rules.catalogue_digest == *catalogue
        && intents.is_none_or(|digest| rules.intents.digest == *digest);
    same.then(|| Kept {
        policies: Arc::clone(&rules.policies),
        namespace: config.policies.namespace,
        catalogue: Arc::clone(&rules.catalogue),
        catalogue_digest: rules.catalogue_digest,
        intents: Arc::clone(&rules.intents),
    })
}

/// A decision point of those rules that records nothing, and whose clock stands at that time.
fn decision_point(
    kept: Kept,
    at: Timestamp,
    calls_max: u64,
    tiers: safeconduct_model::Tiers,
) -> Result<Service, CommandError> {
    let Kept { policies, namespace, catalogue, catalogue_digest, intents } = kept;
    let vocabulary =
        Vocabulary::new(&namespace).map_err(|error| failed("the namespace of then", error))?;
    let world = World::new(policies, catalogue, catalogue_digest, Arc::new(vocabulary));
    let ports = Ports {
        ledger: Arc::new(Past),
        vault: Arc::new(Past),
        clock: Arc::new(Still(at)),
        ids: Arc::new(UuidIds),
    };
    let settings = Settings { calls_max, tiers, ..Settings::default() };
    let service = Service::new(ports, settings, world);
    let entered = runtime()?.block_on(service.change_intents(intents));
    entered.map_err(|error| failed("the intents of then", error))?;
    Ok(service)
}

/// Reads every record of a data folder.
fn each(
    data: &std::path::Path,
    mut each: impl FnMut(u64, &Record, Attachment) -> io::Result<()>,
) -> Result<u64, safeconduct_store::ExportError> {
    safeconduct_store::read(data, &mut |leaf| {
        let record = decode(leaf.bytes)
            .map_err(|error| io::Error::other(format!("record {}: {error}", leaf.sequence)))?;
        let attachment = match leaf.attachment {
            AttachmentState::Present => Attachment::Present,
            _ => Attachment::Absent,
        };
        each(leaf.sequence, &record, attachment)
    })
}

/// A clock that stands.
struct Still(Timestamp);

impl Clock for Still {
    fn now(&self) -> Timestamp {
        self.0
    }
}

/// A ledger that takes everything and keeps nothing, and keys that open nothing: what is over is
/// only looked at.
struct Past;

impl Past {
    fn closed() -> AppendError {
        AppendError("what was sealed is not opened to look back".into())
    }
}

impl Ledger for Past {
    fn submit(&self, _: Proposal) -> Result<Ticket, SubmitError> {
        Ok(Ticket { first: 0, last: 0 })
    }

    fn durable(&self, _: Ticket) -> Durable<'_> {
        Durable(Box::pin(std::future::ready(Ok(()))))
    }

    fn health(&self) -> LedgerHealth {
        LedgerHealth::Ready
    }

    fn attachment(&self, _: u64) -> Result<Option<Vec<u8>>, AppendError> {
        Err(Self::closed())
    }

    fn leaf(&self, _: u64) -> Result<Vec<u8>, AppendError> {
        Err(Self::closed())
    }

    fn erase(&self, _: &[u64]) -> Result<u64, AppendError> {
        Err(Self::closed())
    }
}

impl Vault for Past {
    fn begin(&self, _: &SessionKey) -> Result<(Arc<dyn SessionKeys>, Vec<u8>), VaultError> {
        Err(VaultError::NotAuthentic)
    }

    fn unwrap(&self, _: &SessionKey, _: &[u8]) -> Result<Arc<dyn SessionKeys>, VaultError> {
        Err(VaultError::NotAuthentic)
    }

    fn likeness(&self, _: &[u8]) -> Result<safeconduct_model::KeyedDigest, VaultError> {
        Err(VaultError::NotAuthentic)
    }
}
