//! What decisions would have been under changes of the policies before those were put in force:
//! from the records alone, and what lies beside them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use safeconduct_model::{Body, Digest, Timestamp};
use safeconduct_policy::{Policies, Replay, Replayer};
use safeconduct_wire::config::Config;

use super::past::{leaves, replay_folder};
use super::sets::Sets;
use crate::args::Shared;
use crate::command::policy::ground::Ground;
use crate::exit::CommandError;
use crate::wiring::project::Project;

/// Most changes that are replayed: the newest. Each goes over the whole ledger.
pub(crate) const PUT_REPLAYED_MAX: usize = 16;

const DAY_MS: i64 = 86_400_000;

/// A change that was put in force.
pub(crate) struct Put {
    /// The policy set before it; nothing where there was none.
    pub(crate) from: Option<Digest>,
    /// When the window begins.
    pub(crate) since: Timestamp,
    /// When it came in force.
    pub(crate) until: Timestamp,
    /// The decisions in between under it, or why they were not replayed.
    pub(crate) replay: Result<Replay, String>,
}

/// Replays the decisions of the window before each of these proposals was put in force, by
/// proposal. One that never was is not among them.
///
/// # Errors
/// The project or its records cannot be read.
pub(crate) fn replays(
    shared: &Shared,
    proposals: &BTreeSet<String>,
    window_days: u32,
) -> Result<BTreeMap<String, Put>, CommandError> {
    let project = Project::load(&shared.config)?;
    let ground = Ground::of(&project)?;
    let config = &project.config;
    let mut sets = Sets::of(&config.data, Arc::clone(&ground.policies));
    let mut changes: BTreeMap<String, (Option<Digest>, Digest, Timestamp)> = BTreeMap::new();
    let mut before = None;
    leaves(config, |leaf, record| {
        let Body::PoliciesLoaded { digest, cause, .. } = &record.body else { return };
        sets.lies(*digest, leaf.beside);
        let by = cause.strip_prefix("proposal ").filter(|by| proposals.contains(*by));
        if let Some(by) = by {
            // A server that was started again may say so again.
            changes.entry(by.to_owned()).or_insert((before, *digest, record.at));
        }
        before = Some(*digest);
    })?;
    let mut newest: Vec<Timestamp> = changes.values().map(|(.., at)| *at).collect();
    newest.sort_unstable_by(|a, b| b.cmp(a));
    let oldest = newest.get(PUT_REPLAYED_MAX - 1).copied();
    let mut all = BTreeMap::new();
    for (id, (from, to, until)) in changes {
        let since = until.plus_ms(-i64::from(window_days).saturating_mul(DAY_MS));
        let replay = match oldest.is_some_and(|oldest| until < oldest) {
            true => Err(format!("only the newest {PUT_REPLAYED_MAX} changes are replayed")),
            false => match known(&mut sets, from, to) {
                Ok((old, new)) => Ok(replayed(config, &ground, (&old, &new), since..until)?),
                Err(why) => Err(why.to_owned()),
            },
        };
        all.insert(id, Put { from, since, until, replay });
    }
    Ok(all)
}

/// The sets before and behind a change.
fn known(
    sets: &mut Sets,
    from: Option<Digest>,
    to: Digest,
) -> Result<(Arc<Policies>, Arc<Policies>), &'static str> {
    let from = from.ok_or("no policy set was in force before it")?;
    let old = sets.policies(from).ok_or("the texts of the policy set before it are not there")?;
    let new = sets.policies(to).ok_or("the texts of the policy set are not there")?;
    Ok((old, new))
}

fn replayed(
    config: &Config,
    ground: &Ground,
    (old, new): (&Policies, &Policies),
    window: std::ops::Range<Timestamp>,
) -> Result<Replay, CommandError> {
    let mut replayer = Replayer::new(old, new);
    replay_folder(config, ground, &mut replayer, |at| window.contains(&at))?;
    Ok(replayer.finish())
}
