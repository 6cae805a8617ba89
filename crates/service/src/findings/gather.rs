//! A look at the estate: facts of every sort, each judged by its rule.

use std::collections::BTreeMap;
use std::sync::Arc;

use safeconduct_model::signal::Severity;
use safeconduct_model::{
    Body, EntityType, Identity, IdentityId, IdentityKind, IdentityStatus, IntentName, LeaseId,
    RecordId, TaskState, Timestamp,
};
use safeconduct_review::finding::{
    Accountable, AnswerFacts, CoverageFacts, DriftFacts, EVIDENCE_MAX, FindingKind, FirstSeen,
    IdentityFacts, LeaseFacts, Looked, PersonFacts, Thresholds, TokenFacts, ToldPoint, Window,
};

use super::evidence::{Evidence, decoded};
use super::rights::{OfOne, Rights};
use super::{Look, LookError, LookReport, Looking, NOT_JUDGED_SHOWN_MAX};
use crate::{BREAK_GLASS, LEASE, LeaseView, ReadModel, Service, UNDERTAKE, World};

/// Most signals of drift whose decision is looked up, so that its intent is known.
const DRIFTS_MAX: usize = 1000;

/// The beginning of the names of what is done in our own administration.
const ADMINISTRATION: &str = "administration/";

/// What one look has and makes.
struct Gathering<'a> {
    service: &'a Service,
    world: &'a World,
    read: &'a dyn ReadModel,
    evidence: &'a Evidence,
    window: Window,
    thresholds: &'a Thresholds,
    /// How each who did answered what people are asked, and when last.
    answers: BTreeMap<IdentityId, (AnswerFacts, Timestamp)>,
    looked: Looked,
}

impl Service {
    /// Looks at the whole estate. It blocks on the disk and takes its time: an asynchronous caller
    /// calls it where that hurts nobody. Nothing has changed until it is taken in by
    /// [`Service::take_look`].
    ///
    /// # Errors
    /// [`LookError`]; nothing changes then.
    pub fn look(&self, read: &dyn ReadModel) -> Result<Look, LookError> {
        let looking = Looking::begin(&self.reviews.lock().findings.looking);
        let looking = looking.ok_or(LookError::UnderWay)?;
        let (world, now, thresholds) = (self.world(), self.now(), self.thresholds());
        let first_seen = self.first_seen()?;
        let evidence = Evidence::read(read, now, now.plus_ms(-thresholds.recent_ms))?;
        let window = Window { now, tracked_since: evidence.tracked_since };
        let looked = Looked::default();
        let (evidence, world) = (&evidence, &*world);
        let answers = evidence.witness.answers().into_iter();
        let answers = answers.map(|one| (one.0.by.clone(), one)).collect();
        let mut gathering =
            Gathering { service: self, world, read, evidence, window, thresholds, answers, looked };
        let mut rights = Rights::new(self, world, read, evidence, &first_seen, now);
        let mut identities = 0;
        for identity in world.identities() {
            identities += 1;
            gathering.identity(identity, &mut rights)?;
        }
        gathering.tokens();
        gathering.leases();
        gathering.conduct(&rights)?;
        let (grants, grants_left_out) = (rights.grants, rights.left_out);
        let (policies, fresh) = rights.policies();
        for policy in &policies {
            thresholds.policy(policy, &mut gathering.looked);
        }
        let mut looked = gathering.looked;
        let sampled = evidence.sampled.iter();
        looked.in_part.extend(sampled.flat_map(|kind| FindingKind::shown_by(kind)));
        if grants_left_out > 0 {
            // A policy may give one of those what no intent needs.
            looked.in_part.insert(FindingKind::PolicyBeyondIntents);
        }
        let report = LookReport {
            at: now,
            tracked_since: window.tracked_since,
            identities,
            grants,
            grants_left_out,
            decisions: evidence.decisions,
            sampled: evidence.sampled.clone(),
            opened: 0,
            changed: 0,
            reopened: 0,
            closed: 0,
            expired: 0,
            left_off: 0,
            not_judged: looked.not_judged.iter().take(NOT_JUDGED_SHOWN_MAX).cloned().collect(),
            not_judged_count: looked.not_judged.len() as u64,
        };
        Ok(Look { looked, fresh, report, _looking: looking })
    }

    /// Since when rights have been held; what earlier looks left beside their records is read now.
    fn first_seen(&self) -> Result<Arc<FirstSeen>, LookError> {
        let unread = std::mem::take(&mut self.reviews.lock().findings.unread);
        let mut taken = Vec::with_capacity(unread.len());
        for (sequence, record, at) in &unread {
            let beside = self.ledger.attachment(*sequence);
            match beside {
                Ok(beside) => taken.push((record, beside.unwrap_or_default(), *at)),
                Err(error) => {
                    // The next look tries again.
                    self.reviews.lock().findings.unread.extend(unread.iter().cloned());
                    return Err(error.into());
                }
            }
        }
        let mut state = self.reviews.lock();
        for (record, beside, at) in taken {
            if let Err(error) =
                Arc::make_mut(&mut state.findings.first_seen).take(record, &beside, at)
            {
                state.findings.unread.extend(unread.iter().cloned());
                return Err(error.into());
            }
        }
        Ok(Arc::clone(&state.findings.first_seen))
    }
}

impl Gathering<'_> {
    fn identity(&mut self, identity: &Identity, rights: &mut Rights<'_>) -> Result<(), LookError> {
        let (id, witness) = (&identity.id, &self.evidence.witness);
        let told = witness.identity(id);
        let of_one = match identity.status {
            IdentityStatus::Retired => OfOne::default(),
            _ => rights.of(identity)?,
        };
        let facts = IdentityFacts {
            id: id.clone(),
            kind: identity.kind,
            status: identity.status,
            owner: self.accountable(identity.owner.as_ref()),
            fallback: self.accountable(identity.fallback_owner.as_ref()),
            registered_at: told.map_or(self.window.tracked_since, |told| told.first),
            last_seen: self.service.identity_seen(id).map(|seen| seen.last).max(of_one.last),
            evidence: self.registrations(identity),
        };
        self.thresholds.identity(&facts, self.window, &mut self.looked);
        if identity.kind == IdentityKind::User {
            if let Some(pace) = witness.pace(id) {
                self.thresholds.pace(&pace, self.window, &mut self.looked);
            }
        } else {
            self.person(identity);
        }
        for grant in &of_one.grants {
            self.thresholds.grant(grant, self.window, &mut self.looked);
        }
        for unexplained in &of_one.unexplained {
            self.thresholds.unexplained(unexplained, self.window, &mut self.looked);
        }
        let in_part = of_one.in_part.into_iter().map(|kind| (kind, id.clone()));
        self.looked.of_in_part.extend(in_part);
        Ok(())
    }

    /// The records of its registration and of its owners'.
    fn registrations(&self, identity: &Identity) -> Vec<RecordId> {
        let owners = [identity.owner.as_ref(), identity.fallback_owner.as_ref()];
        let all = std::iter::once(&identity.id).chain(owners.into_iter().flatten());
        let told = all.filter_map(|id| self.evidence.witness.identity(id));
        told.flat_map(|told| told.records.clone()).take(EVIDENCE_MAX).collect()
    }

    fn accountable(&self, id: Option<&IdentityId>) -> Accountable {
        let Some(id) = id else { return Accountable::Nobody };
        match self.world.identity(id).map(|identity| identity.status) {
            None => Accountable::Unknown(id.clone()),
            Some(IdentityStatus::Active) => Accountable::Stands(id.clone()),
            Some(status) => Accountable::Gone(id.clone(), status),
        }
    }

    fn person(&mut self, identity: &Identity) {
        let witness = &self.evidence.witness;
        let proved = witness.by_passkey(&identity.id);
        let answered = self.answers.get(&identity.id).cloned();
        let last = proved.map(|(_, told)| told.last);
        let last = last.max(answered.as_ref().map(|(_, last)| *last));
        let mut evidence = proved.map_or_else(Vec::new, |(_, told)| told.records.clone());
        evidence.extend(answered.iter().flat_map(|(facts, _)| facts.evidence.clone()));
        evidence.extend(
            witness.identity(&identity.id).map(|told| told.records.clone()).unwrap_or_default(),
        );
        let facts = PersonFacts {
            identity: identity.id.clone(),
            kind: identity.kind,
            passkeys: self.world.passkeys_of(&identity.id).count() as u64,
            by_passkey: proved.map_or(0, |(count, _)| count),
            answers: answered.map_or(0, |(facts, _)| facts.requests.answers + facts.cases.answers),
            last,
            evidence,
        };
        self.thresholds.person(&facts, self.window, &mut self.looked);
    }

    fn tokens(&mut self) {
        for token in self.world.tokens() {
            if token.revoked || self.window.now >= token.expires_at {
                continue;
            }
            let issued = self.evidence.witness.token(&token.id);
            let facts = TokenFacts {
                id: token.id.clone(),
                identity: token.identity.clone(),
                status: self.world.identity(&token.identity).map(|identity| identity.status),
                issued_at: token.issued_at,
                expires_at: token.expires_at,
                last_used: self.service.token_seen(&token.id).map(|seen| seen.last),
                evidence: issued.map(|told| told.records.clone()).unwrap_or_default(),
            };
            self.thresholds.token(&facts, &mut self.looked);
        }
    }

    /// Those that are not over stand in memory; of those that could not be taken back only records
    /// speak.
    fn leases(&mut self) {
        let witness = &self.evidence.witness;
        let mut all: BTreeMap<LeaseId, LeaseFacts> = BTreeMap::new();
        for told in witness.leases().filter(|told| told.state.is_final()) {
            let view = LeaseView { lease: told.lease.clone(), state: told.state };
            let facts = LeaseFacts {
                detail: told.detail.clone(),
                evidence: told.told.records.clone(),
                ..self.lease(view)
            };
            all.insert(told.lease.id.clone(), facts);
        }
        for view in self.service.leases(None) {
            let told = witness.lease_told(&view.lease.id);
            let evidence = told.map(|told| told.told.records.clone()).unwrap_or_default();
            let facts = LeaseFacts { evidence, ..self.lease(view) };
            all.insert(facts.id.clone(), facts);
        }
        for facts in all.values() {
            self.thresholds.lease(facts, self.window, &mut self.looked);
        }
    }

    fn lease(&self, view: LeaseView) -> LeaseFacts {
        let LeaseView { lease, state } = view;
        let task = self.service.task(&lease.task);
        let over = task.as_ref().is_none_or(|view| view.state != TaskState::Active);
        let ended = || self.evidence.witness.ended(&lease.task).unwrap_or(lease.expires_at);
        let agent = task.map(|view| view.task.agent.clone());
        LeaseFacts {
            agent: agent.or_else(|| self.evidence.witness.agent(&lease.task).cloned()),
            task_ended: over.then(ended),
            id: lease.id,
            target: lease.target,
            name: lease.name,
            task: lease.task,
            state,
            detail: None,
            evidence: Vec::new(),
        }
    }

    /// What people and programs did.
    fn conduct(&mut self, rights: &Rights<'_>) -> Result<(), LookError> {
        let witness = &self.evidence.witness;
        for late in witness.late_uses() {
            self.thresholds.late_use(&late, self.window, &mut self.looked);
        }
        for sharing in witness.sharing() {
            if self.world.identity(&sharing.identity).is_some() {
                self.thresholds.sharing(&sharing, self.window, &mut self.looked);
            }
        }
        for (answers, _) in self.answers.values() {
            self.thresholds.answers(answers, &mut self.looked);
        }
        for drift in self.drifts()? {
            self.thresholds.drift(&drift, self.window, &mut self.looked);
        }
        let server = self.world.vocabulary.server().clone();
        for (pep, action, point) in witness.points() {
            let name = action.as_str();
            if !name.starts_with(ADMINISTRATION) && ![UNDERTAKE, LEASE, BREAK_GLASS].contains(&name)
            {
                let needed = rights.is_needed(action);
                let facts = self.point(pep, action, point, &server, needed);
                self.thresholds.coverage(&facts, &mut self.looked);
            }
        }
        Ok(())
    }

    fn point(
        &self,
        pep: &IdentityId,
        action: &safeconduct_model::ActionName,
        point: &ToldPoint,
        server: &EntityType,
        wants_task: bool,
    ) -> CoverageFacts {
        let entry = self.world.catalogue().entry(action);
        let named = point.resources.iter().filter(|(ty, _)| ***ty != *server.as_str());
        let mapped = |entry: &safeconduct_model::ActionEntry| {
            entry.resources.iter().any(|mapping| !mapping.optional)
        };
        CoverageFacts {
            pep: pep.clone(),
            action: action.clone(),
            decisions: point.decisions,
            in_task: point.in_task,
            with_resource: named.map(|(_, count)| *count).max().unwrap_or(0),
            wants_task,
            wants_resource: entry.is_some_and(mapped),
            known: entry.is_some_and(|entry| !entry.guessed),
            evidence: point.records.clone(),
        }
    }

    /// Drift, by who acts and under which intent: that stands in the decision that a signal is of.
    fn drifts(&mut self) -> Result<Vec<DriftFacts>, LookError> {
        let mut all: BTreeMap<(IdentityId, Option<IntentName>), DriftFacts> = BTreeMap::new();
        let seen = self.evidence.witness.drifts();
        if seen.len() > DRIFTS_MAX {
            self.looked.in_part.insert(FindingKind::IntentDrift);
        }
        for (identity, signal, record) in seen.iter().take(DRIFTS_MAX) {
            let decision = RecordId::new(Arc::clone(&signal.id)).ok();
            let found = decision.as_ref().map(|id| self.intent_of(id)).transpose()?.flatten();
            // What somebody else calls a signal is no record of ours.
            let decision = decision.filter(|_| found.is_some());
            let intent = found.flatten();
            let facts = all.entry((identity.clone(), intent.clone())).or_insert(DriftFacts {
                identity: identity.clone(),
                intent,
                severity: Severity::Info,
                last: Timestamp::from_millis(i64::MIN),
                evidence: Vec::new(),
            });
            facts.severity = facts.severity.max(signal.severity);
            facts.last = facts.last.max(signal.observed_at);
            facts.evidence.push(record.clone());
            facts.evidence.extend(decision);
        }
        Ok(all.into_values().collect())
    }

    /// Under which intent a decision was made, where it is one.
    fn intent_of(&self, decision: &RecordId) -> Result<Option<Option<IntentName>>, LookError> {
        let found = self.read.record(decision)?.records.into_iter().next();
        let Some(found) = found else { return Ok(None) };
        Ok(match decoded(&found.leaf)?.body {
            Body::Decided(decided) => Some(decided.task.map(|task| task.intent)),
            _ => None,
        })
    }
}
