//! The recorded decisions of a project, each with what surrounded it then.

use std::io;
use std::path::Path;
use std::sync::Arc;

use safeconduct_ledger::{canonical, decode};
use safeconduct_model::{Body, Decided, Digest, Record, RecordId, Timestamp};
use safeconduct_policy::{Ages, Policies, RecordedDecision, Replay, Replayer};
use safeconduct_service::{Attached, Recalling, Recollection, Surrounded};
use safeconduct_store::{AttachmentState, Beside, Leaf, Vault, WRAPPING_KEY};
use safeconduct_wire::config::Config;
use safeconduct_wire::json::from_serde;

use super::sets::Sets;
use crate::args::{Shared, Source};
use crate::client::Client;
use crate::command::policy::ground::Ground;
use crate::command::records;
use crate::exit::{CommandError, failed};
use crate::output;
use crate::wiring::{project, runtime};

/// Most records that a server is asked for: the newest.
const ASKED_MAX: usize = 200_000;

/// What is met on the way through the records.
pub(super) enum Met<'a> {
    /// An identity is another from now on; what surrounds decisions has changed.
    Identity,
    /// A policy set came into force; its texts may lie beside the record.
    Policies(Timestamp, Digest, Option<Beside>),
    /// A decision.
    Decision(&'a RecordId, Timestamp, &'a Decided),
}

/// What was gone through.
#[derive(Debug, Clone, Copy)]
pub(super) struct Through {
    /// When the first of the records was made; nothing where there is none.
    pub(super) first: Option<Timestamp>,
    /// Whether it is the ledger's first.
    pub(super) whole: bool,
}

/// Goes through all records in their order, with the identities of each moment.
///
/// # Errors
/// The records cannot be read.
pub(super) fn through(
    shared: &Shared,
    source: &Source,
    ground: &Ground,
    mut each: impl FnMut(Met<'_>, &Surrounded),
) -> Result<Through, CommandError> {
    let mut around = surrounded(ground)?;
    let mut first = None;
    let mut take = |record: &Record, beside: Option<Beside>| {
        first.get_or_insert(record.at);
        match &record.body {
            // What policies cannot hold, no decision was about.
            Body::IdentityChanged { identity, .. } if around.know(identity).is_ok() => {
                each(Met::Identity, &around);
            }
            Body::PoliciesLoaded { digest, .. } => {
                each(Met::Policies(record.at, *digest, beside), &around);
            }
            Body::Decided(decided) => each(Met::Decision(&record.id, record.at, decided), &around),
            _ => {}
        }
    };
    let mut whole = true;
    if source.export.is_some() {
        records::scan_leaves(shared, source, |_, leaf| {
            // A record of a kind that is not known here is none of those that count.
            if let Ok(record) = decode(leaf) {
                take(&record, None);
            }
            Ok(())
        })?;
    } else if source.is_local() {
        leaves(&project::read_config(&shared.config)?, |leaf, record| take(record, leaf.beside))?;
    } else {
        let (asked, more) = asked(shared, source)?;
        whole = !more;
        asked.iter().rev().for_each(|record| take(record, None));
    }
    Ok(Through { first, whole })
}

fn surrounded(ground: &Ground) -> Result<Surrounded, CommandError> {
    let mut around = Surrounded::new(
        ground.catalogue.clone(),
        ground.catalogue_digest,
        ground.vocabulary.clone(),
    );
    for known in ground.identities.values() {
        around.know(&known.identity).map_err(|error| failed("an identity", error))?;
    }
    Ok(around)
}

/// The records of the data folder that are known here.
pub(super) fn leaves(
    config: &Config,
    mut each: impl FnMut(&Leaf<'_>, &Record),
) -> Result<(), CommandError> {
    safeconduct_store::read(&config.data, &mut |leaf| {
        if let Ok(record) = decode(leaf.bytes) {
            each(&leaf, &record);
        }
        Ok(())
    })
    .map_err(|error| failed(&config.data.display().to_string(), error))?;
    Ok(())
}

/// Since when the statements of today's set are in force, by the sets that were.
///
/// # Errors
/// The project cannot be read.
pub(super) fn ages(
    shared: &Shared,
    ground: &Ground,
    loaded: &[(Timestamp, Digest, Option<Beside>)],
) -> Result<Ages, CommandError> {
    let config = project::read_config(&shared.config)?;
    let mut sets = Sets::of(&config.data, Arc::clone(&ground.policies));
    for (_, set, beside) in loaded {
        sets.lies(*set, *beside);
    }
    let mut ages = Ages::default();
    for (at, set, _) in loaded {
        if ages.set() != Some(*set) {
            ages.in_force(*at, *set, sets.policies(*set).as_deref());
        }
    }
    Ok(ages)
}

/// The records of a server, the newest first, and whether there are more.
fn asked(shared: &Shared, source: &Source) -> Result<(Vec<Record>, bool), CommandError> {
    runtime()?.block_on(async {
        let client = Client::new(shared, &source.remote)?;
        let mut found = Vec::new();
        let more = records::each_page(&client, &[], ASKED_MAX, |placed| {
            found.extend(decode(&canonical(&from_serde(&placed.record))).ok());
        })
        .await?;
        if more {
            output::say("there are older records, which are not looked at: add `--offline`");
        }
        Ok((found, more))
    })
}

/// Replays the decisions since a time under a draft. From the data folder each is held against
/// the set that decided it, where its texts were kept, and what lies sealed beside it is opened
/// where that is needed.
///
/// # Errors
/// The records cannot be read.
pub(super) fn replay(
    (shared, source, ground): (&Shared, &Source, &Ground),
    (old, new): (&Policies, &Policies),
    since: Option<Timestamp>,
) -> Result<Replay, CommandError> {
    let mut replayer = Replayer::new(old, new);
    let within = |at| since.is_none_or(|since| since <= at);
    if source.is_local() && source.export.is_none() {
        let config = project::read_config(&shared.config)?;
        replay_folder(&config, ground, &mut replayer, within)?;
        return Ok(replayer.finish());
    }
    through(shared, source, ground, |met, around| match met {
        Met::Identity => replayer.surroundings_changed(),
        Met::Decision(id, at, decided) if within(at) => {
            replayer.take(&RecordedDecision { id, at, decided }, around);
        }
        Met::Policies(..) | Met::Decision(..) => {}
    })?;
    Ok(replayer.finish())
}

/// Replays the decisions of a data folder that were made at such times.
///
/// # Errors
/// The records cannot be read.
pub(super) fn replay_folder(
    config: &Config,
    ground: &Ground,
    replayer: &mut Replayer<'_>,
    within: impl Fn(Timestamp) -> bool,
) -> Result<(), CommandError> {
    let mut around = surrounded(ground)?;
    let mut sets = Sets::of(&config.data, Arc::clone(&ground.policies));
    let mut recollection = Recollection::new(vault(config)?);
    let recalls = replayer.looks_beyond_records();
    let data: Arc<Path> = config.data.as_path().into();
    leaves(config, |leaf, record| {
        let attached = if recalls { attached(leaf, &data) } else { Attached::Nothing };
        match &record.body {
            Body::IdentityChanged { identity, .. } if around.know(identity).is_ok() => {
                replayer.surroundings_changed();
            }
            Body::PoliciesLoaded { digest, .. } | Body::CatalogueLoaded { digest, .. } => {
                sets.lies(*digest, leaf.beside);
            }
            Body::Decided(decided) if within(record.at) => {
                if !replayer.knows(decided.policies)
                    && let Some(policies) = sets.policies(decided.policies)
                {
                    replayer.enter(policies);
                }
                if enter_catalogue(&mut around, decided, ground, &mut sets) {
                    replayer.surroundings_changed();
                }
                let recorded = RecordedDecision { id: &record.id, at: record.at, decided };
                if recalls {
                    recollection.beside(attached.clone());
                    let around = Recalling { around: &around, recollection: &recollection };
                    replayer.take(&recorded, &around);
                } else {
                    replayer.take(&recorded, &around);
                }
            }
            _ => {}
        }
        if recalls {
            recollection.take(record, attached);
        }
    })
}

/// The catalogue that a decision read speaks from now on, or today's where it was not kept. Whether
/// that is another than before.
fn enter_catalogue(
    around: &mut Surrounded,
    decided: &Decided,
    ground: &Ground,
    sets: &mut Sets,
) -> bool {
    let wanted = decided.catalogue;
    if around.catalogue() == wanted {
        return false;
    }
    let then = match wanted == ground.catalogue_digest {
        true => None,
        false => sets.catalogue(wanted, decided.policies).map(|then| (then, wanted)),
    };
    let now = || (Arc::clone(&ground.catalogue), ground.catalogue_digest);
    let (catalogue, digest) = then.unwrap_or_else(now);
    let other = digest != around.catalogue();
    if other {
        around.enter_catalogue(catalogue, digest);
    }
    other
}

/// What opens what lies sealed in a project, where its key is there. None is made.
fn vault(config: &Config) -> Result<Option<Arc<dyn safeconduct_service::Vault>>, CommandError> {
    if !config.keys.join(WRAPPING_KEY).exists() {
        return Ok(None);
    }
    let vault = Vault::open(&config.keys).map_err(|error| failed("the keys", error))?;
    Ok(Some(Arc::new(vault)))
}

/// What lies beside a record in a data folder.
struct Lying {
    data: Arc<Path>,
    place: Beside,
}

impl safeconduct_service::LaidBeside for Lying {
    fn read(&self) -> io::Result<Vec<u8>> {
        self.place.read(&self.data)
    }
}

fn attached(leaf: &Leaf<'_>, data: &Arc<Path>) -> Attached {
    match (leaf.beside, leaf.attachment) {
        (Some(place), _) => Attached::Here(Arc::new(Lying { data: Arc::clone(data), place })),
        (None, AttachmentState::Erased) => Attached::Erased,
        (None, _) => Attached::Nothing,
    }
}
