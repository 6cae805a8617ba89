//! The world: policies, catalogue, identities, tokens. An immutable snapshot, swapped whole.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use foldhash::fast::RandomState;
use safeconduct_engine::{Known, SetAside, Vocabulary};
use safeconduct_model::{
    ActionName, Catalogue, Delegation, Digest, Entity, EntityId, EntityRef, EntityType, Identity,
    IdentityId, IdentityKind, Intents, KillScope, NameError, Passkey, PasskeyId, PasskeyUse,
    RecordId, SessionKey, Token, TokenId, Value,
};
use safeconduct_policy::Policies;

use crate::remediation::{Aside, IntentsPut};
use crate::sightings::Sightings;

/// Most identities that are kept. More are refused.
pub const IDENTITIES_MAX: usize = 1_000_000;

/// Most tokens that are kept, the revoked ones included. More are refused.
pub const TOKENS_MAX: usize = 1_000_000;

/// One state of everything that changes rarely.
#[derive(Debug, Clone)]
pub struct World {
    /// Counts the changes; a decision that read an older one is made again.
    pub(crate) version: u64,
    pub(crate) policies: Arc<Policies>,
    pub(crate) catalogue: Arc<Catalogue>,
    pub(crate) catalogue_digest: Digest,
    pub(crate) vocabulary: Arc<Vocabulary>,
    pub(crate) identities: Arc<HashMap<IdentityId, Arc<Known>, RandomState>>,
    /// The people of each group.
    pub(crate) people: Arc<BTreeMap<String, Arc<BTreeSet<IdentityId>>>>,
    /// By the digest of the token's text.
    pub(crate) tokens: Arc<HashMap<Digest, Arc<Token>, RandomState>>,
    pub(crate) tokens_by_id: Arc<HashMap<TokenId, Arc<Token>, RandomState>>,
    /// What may be undertaken.
    pub(crate) intents: Arc<Intents>,
    /// Who put them in force by name.
    pub(crate) intents_put: Arc<IntentsPut>,
    /// Users' standing words.
    pub(crate) delegations: Arc<BTreeMap<RecordId, Delegation>>,
    /// By which keys people prove to be there.
    pub(crate) passkeys: Arc<BTreeMap<PasskeyId, Passkey>>,
    /// What the kill switch has stopped, tasks excepted: those have ended.
    pub(crate) killed: Arc<BTreeSet<KillScope>>,
    /// Live definitions that are not the approved ones.
    pub(crate) quarantined: Arc<BTreeMap<ActionName, Digest>>,
    /// Live definitions as each conversation showed them.
    pub(crate) seen: Arc<Sightings>,
    /// The sets of policies, catalogues and intents of which the ledger holds what they are made
    /// of.
    pub(crate) kept: Arc<BTreeSet<Digest>>,
    /// What remediations want to be set aside, by remediation.
    pub(crate) asides: Arc<BTreeMap<RecordId, Aside>>,
    /// The same as decisions look it up, with the statements of the policies in force.
    pub(crate) set_aside: Arc<SetAside>,
}

impl World {
    /// A world without identities.
    pub fn new(
        policies: Arc<Policies>,
        catalogue: Arc<Catalogue>,
        catalogue_digest: Digest,
        vocabulary: Arc<Vocabulary>,
    ) -> Self {
        Self {
            version: 0,
            policies,
            catalogue,
            catalogue_digest,
            vocabulary,
            identities: Arc::default(),
            people: Arc::default(),
            tokens: Arc::default(),
            tokens_by_id: Arc::default(),
            intents: Arc::new(Intents::none()),
            intents_put: Arc::default(),
            delegations: Arc::default(),
            passkeys: Arc::default(),
            killed: Arc::default(),
            quarantined: Arc::default(),
            seen: Arc::default(),
            kept: Arc::default(),
            asides: Arc::default(),
            set_aside: Arc::default(),
        }
    }

    /// What reviews have set aside; `None` where that is nothing.
    pub fn set_aside(&self) -> Option<&SetAside> {
        (!self.set_aside.is_empty()).then(|| &*self.set_aside)
    }

    /// The policy set in force.
    pub const fn policies(&self) -> &Arc<Policies> {
        &self.policies
    }

    /// The catalogue in force.
    pub const fn catalogue(&self) -> &Arc<Catalogue> {
        &self.catalogue
    }

    /// The catalogue's digest.
    pub const fn catalogue_digest(&self) -> Digest {
        self.catalogue_digest
    }

    /// What may be undertaken.
    pub const fn intents(&self) -> &Arc<Intents> {
        &self.intents
    }

    /// Users' standing words that agents may undertake intents for them.
    pub fn delegations(&self) -> impl Iterator<Item = &Delegation> {
        self.delegations.values()
    }

    /// Whether that identity is registered and may act.
    pub(crate) fn is_active(&self, id: &IdentityId) -> bool {
        let status = self.identity(id).map(|identity| identity.status);
        status == Some(safeconduct_model::IdentityStatus::Active)
    }

    /// What the kill switch has stopped, in words, of what that identity does in that session.
    pub(crate) fn killed(&self, session: &SessionKey) -> Option<&'static str> {
        if self.killed.is_empty() {
            return None;
        }
        if self.killed.contains(&KillScope::All) {
            return Some("everything");
        }
        self.killed.contains(&KillScope::Session(session.clone())).then_some("this session")
    }

    /// Everyone who is registered, in no order.
    pub fn identities(&self) -> impl Iterator<Item = &Identity> {
        self.identities.values().map(|known| &known.identity)
    }

    /// The first ones by id of those whose ids come after that one: at most so many.
    pub fn identities_after(&self, after: Option<&str>, most: usize) -> Vec<&Identity> {
        let beyond = |identity: &&Identity| after.is_none_or(|id| identity.id.as_str() > id);
        let mut found: Vec<&Identity> = self.identities().filter(beyond).collect();
        if found.len() > most {
            found.select_nth_unstable_by(most, |a, b| a.id.cmp(&b.id));
            found.truncate(most);
        }
        found.sort_unstable_by(|a, b| a.id.cmp(&b.id));
        found
    }

    /// Who is registered under that id.
    pub fn identity(&self, id: &IdentityId) -> Option<&Identity> {
        self.identities.get(id).map(|known| &known.identity)
    }

    /// What policies and records call the one who is registered under that id.
    pub fn principal_of(&self, id: &IdentityId) -> Option<EntityRef> {
        self.identities.get(id).map(|known| known.entity.uid.clone())
    }

    /// Every token that was issued, in no order.
    pub fn tokens(&self) -> impl Iterator<Item = &Token> {
        self.tokens.values().map(AsRef::as_ref)
    }

    /// The token of that id.
    pub fn token(&self, id: &TokenId) -> Option<&Token> {
        self.tokens_by_id.get(id).map(AsRef::as_ref)
    }

    /// The live definition of an action, where it is not the approved one.
    pub fn quarantined(&self, action: &ActionName) -> Option<Digest> {
        self.quarantined.get(action).copied()
    }

    /// Whether a credential still stands: its identity active, the token neither revoked nor
    /// expired. A credential that is no registered token stands while its identity does.
    pub(crate) fn stands(
        &self,
        identity: &IdentityId,
        token: &TokenId,
        at: safeconduct_model::Timestamp,
    ) -> bool {
        let active = self
            .identity(identity)
            .is_some_and(|identity| identity.status == safeconduct_model::IdentityStatus::Active);
        active && !self.ended(token, at)
    }

    /// Whether a registered token was revoked or has expired.
    pub(crate) fn ended(&self, token: &TokenId, at: safeconduct_model::Timestamp) -> bool {
        let registered = self.tokens_by_id.get(token);
        registered.is_some_and(|token| token.revoked || at >= token.expires_at)
    }

    /// Takes an identity in, as policies will see it.
    pub(crate) fn with_identity(&mut self, identity: Identity) -> Result<(), NameError> {
        let known = Known { entity: entity_of(&identity, &self.vocabulary)?, identity };
        let known = Arc::new(known);
        let identities = Arc::make_mut(&mut self.identities);
        let before = identities.insert(known.identity.id.clone(), Arc::clone(&known));
        self.regroup(before.as_ref().map(|before| &before.identity), &known.identity);
        Ok(())
    }

    /// The people of a group, by id; those who may not act among them.
    pub(crate) fn people_in(&self, group: &str) -> impl Iterator<Item = &IdentityId> {
        self.people.get(group).into_iter().flat_map(|people| people.iter())
    }

    fn regroup(&mut self, before: Option<&Identity>, now: &Identity) {
        let of = |identity: &Identity| match identity.kind {
            IdentityKind::User => identity.groups.clone(),
            _ => BTreeSet::new(),
        };
        let (before, after) = (before.map(of).unwrap_or_default(), of(now));
        if before == after {
            return;
        }
        let people = Arc::make_mut(&mut self.people);
        for joined in after.difference(&before) {
            let members = people.entry(joined.clone()).or_default();
            Arc::make_mut(members).insert(now.id.clone());
        }
        for left in before.difference(&after) {
            let Some(members) = people.get_mut(left) else { continue };
            Arc::make_mut(members).remove(&now.id);
            if members.is_empty() {
                people.remove(left);
            }
        }
    }

    /// The passkey of that id.
    pub fn passkey(&self, id: &PasskeyId) -> Option<&Passkey> {
        self.passkeys.get(id)
    }

    /// All passkeys, by id.
    pub fn passkeys(&self) -> impl Iterator<Item = &Passkey> {
        self.passkeys.values()
    }

    /// The passkeys of an identity, by id.
    pub fn passkeys_of(&self, identity: &IdentityId) -> impl Iterator<Item = &Passkey> {
        self.passkeys.values().filter(move |passkey| passkey.identity == *identity)
    }

    pub(crate) fn with_passkey(&mut self, passkey: Passkey) {
        Arc::make_mut(&mut self.passkeys).insert(passkey.id.clone(), passkey);
    }

    /// Takes in what a passkey counted.
    pub(crate) fn passkey_used(&mut self, used: &PasskeyUse) {
        if let Some(passkey) = Arc::make_mut(&mut self.passkeys).get_mut(&used.passkey) {
            passkey.counter = used.counter;
        }
    }

    pub(crate) fn with_token(&mut self, token: Token) {
        let token = Arc::new(token);
        Arc::make_mut(&mut self.tokens).insert(token.digest, Arc::clone(&token));
        Arc::make_mut(&mut self.tokens_by_id).insert(token.id.clone(), token);
    }
}

/// What policies see of an identity.
///
/// # Errors
/// [`NameError`] where its id or a group is no name that policies can hold.
pub fn entity_of(identity: &Identity, vocabulary: &Vocabulary) -> Result<Entity, NameError> {
    let namespace = vocabulary.namespace();
    let ty = EntityType::new(format!("{namespace}::{}", identity.kind.entity_type()))?;
    let uid = EntityRef { ty, id: EntityId::new(identity.id.shared())? };
    let mut attributes = BTreeMap::from([
        (Arc::from("kind"), Value::from(identity.kind.as_str())),
        (Arc::from("status"), Value::from(identity.status.as_str())),
    ]);
    if let Some(owner) = &identity.owner {
        attributes.insert("owner".into(), Value::String(owner.shared()));
    }
    if let Some(environment) = &identity.environment {
        attributes.insert("environment".into(), Value::from(environment.as_str()));
    }
    let group = |name: &String| {
        Ok(EntityRef { ty: vocabulary.group().clone(), id: EntityId::new(name.as_str())? })
    };
    let ancestors = identity.groups.iter().map(group).collect::<Result<_, NameError>>()?;
    Ok(Entity { uid, attributes, ancestors })
}
