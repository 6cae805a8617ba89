//! The policy sets under which recorded decisions were made.

use std::sync::Arc;

use safeconduct_model::Digest;

use super::classes::Classes;
use super::memo::Memo;
use crate::policies::Policies;

/// Most sets, beside the one that a draft is compared with, that are held at a time: those whose
/// decisions came last.
pub const ERAS_MAX: usize = 8;

/// A set of some time, held against the draft.
#[derive(Debug)]
pub(super) struct Era<'p> {
    policies: Held<'p>,
    pub(super) classes: Classes,
    pub(super) memo: Memo,
}

#[derive(Debug)]
enum Held<'p> {
    Given(&'p Policies),
    Kept(Arc<Policies>),
}

impl<'p> Era<'p> {
    pub(super) fn given(old: &'p Policies, new: &Policies) -> Self {
        let classes = Classes::of(old, new);
        Self { policies: Held::Given(old), classes, memo: Memo::default() }
    }

    fn kept(old: Arc<Policies>, new: &Policies) -> Self {
        let classes = Classes::of(&old, new);
        Self { policies: Held::Kept(old), classes, memo: Memo::default() }
    }

    pub(super) fn policies(&self) -> &Policies {
        match &self.policies {
            Held::Given(policies) => policies,
            Held::Kept(policies) => policies,
        }
    }
}

/// The sets of further times.
#[derive(Debug, Default)]
pub(super) struct Eras<'p> {
    /// The one that was needed last stands last.
    all: Vec<Era<'p>>,
}

impl<'p> Eras<'p> {
    pub(super) fn has(&self, set: Digest) -> bool {
        self.all.iter().any(|era| era.policies().digest() == set)
    }

    pub(super) fn enter(&mut self, policies: Arc<Policies>, new: &Policies) {
        if self.has(policies.digest()) {
            return;
        }
        if self.all.len() >= ERAS_MAX {
            self.all.remove(0);
        }
        self.all.push(Era::kept(policies, new));
    }

    /// The set of that digest, where it is held.
    pub(super) fn of(&mut self, set: Digest) -> Option<&mut Era<'p>> {
        let at = self.all.iter().rposition(|era| era.policies().digest() == set)?;
        if at + 1 < self.all.len() {
            let era = self.all.remove(at);
            self.all.push(era);
        }
        self.all.last_mut()
    }

    pub(super) fn forget_verdicts(&mut self) {
        for era in &mut self.all {
            era.memo = Memo::default();
        }
    }
}
