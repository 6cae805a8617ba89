//! What a decision stands on where there is no server: a project, or a world that a test brings.
//! It is decided by the same pure engine.

use std::collections::BTreeMap;
use std::sync::Arc;

use safeconduct_engine::{
    Explained, Facts, Known, Outcome, TaskFacts, Understood, Vocabulary, decide,
};
use safeconduct_model::{
    ActionName, Assurance, Authentication, Catalogue, Digest, Entity, EntityRef, EntityType,
    Identity, IdentityId, IdentityKind, IdentityStatus, Intents, KeyedDigest, Method, Mode,
    NameError, Now, PepRegistration, Reason, RecordId, Request, SessionKey, SessionName,
    SessionRef, Subject, TaskRef, Tiers, Timestamp, TokenId, Value,
};
use safeconduct_policy::Policies;
use safeconduct_risk::RiskScore;
use safeconduct_service::{
    RehearsedApprovals, RehearsedRisk, RehearsedSessions, Standing, entity_of,
};
use safeconduct_session::flow::Origins;
use safeconduct_wire::suite::{Definition, Principal};

use crate::exit::{CommandError, failed};
use crate::wiring::project::Project;

/// The name of the enforcement point that speaks where a question names none.
const ENFORCEMENT_POINT: &str = "enforcement-point";

/// The digest of a definition that nobody has seen: which one it is changes no answer.
const UNSEEN: Digest = Digest::from_bytes([0; 32]);

/// Policies, catalogue and identities: all that decisions read beside the session.
pub(crate) struct Ground {
    pub(crate) policies: Arc<Policies>,
    pub(crate) catalogue: Arc<Catalogue>,
    pub(crate) catalogue_digest: Digest,
    pub(crate) vocabulary: Arc<Vocabulary>,
    pub(crate) identities: BTreeMap<IdentityId, Known>,
    pub(crate) calls_max: u64,
    /// What actions need by their tiers.
    pub(crate) tiers: Tiers,
    /// What may be undertaken.
    pub(crate) intents: Arc<Intents>,
}

/// One question, by whom and when.
pub(crate) struct Asked<'a> {
    pub(crate) principal: &'a Principal,
    /// Which of the principal's credentials.
    pub(crate) credential: String,
    pub(crate) session_name: Option<SessionName>,
    /// The task that they act in.
    pub(crate) task: Option<TaskRef>,
    pub(crate) action: &'a ActionName,
    pub(crate) resource: Option<&'a Entity>,
    pub(crate) input: &'a Value,
    pub(crate) context: Option<&'a Value>,
    pub(crate) definition: Definition,
    pub(crate) understood: Understood,
    pub(crate) at: Timestamp,
    /// What the decision is called where something is said to come from it.
    pub(crate) named: String,
}

/// A question in the engine's terms, with who is known of its subject.
pub(crate) struct Posed {
    request: Request,
    caller: Option<Known>,
    subject: Option<Known>,
    definition: Definition,
    understood: Understood,
    now: Now,
    /// How risky it is, where anything was told.
    risk: Option<RiskScore>,
}

impl Posed {
    /// The same after what was told of people; those others count too.
    pub(crate) fn told<'a>(
        self,
        told: &RehearsedRisk,
        others: impl IntoIterator<Item = &'a IdentityId>,
    ) -> Self {
        Self {
            risk: told.score(&self.request, others, self.now.at),
            caller: self.caller.map(|known| told.standing(known)),
            subject: self.subject.map(|known| told.standing(known)),
            ..self
        }
    }

    /// The session that the question belongs to.
    pub(crate) const fn session(&self) -> &SessionKey {
        &self.request.session.key
    }

    /// The question itself.
    pub(crate) const fn request(&self) -> &Request {
        &self.request
    }

    /// When it is asked.
    pub(crate) const fn at(&self) -> Timestamp {
        self.now.at
    }
}

impl Ground {
    /// The ground of a project.
    ///
    /// # Errors
    /// An identity does not fit what policies can hold.
    pub(crate) fn of(project: &Project) -> Result<Self, CommandError> {
        let rules = &project.rules;
        let mut ground = Self {
            policies: Arc::clone(&rules.policies),
            catalogue: Arc::clone(&rules.catalogue),
            catalogue_digest: rules.catalogue_digest,
            vocabulary: Arc::clone(&rules.vocabulary),
            identities: BTreeMap::new(),
            calls_max: project.config.session_calls,
            tiers: project.config.tiers.clone(),
            intents: Arc::clone(&rules.intents),
        };
        ground.know(&project.config.identities)?;
        Ok(ground)
    }

    /// Takes identities in.
    ///
    /// # Errors
    /// An identity does not fit what policies can hold.
    pub(crate) fn know(&mut self, identities: &[Identity]) -> Result<(), CommandError> {
        for identity in identities {
            let known = self
                .known(identity)
                .map_err(|error| failed(&format!("identity `{}`", identity.id), error))?;
            self.identities.insert(identity.id.clone(), known);
        }
        Ok(())
    }

    fn known(&self, identity: &Identity) -> Result<Known, NameError> {
        let entity = entity_of(identity, &self.vocabulary)?;
        Ok(Known { entity, identity: identity.clone() })
    }

    /// A type by its full name; `Path` is `Safeconduct::Path`.
    fn full(&self, uid: &EntityRef) -> EntityRef {
        let ty = self.policies.resolve_type(uid.ty.as_str());
        EntityRef { ty: ty.unwrap_or_else(|| uid.ty.clone()), id: uid.id.clone() }
    }

    /// Puts a question in the engine's terms.
    ///
    /// # Errors
    /// A name is too long for the engine.
    pub(crate) fn pose(&self, asked: &Asked<'_>) -> Result<Posed, NameError> {
        let (caller, subject) = self.who(asked)?;
        let proof = subject.authentication();
        let key = SessionKey::of(proof);
        let registered = match &subject {
            Subject::Caller(_) | Subject::Undertaker { .. } | Subject::Lessee(_) => None,
            Subject::Asserted { entity, .. } => self.registered_as(&entity.uid).cloned(),
        };
        let request = Request {
            subject,
            action: asked.action.clone(),
            resource: asked
                .resource
                .map(|resource| Entity { uid: self.full(&resource.uid), ..resource.clone() }),
            input: asked.input.clone(),
            // Nothing is recorded, so nothing is digested.
            input_digest: KeyedDigest::from_bytes([0; 32]),
            asserted: asked.context.cloned(),
            session: SessionRef { key, name: asked.session_name.clone() },
            pep: IdentityId::new(ENFORCEMENT_POINT)?,
            mode: Mode::Enforce,
            trace: None,
            parent: None,
        };
        let now = Now { at: asked.at, decision: RecordId::new(asked.named.as_str())? };
        Ok(Posed {
            request,
            caller,
            subject: registered,
            definition: asked.definition,
            understood: asked.understood.clone(),
            now,
            risk: None,
        })
    }

    fn registered_as(&self, uid: &EntityRef) -> Option<&Known> {
        self.identities.values().find(|known| known.entity.uid == *uid)
    }

    /// The caller as it is registered, and the subject of the question.
    fn who(&self, asked: &Asked<'_>) -> Result<(Option<Known>, Subject), NameError> {
        let proof = |identity: &IdentityId| {
            Ok::<_, NameError>(Authentication {
                identity: identity.clone(),
                token: TokenId::new(asked.credential.as_str())?,
                method: Method::ApiKey,
                assurance: Assurance::Low,
                at: asked.at,
                expires_at: None,
                task: asked.task.clone(),
            })
        };
        match asked.principal {
            Principal::Registered(id) => {
                Ok((self.identities.get(id).cloned(), Subject::Caller(proof(id)?)))
            }
            Principal::Made(identity) => {
                Ok((Some(self.known(identity)?), Subject::Caller(proof(&identity.id)?)))
            }
            Principal::Asserted { by, entity } => {
                let uid = self.full(&entity.uid);
                let caller = match by {
                    Some(id) => self.identities.get(id).cloned(),
                    None => Some(self.known(&enforcement_point(uid.ty.clone())?)?),
                };
                let by = match by {
                    Some(id) => proof(id)?,
                    None => proof(&IdentityId::new(ENFORCEMENT_POINT)?)?,
                };
                let entity = Entity { uid, ..entity.clone() };
                Ok((caller, Subject::Asserted { by, entity }))
            }
        }
    }

    /// Decides.
    pub(crate) fn decide(
        &self,
        posed: &Posed,
        sessions: &RehearsedSessions,
        task: Option<TaskFacts<'_>>,
        approvals: &RehearsedApprovals,
    ) -> Outcome {
        let facts = self.facts(posed, sessions.standing(&posed.request), task);
        let outcome = decide(&posed.request, &facts, &self.policies, &posed.now);
        let Some(approval) = approvals.of(&posed.request, &outcome) else { return outcome };
        // What people approved is new evidence: everything is decided again.
        let facts = Facts { approval: Some(&approval), ..facts };
        decide(&posed.request, &facts, &self.policies, &posed.now)
    }

    /// What each policy says at that moment.
    ///
    /// # Errors
    /// What stands in the way before any policy is asked.
    pub(crate) fn explain(
        &self,
        posed: &Posed,
        sessions: &RehearsedSessions,
        task: Option<TaskFacts<'_>>,
        at: Timestamp,
    ) -> Result<Vec<Explained>, Vec<Reason>> {
        let facts = self.facts(posed, sessions.standing(&posed.request), task);
        let now = Now { at, ..posed.now.clone() };
        safeconduct_engine::explain(&posed.request, &facts, &self.policies, &now)
    }

    /// Where each argument came from; `None` where the session has read nothing, or the action is
    /// unknown.
    pub(crate) fn origins(
        &self,
        posed: &Posed,
        sessions: &RehearsedSessions,
        task: Option<TaskFacts<'_>>,
    ) -> Option<Origins> {
        let standing = sessions.standing(&posed.request);
        standing.session.flow()?;
        safeconduct_engine::origins(&posed.request, &self.facts(posed, standing, task))
    }

    fn facts<'a>(
        &'a self,
        posed: &'a Posed,
        standing: Standing<'a>,
        task: Option<TaskFacts<'a>>,
    ) -> Facts<'a> {
        Facts {
            caller: posed.caller.as_ref(),
            subject: posed.subject.as_ref(),
            entry: self.catalogue.entry(&posed.request.action),
            quarantined: match posed.definition {
                Definition::Approved => None,
                Definition::Quarantined => Some(UNSEEN),
            },
            session: standing.session,
            sequence: standing.sequence,
            used: standing.used,
            task,
            killed: None,
            input_bytes: 0,
            calls_max: self.calls_max,
            understood: &posed.understood,
            tiers: &self.tiers,
            risk: posed.risk,
            last_word: None,
            approval: None,
            set_aside: None,
            vocabulary: &self.vocabulary,
            catalogue: self.catalogue_digest,
            monitors: Some(standing.monitors),
        }
    }
}

/// An enforcement point that may say anything of subjects of that type.
fn enforcement_point(subjects: EntityType) -> Result<Identity, NameError> {
    Ok(Identity {
        id: IdentityId::new(ENFORCEMENT_POINT)?,
        kind: IdentityKind::Workload,
        status: IdentityStatus::Active,
        owner: None,
        sponsor: None,
        imported: None,
        fallback_owner: None,
        environment: None,
        groups: Default::default(),
        pep: Some(PepRegistration {
            subjects: [subjects].into(),
            resources: Default::default(),
            properties: true,
            // Its steps report what they read before the next one asks.
            label_at: safeconduct_model::LabelAt::Report,
        }),
        roles: Default::default(),
    })
}
