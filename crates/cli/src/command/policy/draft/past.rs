//! The recorded decisions of a project, each with what surrounded it then.

use safeconduct_ledger::{canonical, decode};
use safeconduct_model::{Body, Decided, Record, RecordId, Timestamp};
use safeconduct_policy::{Policies, RecordedDecision, Replay, Replayer};
use safeconduct_service::Surrounded;
use safeconduct_wire::json::from_serde;

use crate::args::{Shared, Source};
use crate::client::Client;
use crate::command::policy::ground::Ground;
use crate::command::records;
use crate::exit::{CommandError, failed};
use crate::output;
use crate::wiring::runtime;

/// Most records that a server is asked for: the newest.
const ASKED_MAX: usize = 200_000;

/// What is met on the way through the records.
pub(super) enum Met<'a> {
    /// An identity is another from now on; what surrounds decisions has changed.
    Identity,
    /// A policy set came into force.
    Policies(Timestamp),
    /// A decision.
    Decision(&'a RecordId, Timestamp, &'a Decided),
}

/// Goes through all records in their order, with the identities of each moment, and says when the
/// first of them was made.
///
/// # Errors
/// The records cannot be read.
pub(super) fn through(
    shared: &Shared,
    source: &Source,
    ground: &Ground,
    mut each: impl FnMut(Met<'_>, &Surrounded),
) -> Result<Option<Timestamp>, CommandError> {
    let mut around = Surrounded::new(
        ground.catalogue.clone(),
        ground.catalogue_digest,
        ground.vocabulary.clone(),
    );
    for known in ground.identities.values() {
        around.know(&known.identity).map_err(|error| failed("an identity", error))?;
    }
    let mut first = None;
    let mut take = |record: &Record| {
        first.get_or_insert(record.at);
        match &record.body {
            // What policies cannot hold, no decision was about.
            Body::IdentityChanged { identity, .. } if around.know(identity).is_ok() => {
                each(Met::Identity, &around);
            }
            Body::PoliciesLoaded { .. } => each(Met::Policies(record.at), &around),
            Body::Decided(decided) => each(Met::Decision(&record.id, record.at, decided), &around),
            _ => {}
        }
    };
    if source.is_local() {
        records::scan_leaves(shared, source, |_, leaf| {
            // A record of a kind that is not known here is none of those that count.
            if let Ok(record) = decode(leaf) {
                take(&record);
            }
            Ok(())
        })?;
        return Ok(first);
    }
    asked(shared, source)?.iter().rev().for_each(take);
    Ok(first)
}

/// The records of a server, the newest first.
fn asked(shared: &Shared, source: &Source) -> Result<Vec<Record>, CommandError> {
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
        Ok(found)
    })
}

/// Replays the decisions since a time under a draft.
///
/// # Errors
/// The records cannot be read.
pub(super) fn replay(
    (shared, source, ground): (&Shared, &Source, &Ground),
    (old, new): (&Policies, &Policies),
    since: Option<Timestamp>,
) -> Result<Replay, CommandError> {
    let mut replayer = Replayer::new(old, new);
    through(shared, source, ground, |met, around| match met {
        Met::Identity => replayer.surroundings_changed(),
        Met::Policies(..) => {}
        Met::Decision(id, at, decided) => {
            if since.is_none_or(|since| since <= at) {
                replayer.take(&RecordedDecision { id, at, decided }, around);
            }
        }
    })?;
    Ok(replayer.finish())
}
