//! A solver may call an entity what no entity can be called, such as nothing at all. Names have no
//! meaning but to be equal or not, so such entities get others before anybody looks at them.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::sync::Arc;

use cedar_policy_core::ast::{
    Context, Eid, Entity, EntityUID, EntityUIDEntry, Literal, PartialValue, Request, Value,
    ValueKind,
};
use cedar_policy_core::entities::{Entities, NoEntitiesSchema, TCComputation};
use cedar_policy_core::extensions::Extensions;
use cedar_policy_symcc::Env;
use safeconduct_model::EntityRef;
use smol_str::SmolStr;

/// The request and the entities of a counterexample, under names that they can have; `None` where
/// they are not what a solver may say.
pub(super) fn named(found: &Env, policies: &BTreeSet<EntityUID>) -> Option<(Request, Entities)> {
    let (request, entities): (&Request, &Entities) =
        (found.request.as_ref(), found.entities.as_ref());
    let Some(Context::Value(members)) = request.context() else { return None };
    let taken = entities.iter().map(|entity| entity.uid().clone());
    let mut names = Names { given: BTreeMap::new(), policies, taken: taken.collect() };
    for entity in entities.iter() {
        names.give(entity.uid());
    }
    let uid = |entry: &EntityUIDEntry| entry.uid().map(|uid| names.of(uid));
    let known = |uid| EntityUIDEntry::known(uid, None);
    let (principal, resource) = (uid(request.principal())?, uid(request.resource())?);
    let action = request.action().uid()?.clone();
    let context = members.iter().map(|(name, value)| (name.clone(), names.value(value)));
    let context = Context::Value(Arc::new(context.collect()));
    let request =
        Request::new_unchecked(known(principal), known(action), known(resource), Some(context));
    let entities = Entities::from_entities(
        entities.iter().map(|entity| names.entity(entity)),
        None::<&NoEntitiesSchema>,
        TCComputation::AssumeAlreadyComputed,
        Extensions::all_available(),
    );
    Some((request, entities.ok()?))
}

struct Names<'a> {
    given: BTreeMap<EntityUID, EntityUID>,
    /// Those that policies name.
    policies: &'a BTreeSet<EntityUID>,
    /// Those that are there.
    taken: BTreeSet<EntityUID>,
}

impl Names<'_> {
    fn give(&mut self, uid: &EntityUID) {
        let id: &str = uid.eid().as_ref();
        let fits = EntityRef::new(uid.entity_type().to_string(), id).is_ok();
        if fits || self.policies.contains(uid) {
            return;
        }
        let called = |name: &str| {
            let eid = Eid::new(SmolStr::from(name));
            EntityUID::from_components(uid.entity_type().clone(), eid, None)
        };
        let free = |name: &EntityUID| {
            let given = || self.given.values().any(|given| given == name);
            !self.policies.contains(name) && !self.taken.contains(name) && !given()
        };
        let name = (1..u32::MAX).map(|number| called(&format!("somebody-{number}"))).find(free);
        self.given.extend(name.map(|name| (uid.clone(), name)));
    }

    fn of(&self, uid: &EntityUID) -> EntityUID {
        self.given.get(uid).unwrap_or(uid).clone()
    }

    fn value(&self, value: &Value) -> Value {
        match value.value_kind() {
            ValueKind::Lit(Literal::EntityUID(uid)) => Value::from(self.of(uid)),
            ValueKind::Set(set) => Value::set(set.iter().map(|item| self.value(item)), None),
            ValueKind::Record(members) => {
                let members = members.iter().map(|(name, of)| (name.clone(), self.value(of)));
                Value::record_arc(Arc::new(members.collect()), None)
            }
            ValueKind::Lit(_) | ValueKind::ExtensionValue(_) => value.clone(),
        }
    }

    fn entity(&self, of: &Entity) -> Entity {
        let member = |(name, value): (&SmolStr, &PartialValue)| {
            let value = match value {
                PartialValue::Value(value) => PartialValue::Value(self.value(value)),
                PartialValue::Residual(_) => value.clone(),
            };
            (name.clone(), value)
        };
        Entity::new_with_attr_partial_value(
            self.of(of.uid()),
            of.attrs().map(member),
            HashSet::new(),
            of.ancestors().map(|uid| self.of(uid)).collect(),
            of.tags().map(member),
        )
    }
}
