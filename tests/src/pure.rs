//! The first way to ask: the pure engine, over the world of a case, with sessions folded by hand.

use std::collections::{BTreeMap, BTreeSet};

use safeconduct_engine::{Facts, Known, Understood, Vocabulary, decide, origins};
use safeconduct_model::{
    ActionName, Assurance, Authentication, Catalogue, Decision, Digest, Entity, Identity,
    IdentityId, IdentityKind, IdentityStatus, Integrity, Intents, KeyedDigest, Label, Method, Mode,
    Now, PepRegistration, RecordId, Request, Role, SessionKey, SessionRef, Subject, TaskRef, Tiers,
    TokenId, Value,
};
use safeconduct_policy::{Naming, Policies, SourceFile, Sources, ToolDefinition, load};
use safeconduct_service::{
    RehearsedApprovals, RehearsedOutcome, RehearsedRisk, RehearsedSessions, RehearsedYes,
    definition_digest, entity_of,
};
use safeconduct_session::flow::Origins;
use safeconduct_wire::json::from_serde;
use safeconduct_wire::suite::{
    Approved, DEFAULT_NOW, Definition, Expect, Principal, Sessions, Step, Test,
};
use safeconduct_wire::{catalogue, intent};

use crate::answer::Answer;
use crate::case::Case;
use crate::tasks::{self, ORCHESTRATOR};
use crate::traced::Traced;

/// The enforcement point of subjects that name none.
pub const ENFORCEMENT_POINT: &str = "enforcement-point";

/// The obligations that the gateway carries out; the other ways are asked as if by it.
pub const UNDERSTOOD: [&str; 2] = ["redact", "redact_input"];

/// What the pure engine says to a step.
#[derive(Debug, Clone)]
pub struct Asked {
    /// The answer.
    pub answer: Answer,
    /// What would be recorded of where the arguments came from.
    pub traced: Traced,
    /// All that is known of that.
    pub origins: Option<Origins>,
    /// What the session had read before.
    pub label: Label,
}

impl Asked {
    /// What is not as a case expects it, one sentence each.
    pub fn unlike(&self, expect: &Expect) -> Vec<String> {
        let mut problems = self.answer.unlike(expect);
        for (pointer, wanted) in &expect.flow {
            let wanted: BTreeSet<&str> = wanted.iter().map(|word| word.as_str()).collect();
            let leaf = self.origins.as_ref().and_then(|origins| origins.at(pointer));
            let got: Option<BTreeSet<&str>> =
                leaf.map(|leaf| leaf.seen.iter().map(|seen| seen.as_str()).collect());
            if got.as_ref() != Some(&wanted) {
                problems.push(format!("expected {pointer} {wanted:?}, got {got:?}"));
            }
        }
        let (wanted, label) = (&expect.session, &self.label);
        let untrusted = label.integrity == Integrity::Untrusted;
        let as_expected = wanted.untrusted.is_none_or(|wanted| wanted == untrusted)
            && wanted.sensitivity.is_none_or(|wanted| wanted == label.confidentiality)
            && wanted.categories.as_ref().is_none_or(|wanted| *wanted == label.categories);
        if !as_expected {
            problems.push(format!("expected {wanted:?}, got {label:?}"));
        }
        problems
    }
}

/// The world of a case, loaded.
pub struct Ground {
    /// The policies.
    pub policies: Policies,
    /// The catalogue, its types as the schema names them.
    pub catalogue: Catalogue,
    /// Who is registered.
    pub identities: BTreeMap<IdentityId, Known>,
    vocabulary: Vocabulary,
    calls_max: u64,
    tiers: Tiers,
    mode: Mode,
    quarantined: BTreeMap<ActionName, Digest>,
    /// What may be undertaken.
    pub intents: Intents,
}

impl Ground {
    /// Loads the world of a case; what does not load panics with every problem.
    pub fn of(case: &Case) -> Self {
        let world = case.own_world();
        let naming = Naming {
            namespace: world.namespace.clone().unwrap_or_else(|| Naming::default().namespace),
            action_id: world.action_id.clone().unwrap_or_else(|| Naming::default().action_id),
        };
        let vocabulary = Vocabulary::new(&naming.namespace).unwrap();
        let mut catalogue = catalogue::merge(world.catalogue.clone()).unwrap_or_else(|problems| {
            panic!("{}: {problems:?}", case.name);
        });
        let definitions: Vec<ToolDefinition> = world
            .tools
            .iter()
            .flat_map(|(server, tools)| tools.iter().map(move |tool| (server, tool)))
            .map(|(server, tool)| ToolDefinition {
                server: server.clone(),
                tool: catalogue::tool_name(tool).unwrap().to_owned(),
                definition: tool.clone(),
            })
            .filter(|tool| catalogue.entry(&action_of(tool)).is_some())
            .collect();
        let tools: BTreeSet<ActionName> = definitions.iter().map(action_of).collect();
        let others = catalogue.actions.values().filter(|entry| !tools.contains(&entry.name));
        let sources = Sources {
            policies: sources_of(&world.policies),
            schemas: world
                .schema
                .iter()
                .map(|text| SourceFile::new("schema.cedarschema", text.as_str()))
                .collect(),
            actions: others.map(|entry| (entry.name.clone(), entry.server.clone())).collect(),
            servers: world.tools.keys().cloned().collect(),
            definitions,
            naming,
        };
        let policies =
            load(&sources).unwrap_or_else(|error| panic!("{}: {error}", case.name)).policies;
        for entry in catalogue.actions.values_mut() {
            for mapping in &mut entry.resources {
                mapping.ty = policies.resolve_type(mapping.ty.as_str()).unwrap();
            }
        }
        let mut ground = Self {
            policies,
            catalogue,
            vocabulary,
            identities: BTreeMap::new(),
            calls_max: world.session_calls.unwrap_or(10_000),
            tiers: world.tiers.clone().unwrap_or_default(),
            mode: match case.upstream.mode.as_deref() {
                Some("observe") => Mode::Observe,
                _ => Mode::Enforce,
            },
            quarantined: quarantined(case),
            intents: Intents::none(),
        };
        ground.intents = ground.intents_of(case);
        for identity in ground.registered(case) {
            let entity = entity_of(&identity, &ground.vocabulary).unwrap();
            ground.identities.insert(identity.id.clone(), Known { identity, entity });
        }
        ground
    }

    /// Everyone whom a case needs registered: its identities, those made for its tests, and the
    /// enforcement point of subjects that name none.
    fn registered(&self, case: &Case) -> Vec<Identity> {
        let mut all = case.own_world().identities.clone();
        let mut subjects = BTreeSet::new();
        for step in case.suite.tests.iter().flat_map(|test| &test.steps) {
            match &step.principal {
                Principal::Made(identity) if !all.contains(identity) => {
                    all.push((**identity).clone());
                }
                Principal::Asserted { by: None, entity } => {
                    subjects.insert(self.full(entity).uid.ty);
                }
                _ => {}
            }
        }
        if !subjects.is_empty() {
            all.push(Identity {
                id: IdentityId::new(ENFORCEMENT_POINT).unwrap(),
                kind: IdentityKind::Workload,
                status: IdentityStatus::Active,
                owner: None,
                sponsor: None,
                imported: None,
                fallback_owner: None,
                environment: None,
                groups: BTreeSet::new(),
                pep: Some(PepRegistration {
                    subjects,
                    resources: BTreeSet::new(),
                    properties: true,
                    label_at: safeconduct_model::LabelAt::Report,
                }),
                roles: BTreeSet::new(),
            });
        }
        if case.suite.tests.iter().any(|test| !test.tasks.is_empty()) {
            all.push(Identity {
                id: IdentityId::new(ORCHESTRATOR).unwrap(),
                kind: IdentityKind::Workload,
                status: IdentityStatus::Active,
                owner: None,
                sponsor: None,
                imported: None,
                fallback_owner: None,
                environment: None,
                groups: BTreeSet::new(),
                pep: None,
                roles: BTreeSet::from([Role::Orchestrator]),
            });
        }
        // Whatever is no person has people who answer for it.
        for identity in all.iter_mut().filter(|identity| identity.kind != IdentityKind::User) {
            let person = |name| IdentityId::new(name).unwrap();
            identity.owner.get_or_insert_with(|| person("owner"));
            identity.fallback_owner.get_or_insert_with(|| person("fallback-owner"));
        }
        all
    }

    fn intents_of(&self, case: &Case) -> Intents {
        let on = intent::Ground {
            catalogue: &self.catalogue,
            resolve: &|name| self.policies.resolve_type(name),
            definition: &|_| None,
            grants: &|_| None,
        };
        let merged = intent::merge(case.own_world().intents.clone(), on);
        let merged = merged.unwrap_or_else(|problems| panic!("{}: {problems:?}", case.name));
        Intents { versions: merged.versions, ..Intents::none() }
    }

    /// An entity under the full name of its type.
    pub fn full(&self, entity: &Entity) -> Entity {
        let ty = self.policies.resolve_type(entity.uid.ty.as_str());
        let mut entity = entity.clone();
        if let Some(ty) = ty {
            entity.uid.ty = ty;
        }
        entity
    }

    /// Asks the steps of a test in order.
    pub fn run(&self, test: &Test) -> Vec<Asked> {
        let mut sessions = RehearsedSessions::default();
        let mut tasks = tasks::begun(self, test, &mut sessions);
        let mut approvals = RehearsedApprovals::default();
        let mut risk = RehearsedRisk::default();
        let mut answers = Vec::new();
        for (number, step) in test.steps.iter().enumerate() {
            tasks.end(&step.after_end_of);
            if test.sessions == Sessions::Apart {
                sessions.clear();
            }
            let (subject, caller, known) =
                self.who(step, step.in_task.as_ref().and_then(|name| tasks.named(name)));
            let at = step.now.unwrap_or(DEFAULT_NOW);
            for told in &step.signals {
                let weight = (told.severity, told.confidence);
                risk.tell(&told.about, told.kind, weight, at).unwrap();
            }
            let standing = |known: Option<Known>| known.map(|known| risk.standing(known));
            let (caller, known) = (standing(caller), standing(known));
            let proof = subject.authentication();
            let key = SessionKey::of(proof);
            let request = Request {
                subject,
                action: step.action.clone(),
                resource: step.resource.as_ref().map(|resource| self.full(resource)),
                input: step.input.clone(),
                input_digest: KeyedDigest::from_bytes([0; 32]),
                asserted: step.context.clone(),
                session: SessionRef { key, name: step.session.clone() },
                pep: IdentityId::new("test").unwrap(),
                mode: self.mode,
                trace: None,
                parent: None,
            };
            let task = step.in_task.as_ref().and_then(|name| tasks.facts(name, &self.identities));
            let others = task
                .iter()
                .flat_map(|known| known.task.on_behalf_of.iter().chain(&known.delegated_by));
            let score = risk.score(&request, others, at);
            let standing = sessions.standing(&request);
            let facts = Facts {
                caller: caller.as_ref(),
                subject: known.as_ref(),
                entry: self.catalogue.entry(&step.action),
                quarantined: self.quarantined(step),
                session: standing.session,
                sequence: standing.sequence,
                used: standing.used,
                task: task.clone(),
                killed: None,
                set_aside: None,
                input_bytes: 0,
                calls_max: self.calls_max,
                understood: &Understood::Only(
                    UNDERSTOOD.iter().map(|kind| (*kind).into()).collect(),
                ),
                tiers: &self.tiers,
                risk: score,
                last_word: None,
                approval: None,
                vocabulary: &self.vocabulary,
                catalogue: Digest::from_bytes([0; 32]),
                monitors: Some(standing.monitors),
            };
            let now = Now { at, decision: RecordId::new(format!("step_{}", number + 1)).unwrap() };
            let mut outcome = decide(&request, &facts, &self.policies, &now);
            assert_eq!(outcome, decide(&request, &facts, &self.policies, &now), "not pure");
            if let Some(approval) = approvals.of(&request, &outcome) {
                let facts = Facts { approval: Some(&approval), ..facts.clone() };
                outcome = decide(&request, &facts, &self.policies, &now);
            }
            let label = sessions.label(&request.session.key).clone();
            let (answer, traced) = (Answer::of_outcome(&outcome), Traced::of_outcome(&outcome));
            let origins = origins(&request, &facts);
            answers.push(Asked { answer, traced, origins, label });
            sessions.decided(&self.policies, &request, &outcome);
            approvals.used(&request, &outcome);
            if let Some(Approved { by, at_most, uses, for_s }) = &step.approved {
                // It is decided once more when people are asked for it.
                sessions.decided(&self.policies, &request, &outcome);
                let tier = self.catalogue.entry(&step.action).unwrap().tier_of(&step.input);
                let people = self.identities.iter().map(|(id, one)| (id.clone(), &one.identity));
                let yes = RehearsedYes { by, at_most, uses: *uses, for_s: *for_s };
                let asked = (&request, &outcome);
                let made = approvals.approved(asked, tier, &people.collect(), yes);
                made.unwrap_or_else(|no| panic!("{}, step {}: {no}", test.name, number + 1));
            }
            if outcome.decision == Decision::Permit || self.mode == Mode::Observe {
                let told = RehearsedOutcome::reported(step.outcome, step.result.as_ref(), at);
                sessions.happened((&self.policies, &self.catalogue), (&request, &outcome), &told);
            }
        }
        answers
    }

    /// What a live server shows of a quarantined action. A case says in two ways which actions
    /// those are, to test files and to live servers, and the two must agree.
    fn quarantined(&self, step: &Step) -> Option<Digest> {
        let seen = self.quarantined.get(&step.action).copied();
        let said = step.definition == Definition::Quarantined;
        assert_eq!(seen.is_some(), said, "`quarantined` of {} and its live server", step.action);
        seen
    }

    /// The subject of a step, its caller as registered, and what is registered of the subject.
    fn who(&self, step: &Step, task: Option<TaskRef>) -> (Subject, Option<Known>, Option<Known>) {
        let proof = |identity: &IdentityId| Authentication {
            identity: identity.clone(),
            token: TokenId::new(credential(step)).unwrap(),
            method: Method::ApiKey,
            assurance: Assurance::Low,
            at: step.now.unwrap_or(DEFAULT_NOW),
            task: task.clone(),
            expires_at: None,
        };
        match &step.principal {
            Principal::Registered(id) => {
                (Subject::Caller(proof(id)), self.identities.get(id).cloned(), None)
            }
            Principal::Made(identity) => {
                let id = &identity.id;
                (Subject::Caller(proof(id)), self.identities.get(id).cloned(), None)
            }
            Principal::Asserted { by, entity } => {
                let by = by.clone().unwrap_or_else(|| IdentityId::new(ENFORCEMENT_POINT).unwrap());
                let entity = self.full(entity);
                let known = self.identities.values().find(|known| known.entity.uid == entity.uid);
                let caller = self.identities.get(&by).cloned();
                (Subject::Asserted { by: proof(&by), entity }, caller, known.cloned())
            }
        }
    }
}

/// The credential of a step's principal, by a name that is unique in its file.
pub fn credential(step: &Step) -> String {
    format!("{}.{}", step.principal_name, step.credential.as_deref().unwrap_or("default"))
}

fn action_of(tool: &ToolDefinition) -> ActionName {
    ActionName::new(format!("{}.{}", tool.server, tool.tool)).unwrap()
}

fn sources_of(texts: &BTreeMap<String, String>) -> Vec<SourceFile> {
    texts.iter().map(|(name, text)| SourceFile::new(name.as_str(), text.as_str())).collect()
}

/// The tools whose live definition is not the pinned one.
fn quarantined(case: &Case) -> BTreeMap<ActionName, Digest> {
    let mut found = BTreeMap::new();
    for (server, live) in &case.upstream.live {
        for tool in live {
            let seen = pin_of(&from_serde(tool));
            let name = tool["name"].as_str().unwrap();
            let (_, pinned) =
                case.own_world().tools.iter().find(|(known, _)| known.as_str() == server).unwrap();
            let pinned = pinned.iter().find(|one| catalogue::tool_name(one) == Some(name));
            if pinned.is_some_and(|pinned| pin_of(pinned) != seen) {
                found.insert(ActionName::new(format!("{server}.{name}")).unwrap(), seen);
            }
        }
    }
    found
}

/// The digest that pins a tool's definition.
pub fn pin_of(tool: &Value) -> Digest {
    definition_digest(&catalogue::definition_digest_input(tool))
}
