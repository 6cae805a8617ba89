//! Permits of one right, decided again.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use safeconduct_model::{Body, Catalogue, Decided, Digest, IdentityId, PolicyId, Timestamp};
use safeconduct_policy::{
    NotReplayable, OfHolder, Policies, RecordedDecision, Redecided, Redenied, Replayer,
    Surroundings,
};
use safeconduct_review::{CameTo, Effect, RightReplay, RightTaken};

use super::ledger::{Permit, beside, identities, of_kind};
use super::{OBSERVED, Right, VERIFY_RECALLED_MAX, is_late, named};
use crate::remediation::RemediateError;
use crate::{
    Attached, PAGE_RECORDS_MAX, ReadModel, Recalling, Recollection, Service, Surrounded, World,
};

/// Most catalogues of other times that are held at once.
const CATALOGUES_MAX: usize = 4;

/// Decides the permits of one right again.
pub(super) struct Again<'a> {
    service: &'a Service,
    world: &'a World,
    right: &'a Right<'a>,
    replayer: Replayer<'a>,
    /// The sets that cannot be had.
    lost: BTreeSet<Digest>,
    /// Beside which records lies what sets and catalogues of other times were made of.
    kept_at: BTreeMap<Digest, u64>,
    catalogues: BTreeMap<Digest, Option<Arc<Catalogue>>>,
}

/// What one permit came to.
enum Outcome {
    /// It came of another statement of the same name.
    OfAnother,
    Redecided(Redecided),
}

impl<'a> Again<'a> {
    pub(super) fn new(
        service: &'a Service,
        world: &'a World,
        right: &'a Right<'a>,
        before: Option<&Arc<Policies>>,
    ) -> Self {
        let mut replayer = Replayer::new(&world.policies, &world.policies);
        if let Some(before) = before {
            replayer.enter(Arc::clone(before));
        }
        Self {
            service,
            world,
            right,
            replayer,
            lost: BTreeSet::new(),
            kept_at: BTreeMap::new(),
            catalogues: BTreeMap::new(),
        }
    }

    /// All of them, the oldest first: by their records alone, and where these do not answer by
    /// what is recalled of their moments.
    pub(super) fn decide(
        &mut self,
        permits: Vec<Permit>,
        read: &dyn ReadModel,
        begun: Timestamp,
        replay: &mut RightReplay,
    ) -> Result<(), RemediateError> {
        if permits.is_empty() {
            return Ok(());
        }
        self.find_kept(&permits, read)?;
        let mut changes = identities(&people(&permits), read)?.into_iter().peekable();
        let mut around = self.surrounded();
        let mut open = BTreeMap::new();
        for permit in permits {
            while let Some((_, identity)) = changes.next_if(|(at, _)| *at < permit.sequence) {
                // What policies cannot hold, no decision was about.
                let _ = around.know(&identity);
            }
            if is_late(self.service, begun) {
                replay.take_unknown(permit.id(), "out_of_time");
                continue;
            }
            let Some(decided) = permit.decided() else { continue };
            if !permit.is_enforced() {
                replay.take_unknown(permit.id(), OBSERVED);
                continue;
            }
            self.prepare(decided, &mut around);
            match self.redecided(&permit, decided, &around) {
                Outcome::Redecided(Redecided::Unknown(why @ NotReplayable::NotRecorded(..))) => {
                    open.insert(permit.sequence, (permit, why));
                }
                outcome => self.take(&permit, outcome, replay),
            }
        }
        self.recall(open, read, begun, replay)
    }

    /// Those again of which the records alone do not say enough.
    fn recall(
        &mut self,
        mut open: BTreeMap<u64, (Permit, NotReplayable)>,
        read: &dyn ReadModel,
        begun: Timestamp,
        replay: &mut RightReplay,
    ) -> Result<(), RemediateError> {
        let last = open.keys().next_back().copied();
        let short = read.read_up_to() <= VERIFY_RECALLED_MAX;
        if let Some(last) = last.filter(|_| short) {
            self.go_over(last, &mut open, read, begun, replay)?;
        }
        for (permit, why) in open.into_values() {
            replay.take_unknown(permit.id(), why.as_str());
        }
        Ok(())
    }

    /// Goes over the ledger from its first record up to the last that is wanted.
    fn go_over(
        &mut self,
        last: u64,
        open: &mut BTreeMap<u64, (Permit, NotReplayable)>,
        read: &dyn ReadModel,
        begun: Timestamp,
        replay: &mut RightReplay,
    ) -> Result<(), RemediateError> {
        let mut recollection = Recollection::new(Some(Arc::clone(&self.service.vault)));
        let mut around = self.surrounded();
        let mut next = 0;
        while next <= last && !is_late(self.service, begun) {
            let page = read.from(next, PAGE_RECORDS_MAX)?.records;
            let Some(end) = page.last().map(|read| read.sequence) else { return Ok(()) };
            for read in page {
                let at = read.sequence;
                let Ok(record) = safeconduct_ledger::decode(read.leaf.as_bytes()) else { continue };
                if let Body::IdentityChanged { identity, .. } = &record.body {
                    let _ = around.know(identity);
                }
                if let Some((permit, _)) = open.remove(&at)
                    && let Some(decided) = permit.decided()
                {
                    self.prepare(decided, &mut around);
                    recollection.beside(beside(self.service, at));
                    let recalling = Recalling { around: &around, recollection: &recollection };
                    let outcome = self.redecided(&permit, decided, &recalling);
                    self.take(&permit, outcome, replay);
                }
                let attached = match &record.body {
                    Body::SessionBegan { .. } | Body::TaskBegan(_) => beside(self.service, at),
                    _ => Attached::Nothing,
                };
                recollection.take(&record, attached);
            }
            next = end + 1;
        }
        Ok(())
    }

    fn surrounded(&self) -> Surrounded {
        let World { catalogue, catalogue_digest, vocabulary, .. } = self.world;
        Surrounded::new(Arc::clone(catalogue), *catalogue_digest, Arc::clone(vocabulary))
    }

    /// Finds where the sets and catalogues lie by which those decisions were made, where they are
    /// others than those in force.
    fn find_kept(
        &mut self,
        permits: &[Permit],
        read: &dyn ReadModel,
    ) -> Result<(), RemediateError> {
        let all = || permits.iter().filter_map(Permit::decided);
        let now = self.world.catalogue_digest;
        let sets = all().map(|decided| decided.policies).filter(|set| !self.replayer.knows(*set));
        let sets: BTreeSet<Digest> = sets.collect();
        let catalogues = all().map(|decided| decided.catalogue).filter(|digest| *digest != now);
        let catalogues: BTreeSet<Digest> = catalogues.collect();
        for (kind, mut wanted) in [("policies_loaded", sets), ("catalogue_loaded", catalogues)] {
            if wanted.is_empty() {
                continue;
            }
            of_kind(kind, read, |permit| {
                let (Body::PoliciesLoaded { digest, .. } | Body::CatalogueLoaded { digest, .. }) =
                    &permit.record.body
                else {
                    return true;
                };
                let beside = self.service.ledger.attachment(permit.sequence);
                if wanted.contains(digest) && matches!(beside, Ok(Some(_))) {
                    wanted.remove(digest);
                    self.kept_at.insert(*digest, permit.sequence);
                }
                !wanted.is_empty()
            })?;
        }
        Ok(())
    }

    /// Gets the set and the catalogue by which a decision was made, as far as they can be had.
    fn prepare(&mut self, decided: &Decided, around: &mut Surrounded) {
        let set = decided.policies;
        if !self.replayer.knows(set) && !self.lost.contains(&set) {
            match self.set(set) {
                Some(policies) => self.replayer.enter(policies),
                None => {
                    self.lost.insert(set);
                }
            }
        }
        if around.catalogue() == decided.catalogue {
            return;
        }
        let then = match decided.catalogue == self.world.catalogue_digest {
            true => None,
            false => self.catalogue(decided.catalogue, set).map(|then| (then, decided.catalogue)),
        };
        let now = || (Arc::clone(&self.world.catalogue), self.world.catalogue_digest);
        let (catalogue, digest) = then.unwrap_or_else(now);
        if around.catalogue() != digest {
            around.enter_catalogue(catalogue, digest);
        }
    }

    fn set(&self, of: Digest) -> Option<Arc<Policies>> {
        let reader = self.service.kept_sets.get()?;
        reader.read(of, &self.kept(of)?, &self.world.policies).map(Arc::new)
    }

    fn kept(&self, of: Digest) -> Option<Vec<u8>> {
        let at = self.kept_at.get(&of)?;
        self.service.ledger.attachment(*at).ok().flatten()
    }

    fn catalogue(&mut self, of: Digest, beside: Digest) -> Option<Arc<Catalogue>> {
        if let Some(known) = self.catalogues.get(&of) {
            return known.clone();
        }
        let (texts, reader) = (self.kept(of), self.service.kept_sets.get());
        let set = self.replayer.set(beside);
        let read = texts.zip(reader).zip(set);
        let read = read.and_then(|((texts, reader), set)| reader.catalogue(of, &texts, set));
        if self.catalogues.len() >= CATALOGUES_MAX {
            self.catalogues.clear();
        }
        let read = read.map(Arc::new);
        self.catalogues.insert(of, read.clone());
        read
    }

    fn redecided(
        &mut self,
        permit: &Permit,
        decided: &Decided,
        around: &dyn Surroundings,
    ) -> Outcome {
        if let RightTaken::Statement { says, .. } = &self.right.one.plan.right {
            let Some(id) = named(&self.right.names, decided) else { return Outcome::OfAnother };
            let Some(set) = self.replayer.set(decided.policies) else {
                let why = NotReplayable::OtherSet(id.clone());
                return Outcome::Redecided(Redecided::Unknown(why));
            };
            if set.statement(id).is_none_or(|statement| statement.digest() != *says) {
                return Outcome::OfAnother;
            }
        }
        let record = &permit.record;
        let recorded = RecordedDecision { id: &record.id, at: record.at, decided };
        let of = OfHolder { holder: self.right.one.plan.holder.as_str(), aside: &self.right.aside };
        Outcome::Redecided(self.replayer.redecide(&recorded, around, &of))
    }

    fn take(&self, permit: &Permit, outcome: Outcome, replay: &mut RightReplay) {
        let id = permit.id();
        match outcome {
            Outcome::OfAnother => {}
            Outcome::Redecided(Redecided::Unknown(why)) => replay.take_unknown(id, why.as_str()),
            Outcome::Redecided(Redecided::Denied(denied)) => {
                replay.take(id, self.denied(&denied));
            }
            Outcome::Redecided(Redecided::Permitted(by)) => match self.is_left(&by) {
                true => replay.take(id, CameTo::Kept),
                false => replay.take_permitted(id, &by),
            },
        }
    }

    /// INVARIANT: a Deny counts as one of the right's end only where nothing gives it any more, or
    /// the change that took the right away forbids it.
    fn denied(&self, denied: &Redenied) -> CameTo {
        if !denied.failed.is_empty() {
            return CameTo::Error;
        }
        let Right { one, brought, .. } = self.right;
        let of_it = denied.forbids.iter().any(|id| brought.has(id));
        let of_statement = matches!(one.plan.right, RightTaken::Statement { .. });
        match () {
            () if of_it || (of_statement && denied.ungiven) => CameTo::Denied,
            () if one.plan.effect == Effect::Reduce && self.is_left(&denied.permits) => {
                CameTo::KeptDenied
            }
            () => CameTo::DeniedOtherwise,
        }
    }

    /// Whether what permits is what is left of the right: under its own name, or saying what it
    /// said; of what shrinks, what its change brought.
    fn is_left(&self, by: &[PolicyId]) -> bool {
        let Right { one, names, brought, .. } = self.right;
        let RightTaken::Statement { .. } = &one.plan.right else { return true };
        let shrinks = one.plan.effect == Effect::Reduce;
        by.iter().any(|id| names.contains(id) || (shrinks && brought.has(id)))
    }
}

/// Whose identities are looked up: those who acted, and those for whom.
fn people(permits: &[Permit]) -> BTreeSet<IdentityId> {
    let mut people = BTreeSet::new();
    for decided in permits.iter().filter_map(Permit::decided) {
        people.extend(IdentityId::new(decided.principal.id.as_str()).ok());
        let user = decided.task.as_ref().and_then(|task| task.on_behalf_of.clone());
        people.extend(user);
    }
    people
}
