//! What lies sealed beside the records of requests: the arguments that people are shown, and the
//! bounds of what they approved.

use std::collections::BTreeMap;
use std::sync::Arc;

use safeconduct_approval::Scope;
use safeconduct_credential::{allowance_of, allowance_value};
use safeconduct_model::{
    ActionName, Allowance, Entity, EntityRef, IdentityId, KeyedDigest, OtherArguments, RecordId,
    Request, Subject, Tier, Timestamp, Value,
};

use super::Beginning;

use crate::check::listed;
use crate::{Service, SessionKeys, World};

/// What the arguments are called beside their record.
pub(super) const ARGUMENTS: &str = "access_request";

/// What bounds are called beside their record.
pub(super) const SCOPE: &str = "access_scope";

/// What somebody asked for, in full.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Asked {
    /// The arguments.
    pub(super) input: Value,
    /// What is said beside them.
    pub(super) said: Said,
    /// Why, in the words of who asks: nobody has checked them.
    pub(super) justification: Option<Arc<str>>,
    /// Who owns what is touched, as the enforcement point said it.
    pub(super) owners: BTreeMap<EntityRef, IdentityId>,
    /// The tier of the action when it was asked for.
    pub(super) tier: Tier,
}

impl Asked {
    /// As it is sealed.
    pub(super) fn value(&self) -> Value {
        let owners = self.owners.iter().map(|(of, owner)| {
            Value::object([
                ("type", Value::String(of.ty.shared())),
                ("id", Value::String(of.id.shared())),
                ("owner", Value::String(owner.shared())),
            ])
        });
        let mut members = vec![
            ("input", self.input.clone()),
            ("owners", Value::Array(owners.collect())),
            ("tier", Value::from(self.tier.as_str())),
        ];
        members.extend(self.said.asserted.clone().map(|asserted| ("asserted", asserted)));
        members.extend(self.said.stated.clone().map(|stated| ("stated", stated)));
        let words = self.justification.clone();
        members.extend(words.map(|words| ("justification", Value::String(words))));
        Value::object(members)
    }

    fn of(value: &Value) -> Option<Self> {
        let text = |of: &Value, name: &str| of.member(name).and_then(Value::as_str).map(Arc::from);
        let owners = value.member("owners")?.as_array()?.iter().map(|one| {
            let of = EntityRef::new(text(one, "type")?, text(one, "id")?).ok()?;
            Some((of, IdentityId::new(text(one, "owner")?).ok()?))
        });
        Some(Self {
            input: value.member("input")?.clone(),
            said: Said {
                asserted: value.member("asserted").cloned(),
                stated: value.member("stated").cloned(),
            },
            justification: text(value, "justification"),
            owners: owners.collect::<Option<_>>()?,
            tier: Tier::parse(&text(value, "tier")?)?,
        })
    }

    /// The digest that binds arguments of this call.
    pub(super) fn digest(&self, keys: &dyn SessionKeys, input: &Value) -> KeyedDigest {
        self.said.digest(keys, &safeconduct_ledger::canonical(input))
    }
}

/// All that is said of a call beside its arguments. What people approve is that too.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Said {
    /// The context, as the enforcement point gives it.
    asserted: Option<Value>,
    /// What else people must see, as policies do: properties of subject and resource; of a task
    /// that is about to begin, what it would be.
    stated: Option<Value>,
}

impl Said {
    /// What is said of that call.
    pub(crate) fn of(
        request: &Request,
        properties: Properties,
        beginning: Option<&Beginning>,
    ) -> Self {
        let mut stated: Vec<(&str, Value)> = Vec::new();
        stated.extend(beginning.map(|beginning| (TASK, beginning.terms.clone())));
        if let (Subject::Asserted { entity, .. }, Properties::Count) =
            (&request.subject, properties)
        {
            let all = [(SUBJECT, Some(entity)), (RESOURCE, request.resource.as_ref())];
            let all = all.into_iter().filter_map(|(what, of)| Some((what, &of?.attributes)));
            let some = all.filter(|(_, attributes)| !attributes.is_empty());
            stated.extend(some.map(|(what, attributes)| (what, Value::Object(attributes.clone()))));
        }
        let stated = (!stated.is_empty()).then(|| Value::object(stated));
        Self { asserted: request.asserted.clone(), stated }
    }

    /// All of it, where nothing is digested with a key.
    pub(crate) fn listed(&self) -> Value {
        let or_null = |value: &Option<Value>| value.clone().unwrap_or(Value::Null);
        Value::from(vec![or_null(&self.asserted), or_null(&self.stated)])
    }

    /// The digest of arguments that have their canonical bytes already, and of all this.
    pub(super) fn digest(&self, keys: &dyn SessionKeys, canonical: &[u8]) -> KeyedDigest {
        match (&self.asserted, &self.stated) {
            (None, None) => keys.digest(canonical),
            (Some(asserted), None) => keys.digest(&listed(canonical, asserted)),
            (asserted, Some(stated)) => {
                // A list of three is none of two, whatever stands in them.
                let mut list = listed(canonical, asserted.as_ref().unwrap_or(&Value::Null));
                list.pop();
                list.push(b',');
                safeconduct_ledger::write_canonical(stated, &mut list);
                list.push(b']');
                keys.digest(&list)
            }
        }
    }

    /// Whatever of it lies within no bounds of an approval.
    pub(crate) const fn beside(&self) -> Option<&Value> {
        match &self.stated {
            Some(stated) => Some(stated),
            None => self.asserted.as_ref(),
        }
    }

    /// All of it as one value, for people: what an enforcement point says does not stand where
    /// something else would.
    pub(super) fn shown(self) -> Option<Value> {
        let own = |members: &BTreeMap<Arc<str>, Value>| {
            !members.keys().any(|name| [CONTEXT, RESOURCE, SUBJECT, TASK].contains(&&**name))
        };
        let stated = match self.stated {
            Some(Value::Object(stated)) => stated,
            Some(_) | None => BTreeMap::new(),
        };
        Some(match self.asserted {
            None if stated.is_empty() => return None,
            None => Value::Object(stated),
            Some(Value::Object(members)) if own(&members) => {
                Value::Object(members.into_iter().chain(stated).collect())
            }
            Some(other) if stated.is_empty() && other.as_object().is_none() => other,
            Some(other) => {
                let context = (Arc::from(CONTEXT), other);
                Value::Object(stated.into_iter().chain([context]).collect())
            }
        })
    }
}

/// Whether what an enforcement point states of subject and resource counts for policies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Properties {
    /// It does.
    Count,
    /// Policies do not see it.
    AreIgnored,
}

impl Properties {
    /// As the enforcement point is registered.
    pub(super) fn of(request: &Request, world: &World) -> Self {
        let by = world.identity(&request.subject.authentication().identity);
        match by.and_then(|by| by.pep.as_ref()).is_some_and(|pep| pep.properties) {
            true => Self::Count,
            false => Self::AreIgnored,
        }
    }
}

/// Where the properties of the subject stand.
const SUBJECT: &str = "subject";

/// Where those of the resource stand.
const RESOURCE: &str = "resource";

/// Where it stands what a task that is about to begin would be.
const TASK: &str = "task";

/// Where the context stands that has such names itself.
const CONTEXT: &str = "context";

/// Who owns each of what is touched, where the enforcement point may say and did.
pub(super) fn owners(resources: &[Entity]) -> BTreeMap<EntityRef, IdentityId> {
    let owned = resources.iter().filter_map(|resource| {
        let owner = resource.attributes.get("owner")?.as_str()?;
        Some((resource.uid.clone(), IdentityId::new(owner).ok()?))
    });
    owned.collect()
}

/// The bounds of an approval, as they are sealed.
pub(super) fn scope_value(scope: &Scope) -> Value {
    let mut members = vec![("scope", Value::from(scope.as_str()))];
    let uses = |uses: u32| ("uses", Value::Integer(i64::from(uses)));
    match scope {
        Scope::Once => {}
        Scope::Edited { rules, rest } => {
            // Rules alone have no form of their own.
            let allowance = ActionName::new(SCOPE).map(|action| Allowance {
                action,
                resources: Vec::new(),
                arguments: rules.clone(),
                others: OtherArguments::Refused,
            });
            members.extend(allowance.ok().map(|all| ("bounds", allowance_value(&all))));
            members.push(("rest", Value::from(rest.to_string().as_str())));
        }
        Scope::Task { bounds, uses: count } => {
            members.extend([("bounds", allowance_value(bounds)), uses(*count)]);
        }
        Scope::Until { bounds, uses: count, until } => {
            members.extend([("bounds", allowance_value(bounds)), uses(*count)]);
            members.push(("until", Value::Integer(until.as_millis())));
        }
    }
    Value::object(members)
}

/// The scope of a value that [`scope_value`] made.
fn scope_of(value: &Value) -> Option<Scope> {
    let number = |name: &str| match value.member(name)? {
        Value::Integer(n) => Some(*n),
        _ => None,
    };
    let bounds = || allowance_of(value.member("bounds")?).ok();
    let uses = || u32::try_from(number("uses")?).ok();
    match value.member("scope")?.as_str()? {
        "edited" => Some(Scope::Edited {
            rules: bounds()?.arguments,
            rest: KeyedDigest::parse(value.member("rest")?.as_str()?)?,
        }),
        "task" => Some(Scope::Task { bounds: bounds()?, uses: uses()? }),
        "until" => {
            let until = Timestamp::from_millis(number("until")?);
            Some(Scope::Until { bounds: bounds()?, uses: uses()?, until })
        }
        _ => None,
    }
}

impl Service {
    /// What was asked for, where it is still there and is what the request is bound to.
    pub(super) fn open_asked(
        &self,
        keys: &dyn SessionKeys,
        request: &RecordId,
        at: u64,
        bound: KeyedDigest,
    ) -> Option<Asked> {
        let asked = Asked::of(&self.open_at(keys, request, ARGUMENTS, at)?)?;
        (asked.digest(keys, &asked.input) == bound).then_some(asked)
    }

    /// The bounds of an approval, where they are still there.
    pub(super) fn open_scope(
        &self,
        keys: &dyn SessionKeys,
        record: &RecordId,
        at: u64,
    ) -> Option<Scope> {
        scope_of(&self.open_at(keys, record, SCOPE, at)?)
    }

    fn open_at(
        &self,
        keys: &dyn SessionKeys,
        record: &RecordId,
        what: &str,
        at: u64,
    ) -> Option<Value> {
        let sealed = self.ledger.attachment(at).ok()??;
        let plain = keys.open(record, what, &sealed).ok()?;
        safeconduct_wire::json::parse(&plain).ok()
    }
}
