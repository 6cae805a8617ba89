//! Why somebody can or cannot do something: the statements that speak of it, and what is decided
//! now.

use safeconduct_engine::Outcome;
use safeconduct_model::{
    ActionName, Assurance, Authentication, Entity, EntityRef, IdentityId, IntentName, Method,
    PolicyEffect, PolicyId, Requestable, Span, Subject, TokenId, Value,
};
use safeconduct_policy::{Age, PolicyMode, StandingRight};

use super::can::over;
use super::{EstateError, Weighing};
use crate::Service;

/// Most statements of one answer.
pub const STATEMENTS_SHOWN_MAX: usize = 1000;

/// The statements that speak of an action, and more.
#[derive(Debug, Clone, Default)]
pub struct Why {
    /// What can permit it.
    pub permits: Vec<WhyStatement>,
    /// What can stand in the way.
    pub forbids: Vec<WhyStatement>,
    /// What would, and has no effect.
    pub shadow: Vec<WhyStatement>,
    /// How many more there are of all three.
    pub more: usize,
    /// What permits without saying to whom and what: the Rego files.
    pub not_derivable: Option<PolicyId>,
    /// Intents that they may undertake, and of which a task may do it.
    pub intents: Vec<IntentName>,
    /// What is decided now, of a resource that was named: without arguments, outside of every
    /// task, in a session of its own.
    pub now: Option<Box<Outcome>>,
}

/// A statement of the policies, as far as it explains something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WhyStatement {
    /// The policy.
    pub policy: PolicyId,
    /// What it does.
    pub effect: PolicyEffect,
    /// Where it stands.
    pub span: Span,
    /// How its scope names principals.
    pub principals: String,
    /// How its scope names actions.
    pub over: String,
    /// How its scope names resources.
    pub resources: String,
    /// Whether it has a condition.
    pub conditional: bool,
    /// Whether that looks at what happened before.
    pub temporal: bool,
    /// How it may be let go, where it is a forbid that people can be asked about.
    pub requestable: Option<Requestable>,
    /// Whether it has effect.
    pub mode: PolicyMode,
    /// Since when it is in force without a break, where that is known.
    pub age: Option<Age>,
}

impl WhyStatement {
    fn of(right: &StandingRight, service: &Service) -> Self {
        let (statement, info) = (&right.statement, right.statement.info());
        Self {
            age: service.age_of(&info.reference.id, statement.digest()),
            policy: info.reference.id.clone(),
            effect: info.reference.effect,
            span: info.reference.span.clone(),
            principals: statement.principal().to_string(),
            over: over(&statement.actions()),
            resources: statement.resource().to_string(),
            conditional: statement.is_conditional(),
            temporal: statement.is_temporal(),
            requestable: info.requestable.clone(),
            mode: info.mode,
        }
    }
}

impl Service {
    /// Why that identity can or cannot do that, to that resource or to any.
    ///
    /// # Errors
    /// [`EstateError`].
    pub fn why(
        &self,
        id: &IdentityId,
        action: &ActionName,
        resource: Option<EntityRef>,
    ) -> Result<Why, EstateError> {
        let world = self.world();
        let known = world.identities.get(id);
        let known = known.ok_or_else(|| EstateError::UnknownIdentity(id.clone()))?;
        let resource = resource.map(|uid| {
            let ty = world.policies.resolve_type(uid.ty.as_str()).unwrap_or(uid.ty);
            EntityRef { ty, id: uid.id }
        });
        // What the resource belongs to is not known here, so its type alone leaves statements out.
        let standing = world.policies.standing_over(&known.entity, action, None)?;
        let total = standing.permits.len() + standing.forbids.len() + standing.shadow.len();
        let mut room = STATEMENTS_SHOWN_MAX;
        let mut shown = |rights: &[StandingRight]| -> Vec<WhyStatement> {
            let shown: Vec<_> =
                rights.iter().take(room).map(|one| WhyStatement::of(one, self)).collect();
            room -= shown.len();
            shown
        };
        let (permits, forbids, shadow) =
            (shown(&standing.permits), shown(&standing.forbids), shown(&standing.shadow));
        let of_intent = |versions: &std::collections::BTreeMap<u32, safeconduct_model::Intent>| {
            let intent = versions.values().next_back()?;
            let does = intent.envelope.iter().any(|allowance| allowance.action == *action);
            (does && intent.undertakers.include(&known.identity)).then(|| intent.name.clone())
        };
        Ok(Why {
            permits,
            forbids,
            shadow,
            more: total.saturating_sub(STATEMENTS_SHOWN_MAX),
            not_derivable: standing.not_derivable.map(|info| info.reference.id.clone()),
            intents: world.intents.versions.values().filter_map(of_intent).collect(),
            now: resource.map(|resource| Box::new(self.asked_now(id, action, resource))),
        })
    }

    fn asked_now(&self, id: &IdentityId, action: &ActionName, resource: EntityRef) -> Outcome {
        let proof = Authentication {
            identity: id.clone(),
            token: hypothetical(),
            method: Method::ApiKey,
            assurance: Assurance::Low,
            at: self.clock.now(),
            expires_at: None,
            task: None,
        };
        self.weigh(Weighing {
            subject: Subject::Caller(proof),
            action: action.clone(),
            resource: Entity::bare(resource),
            input: Value::object::<&str>([]),
            asserted: None,
        })
    }
}

/// The token of a question that nobody asks: it is nobody's, so that no session is meant.
#[expect(clippy::expect_used, reason = "letters and a line are always a name")]
fn hypothetical() -> TokenId {
    TokenId::new("hypothetical-question").expect("letters and a line are a name")
}
