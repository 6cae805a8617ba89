//! A proof that a draft permits nothing that the policies of before do not: asked for, and told.

use std::fmt::Write as _;
use std::time::Duration;

use safeconduct_model::{ActionName, EntityRef};
use safeconduct_policy::{
    ActionProof, Counterexample, CounterexampleEntity, KindsProved, Policies, Proof, ProofOutcome,
    ProofVerdict, Surroundings as _, Unproven, prove,
};
use safeconduct_service::Surrounded;
use serde_json::{Value as Json, json};

use crate::args::Proving;
use crate::command::policy::ground::Ground;
use crate::exit::{CommandError, Exit};
use crate::output;
use crate::wiring::runtime;
use crate::wiring::solver::{Cvc5, SolverTime};

/// Actions of one sort that a table names.
const NAMED_MAX: usize = 10;

/// What no proof is about, whatever its verdict.
const NOT_ABOUT: &str = "Rego, envelopes of intents, approvals, budgets, tiers, and requests that lack what the schema \
     requires";

/// A proof, and by whom.
pub(super) struct Proved {
    proof: Proof,
    /// `cvc5 1.0.3`; none where it is not there.
    solver: Option<String>,
}

/// Proves it, where that was asked for.
///
/// # Errors
/// The runtime cannot be started. That nothing can be proved is no error, and is said.
pub(super) fn proved(
    args: &Proving,
    (old, new): (&Policies, &Policies),
    belongs: &dyn Fn(&ActionName, &EntityRef, &EntityRef) -> bool,
) -> Result<Option<Proved>, CommandError> {
    if !args.prove {
        return Ok(None);
    }
    let time = SolverTime {
        question: Duration::from_secs(args.prove_question_s),
        total: Duration::from_secs(args.prove_total_s),
    };
    let proved = runtime()?.block_on(async {
        let solver = Cvc5::find(time).await;
        let version = solver.version().map(str::to_owned);
        if version.is_none() {
            output::say(
                "the solver cvc5 is not there: install the Debian package `cvc5`, or set CVC5 to \
                 its path",
            );
        }
        Proved { proof: prove(old, new, belongs, solver).await, solver: version }
    });
    Ok(Some(proved))
}

/// What an entity belongs to by its name alone, in requests of an action: a file to the folders
/// above it, as the catalogue maps it.
pub(super) fn belongs(ground: &Ground) -> impl Fn(&ActionName, &EntityRef, &EntityRef) -> bool {
    let around = Surrounded::new(
        ground.catalogue.clone(),
        ground.catalogue_digest,
        ground.vocabulary.clone(),
    );
    move |action, of, to| {
        let placed = around.resource(action, of);
        placed.is_some_and(|entity| entity.ancestors.contains(to))
    }
}

impl Proved {
    /// How the command ends: well only where all is proved.
    pub(super) fn exit(&self) -> Exit {
        match self.proof.verdict() {
            ProofVerdict::NeverWider => Exit::Ok,
            ProofVerdict::NotProved | ProofVerdict::Wider => Exit::Failure,
        }
    }

    /// For people.
    pub(super) fn table(&self) -> String {
        let proof = &self.proof;
        let by = self.solver.as_ref().map(|by| format!(", by {by}")).unwrap_or_default();
        let KindsProved { same_statements, proved, wider, not_proved } = proof.kinds();
        let mut text = format!(
            "proof            {}{by}\n  same statements {same_statements}\n  proved         \
             {proved}\n  wider          {wider}\n  not proved     {not_proved}\n",
            proof.verdict(),
        );
        for why in proof.why() {
            let _ = writeln!(text, "not proved: {why}");
        }
        wider_table(&mut text, proof);
        not_proved_table(&mut text, proof);
        for beside in &proof.beside {
            let _ = writeln!(text, "beside the proof: {beside}");
        }
        let _ = writeln!(text, "no proof is about {NOT_ABOUT}");
        text
    }

    /// For programs.
    pub(super) fn document(&self) -> Json {
        let proof = &self.proof;
        json!({
            "verdict": proof.verdict().as_str(),
            "in_words": proof.verdict().to_string(),
            "solver": self.solver,
            "why": proof.why().map(why_document).collect::<Vec<_>>(),
            "kinds_of_request": kinds_document(proof.kinds()),
            "actions": proof.actions.iter().map(action_document).collect::<Vec<_>>(),
            "beside": proof.beside.iter().map(ToString::to_string).collect::<Vec<_>>(),
            "not_about": NOT_ABOUT,
        })
    }
}

fn of_outcome(proof: &Proof, outcome: ProofOutcome) -> Vec<&ActionProof> {
    proof.actions.iter().filter(|action| action.outcome() == outcome).collect()
}

/// The counterexamples; one that is the same for several actions is told once.
fn wider_table(text: &mut String, proof: &Proof) {
    let mut told: Vec<(&Counterexample, Vec<&ActionName>)> = Vec::new();
    for action in of_outcome(proof, ProofOutcome::Wider) {
        let Some(found) = &action.counterexample else { continue };
        let same = |other: &Counterexample| {
            Counterexample { action: found.action.clone(), ..other.clone() } == *found
        };
        match told.iter_mut().find(|(other, _)| same(other)) {
            Some((_, actions)) => actions.push(&action.action),
            None => told.push((found, vec![&action.action])),
        }
    }
    for (found, actions) in told.iter().take(NAMED_MAX) {
        let _ = writeln!(text, "wider: {}", listed(actions));
        counterexample_table(text, found);
    }
    more(text, "wider", told.len());
}

fn counterexample_table(text: &mut String, found: &Counterexample) {
    let names = |ids: &[safeconduct_model::PolicyId]| {
        ids.iter().map(|id| format!("`{id}`")).collect::<Vec<_>>().join(", ")
    };
    let denied = match (found.forbidden_by.is_empty(), found.failed.is_empty()) {
        (false, _) => format!("forbidden by {}", names(&found.forbidden_by)),
        (true, false) => format!("{} fails", names(&found.failed)),
        (true, true) => "nothing permits it".to_owned(),
    };
    let _ = writeln!(text, "  new: permitted by {}", names(&found.permitted_by));
    let _ = writeln!(text, "  old: {denied}");
    let _ = writeln!(text, "  principal {}", found.principal);
    let _ = writeln!(text, "  resource {}", found.resource);
    for (path, value) in &found.context {
        let value = value.as_deref().unwrap_or("(not there)");
        let _ = writeln!(text, "  {path} = {value}");
    }
    for CounterexampleEntity { uid, ancestors, attributes } in &found.entities {
        let above = match ancestors.is_empty() {
            true => String::new(),
            false => format!(" in [{}]", ancestors.join(", ")),
        };
        let attributes: Vec<String> =
            attributes.iter().map(|(name, value)| format!("{name} = {value}")).collect();
        let attributes = match attributes.is_empty() {
            true => String::new(),
            false => format!(": {}", attributes.join(", ")),
        };
        let _ = writeln!(text, "  entity {uid}{above}{attributes}");
    }
}

/// Why actions are not proved; what holds for several is told once.
fn not_proved_table(text: &mut String, proof: &Proof) {
    let mut told: Vec<(&Unproven, Vec<&ActionName>)> = Vec::new();
    for action in &proof.actions {
        for why in action.why.keys() {
            match told.iter_mut().find(|(other, _)| *other == why) {
                Some((_, actions)) => actions.push(&action.action),
                None => told.push((why, vec![&action.action])),
            }
        }
    }
    for (why, actions) in told.iter().take(NAMED_MAX) {
        let _ = writeln!(text, "not proved: {}: {why}", listed(actions));
    }
    more(text, "not proved", told.len());
}

fn listed(actions: &[&ActionName]) -> String {
    let named: Vec<&str> = actions.iter().take(NAMED_MAX).map(|action| action.as_str()).collect();
    match actions.len().saturating_sub(NAMED_MAX) {
        0 => named.join(", "),
        more => format!("{}, and {more} more", named.join(", ")),
    }
}

fn more(text: &mut String, word: &str, count: usize) {
    let more = count.saturating_sub(NAMED_MAX);
    if more > 0 {
        let _ = writeln!(text, "{word}: and {more} more");
    }
}

fn kinds_document(kinds: KindsProved) -> Json {
    json!({
        "same_statements": kinds.same_statements,
        "proved": kinds.proved,
        "wider": kinds.wider,
        "not_proved": kinds.not_proved,
    })
}

fn why_document(why: &Unproven) -> Json {
    json!({
        "why": why.as_str(),
        "in_words": why.to_string(),
        "policy": why.policy().map(|policy| policy.as_str()),
    })
}

fn action_document(action: &ActionProof) -> Json {
    let counterexample = action.counterexample.as_ref().map(counterexample_document);
    json!({
        "action": action.action.as_str(),
        "outcome": action.outcome().as_str(),
        "kinds_of_request": kinds_document(action.kinds),
        "why": action.why.keys().map(why_document).collect::<Vec<_>>(),
        "counterexample": counterexample,
    })
}

fn counterexample_document(found: &Counterexample) -> Json {
    let ids = |ids: &[safeconduct_model::PolicyId]| {
        ids.iter().map(|id| id.as_str().to_owned()).collect::<Vec<_>>()
    };
    let context = found.context.iter().map(|(path, value)| json!({"path": path, "value": value}));
    let entities = found.entities.iter().map(|entity| {
        let attributes = entity.attributes.iter();
        json!({
            "entity": entity.uid,
            "in": entity.ancestors,
            "attributes": attributes.map(|(name, value)| json!({"name": name, "value": value})).collect::<Vec<_>>(),
        })
    });
    json!({
        "principal": found.principal,
        "action": found.action.as_str(),
        "resource": found.resource,
        "context": context.collect::<Vec<_>>(),
        "entities": entities.collect::<Vec<_>>(),
        "permitted_by": ids(&found.permitted_by),
        "forbidden_by": ids(&found.forbidden_by),
        "failed": ids(&found.failed),
    })
}
