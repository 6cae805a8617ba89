//! What each conversation with a server has shown of its tools. A server may describe a tool
//! differently to two clients, so one conversation never clears what another one saw.

use std::collections::BTreeMap;
use std::sync::{Arc, Weak};

use safeconduct_model::{ActionName, Catalogue, Digest, ServerName};

/// Most definitions that one conversation is remembered to have shown. More are refused.
pub const DEFINITIONS_MAX: usize = 20_000;

/// One conversation with a server: what it showed counts until this is dropped, and after that
/// until another conversation lists the server's tools anew.
#[derive(Debug, Default)]
pub struct Conversation(Arc<()>);

/// How much of a server's tools was shown at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Extent {
    /// All of them: it replaces what this conversation showed of them before.
    Whole,
    /// A page, or a single tool: it adds to what this conversation showed before.
    Part,
}

/// The definitions that one conversation showed of one action.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Shown {
    first: Digest,
    /// Another one since the last whole listing: whatever the pin is, one of both is off it.
    second: Option<Digest>,
}

impl Shown {
    const fn once(digest: Digest) -> Self {
        Self { first: digest, second: None }
    }

    fn and(self, digest: Digest) -> Self {
        let second = self.second.or_else(|| (digest != self.first).then_some(digest));
        Self { second, ..self }
    }

    fn holds(self, digest: Digest) -> bool {
        digest == self.first || self.second == Some(digest)
    }

    /// What of it is not as pinned.
    fn off(self, pinned: Digest) -> Option<Digest> {
        (self.first != pinned).then_some(self.first).or(self.second.filter(|d| *d != pinned))
    }
}

type Shows = BTreeMap<ActionName, Shown>;

#[derive(Debug, Clone)]
struct Sighting {
    of: Weak<()>,
    /// Conversations that were shown the same share it.
    shows: Arc<Shows>,
}

#[derive(Debug, Clone, Default)]
struct OfServer {
    open: Vec<Sighting>,
    /// What ended conversations, and those before a restart, leave behind.
    left: Shows,
}

/// All that was shown, by server.
#[derive(Debug, Clone, Default)]
pub(crate) struct Sightings(BTreeMap<ServerName, OfServer>);

impl Sightings {
    /// Whether taking that in would change nothing.
    pub(crate) fn covers(
        &self,
        server: &ServerName,
        conversation: &Conversation,
        extent: Extent,
        definitions: &[(ActionName, Digest)],
    ) -> bool {
        let Some(server) = self.0.get(server) else {
            return false;
        };
        let of = Arc::downgrade(&conversation.0);
        let Some(mine) = server.open.iter().find(|sighting| sighting.of.ptr_eq(&of)) else {
            return false;
        };
        let settled = extent == Extent::Part
            || (server.left.is_empty() && server.open.iter().all(|s| s.of.strong_count() > 0));
        settled
            && definitions.iter().all(|(action, digest)| match (mine.shows.get(action), extent) {
                (Some(shown), Extent::Whole) => *shown == Shown::once(*digest),
                (Some(shown), Extent::Part) => shown.holds(*digest),
                (None, _) => false,
            })
    }

    /// Takes in what a conversation shows. `Err` where it shows more than is remembered.
    pub(crate) fn take_in(
        &mut self,
        catalogue: &Catalogue,
        server: &ServerName,
        conversation: &Conversation,
        extent: Extent,
        definitions: &[(ActionName, Digest)],
    ) -> Result<(), TooMany> {
        let pinned = |action: &ActionName| catalogue.entry(action)?.definition;
        let OfServer { open, left } = self.0.entry(server.clone()).or_default();
        open.retain(|sighting| {
            let stays = sighting.of.strong_count() > 0;
            if !stays {
                let off = |(action, shown): (&ActionName, &Shown)| {
                    Some((action.clone(), Shown::once(shown.off(pinned(action)?)?)))
                };
                left.extend(sighting.shows.iter().filter_map(off));
            }
            stays
        });
        let of = Arc::downgrade(&conversation.0);
        let place = open.iter().position(|sighting| sighting.of.ptr_eq(&of));
        let mut shows = match place {
            Some(place) => Shows::clone(&open.swap_remove(place).shows),
            None => Shows::new(),
        };
        match extent {
            Extent::Whole => {
                // A tool that is off its pin and no longer listed may come back as it was.
                shows
                    .retain(|action, shown| pinned(action).is_some_and(|p| shown.off(p).is_some()));
                for (action, digest) in definitions {
                    left.remove(action);
                    shows.insert(action.clone(), Shown::once(*digest));
                }
            }
            Extent::Part => {
                for (action, digest) in definitions {
                    let shown = shows.get(action).map(|shown| shown.and(*digest));
                    shows.insert(action.clone(), shown.unwrap_or(Shown::once(*digest)));
                }
            }
        }
        if shows.len() > DEFINITIONS_MAX {
            return Err(TooMany);
        }
        let same = open.iter().find(|sighting| *sighting.shows == shows);
        let shows = same.map_or_else(|| Arc::new(shows), |sighting| Arc::clone(&sighting.shows));
        open.push(Sighting { of, shows });
        Ok(())
    }

    /// Takes in what a record says was seen before this process.
    pub(crate) fn restore(&mut self, server: &ServerName, action: &ActionName, seen: Digest) {
        self.0.entry(server.clone()).or_default().left.insert(action.clone(), Shown::once(seen));
    }

    /// Pins were renewed. Where someone was shown a tool as it is now approved, the others who
    /// were shown it as it was approved before are not held against it: they list the tools again
    /// before long, and what they are shown then counts.
    pub(crate) fn repinned(&mut self, before: &Catalogue, after: &Catalogue) {
        let pinned = |of: &Catalogue, action: &ActionName| of.entry(action)?.definition;
        for OfServer { open, left } in self.0.values_mut() {
            let shown = open.iter().flat_map(|sighting| sighting.shows.iter());
            let shown = shown.chain(left.iter());
            let renewed: BTreeMap<ActionName, Shown> = shown
                .filter_map(|(action, shown)| {
                    let (was, is) = (pinned(before, action)?, pinned(after, action)?);
                    let renewed = was != is && *shown == Shown::once(is);
                    renewed.then(|| (action.clone(), Shown::once(was)))
                })
                .collect();
            if renewed.is_empty() {
                continue;
            }
            for sighting in open {
                Arc::make_mut(&mut sighting.shows)
                    .retain(|action, shown| renewed.get(action) != Some(shown));
            }
            left.retain(|action, shown| renewed.get(action) != Some(shown));
        }
    }

    /// The actions of which something was shown that is off the pin, and what.
    pub(crate) fn quarantined(&self, catalogue: &Catalogue) -> BTreeMap<ActionName, Digest> {
        let mut quarantined = BTreeMap::new();
        let mut add = |action: &ActionName, shown: Shown| {
            let pinned = catalogue.entry(action).and_then(|entry| entry.definition);
            if let Some(seen) = pinned.and_then(|pinned| shown.off(pinned)) {
                quarantined.entry(action.clone()).or_insert(seen);
            }
        };
        for server in self.0.values() {
            for (place, sighting) in server.open.iter().enumerate() {
                let mut before = server.open.iter().take(place);
                if !before.any(|other| Arc::ptr_eq(&other.shows, &sighting.shows)) {
                    sighting.shows.iter().for_each(|(action, shown)| add(action, *shown));
                }
            }
            server.left.iter().for_each(|(action, shown)| add(action, *shown));
        }
        quarantined
    }
}

/// A conversation showed more than [`DEFINITIONS_MAX`] definitions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TooMany;
