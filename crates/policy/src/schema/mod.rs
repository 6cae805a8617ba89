//! The schema that policies are checked against: what ships, what the deployment declares, and
//! what the tools of its servers generate; and what a request needs of it, made once.

mod action;
mod cycles;
mod input;
mod merge;
mod names;
mod outputs;
mod tools;
mod types;

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use cedar_policy_core::ast::{EntityUID, Name};
use cedar_policy_core::validator::{RawName, ValidatorSchema, json_schema::Fragment};
use foldhash::quality::FixedState;
use safeconduct_model::ActionName;
use sha2::{Digest as _, Sha256};

pub(crate) use action::{Action, ContextField, ContextFields};
pub(crate) use types::{EntityKind, TypeId, Types, entity_type};

use crate::canonical;
use crate::diagnostic::{Diagnostic, Located, Severity};
use crate::source::{Naming, Sources};
use crate::temporal::LoweringSchema;

/// The schema that ships, in the namespace `Safeconduct`.
pub const SHIPPED_SCHEMA: &str =
    include_str!("../../../../policies/schema/safeconduct.cedarschema");

/// Everything that is known of types and actions.
#[derive(Debug)]
pub(crate) struct Schema {
    /// Over all that it was made of.
    pub(crate) digest: [u8; 32],
    pub(crate) validator: ValidatorSchema,
    pub(crate) types: Types,
    /// What can be asked about, by the id of the action.
    pub(crate) actions: hashbrown::HashMap<Arc<str>, Arc<Action>, FixedState>,
    /// What was said when it was made.
    pub(crate) warnings: Vec<Diagnostic>,
    /// What it was made of, for Dogwood.
    lowering: LoweringSchema,
}

impl Schema {
    /// The schema as Dogwood wants it.
    pub(crate) const fn lowering(&self) -> &LoweringSchema {
        &self.lowering
    }

    /// What policies call the actions that are asked about by another name too.
    pub(crate) fn other_names(&self) -> BTreeMap<ActionName, Arc<str>> {
        let others = self.actions.iter().filter_map(|(name, action)| {
            let id: &str = action.uid.eid().as_ref();
            let name = (**name != *id).then(|| ActionName::new(&**name).ok())??;
            Some((name, Arc::from(id)))
        });
        others.collect()
    }

    /// Builds the schema; every problem goes to `problems`, and with an error there is none.
    pub(crate) fn build(sources: &Sources, problems: &mut Vec<Diagnostic>) -> Option<Self> {
        let before = problems.len();
        let built = Builder::new(sources, problems)?.build(sources, problems)?;
        let failed = problems.iter().skip(before).any(|p| p.severity == Severity::Error);
        (!failed).then_some(built)
    }
}

/// SHA-256 over all that a schema is made of.
pub(crate) fn digest(sources: &Sources) -> [u8; 32] {
    let mut hash = Sha256::new();
    let mut part = |text: &[u8]| {
        hash.update((text.len() as u64).to_be_bytes());
        hash.update(text);
    };
    part(SHIPPED_SCHEMA.as_bytes());
    let Naming { namespace, action_id } = &sources.naming;
    part(namespace.as_bytes());
    part(action_id.as_bytes());
    let files: BTreeMap<_, _> = sources.schemas.iter().map(|f| (&f.name, &f.text)).collect();
    for (name, text) in files {
        part(b"schema");
        part(name.as_bytes());
        part(text.as_bytes());
    }
    let tools: BTreeMap<_, _> =
        sources.definitions.iter().map(|t| ((&t.server, &t.tool), &t.definition)).collect();
    for ((server, tool), definition) in tools {
        part(b"tool");
        part(server.as_str().as_bytes());
        part(tool.as_bytes());
        part(canonical::json(definition).as_bytes());
    }
    let mut servers: Vec<&str> = sources.servers.iter().map(|s| s.as_str()).collect();
    servers.sort_unstable();
    for server in servers {
        part(b"server");
        part(server.as_bytes());
    }
    let actions: BTreeMap<_, _> = sources.actions.iter().map(|(a, s)| (a, s)).collect();
    for (action, server) in actions {
        part(b"action");
        part(action.as_str().as_bytes());
        part(server.as_ref().map_or("", |s| s.as_str()).as_bytes());
    }
    hash.finalize().into()
}

/// A schema in the making.
struct Builder {
    namespace: Name,
    fragment: Fragment<RawName>,
    /// The shapes of tools' arguments, by the id of their action.
    inputs: BTreeMap<String, input::Input>,
}

impl Builder {
    fn new(sources: &Sources, problems: &mut Vec<Diagnostic>) -> Option<Self> {
        let Ok(namespace) = sources.naming.namespace.parse::<Name>() else {
            problems.push(
                Diagnostic::general(
                    Severity::Error,
                    format!("namespace `{}` is no Cedar name", sources.naming.namespace),
                )
                .with_help("write letters, digits and `_`, and `::` between parts"),
            );
            return None;
        };
        let text =
            SHIPPED_SCHEMA.replace("namespace Safeconduct {", &format!("namespace {namespace} {{"));
        let file = Arc::from("<shipped schema>");
        let fragment = merge::parse(&Located::new(&file, &text), problems)?;
        Some(Self { namespace, fragment, inputs: BTreeMap::new() })
    }

    fn build(mut self, sources: &Sources, problems: &mut Vec<Diagnostic>) -> Option<Schema> {
        merge::files(&mut self.fragment, &self.namespace, sources, problems);
        let declared = merge::Declared::of(&self.fragment, &self.namespace);
        merge::widen_contexts(&mut self.fragment, &self.namespace, problems);
        self.generate(sources, &declared, problems);
        let closure = cycles::check(&self.fragment, problems);
        if problems.iter().any(|p| p.severity == Severity::Error) {
            return None;
        }
        let validator = match ValidatorSchema::try_from(self.fragment.clone()) {
            Ok(validator) => validator,
            Err(error) => {
                problems.push(merge::resolution_problem(&error, sources));
                return None;
            }
        };
        cycles::agree(&validator, &closure, problems);
        let types = Types::of(&validator, &self.namespace);
        let mut actions = self.actions(&validator, &types, problems);
        answer_to_own_names(sources, &mut actions, problems);
        Some(Schema {
            digest: digest(sources),
            validator,
            types,
            actions,
            warnings: problems
                .iter()
                .filter(|p| p.severity == Severity::Warning)
                .cloned()
                .collect(),
            lowering: LoweringSchema::of(self.fragment, outputs::of(sources)),
        })
    }

    /// What can be asked about: every action that applies to something, by its id alone.
    fn actions(
        &self,
        validator: &ValidatorSchema,
        types: &Types,
        problems: &mut Vec<Diagnostic>,
    ) -> hashbrown::HashMap<Arc<str>, Arc<Action>, FixedState> {
        let mut ancestors: HashMap<EntityUID, Vec<EntityUID>> = HashMap::new();
        for action in validator.action_ids() {
            for descendant in action.descendants() {
                ancestors.entry(descendant.clone()).or_default().push(action.name().clone());
            }
        }
        let mut by_id: BTreeMap<Arc<str>, Vec<Arc<Action>>> = BTreeMap::new();
        for declared in validator.action_ids() {
            let id: &str = declared.name().eid().as_ref();
            if declared.principals().next().is_none() || id == tools::STAND_IN {
                continue;
            }
            let above = ancestors.remove(declared.name()).unwrap_or_default();
            let input = self.inputs.get(id).filter(|input| input.is_for(declared.name()));
            let action = Action::of(declared, above, input, validator, types);
            by_id.entry(Arc::from(id)).or_default().push(Arc::new(action));
        }
        let mut actions = hashbrown::HashMap::default();
        for (id, mut found) in by_id {
            if found.len() > 1 {
                found.sort_by_key(|action| action.uid.to_string());
                let names: Vec<String> =
                    found.iter().map(|action| format!("`{}`", action.uid)).collect();
                problems.push(
                    Diagnostic::general(
                        Severity::Error,
                        format!("action `{id}` is ambiguous: {}", names.join(" and ")),
                    )
                    .with_help("give one of them another id, or declare only one"),
                );
            }
            actions.extend(found.pop().map(|action| (id, action)));
        }
        actions
    }
}

/// A tool is asked about as `SERVER.TOOL`, whatever policies call it.
fn answer_to_own_names(
    sources: &Sources,
    actions: &mut hashbrown::HashMap<Arc<str>, Arc<Action>, FixedState>,
    problems: &mut Vec<Diagnostic>,
) {
    for tool in &sources.definitions {
        let id = sources.naming.tool_action(&tool.server, &tool.tool);
        let own = format!("{}.{}", tool.server, tool.tool);
        if own == id {
            continue;
        }
        if let Some(action) = actions.get(id.as_str()).cloned()
            && actions.insert(Arc::from(own.as_str()), action).is_some()
        {
            problems.push(
                Diagnostic::general(Severity::Error, format!("action `{own}` is there twice"))
                    .with_help("a tool has that name already: give the declared action another"),
            );
        }
    }
}
