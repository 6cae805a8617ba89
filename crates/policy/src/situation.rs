//! What is known of the moment, and how policies see it: `context`.

use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock};

use cedar_policy_core::ast::{Context, Value as Cedar};
use safeconduct_model::{
    ActionName, Assurance, Effect, IdentityKind, Integrity, Method, Tier, Timestamp, Value,
};
use smol_str::SmolStr;

use crate::exact;
use crate::schema::{Action, ContextField, ContextFields};
use crate::shape::{AdditionalArguments, Converter, Misfit};

/// What is known of the moment of a decision.
#[derive(Debug, Clone)]
pub struct Situation<'a> {
    /// Where the session stands.
    pub session: SessionSituation<'a>,
    /// How the identity proved itself.
    pub identity: IdentitySituation,
    /// What the catalogue says of the action.
    pub action: ActionSituation,
    /// When.
    pub now: Timestamp,
    /// What the enforcement point says beside the arguments. Members that the action's own
    /// context declares become members of `context`, those that its `request` declares members
    /// of `context.request`; others are left out.
    pub request: Option<&'a Value>,
}

/// Where the session stands; counts beyond 2^63-1 stay there.
#[derive(Debug, Clone)]
pub struct SessionSituation<'a> {
    /// Permitted decisions so far.
    pub steps: u64,
    /// Denied decisions so far.
    pub denials: u64,
    /// Different resources that were touched.
    pub distinct_resources: u64,
    /// Calls that it may still make.
    pub calls_left: u64,
    /// The actions that were permitted.
    pub actions: Vec<&'a ActionName>,
}

/// How the identity proved itself.
#[derive(Debug, Clone, Copy)]
pub struct IdentitySituation {
    /// What it is, where that is known.
    pub kind: Option<IdentityKind>,
    /// How it did.
    pub method: Method,
    /// How sure that is.
    pub assurance: Assurance,
    /// Seconds since it did.
    pub age_s: i64,
}

/// What the catalogue says of the action.
#[derive(Debug, Clone, Copy)]
pub struct ActionSituation {
    /// Its tier.
    pub tier: Tier,
    /// Its effect.
    pub effect: Effect,
    /// What its result is worth as a source of instructions.
    pub trust: Integrity,
    /// Whether tier and effect were guessed.
    pub guessed: bool,
}

/// The context of one question, made of parts so that only those are made that some policy
/// looks at.
pub(crate) fn context(
    situation: &Situation<'_>,
    name: &ActionName,
    action: &Action,
    input: Option<Cedar>,
    needed: ContextFields,
) -> Result<Context, Misfit> {
    let mut members = BTreeMap::new();
    let has = |field| action.fields.has(field) && needed.has(field);
    if let Some(input) = input {
        members.insert(KEYS.input.clone(), input);
    }
    if has(ContextField::Session) {
        let actions = needed.has(ContextField::SessionActions);
        members.insert(KEYS.session.clone(), session(&situation.session, actions));
    }
    if has(ContextField::Identity) {
        members.insert(KEYS.identity.clone(), identity(&situation.identity));
    }
    if has(ContextField::Action) {
        members.insert(KEYS.action.clone(), facts(&situation.action, name));
    }
    if has(ContextField::Time) {
        let now = exact::instant(situation.now.as_millis()).map_err(|problem| Misfit::Unfit {
            pointer: String::new(),
            problem: format!("the time of the decision {problem}"),
        })?;
        let time = BTreeMap::from([(KEYS.now.clone(), now)]);
        members.insert(KEYS.time.clone(), Cedar::record_arc(Arc::new(time), None));
    }
    asserted(situation.request, action, needed, &mut members)?;
    Ok(Context::Value(Arc::new(members)))
}

/// What the enforcement point says, as far as the action declares it.
fn asserted(
    request: Option<&Value>,
    action: &Action,
    needed: ContextFields,
    members: &mut BTreeMap<SmolStr, Cedar>,
) -> Result<(), Misfit> {
    let Some(said) = request.and_then(Value::as_object) else {
        return Ok(());
    };
    let mut converter = Converter::new(AdditionalArguments::LeftOut);
    if needed.has(ContextField::Own) && !action.own.members.is_empty() {
        members.extend(converter.stated(said, &action.own)?);
    }
    if let Some(declared) = action.request.as_ref().filter(|_| needed.has(ContextField::Request)) {
        let request = converter.stated(said, declared)?;
        members.insert(KEYS.request.clone(), Cedar::record_arc(Arc::new(request), None));
    }
    Ok(())
}

fn count(n: u64) -> Cedar {
    Cedar::from(i64::try_from(n).unwrap_or(i64::MAX))
}

fn word(text: &'static str) -> Cedar {
    Cedar::from(SmolStr::new_static(text))
}

fn session(session: &SessionSituation<'_>, with_actions: bool) -> Cedar {
    let mut members = BTreeMap::from([
        (KEYS.steps.clone(), count(session.steps)),
        (KEYS.denials.clone(), count(session.denials)),
        (KEYS.distinct_resources.clone(), count(session.distinct_resources)),
        (KEYS.calls_left.clone(), count(session.calls_left)),
    ]);
    if with_actions {
        let names = session.actions.iter().map(|name| SmolStr::from(name.as_str()).into());
        members.insert(KEYS.actions.clone(), Cedar::set_of_lits(names, None));
    }
    Cedar::record_arc(Arc::new(members), None)
}

fn identity(identity: &IdentitySituation) -> Cedar {
    let mut members = BTreeMap::from([
        (KEYS.method.clone(), word(identity.method.as_str())),
        (KEYS.assurance.clone(), word(identity.assurance.as_str())),
        (KEYS.age_s.clone(), Cedar::from(identity.age_s)),
    ]);
    if let Some(kind) = identity.kind {
        members.insert(KEYS.kind.clone(), word(kind.as_str()));
    }
    Cedar::record_arc(Arc::new(members), None)
}

fn facts(action: &ActionSituation, name: &ActionName) -> Cedar {
    let members = BTreeMap::from([
        (KEYS.name.clone(), Cedar::from(SmolStr::from(name.as_str()))),
        (KEYS.tier.clone(), word(action.tier.as_str())),
        (KEYS.effect.clone(), word(action.effect.as_str())),
        (KEYS.trust.clone(), word(action.trust.as_str())),
        (KEYS.guessed.clone(), Cedar::from(action.guessed)),
    ]);
    Cedar::record_arc(Arc::new(members), None)
}

macro_rules! keys {
    ($($name:ident)*) => {
        struct Keys { $($name: SmolStr),* }
        /// Made once: no text is longer than what is held inline.
        static KEYS: LazyLock<Keys> =
            LazyLock::new(|| Keys { $($name: SmolStr::new_static(stringify!($name))),* });
    };
}

keys! {
    input session identity action time now request
    steps denials distinct_resources calls_left actions
    method assurance age_s kind
    name tier effect trust guessed
}
