//! The policy sets and catalogues of other times, as they lie beside the records by which they
//! came in force.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use safeconduct_model::{Catalogue, Digest};
use safeconduct_policy::Policies;
use safeconduct_store::Beside;

use crate::wiring::kept;

/// Most catalogues of other times that are held at once.
const CATALOGUES_MAX: usize = 16;

/// What once was in force, loaded when it is wanted. What does not load, or is not what its record
/// says, is as good as not kept.
pub(super) struct Sets {
    data: PathBuf,
    places: BTreeMap<Digest, Beside>,
    unusable: BTreeSet<Digest>,
    /// The set that was loaded last: the next one has most of it.
    last: Arc<Policies>,
    catalogues: BTreeMap<Digest, Arc<Catalogue>>,
}

impl Sets {
    /// Of the records of that folder, with the set of today.
    pub(super) fn of(data: &Path, now: Arc<Policies>) -> Self {
        Self {
            data: data.to_owned(),
            places: BTreeMap::new(),
            unusable: BTreeSet::new(),
            last: now,
            catalogues: BTreeMap::new(),
        }
    }

    /// Takes note of where the texts of a set lie.
    pub(super) fn lies(&mut self, set: Digest, at: Option<Beside>) {
        if let Some(at) = at {
            self.places.entry(set).or_insert(at);
        }
    }

    /// The policy set of that digest.
    pub(super) fn policies(&mut self, set: Digest) -> Option<Arc<Policies>> {
        if self.last.digest() == set {
            return Some(Arc::clone(&self.last));
        }
        let bytes = self.text(set)?;
        match kept::policies_of(set, &bytes, &self.last) {
            Ok(policies) => {
                self.last = Arc::new(policies);
                Some(Arc::clone(&self.last))
            }
            Err(error) => {
                tracing::warn!(%set, %error, "a policy set of before cannot be used");
                self.unusable.insert(set);
                None
            }
        }
    }

    /// The catalogue of that digest, which stood beside that policy set.
    pub(super) fn catalogue(&mut self, of: Digest, beside: Digest) -> Option<Arc<Catalogue>> {
        if let Some(known) = self.catalogues.get(&of) {
            return Some(Arc::clone(known));
        }
        let bytes = self.text(of)?;
        let policies = self.policies(beside)?;
        match kept::catalogue_of(of, &bytes, &policies) {
            Ok(catalogue) => {
                if self.catalogues.len() >= CATALOGUES_MAX {
                    self.catalogues.clear();
                }
                let catalogue = Arc::new(catalogue);
                self.catalogues.insert(of, Arc::clone(&catalogue));
                Some(catalogue)
            }
            Err(error) => {
                tracing::warn!(catalogue = %of, %error, "a catalogue of before cannot be used");
                self.unusable.insert(of);
                None
            }
        }
    }

    fn text(&mut self, of: Digest) -> Option<Vec<u8>> {
        let place = self.places.get(&of).filter(|_| !self.unusable.contains(&of))?;
        let read = place.read(&self.data);
        if read.is_err() {
            self.unusable.insert(of);
        }
        read.ok()
    }
}
