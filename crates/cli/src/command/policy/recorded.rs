//! `safeconduct policy explain DECISION`: why a decision was as it was, from its record and those of its
//! session. Values are not in them, so a temporal clause that compares some has no answer here.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Arc;

use safeconduct_model::{
    Body, Decided, Decision, Entity, EntityRef, Execution, Mode, Record, RecordedFlow,
    RecordedReason, Timestamp, Value,
};
use safeconduct_policy::{
    AdditionalArguments, ExplainedClause, ExplainedClauses, FlowSituation, History, Past as Before,
    Policies, Question, RiskSituation, Situation,
};
use safeconduct_session::monitor::{ERROR, Event, Monitors, REQUEST, RESPONSE};
use safeconduct_wire::json::from_serde;
use serde_json::{Value as Json, json};

use super::ground::Ground;
use super::since::{Clauses, Key, Past, Since};
use crate::args::{Shared, Source};
use crate::command::session;
use crate::exit::{CommandError, Exit};
use crate::output::{self, Format};
use crate::story::{self, Placed};
use crate::wiring::project::Project;

/// Most moments of a session that are looked back at: the latest before the decision.
const MOMENTS_MAX: usize = 512;

/// Explains a decision that was recorded.
///
/// # Errors
/// The records cannot be read, there is no such decision, or the project does not load.
pub(super) fn run(shared: &Shared, source: &Source, id: &str) -> Result<Exit, CommandError> {
    let (records, cut) = session::records_around(shared, source, id)?;
    let records: Vec<Record> = records.iter().filter_map(read).collect();
    let ground = Ground::of(&Project::load(&shared.config)?)?;
    let explained = Recorded::of(&ground, &records, id, cut).ok_or_else(|| {
        CommandError::Failed(format!("`{id}` is no decision whose record can be read"))
    })?;
    output::print(&match shared.output {
        Format::Json | Format::Yaml => output::document(shared.output, &explained.document())?,
        _ => explained.table(),
    })?;
    Ok(Exit::Ok)
}

fn read(placed: &Placed) -> Option<Record> {
    let leaf = safeconduct_ledger::canonical(&from_serde(&placed.record));
    safeconduct_ledger::decode(&leaf).ok()
}

/// A decision, with what its record and those before it tell.
struct Recorded<'r> {
    record: &'r Record,
    decided: &'r Decided,
    /// The decisions that its flows come from, by id, as far as they are in the session.
    sources: BTreeMap<&'r str, &'r Decided>,
    clauses: Result<Told, &'static str>,
}

/// What the temporal clauses said, resource by resource, and since when.
struct Told {
    resources: Vec<(EntityRef, Vec<ExplainedClauses>)>,
    since: Clauses,
}

impl<'r> Recorded<'r> {
    fn of(ground: &Ground, records: &'r [Record], id: &str, cut: bool) -> Option<Self> {
        let place = records.iter().position(|record| record.id.as_str() == id)?;
        let (before, record) = (records.get(..place)?, records.get(place)?);
        let Body::Decided(decided) = &record.body else { return None };
        let decisions = records.iter().filter_map(|record| match &record.body {
            Body::Decided(decided) => Some((record.id.as_str(), &**decided)),
            _ => None,
        });
        let clauses = match () {
            () if decided.policies != ground.policies.digest() => Err(OTHER_SET),
            () if cut => Err(TOO_LONG),
            () => Ok(Replay::of(ground, before, (record, decided)).told()),
        };
        Some(Self { record, decided, sources: decisions.collect(), clauses })
    }

    fn table(&self) -> String {
        let Decided { principal, action, resources, .. } = self.decided;
        let word = match self.decided.decision {
            Decision::Permit => "permit",
            Decision::Deny => "deny",
        };
        let mut lines = vec![
            format!("decision     {word}"),
            format!("id           {}", self.record.id),
            format!("at           {}", self.record.at),
            format!("principal    {principal}"),
            format!("action       {action}"),
        ];
        lines.extend(resources.iter().map(|resource| format!("resource     {resource}")));
        let Decided { reasons, shadow, flow, .. } = self.decided;
        lines.extend(reasons.iter().map(|one| format!("reason       {}", reason(one))));
        lines.extend(shadow.iter().map(|one| format!("shadow       {}", reason(one))));
        lines.extend(flow.iter().map(|one| format!("flow         {}", self.flow(one))));
        match &self.clauses {
            Ok(told) => lines.extend(told.lines()),
            Err(why) => {
                lines.extend([String::new(), format!("temporal clauses are not looked at: {why}")]);
            }
        }
        // Names of resources and of members are whatever the agent chose.
        lines.iter().map(|line| story::plain(line) + "\n").collect()
    }

    fn flow(&self, flow: &RecordedFlow) -> String {
        let origins: Vec<&str> = flow.origins.iter().map(|origin| origin.as_str()).collect();
        let pointer = if flow.pointer.is_empty() { "the rest" } else { &flow.pointer };
        let mut line = format!("{pointer} ({}): {}", flow.role.as_str(), origins.join(" and "));
        for source in &flow.sources {
            let of = self.sources.get(source.as_str());
            let of = of.map_or_else(String::new, |of| format!(" ({})", of.action));
            let _ = write!(line, ", in {source}{of}");
        }
        line
    }

    fn document(&self) -> Json {
        let reasons = |all: &[RecordedReason]| -> Vec<Json> {
            all.iter()
                .map(|one| {
                    json!({
                        "code": &*one.code,
                        "message": &*one.message,
                        "detail": one.detail.as_deref(),
                        "policy": one.policy.as_ref().map(|policy| json!({
                            "id": policy.id.as_str(),
                            "effect": policy.effect.as_str(),
                            "at": policy.span.to_string(),
                        })),
                    })
                })
                .collect()
        };
        let flows = self.decided.flow.iter().map(|flow| {
            json!({
                "pointer": &*flow.pointer,
                "role": flow.role.as_str(),
                "origins": flow.origins.iter().map(|one| one.as_str()).collect::<Vec<_>>(),
                "sources": flow.sources.iter().map(|one| json!({
                    "id": one.as_str(),
                    "action": self.sources.get(one.as_str()).map(|of| of.action.as_str()),
                })).collect::<Vec<_>>(),
            })
        });
        let (clauses, unknown) = match &self.clauses {
            Ok(told) => (Some(told.document()), None),
            Err(why) => (None, Some(*why)),
        };
        json!({
            "id": self.record.id.as_str(),
            "at": self.record.at.to_string(),
            "decision": self.decided.decision.as_str(),
            "principal": self.decided.principal.to_string(),
            "action": self.decided.action.as_str(),
            "resources": self.decided.resources.iter().map(ToString::to_string).collect::<Vec<_>>(),
            "reasons": reasons(&self.decided.reasons),
            "shadow": reasons(&self.decided.shadow),
            "flow": flows.collect::<Vec<_>>(),
            "temporal": clauses,
            "temporal_unknown": unknown,
        })
    }
}

/// Why nothing is said of temporal clauses.
const OTHER_SET: &str =
    "it was decided by another policy set (or schema, or catalogue of tools) than the one at hand";
const TOO_LONG: &str = "its session is too long for the records to be read from the beginning";

/// What a clause says that cannot say anything.
const NO_ANSWER: &str =
    "no answer: what nobody knows, or what found no room, may be what it asks for";

/// A reason in one line: what it is, where the policy stands, what was said.
fn reason(reason: &RecordedReason) -> String {
    let mut line = match &reason.policy {
        Some(policy) => format!("{} `{}` at {}", policy.effect.as_str(), policy.id, policy.span),
        None => reason.code.to_string(),
    };
    if !reason.message.is_empty() {
        let _ = write!(line, ": {}", reason.message);
    }
    if let Some(detail) = &reason.detail {
        let _ = write!(line, " ({detail})");
    }
    line
}

impl Told {
    fn lines(&self) -> Vec<String> {
        let mut lines = Vec::new();
        let of_some =
            self.resources.iter().zip(0..).filter(|((_, policies), _)| !policies.is_empty());
        for ((resource, policies), at) in of_some {
            lines.extend([String::new(), resource.to_string()]);
            for one in policies {
                let policy = &one.policy.reference;
                let effect = policy.effect.as_str();
                lines.push(format!("  {effect} `{}` at {}", policy.id, policy.span));
                lines.extend(
                    one.clauses.iter().map(|clause| format!("    {}", self.line(at, clause))),
                );
            }
        }
        lines
    }

    fn line(&self, resource: usize, clause: &ExplainedClause) -> String {
        let text = clause.text.as_ref().map_or_else(
            || format!("temporal clause {}", clause.name),
            |text| text.split_whitespace().collect::<Vec<_>>().join(" "),
        );
        let says = match (answer(clause), clause.history) {
            (Some(holds), _) => {
                let since = self.since.find(resource, clause).map(Since::words);
                format!("{holds}{}", since.unwrap_or_default())
            }
            (None, History::Identity) => {
                "not known: it is about all sessions of the identity".into()
            }
            (None, _) if clause.looks_at_values => {
                "not known: it looks at values, which records do not hold".into()
            }
            (None, _) => NO_ANSWER.into(),
        };
        format!("{text}: {says}")
    }

    fn document(&self) -> Vec<Json> {
        let resources = self.resources.iter().zip(0..);
        resources
            .map(|((resource, policies), at)| {
                let policies = policies.iter().map(|one| {
                    let clauses = one.clauses.iter().map(|clause| {
                        json!({
                            "name": &*clause.name,
                            "text": clause.text.as_deref(),
                            "history": clause.history.as_str(),
                            "holds": answer(clause),
                            "looks_at_values": clause.looks_at_values,
                            "since": self.since.find(at, clause).map(Since::document),
                        })
                    });
                    json!({
                        "id": one.policy.reference.id.as_str(),
                        "at": one.policy.reference.span.to_string(),
                        "clauses": clauses.collect::<Vec<_>>(),
                    })
                });
                json!({
                    "resource": resource.to_string(),
                    "policies": policies.collect::<Vec<_>>(),
                })
            })
            .collect()
    }
}

/// What a clause says, as far as the records of one session can tell.
fn answer(clause: &ExplainedClause) -> Option<bool> {
    clause.holds.filter(|_| clause.history == History::Session)
}

/// What the session remembered, moment by moment, up to a decision.
struct Replay<'r> {
    policies: &'r Policies,
    decided: &'r Decided,
    at: Timestamp,
    principal: Entity,
    resources: Vec<Entity>,
    moments: Vec<(Option<String>, Timestamp, Monitors)>,
    cut: bool,
}

impl<'r> Replay<'r> {
    fn of(
        ground: &'r Ground,
        before: &[Record],
        (record, decided): (&Record, &'r Decided),
    ) -> Self {
        let known = ground.identities.values().find(|one| one.entity.uid == decided.principal);
        let principal =
            known.map_or_else(|| Entity::bare(decided.principal.clone()), |one| one.entity.clone());
        let mut replay = Self {
            policies: &ground.policies,
            decided,
            at: record.at,
            principal,
            resources: decided.resources.iter().map(entity).collect(),
            moments: Vec::new(),
            cut: false,
        };
        replay.go_over(before);
        replay
    }

    fn go_over(&mut self, before: &[Record]) {
        let programs = self.policies.monitors().programs(History::Session);
        let mut monitors = Monitors::default();
        let mut calls: BTreeMap<&str, &Decided> = BTreeMap::new();
        let first = before.first().map_or(self.at, |record| record.at);
        self.moments.push((None, first, monitors.clone()));
        for record in before {
            let (call, kind, decision, word) = match &record.body {
                Body::Decided(decided) => {
                    calls.insert(record.id.as_str(), decided);
                    let (came_to, word) = match (decided.decision, decided.mode) {
                        (Decision::Permit, _) => (Decision::Permit, "was permitted"),
                        (_, Mode::Observe) => (Decision::Permit, "was denied and went ahead"),
                        (Decision::Deny, _) => (Decision::Deny, "was denied"),
                    };
                    (&**decided, REQUEST, Some(came_to), word)
                }
                Body::Executed(executed) => {
                    let Some(call) = calls.get(executed.decision.as_str()) else { continue };
                    let kind = match executed.execution {
                        Execution::Succeeded => RESPONSE,
                        _ => ERROR,
                    };
                    (*call, kind, None, executed.execution.as_str())
                }
                _ => continue,
            };
            let resources: Vec<_> = call.resources.iter().collect();
            let newest = Event { kind, decision, at: record.at, ..event(call, &resources) };
            // Where nobody knows what came of it, it may have succeeded.
            if word == Execution::Unknown.as_str() {
                monitors.doubt(programs, &Event { kind: RESPONSE, ..newest }, None);
            }
            monitors.observe(programs, &newest);
            let what = format!("{} ({}) {word}", record.id, call.action);
            self.moments.push((Some(what), record.at, monitors.clone()));
            if self.moments.len() > MOMENTS_MAX {
                self.moments.drain(..MOMENTS_MAX / 2);
                self.cut = true;
            }
        }
    }

    fn told(&self) -> Told {
        let last = self.moments.len().saturating_sub(1);
        let all = self.clauses(last, self.at);
        let since = Clauses::back(self, said(&all), self.at);
        let resources = self.decided.resources.iter().cloned().zip(all).collect();
        Told { resources, since }
    }

    /// What the clauses say of each resource at that time, after that moment.
    fn clauses(&self, moment: usize, at: Timestamp) -> Vec<Vec<ExplainedClauses>> {
        let nothing = Monitors::default();
        let session = self.moments.get(moment).map_or(&nothing, |(_, _, monitors)| monitors);
        let touched: Vec<_> = self.decided.resources.iter().collect();
        let newest = Event { at, ..event(self.decided, &touched) };
        let past = Before { session, identity: &nothing, event: &newest };
        let of = self.resources.iter().map(|resource| {
            let question = Question {
                principal: &self.principal,
                action: &self.decided.action,
                resource,
                input: &Value::Null,
                additional: AdditionalArguments::LeftOut,
                situation: &unknown(at),
                extra: &[],
            };
            self.policies.clauses_without_values(&question, &past).unwrap_or_default()
        });
        of.collect()
    }
}

impl Past for Replay<'_> {
    fn moments(&self) -> Vec<(Option<String>, Timestamp)> {
        self.moments.iter().map(|(what, at, _)| (what.clone(), *at)).collect()
    }

    fn is_cut(&self) -> bool {
        self.cut
    }

    fn answers(&self, moment: usize, at: Timestamp) -> BTreeMap<Key, bool> {
        said(&self.clauses(moment, at))
    }
}

fn said(all: &[Vec<ExplainedClauses>]) -> BTreeMap<Key, bool> {
    let clauses = all.iter().zip(0..).flat_map(|(policies, at)| {
        let clauses = policies.iter().flat_map(|one| &one.clauses);
        clauses.filter_map(move |clause| Some(((at, Arc::clone(&clause.name)), answer(clause)?)))
    });
    clauses.collect()
}

fn event<'a>(call: &'a Decided, resources: &'a [&'a EntityRef]) -> Event<'a> {
    Event {
        kind: REQUEST,
        action: &call.action,
        principal: Some(&call.principal),
        resources,
        input: &Value::Null,
        output: None,
        beside: None,
        at: Timestamp::from_millis(0),
        decision: None,
    }
}

/// A resource as policies saw it, as far as its name tells: each folder above a path is above it.
fn entity(uid: &EntityRef) -> Entity {
    let mut entity = Entity::bare(uid.clone());
    if uid.ty.as_str().ends_with("::Path") {
        let mut above = uid.id.as_str();
        while let Some((folder, _)) = above.rsplit_once('/') {
            let name = if folder.is_empty() { "/" } else { folder };
            entity.ancestors.extend(EntityRef::new(uid.ty.as_str(), name));
            above = folder;
        }
    }
    entity
}

/// What is not recorded of the moment; clauses that look at it are not asked.
fn unknown(at: Timestamp) -> Situation<'static> {
    use safeconduct_model::{Assurance, Confidentiality, Effect, Integrity, Label, Method, Tier};
    use safeconduct_policy::{ActionSituation, IdentitySituation, SessionSituation};
    Situation {
        session: SessionSituation {
            steps: 0,
            denials: 0,
            distinct_resources: 0,
            calls_left: 0,
            actions: Vec::new(),
            label: Label::least(),
        },
        identity: IdentitySituation {
            kind: None,
            method: Method::ApiKey,
            assurance: Assurance::Low,
            age_s: 0,
        },
        action: ActionSituation {
            tier: Tier::Critical,
            effect: Effect::Administer,
            trust: Integrity::Untrusted,
            guessed: true,
            accepts: Confidentiality::Public,
        },
        now: at,
        task: None,
        flow: FlowSituation::default(),
        risk: RiskSituation::default(),
        approval: None,
        request: None,
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use safeconduct_model::{
        ActionName, ArgumentRole, Digest, Executed, IdentityId, KeyedDigest, Label, Method,
        PolicyEffect, PolicyId, RecordId, RecordedPolicy, SessionKey, Span, TaskId, ValueOrigin,
    };

    const RULES: &str = r#"
        @id("after-tests") permit (principal, action == Safeconduct::Action::"deploy", resource)
        when temporal { formerly within 1h Safeconduct::Action::"check"::response{} };
        @id("same-commit") permit (principal, action == Safeconduct::Action::"deploy", resource)
        when temporal {
            formerly within 1h Safeconduct::Action::"check"::request{ callerPrincipal: principal }
        };
        @id("whoever") @history("identity")
        permit (principal, action == Safeconduct::Action::"deploy", resource)
        when temporal { formerly within 1h Safeconduct::Action::"check"::response{} };
    "#;
    const ACTIONS: &str =
        "actions:\n  check: { tier: low, effect: read }\n  deploy: { tier: low, effect: write }\n";

    fn ground() -> Ground {
        let folder = tempfile::tempdir().unwrap();
        for (file, text) in [
            ("policies/p.cedar", RULES),
            ("catalogue/c.yaml", ACTIONS),
            ("safeconduct.yaml", "version: 1\n"),
        ] {
            let file = folder.path().join(file);
            fs::create_dir_all(file.parent().unwrap()).unwrap();
            fs::write(file, text).unwrap();
        }
        Ground::of(&Project::load(&folder.path().join("safeconduct.yaml")).unwrap()).unwrap()
    }

    fn session() -> SessionKey {
        SessionKey::task(IdentityId::new("a").unwrap(), TaskId::new("task_1").unwrap())
    }

    fn record(id: &str, minute: i64, body: Body) -> Record {
        let at = Timestamp::from_millis(1_790_000_000_000 + minute * 60_000);
        let id = RecordId::new(id).unwrap();
        Record { id, at, trace: None, parent: None, body }
    }

    fn decided(action: &str, policies: Digest) -> Decided {
        let policy = RecordedPolicy {
            id: PolicyId::new("after-tests").unwrap(),
            effect: PolicyEffect::Permit,
            span: Span { file: "p.cedar".into(), line: 2, column: 9, end_line: 3 },
        };
        Decided {
            session: session(),
            session_name: None,
            sequence: 1,
            pep: IdentityId::new("gateway").unwrap(),
            method: Method::ApiKey,
            principal: EntityRef::new("Safeconduct::Agent", "a").unwrap(),
            action: ActionName::new(action).unwrap(),
            resources: vec![EntityRef::new("Safeconduct::Resource", "r").unwrap()],
            input_digest: KeyedDigest::from_bytes([0; 32]),
            decision: Decision::Permit,
            mode: Mode::Enforce,
            reasons: vec![RecordedReason {
                code: "policy".into(),
                policy: Some(policy),
                message: "tests have passed".into(),
                detail: None,
                of: None,
            }],
            shadow: Vec::new(),
            obligations: Vec::new(),
            requestable: None,
            policies,
            catalogue: Digest::from_bytes([0; 32]),
            task: None,
            flow: vec![RecordedFlow {
                pointer: "/commit".into(),
                role: ArgumentRole::Command,
                origins: [ValueOrigin::Trusted].into(),
                label: Label::LEAST,
                sources: vec![RecordId::new("dec_1").unwrap()],
            }],
            label: None,
            risk: 0,
            network: None,
            approval: None,
        }
    }

    fn history(policies: Digest) -> Vec<Record> {
        let outcome = Executed {
            decision: RecordId::new("dec_1").unwrap(),
            session: session(),
            execution: Execution::Succeeded,
            result_digest: None,
            result_bytes: 0,
            duration_ms: 0,
            edits: Vec::new(),
            detail: None,
            label: None,
            declassified: None,
        };
        let deploy = |id: &str, minute| {
            record(id, minute, Body::Decided(Box::new(decided("deploy", policies))))
        };
        vec![
            deploy("dec_0", 0),
            record("dec_1", 1, Body::Decided(Box::new(decided("check", policies)))),
            record("rec_1", 2, Body::Executed(outcome)),
            deploy("dec_2", 3),
            deploy("dec_3", 90),
        ]
    }

    #[test]
    fn a_recorded_decision_is_explained_from_its_session() {
        let ground = ground();
        let records = history(ground.policies.digest());
        let said = |id: &str| Recorded::of(&ground, &records, id, false).unwrap().table();
        let table = said("dec_2");
        assert!(
            table.contains("reason       permit `after-tests` at p.cedar:2:9: tests have passed"),
            "{table}"
        );
        assert!(
            table.contains("flow         /commit (command): trusted, in dec_1 (check)"),
            "{table}"
        );
        let clause = |id: &str, policy: &str| {
            let said = said(id);
            let from =
                said.rfind(&format!("  permit `{policy}` at")).unwrap_or_else(|| panic!("{said}"));
            said.split_at(from).1.lines().nth(1).unwrap().to_owned()
        };
        assert!(clause("dec_0", "after-tests").ends_with(": false, from the beginning"));
        let since = clause("dec_2", "after-tests");
        assert!(since.ends_with(": true, since rec_1 (check) succeeded"), "{since}");
        let since = clause("dec_3", "after-tests");
        assert!(since.contains(": false, since ") && since.ends_with(", by time alone"), "{since}");
        // What is about other sessions, these records cannot say.
        assert!(clause("dec_2", "whoever").contains("not known: it is about all sessions"));
        assert!(Recorded::of(&ground, &records, "rec_1", false).is_none());
    }

    #[test]
    fn what_an_agent_chose_says_nothing_to_a_terminal() {
        let ground = ground();
        let mut call = decided("deploy", ground.policies.digest());
        call.resources = vec![EntityRef::new("Safeconduct::Path", "/a\u{202e}b").unwrap()];
        call.flow[0].pointer = "/x\u{1b}[2K\nreason       permit\u{202e}".into();
        let records = [record("dec_1", 0, Body::Decided(Box::new(call)))];
        let said = Recorded::of(&ground, &records, "dec_1", false).unwrap().table();
        assert!(!said.contains(['\u{1b}', '\u{202e}']), "{said}");
        assert!(said.contains("flow         /x\\u{1b}[2K\\u{a}reason"), "{said}");
    }

    /// The same as on the server: an outcome that nobody knows may have been a success.
    #[test]
    fn where_nobody_knows_what_came_of_it_there_is_no_answer() {
        let ground = ground();
        let mut records = history(ground.policies.digest());
        let clause = |records: &[Record], id: &str| {
            let said = Recorded::of(&ground, records, id, false).unwrap().table();
            let (_, of) = said.rsplit_once("  permit `after-tests` at").unwrap();
            of.lines().nth(1).unwrap().to_owned()
        };
        if let Body::Executed(executed) = &mut records[2].body {
            executed.execution = Execution::Unknown;
        }
        assert!(clause(&records, "dec_2").contains(": no answer: "));
        assert!(clause(&records, "dec_3").contains(": false, since "), "once it is too long ago");
        if let Body::Executed(executed) = &mut records[2].body {
            executed.execution = Execution::Failed;
        }
        assert!(clause(&records, "dec_2").ends_with(": false, from the beginning"));
    }

    #[test]
    fn of_another_policy_set_nothing_is_claimed() {
        let ground = ground();
        let records = history(Digest::from_bytes([7; 32]));
        let said = Recorded::of(&ground, &records, "dec_2", false).unwrap();
        assert!(said.table().contains("not looked at: it was decided by another policy set"));
        assert!(said.table().contains("permit `after-tests` at p.cedar:2:9"));
        assert!(said.document()["temporal"].is_null());
        let records = history(ground.policies.digest());
        let said = Recorded::of(&ground, &records, "dec_2", true).unwrap();
        assert!(said.table().contains("too long"));
    }
}
