//! Records: what the ledger holds. All state is a fold of them.
//!
//! Argument and result values are never in a record: keyed digests are. Crate `ledger` gives
//! records their bytes.

use std::fmt;
use std::sync::Arc;

use crate::{
    AccessChange, ActionName, Amount, ArgumentRole, BrokenGlass, Decision, Delegation, Digest,
    DueVerdict, EntityRef, Identity, IdentityId, IntentName, KeyedDigest, KillScope, Label, Lease,
    LeaseState, Method, Minted, Mode, NetworkDigest, Obligation, Passkey, PasskeyId, PasskeyUse,
    PolicyEffect, PolicyId, RecordId, Requestable, ReviewChange, ServerName, SessionKey,
    SessionName, Signal, Span, Task, TaskId, TaskState, Timestamp, Token, TokenId, TraceId,
};

/// One record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// Its id; for a decision, the decision's id.
    pub id: RecordId,
    /// When it was made.
    pub at: Timestamp,
    /// What the caller correlates by.
    pub trace: Option<TraceId>,
    /// The record that caused it.
    pub parent: Option<RecordId>,
    /// What happened.
    pub body: Body,
}

/// Most intents that a record of a set names as changed.
pub const INTENTS_NAMED_MAX: usize = 512;

/// What happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Body {
    /// A server process took the ledger over.
    ServerStarted {
        /// The version of Safeconduct.
        version: String,
    },
    /// A policy set came into force.
    PoliciesLoaded {
        /// Its digest.
        digest: Digest,
        /// How many policies it has.
        policies: u64,
        /// Who or what caused it: `start`, `change`, `signal`, or an identity.
        cause: String,
    },
    /// A policy set was refused; the one before it stays in force.
    PoliciesRefused {
        /// The digest of what was refused, where it could be read at all.
        digest: Option<Digest>,
        /// The first problem: file, line, column and message.
        problem: String,
    },
    /// A catalogue came into force.
    CatalogueLoaded {
        /// Its digest.
        digest: Digest,
        /// How many actions it has.
        actions: u64,
    },
    /// An identity was added or changed; this is all of it.
    IdentityChanged {
        /// The identity as it now is.
        identity: Identity,
        /// Who did it.
        by: IdentityId,
    },
    /// A token was issued.
    TokenIssued {
        /// The token, as its digest.
        token: Token,
        /// Who did it.
        by: IdentityId,
    },
    /// A token was taken back.
    TokenRevoked {
        /// Which one.
        token: TokenId,
        /// Who did it.
        by: IdentityId,
    },
    /// A session's first decision is about to follow; its keys are in the attachment.
    SessionBegan {
        /// Which session.
        session: SessionKey,
    },
    /// A decision.
    Decided(Box<Decided>),
    /// What then happened.
    Executed(Executed),
    /// A session read what a server said by itself: no call of its asked for it.
    SessionRead(Box<SessionRead>),
    /// The values and keys of a session were erased.
    ValuesErased {
        /// Which session.
        session: SessionKey,
        /// Who did it.
        by: IdentityId,
        /// How many attachments were overwritten.
        attachments: u64,
    },
    /// A tool's live definition is not the approved one, or is again.
    DefinitionSeen {
        /// The action.
        action: ActionName,
        /// The server that offers it.
        server: ServerName,
        /// The approved definition.
        pinned: Digest,
        /// The definition that was seen.
        seen: Digest,
    },
    /// A set of intents came into force.
    IntentsLoaded {
        /// Its digest.
        digest: Digest,
        /// How many intents it has, versions counted.
        intents: u64,
        /// Who asked for it by name, where somebody did and something came or changed by it: never
        /// said of what a start or a change of files brings.
        by: Option<IdentityId>,
        /// The intents that came, or of which a version came, went or says something else; told
        /// beside `by`. None where there are more than [`INTENTS_NAMED_MAX`]: then it is any.
        changed: Vec<IntentName>,
    },
    /// A task began; its parameters and authority are in the attachment.
    TaskBegan(Box<Task>),
    /// A task ended, and with it everything under it.
    TaskEnded {
        /// Which one.
        task: TaskId,
        /// How: never `active`.
        state: TaskState,
        /// Who ended it; nobody where its time was over.
        by: Option<IdentityId>,
        /// Why, in a short fixed word or the words of the one who ended it.
        reason: Arc<str>,
    },
    /// A user gave an agent the standing word that it may undertake an intent for them.
    DelegationMade(Delegation),
    /// It was taken back.
    DelegationEnded {
        /// Which one.
        delegation: RecordId,
        /// Who did it.
        by: IdentityId,
    },
    /// The token service issued a token.
    TokenMinted(Box<Minted>),
    /// A minted token was taken back before its time.
    TokenWithdrawn {
        /// Its `jti`.
        token: TokenId,
        /// Who did it.
        by: IdentityId,
    },
    /// New keys were made that will sign the tokens of the token service.
    TokenKeysRotated {
        /// Their public ids (`kid`).
        keys: Vec<Arc<str>>,
        /// Who did it.
        by: IdentityId,
    },
    /// A key of the token service is used no more, and nothing that it signed holds: it may be in
    /// other hands.
    TokenKeyDropped {
        /// Its public id (`kid`).
        key: Arc<str>,
        /// Why, in a person's words.
        reason: Arc<str>,
        /// Who did it.
        by: IdentityId,
    },
    /// A set of trust records came into force: whose word counts for who somebody is.
    TrustLoaded {
        /// Its digest.
        digest: Digest,
        /// How many records it has.
        records: u64,
        /// Who or what caused it: `change`, `signal`, or an identity.
        cause: String,
    },
    /// A lease changed its state; the first of these records comes before the target is touched.
    LeaseChanged {
        /// The lease.
        lease: Box<Lease>,
        /// Its state from now on.
        state: LeaseState,
        /// What was seen at the target, or what went wrong; never a secret.
        detail: Option<Arc<str>>,
    },
    /// The kill switch was used.
    Killed {
        /// What it stops.
        scope: KillScope,
        /// Who did it.
        by: IdentityId,
        /// Why, in their words.
        reason: Arc<str>,
    },
    /// What it stopped may go on.
    KillLifted {
        /// What was stopped.
        scope: KillScope,
        /// Who did it.
        by: IdentityId,
        /// Why, in their words.
        reason: Arc<str>,
    },
    /// Something was observed that makes what someone does riskier, or less so.
    SignalSeen(Box<Signal>),
    /// A credential was used after its task had ended.
    UsedAfterEnd {
        /// The task.
        task: TaskId,
        /// Whose credential.
        identity: IdentityId,
        /// Which one.
        token: TokenId,
        /// For what, where that was said.
        action: Option<ActionName>,
    },
    /// A person registered a passkey.
    PasskeyRegistered {
        /// The passkey, as its public key.
        passkey: Box<Passkey>,
        /// Who did it.
        by: IdentityId,
    },
    /// A passkey was taken away; nothing is proved by it any more.
    PasskeyRemoved {
        /// Which one.
        passkey: PasskeyId,
        /// Whose it was.
        identity: IdentityId,
        /// Who did it.
        by: IdentityId,
    },
    /// A person proved with a passkey that they meant one thing.
    PasskeyUsed(Box<PasskeyUse>),
    /// Something happened to an access request.
    AccessRequestChanged(Box<AccessChange>),
    /// Rules that ask for an approval were set aside for somebody, for a time.
    GlassBroken(Box<BrokenGlass>),
    /// They hold again, before that time was over.
    GlassMended {
        /// The record by which they were set aside.
        glass: RecordId,
        /// Who did it; nobody where its task ended.
        by: Option<IdentityId>,
    },
    /// Somebody must look at something that happened.
    ReviewDue {
        /// The record of it.
        of: RecordId,
        /// About whom.
        about: IdentityId,
        /// Why, in a short fixed word: `break_glass`.
        cause: Arc<str>,
    },
    /// Somebody has looked at it: not whom it is about.
    ReviewDone {
        /// The record of what happened, as [`Body::ReviewDue`] names it.
        of: RecordId,
        /// Who looked.
        by: IdentityId,
        /// What they found.
        verdict: DueVerdict,
        /// What they say of it, in their words.
        note: Arc<str>,
    },
    /// Something happened in the access reviews; what is large of it is in the attachment.
    ReviewChanged(Box<ReviewChange>),
}

impl Body {
    /// The stable word for this kind of record.
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::ServerStarted { .. } => "server_started",
            Self::PoliciesLoaded { .. } => "policies_loaded",
            Self::PoliciesRefused { .. } => "policies_refused",
            Self::CatalogueLoaded { .. } => "catalogue_loaded",
            Self::IdentityChanged { .. } => "identity_changed",
            Self::TokenIssued { .. } => "token_issued",
            Self::TokenRevoked { .. } => "token_revoked",
            Self::SessionBegan { .. } => "session_began",
            Self::Decided(_) => "decision",
            Self::Executed(_) => "outcome",
            Self::SessionRead(_) => "session_read",
            Self::ValuesErased { .. } => "values_erased",
            Self::DefinitionSeen { .. } => "definition_seen",
            Self::IntentsLoaded { .. } => "intents_loaded",
            Self::TaskBegan(_) => "task_began",
            Self::TaskEnded { .. } => "task_ended",
            Self::DelegationMade(_) => "delegation_made",
            Self::DelegationEnded { .. } => "delegation_ended",
            Self::TokenMinted(_) => "token_minted",
            Self::TokenWithdrawn { .. } => "token_withdrawn",
            Self::TokenKeysRotated { .. } => "token_keys_rotated",
            Self::TokenKeyDropped { .. } => "token_key_dropped",
            Self::TrustLoaded { .. } => "trust_loaded",
            Self::LeaseChanged { .. } => "lease_changed",
            Self::Killed { .. } => "killed",
            Self::KillLifted { .. } => "kill_lifted",
            Self::SignalSeen(_) => "signal",
            Self::UsedAfterEnd { .. } => "used_after_end",
            Self::PasskeyRegistered { .. } => "passkey_registered",
            Self::PasskeyRemoved { .. } => "passkey_removed",
            Self::PasskeyUsed(_) => "passkey_used",
            Self::AccessRequestChanged(_) => "access_request",
            Self::GlassBroken(_) => "glass_broken",
            Self::GlassMended { .. } => "glass_mended",
            Self::ReviewDue { .. } => "review_due",
            Self::ReviewDone { .. } => "review_done",
            Self::ReviewChanged(change) => change.what.as_str(),
        }
    }
}

/// A decision, as it is recorded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decided {
    /// The session, and the part of it that the PEP named.
    pub session: SessionKey,
    /// The part's name.
    pub session_name: Option<SessionName>,
    /// The decision's place in the session, from 1 without gaps.
    pub sequence: u64,
    /// The enforcement point that asked.
    pub pep: IdentityId,
    /// How the caller proved itself.
    pub method: Method,
    /// Who wants to act, as policies name them.
    pub principal: EntityRef,
    /// What they want to do.
    pub action: ActionName,
    /// What they want to do it to.
    pub resources: Vec<EntityRef>,
    /// Keyed digest of the canonical arguments.
    pub input_digest: KeyedDigest,
    /// The answer.
    pub decision: Decision,
    /// Whether a Deny was carried out.
    pub mode: Mode,
    /// Why.
    pub reasons: Vec<RecordedReason>,
    /// What shadow policies would have said; without effect.
    pub shadow: Vec<RecordedReason>,
    /// What the enforcement point must do.
    pub obligations: Vec<Obligation>,
    /// Whether and how it may be asked for.
    pub requestable: Option<Requestable>,
    /// The policy set that decided.
    pub policies: Digest,
    /// The catalogue that was read.
    pub catalogue: Digest,
    /// The task that it belongs to, where there is one.
    pub task: Option<Box<DecidedTask>>,
    /// Where arguments came from that something is known of. At most [`RECORDED_FLOWS_MAX`].
    pub flow: Vec<RecordedFlow>,
    /// By what the session's label rises with the permit, because its enforcement point may hand
    /// the result on before it reports it; `None` where nothing rises.
    pub label: Option<Label>,
    /// How risky it was, 1 to 100; 0 where there was nothing, or where nobody asked.
    pub risk: u8,
    /// From where the request came, where that is known.
    pub network: Option<NetworkDigest>,
    /// The access request whose approval policies were shown, of which a Permit used one use; or
    /// the record by which rules were set aside.
    pub approval: Option<RecordId>,
}

/// What a session read that a server said by itself, as it is recorded: a list, a greeting, a
/// notification outside of any call. The fingerprints are in the attachment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionRead {
    /// The session that read it.
    pub session: SessionKey,
    /// The enforcement point through which it came.
    pub pep: IdentityId,
    /// Who said it.
    pub server: ServerName,
    /// The method of the message that held it: `resources/list`, `initialize`.
    pub source: Arc<str>,
    /// Keyed digest of its canonical bytes; `None` where nobody knows what was said.
    pub digest: Option<KeyedDigest>,
    /// Its size in bytes.
    pub bytes: u64,
    /// What it carries, by which the session's label rises.
    pub label: Label,
}

/// Most arguments of a decision whose origin is recorded: those that decide something first.
pub const RECORDED_FLOWS_MAX: usize = 16;

/// Most records that are named as the source of one argument: the newest.
pub const RECORDED_SOURCES_MAX: usize = 4;

/// Longest JSON Pointer of an argument whose origin is recorded, in bytes.
pub const RECORDED_POINTER_BYTES_MAX: usize = 256;

/// Where the value of one argument came from, as it is recorded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordedFlow {
    /// JSON Pointer to it.
    pub pointer: Arc<str>,
    /// What it decides.
    pub role: ArgumentRole,
    /// Where it was seen; nowhere where this is empty.
    pub origins: ValueOrigins,
    /// What it carries.
    pub label: Label,
    /// The decisions in whose results it was seen, the newest first. At most
    /// [`RECORDED_SOURCES_MAX`].
    pub sources: Vec<RecordId>,
}

/// Where a value was seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ValueOrigin {
    /// The task's parameters or its prompt, where an authenticated user or orchestrator gave
    /// them.
    Task,
    /// A result that may steer an agent.
    Trusted,
    /// A result that anyone could have written.
    Untrusted,
}

impl ValueOrigin {
    /// Every value.
    pub const ALL: [Self; 3] = [Self::Task, Self::Trusted, Self::Untrusted];

    /// The word for it on every wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Task => "task",
            Self::Trusted => "trusted",
            Self::Untrusted => "untrusted",
        }
    }
}

/// Where a value was seen, each once.
#[derive(Clone, Copy, PartialEq, Eq, Default)]
pub struct ValueOrigins(u8);

impl ValueOrigins {
    /// Whether it was seen nowhere.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Whether it was seen there.
    pub const fn contains(self, origin: ValueOrigin) -> bool {
        self.0 & 1 << origin as u8 != 0
    }

    /// All of them, in the order of [`ValueOrigin::ALL`].
    pub fn iter(self) -> impl Iterator<Item = ValueOrigin> {
        ValueOrigin::ALL.into_iter().filter(move |origin| self.contains(*origin))
    }

    /// It was seen there too.
    pub const fn insert(&mut self, origin: ValueOrigin) {
        self.0 |= 1 << origin as u8;
    }
}

impl FromIterator<ValueOrigin> for ValueOrigins {
    fn from_iter<I: IntoIterator<Item = ValueOrigin>>(all: I) -> Self {
        all.into_iter().fold(Self::default(), |mut origins, origin| {
            origins.insert(origin);
            origins
        })
    }
}

impl<const N: usize> From<[ValueOrigin; N]> for ValueOrigins {
    fn from(all: [ValueOrigin; N]) -> Self {
        all.into_iter().collect()
    }
}

impl fmt::Debug for ValueOrigins {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.iter().map(ValueOrigin::as_str)).finish()
    }
}

/// What a decision's record says of its task.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DecidedTask {
    /// Which task.
    pub id: TaskId,
    /// Its intent.
    pub intent: IntentName,
    /// For whom, where it is for someone.
    pub on_behalf_of: Option<IdentityId>,
    /// Who acts, and who delegated to them, outwards: the first is the one who acts (the order of
    /// `act`, RFC 8693 section 4.1). What comes after may only narrow.
    pub actors: Vec<IdentityId>,
    /// What a permit takes from the task's budget.
    pub spend: Amount,
    /// Bytes that a permit sends out.
    pub bytes_out: u64,
}

/// A reason, as it is recorded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordedReason {
    /// [`crate::Reason::code`].
    pub code: Arc<str>,
    /// The policy, where there is one.
    pub policy: Option<RecordedPolicy>,
    /// What an agent is told.
    pub message: Arc<str>,
    /// What only operators are told: the evaluator's error, the storage's error.
    pub detail: Option<Arc<str>>,
    /// Of whom the policy was asked, where an agent acts for a user and it answered of one of them
    /// alone. Nothing where it answered of both, or where nobody acts for another; older records do
    /// not tell it.
    pub of: Option<AskedOf>,
}

/// Of whom a policy was asked, where an agent acts for a user: each by their own right.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum AskedOf {
    /// Of who acts.
    Actor,
    /// Of the user for whom they act.
    User,
}

impl AskedOf {
    /// Every value.
    pub const ALL: [Self; 2] = [Self::Actor, Self::User];

    /// The word for it on every wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Actor => "actor",
            Self::User => "user",
        }
    }

    /// The value of that word.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|value| value.as_str() == word)
    }
}

/// A policy, as it is recorded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordedPolicy {
    /// Its stable name.
    pub id: PolicyId,
    /// What it says.
    pub effect: PolicyEffect,
    /// Where it stands in the set of that digest.
    pub span: Span,
}

/// What then happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Execution {
    /// It was done.
    Succeeded,
    /// It was tried and failed.
    Failed,
    /// It was not tried.
    NotExecuted,
    /// Nobody knows: the answer never came.
    Unknown,
}

impl Execution {
    /// Every value.
    pub const ALL: [Self; 4] = [Self::Succeeded, Self::Failed, Self::NotExecuted, Self::Unknown];

    /// The word for it on every wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
            Self::NotExecuted => "not_executed",
            Self::Unknown => "unknown",
        }
    }

    /// The value of that word.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|value| value.as_str() == word)
    }
}

/// The outcome of a permitted action, as it is recorded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Executed {
    /// The decision that permitted it.
    pub decision: RecordId,
    /// The session that it belongs to.
    pub session: SessionKey,
    /// What happened.
    pub execution: Execution,
    /// How long it took, in milliseconds.
    pub duration_ms: u64,
    /// Keyed digest of the result's canonical bytes.
    pub result_digest: Option<KeyedDigest>,
    /// Size of the result in bytes.
    pub result_bytes: u64,
    /// Why it did not succeed, in a short fixed word. Failed: `upstream_error`, `client_error`,
    /// `too_large`, `malformed`. Not executed: `lapsed` (the permit no longer held),
    /// `not_offered` (there was nobody or nothing to do it), `obligation` (one could not be
    /// carried out), `secret` (one that the target needs was not to be had), `ended` (so had the
    /// authority), `upstream_gone`. Unknown: `timeout`, `upstream_gone`, `client_gone`, `ended`
    /// (the authority ended while it was under way, and it was cut off),
    /// `never_reported`, `crowded_out` (too many permits waited), `restart`. An enforcement point
    /// elsewhere may say other words.
    pub detail: Option<Arc<str>>,
    /// Obligations that were carried out, with what they touched.
    pub edits: Vec<Edit>,
    /// What the result carries, by which its session's label rises; `None` where there is none.
    pub label: Option<Label>,
    /// The declassifier that lowered it.
    pub declassified: Option<Arc<str>>,
}

/// An edit that an obligation made to a message on its way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Edit {
    /// The obligation.
    pub obligation: Obligation,
    /// How many values it changed.
    pub values: u64,
}
