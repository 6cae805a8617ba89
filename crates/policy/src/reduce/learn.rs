//! A first policy that permits what was observed, and no more than its form can tell apart.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use safeconduct_model::{ActionName, Decision, EntityRef, IntentName, Mode};

use super::narrow;
use super::used::{StatementUse, Touched};
use crate::policies::Policies;
use crate::replay::{RecordedDecision, Surroundings};

/// What was done, and by whom: permitted, or denied where the enforcement point only observed.
#[derive(Debug, Clone, Default)]
pub struct Learned {
    done: BTreeMap<(EntityRef, Option<IntentName>, ActionName), Touched>,
    /// How many decisions were taken in.
    pub decisions: u64,
}

impl Learned {
    /// Takes a decision in. One that was carried out as a denial teaches nothing.
    pub fn take(&mut self, recorded: &RecordedDecision<'_>, around: &dyn Surroundings) {
        let decided = recorded.decided;
        if decided.decision == Decision::Deny && decided.mode != Mode::Observe {
            return;
        }
        let intent = decided.task.as_ref().map(|task| task.intent.clone());
        let key = (decided.principal.clone(), intent, decided.action.clone());
        let touched = self.done.entry(key).or_default();
        for uid in &decided.resources {
            touched.take(uid, around.resource(&decided.action, uid).as_ref());
        }
        self.decisions += 1;
    }
}

/// Writes a statement for each that acted, each intent and each reach of resources, under ids
/// that begin with `learned-`. Empty where nothing was done that the schema knows.
pub fn learn(policies: &Policies, learned: &Learned, around: &dyn Surroundings) -> String {
    let mut statements: BTreeMap<(String, Option<String>, String), BTreeSet<String>> =
        BTreeMap::new();
    for ((principal, intent, action), touched) in &learned.done {
        let known = policies.schema.actions.get(action.as_str());
        let named = known.zip(narrow::uid(policies, principal));
        let Some((declared, principal)) = named else { continue };
        let used = StatementUse {
            actions: BTreeSet::from([action.clone()]),
            resources: touched.clone(),
            ..StatementUse::default()
        };
        let resource = narrow::resource_of(policies, &used, around).unwrap_or_default();
        let intent = intent.as_ref().map(ToString::to_string);
        let key = (principal, intent, resource);
        statements.entry(key).or_default().insert(declared.uid.to_string());
    }
    let mut text = String::new();
    for (number, ((principal, intent, resource), actions)) in (1..).zip(&statements) {
        let separator = if number == 1 { "" } else { "\n" };
        let actions: Vec<&str> = actions.iter().map(String::as_str).collect();
        let actions = match actions.as_slice() {
            [one] => format!("== {one}"),
            several => format!("in [\n    {}\n  ]", several.join(",\n    ")),
        };
        let resource = if resource.is_empty() { String::new() } else { format!(" {resource}") };
        // Writing into a text cannot fail.
        let _ = write!(
            text,
            "{separator}@id(\"learned-{number}\")\npermit (\n  principal == {principal},\n  action \
             {actions},\n  resource{resource}\n)",
        );
        if let Some(intent) = intent {
            let _ =
                write!(text, "\nwhen {{ context has task && context.task.intent == {intent:?} }}");
        }
        text.push_str(";\n");
    }
    text
}
