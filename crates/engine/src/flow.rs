//! Where the arguments came from: what the session knows of each, in the words of policies and of
//! the record.

use std::borrow::Cow;
use std::sync::{Arc, LazyLock};

use safeconduct_model::{
    ActionEntry, ArgumentRole, Effect, Entity, Integrity, Label, RECORDED_FLOWS_MAX,
    RECORDED_POINTER_BYTES_MAX, RECORDED_SOURCES_MAX, RecordedFlow, Request, Value, ValueOrigin,
};
use safeconduct_policy::{Carried, FlowSituation, Policies, TracedArgument};
use safeconduct_session::flow::{Flow, LeafOrigin, Origins, Provenance};

use crate::answers::{self, ANSWERS, STATE, is_beside};
use crate::envelope::Bounds;
use crate::pins::Pins;
use crate::{Facts, TaskFacts};

/// What is known of the arguments.
#[derive(Debug, Default)]
pub(crate) struct Traced {
    /// As policies see it.
    pub(crate) situation: FlowSituation,
    /// As it is recorded.
    pub(crate) recorded: Vec<RecordedFlow>,
}

/// Looks every argument up in what the session has read. Where it has read nothing and no policy
/// looks, there is nothing to say; where none looks, nothing to say but to the record.
pub(crate) fn trace(
    policies: &Policies,
    request: &Request,
    entry: &ActionEntry,
    resources: &[Entity],
    task: Option<&TaskFacts<'_>>,
    facts: &Facts<'_>,
) -> Traced {
    if facts.session.flow().is_none() && !policies.looks_at_flow() {
        return Traced::default();
    }
    let known = look_up(request, entry, task, facts);
    if !policies.looks_at_flow() {
        let recorded = recorded(known.origins);
        return Traced { situation: FlowSituation::default(), recorded };
    }
    let bounds = task.map(|known| Bounds::of(&known.mandate.authority, request, entry, resources));
    let bounded = |leaf: &LeafOrigin| {
        bounds.as_ref().is_some_and(|bounds| bounds.hold(&leaf.pointer, leaf.role))
    };
    let situation = situation(&known, bounded);
    Traced { situation, recorded: recorded(known.origins) }
}

/// What is known of all that goes out.
#[derive(Debug)]
struct KnownOrigins {
    origins: Origins,
    /// How many of the leaves are the arguments'; the rest goes out beside them.
    arguments: usize,
}

impl KnownOrigins {
    /// Whether policies could take what stands at that place for something else: both an argument
    /// and what goes out beside it may stand there. Neither vouches for the other.
    fn is_ambiguous(&self, leaf: &LeafOrigin) -> bool {
        self.arguments < self.origins.leaves.len() && is_beside(&leaf.pointer)
    }
}

/// What a session knows that has read nothing.
static NOTHING: LazyLock<Flow> = LazyLock::new(Flow::default);

/// What the session knows of each argument.
pub(crate) fn origins(
    request: &Request,
    entry: &ActionEntry,
    task: Option<&TaskFacts<'_>>,
    facts: &Facts<'_>,
) -> Origins {
    look_up(request, entry, task, facts).origins
}

fn look_up(
    request: &Request,
    entry: &ActionEntry,
    task: Option<&TaskFacts<'_>>,
    facts: &Facts<'_>,
) -> KnownOrigins {
    let flow = flow_of(facts);
    let pins = task.map(|known| Pins::of(known, request, entry)).filter(|pins| !pins.is_empty());
    let origins = match pins {
        None => flow.look_up(&request.input, &entry.arguments),
        Some(pins) => flow.look_up_where(&request.input, &entry.arguments, &|at| pins.name(at)),
    };
    let arguments = origins.leaves.len();
    let mut known = KnownOrigins { origins, arguments };
    add_beside(&flow, request.asserted.as_ref(), entry.effect, &mut known.origins);
    known
}

/// What the session has read, with what may have been handed on of results that nobody has
/// reported yet: until they are, it is as good as forgotten.
fn flow_of<'a>(facts: &Facts<'a>) -> Cow<'a, Flow> {
    let flow = facts.session.flow().unwrap_or(&NOTHING);
    let Some(handed_on) = facts.session.handed_on() else { return Cow::Borrowed(flow) };
    let mut flow = flow.clone();
    flow.forget(&handed_on);
    Cow::Owned(flow)
}

/// What is given back beside the arguments goes out with them, and an answer may decide as much.
fn add_beside(flow: &Flow, asserted: Option<&Value>, effect: Effect, origins: &mut Origins) {
    let Some(asserted) = asserted else { return };
    let answers = asserted.member(ANSWERS);
    let answers = answers.map(|given| (ANSWERS, answers::look_up(flow, given, effect)));
    let state = own_words(asserted).map(|given| (STATE, flow.look_up(given, &[])));
    for (name, found) in answers.into_iter().chain(state) {
        origins.carries.raise(&found.carries);
        origins.leaves.extend(answers::placed(found, name).leaves);
    }
}

/// What goes to the server beside the arguments (MCP 2026-07-28), its own state aside: that comes
/// back as it was given. `asserted` is what the enforcement point says beside them.
pub fn given_back(asserted: &Value) -> impl Iterator<Item = &Value> {
    asserted.member(ANSWERS).into_iter().chain(own_words(asserted))
}

/// A server's state that it has not asked about: somebody else's words, perhaps.
fn own_words(asserted: &Value) -> Option<&Value> {
    asserted.member(STATE).filter(|_| !asks_own_state(asserted))
}

/// Whether a request gives a server's own state back to it, as it was given: it goes on with one
/// that the server had asked about.
pub fn gives_own_state_back(asserted: &Value) -> bool {
    asserted.member(STATE).is_some() && asks_own_state(asserted)
}

fn asks_own_state(asserted: &Value) -> bool {
    let asked = asserted.member("asked").and_then(Value::as_array).unwrap_or_default();
    asked.iter().any(|at| at.as_str().and_then(|at| at.strip_prefix('/')) == Some(STATE))
}

fn situation(known: &KnownOrigins, bounded: impl Fn(&LeafOrigin) -> bool) -> FlowSituation {
    let origins = &known.origins;
    let decides = |leaf: &LeafOrigin| leaf.role != ArgumentRole::Content;
    let traced = |leaf: &LeafOrigin| TracedArgument {
        pointer: Arc::clone(&leaf.pointer),
        role: leaf.role,
        from_task: leaf.is(Provenance::FromTask) && !known.is_ambiguous(leaf),
        from_trusted: leaf.is(Provenance::FromTrusted) && !known.is_ambiguous(leaf),
        from_untrusted: leaf.is(Provenance::FromUntrusted),
        // What an intent says of arguments it says of nothing beside them.
        bounded: decides(leaf) && !known.is_ambiguous(leaf) && bounded(leaf),
    };
    let mut leaves: Vec<TracedArgument> = Vec::with_capacity(origins.leaves.len());
    for leaf in &origins.leaves {
        let here = |known: &&mut TracedArgument| {
            *known.pointer == *leaf.pointer && known.role == leaf.role
        };
        match leaves.last_mut().filter(here) {
            // A member's name and its value stand at one place, one after the other: where the one
            // comes from says nothing for the other.
            Some(known) => {
                known.from_task &= leaf.is(Provenance::FromTask);
                known.from_trusted &= leaf.is(Provenance::FromTrusted);
                known.from_untrusted |= leaf.is(Provenance::FromUntrusted);
            }
            None => leaves.push(traced(leaf)),
        }
    }
    let untrusted = origins.leaves.iter().any(|leaf| leaf.is(Provenance::FromUntrusted));
    let carries = Carried {
        label: Label {
            integrity: if untrusted { Integrity::Untrusted } else { Integrity::Trusted },
            confidentiality: origins.carries.confidentiality,
            categories: origins.carries.categories.clone(),
        },
        coverage: origins.carries.coverage,
    };
    FlowSituation::new(leaves, carries)
}

/// Arguments of which something is known, those first that decide something.
fn recorded(origins: Origins) -> Vec<RecordedFlow> {
    let mut leaves = origins.leaves;
    leaves.retain(|leaf| {
        leaf.pointer.len() <= RECORDED_POINTER_BYTES_MAX && !leaf.is(Provenance::Unseen)
    });
    // Roles stand in that order.
    leaves.sort_by_key(|leaf| leaf.role);
    leaves.into_iter().take(RECORDED_FLOWS_MAX).map(one).collect()
}

fn one(leaf: LeafOrigin) -> RecordedFlow {
    let places = [
        (Provenance::FromTask, ValueOrigin::Task),
        (Provenance::FromTrusted, ValueOrigin::Trusted),
        (Provenance::FromUntrusted, ValueOrigin::Untrusted),
    ];
    let seen = places.into_iter().filter(|(provenance, _)| leaf.is(*provenance));
    let origins = seen.map(|(_, origin)| origin).collect();
    let mut sources = leaf.evidence;
    sources.truncate(RECORDED_SOURCES_MAX);
    RecordedFlow { pointer: leaf.pointer, role: leaf.role, origins, label: leaf.label, sources }
}

#[cfg(test)]
mod tests {
    use super::*;
    use safeconduct_model::{ArgumentUse, Confidentiality, RecordId, Returns};
    use safeconduct_session::flow::{Part, Source, digest_result, glean_task};

    const EVIL: &str = "mallory@evil.example";
    const NAMED: &str = "ada@good.example";
    const SECRET: &str = "the merger is called Heron";

    fn read() -> Flow {
        let mut flow = Flow::keyed([7; 16]);
        let record = RecordId::new("rec_1").unwrap();
        let mut fold = |text: &str, label: Label| {
            let source = Source { sequence: 1, record: record.clone() };
            let returns = Returns::uniform(label);
            let gleaned = digest_result(&flow.key(), &[Part::Text(text)], &returns, source);
            flow.fold(&gleaned);
        };
        fold(EVIL, Label { integrity: Integrity::Untrusted, ..Label::LEAST });
        fold(SECRET, Label { confidentiality: Confidentiality::Secret, ..Label::LEAST });
        let parameters = [("to".into(), Value::from(NAMED))].into();
        let named = glean_task(&flow.key(), &parameters, None, Integrity::Trusted);
        flow.name(&named);
        flow
    }

    #[test]
    fn a_name_is_not_vouched_for_by_the_value_at_its_place() {
        let uses = [ArgumentUse { argument: "/to".into(), role: ArgumentRole::Address }];
        for (name, text) in [(EVIL, NAMED), (NAMED, EVIL), ("x@elsewhere.example", NAMED)] {
            let to = Value::object([(name, Value::from(text))]);
            let arguments = Value::object([("to", to)]);
            let origins = read().look_up(&arguments, &uses);
            let known = KnownOrigins { arguments: origins.leaves.len(), origins };
            let situation = situation(&known, |_| false);
            let [leaf] = situation.leaves.as_slice() else { panic!("{situation:?}") };
            assert!(!leaf.from_task && leaf.from_untrusted == (name == EVIL || text == EVIL));
        }
    }

    #[test]
    fn what_is_given_back_beside_the_arguments_is_carried_out() {
        let asked = |name: &str, text: &str, asked: &[&str]| {
            let asked = asked.iter().map(|at| Value::from(*at)).collect::<Vec<_>>();
            let asserted = Value::object([(name, Value::from(text)), ("asked", asked.into())]);
            let flow = read();
            let mut origins = flow.look_up(&Value::Object(Default::default()), &[]);
            add_beside(&flow, Some(&asserted), Effect::Write, &mut origins);
            origins.carries.confidentiality
        };
        let all = ["/inputResponses", "/requestState"];
        assert_eq!(asked("inputResponses", SECRET, &all), Confidentiality::Secret);
        assert_eq!(asked("requestState", SECRET, &[]), Confidentiality::Secret);
        assert_eq!(asked("requestState", SECRET, &all), Confidentiality::Public);
        assert_eq!(
            asked("inputResponses", "hello there, all of you", &[]),
            Confidentiality::Public
        );
        assert_eq!(asked("other", SECRET, &[]), Confidentiality::Public);
    }

    /// An argument may have the name under which answers go out: what the task names there does
    /// not vouch for them.
    #[test]
    fn an_argument_vouches_for_no_answer_at_the_same_place() {
        let uses =
            [ArgumentUse { argument: "/inputResponses".into(), role: ArgumentRole::Address }];
        let flow = read();
        let origins = flow.look_up(&Value::object([(ANSWERS, Value::from(NAMED))]), &uses);
        let mut known = KnownOrigins { arguments: origins.leaves.len(), origins };
        assert!(situation(&known, |_| true).leaves.iter().any(|leaf| leaf.from_task));
        let answers = Value::object([(ANSWERS, Value::object([("a", Value::from(EVIL))]))]);
        add_beside(&flow, Some(&answers), Effect::Write, &mut known.origins);
        let leaves = situation(&known, |_| true).leaves;
        assert!(leaves.iter().all(|leaf| !leaf.from_task && !leaf.bounded), "{leaves:?}");
        assert!(leaves.iter().any(|leaf| leaf.from_untrusted));
    }
}
