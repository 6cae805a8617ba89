//! What detectors see of a record, cheap to make and to hand on.

use safeconduct_model::{
    ActionName, Body, Decided, Decision, EntityRef, IntentName, Mode, NetworkDigest, Record,
    RecordId, SessionKey, Timestamp,
};

/// As much of a record as detectors look at. Whoever decides makes one of each decision, so it
/// shares what the record has and copies next to nothing.
#[derive(Debug, Clone)]
pub struct Glimpse(pub(super) Shown);

/// What is kept.
#[derive(Debug, Clone)]
pub(super) enum Shown {
    /// Of a decision.
    Decision { id: RecordId, at: Timestamp, kept: Kept },
    /// Of what is rare, all.
    Other(Box<Record>),
}

/// What detectors see of a decision, wherever it is.
pub(super) struct Act<'a> {
    pub(super) session: &'a SessionKey,
    pub(super) principal: &'a EntityRef,
    pub(super) action: &'a ActionName,
    pub(super) resources: &'a [EntityRef],
    pub(super) intent: Option<&'a IntentName>,
    pub(super) decision: Decision,
    /// Whether it was done: permitted, or only observed. What was stopped teaches nothing.
    pub(super) went_ahead: bool,
    pub(super) network: Option<NetworkDigest>,
    /// The network so that it can be told apart in all sessions; no record says it.
    pub(super) place: Option<NetworkDigest>,
}

/// The same, to keep.
#[derive(Debug, Clone)]
pub(super) struct Kept {
    session: SessionKey,
    principal: EntityRef,
    action: ActionName,
    resources: Vec<EntityRef>,
    intent: Option<IntentName>,
    decision: Decision,
    went_ahead: bool,
    network: Option<NetworkDigest>,
    place: Option<NetworkDigest>,
}

impl Glimpse {
    /// Of a record; `None` where detectors do not look at such a one.
    pub fn of(record: &Record) -> Option<Self> {
        Some(Self(match &record.body {
            Body::Decided(decided) => Shown::Decision {
                id: record.id.clone(),
                at: record.at,
                kept: Act::of(decided).kept(),
            },
            Body::TaskBegan(_) | Body::TaskEnded { .. } | Body::UsedAfterEnd { .. } => {
                Shown::Other(Box::new(record.clone()))
            }
            _ => return None,
        }))
    }

    /// With the network that the call came from, in a form in which those of all sessions of one
    /// identity can be told apart: it is not recorded, so it must tell nothing else to anybody.
    #[must_use]
    pub const fn from_place(mut self, network: Option<NetworkDigest>) -> Self {
        if let Shown::Decision { kept, .. } = &mut self.0 {
            kept.place = network;
        }
        self
    }

    /// The record's id.
    pub const fn record(&self) -> &RecordId {
        match &self.0 {
            Shown::Decision { id, .. } => id,
            Shown::Other(record) => &record.id,
        }
    }
}

impl<'a> Act<'a> {
    /// What a record says of it.
    pub(super) fn of(decided: &'a Decided) -> Self {
        Self {
            session: &decided.session,
            principal: &decided.principal,
            action: &decided.action,
            resources: &decided.resources,
            intent: decided.task.as_ref().map(|task| &task.intent),
            decision: decided.decision,
            went_ahead: decided.decision == Decision::Permit || decided.mode == Mode::Observe,
            network: decided.network,
            place: None,
        }
    }

    fn kept(&self) -> Kept {
        Kept {
            session: self.session.clone(),
            principal: self.principal.clone(),
            action: self.action.clone(),
            resources: self.resources.to_vec(),
            intent: self.intent.cloned(),
            decision: self.decision,
            went_ahead: self.went_ahead,
            network: self.network,
            place: self.place,
        }
    }
}

impl Kept {
    pub(super) fn act(&self) -> Act<'_> {
        Act {
            session: &self.session,
            principal: &self.principal,
            action: &self.action,
            resources: &self.resources,
            intent: self.intent.as_ref(),
            decision: self.decision,
            went_ahead: self.went_ahead,
            network: self.network,
            place: self.place,
        }
    }
}
