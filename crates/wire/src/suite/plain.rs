//! Tests in the model's terms.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;

use safeconduct_model::signal::{Confidence, Kind, Severity};
use safeconduct_model::{
    ActionName, Allowance, Budget, Category, Confidentiality, Decision, Entity, Execution,
    Identity, IdentityId, IntentName, Obligation, ServerName, SessionName, Timestamp, Value,
};

use super::form::{RefusedWord, SeenWord};
use crate::catalogue::CatalogueFile;
use crate::intent::IntentFile;

/// One test file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Suite {
    /// The file, as it was named.
    pub file: String,
    /// What it is about: its name, or its file.
    pub name: String,
    /// Why the whole is left out, if it is.
    pub skip: Option<String>,
    /// The world that it brings.
    pub world: Option<World>,
    /// Its tests.
    pub tests: Vec<Test>,
}

/// A world of a suite's own.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct World {
    /// The folder of a `safeconduct.yaml`; what follows is added to it.
    pub folder: Option<PathBuf>,
    /// Identities that exist.
    pub identities: Vec<Identity>,
    /// Calls that one session has.
    pub session_calls: Option<u64>,
    /// What actions need by their tiers, where that is said.
    pub tiers: Option<safeconduct_model::Tiers>,
    /// The Cedar namespace.
    pub namespace: Option<String>,
    /// How the id of a tool's action is made.
    pub action_id: Option<String>,
    /// Cedar text by the name of its file.
    pub policies: BTreeMap<String, String>,
    /// The Cedar schema.
    pub schema: Option<String>,
    /// Catalogue files.
    pub catalogue: Vec<CatalogueFile>,
    /// Intents.
    pub intents: Vec<IntentFile>,
    /// The tools of each server, as MCP lists them.
    pub tools: BTreeMap<ServerName, Vec<Value>>,
}

/// One test.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Test {
    /// What it shows.
    pub name: String,
    /// The line that it begins in.
    pub line: u32,
    /// Why it is left out, if it is.
    pub skip: Option<String>,
    /// Whether each step has a session of its own, or all share one.
    pub sessions: Sessions,
    /// The tasks that begin first, one after the other.
    pub tasks: Vec<TaskCase>,
    /// Its questions. Those of a matrix come principal by principal, resource by resource, action
    /// by action.
    pub steps: Vec<Step>,
}

/// Which sessions the steps of a test run in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sessions {
    /// Each in a new one: a matrix.
    Apart,
    /// All in one for each principal and credential: a sequence.
    Shared,
}

/// A task that begins before a test's questions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TaskCase {
    /// What the steps call it.
    pub name: String,
    /// The line that it begins in.
    pub line: u32,
    /// What is undertaken.
    pub intent: IntentName,
    /// Which version.
    pub version: Option<u32>,
    /// What the intent wants to know.
    pub parameters: BTreeMap<Arc<str>, Value>,
    /// What the agent is told.
    pub prompt: Option<String>,
    /// Who speaks.
    pub begun_by: BegunBy,
    /// Who acts.
    pub agent: IdentityId,
    /// For whom.
    pub on_behalf_of: Option<IdentityId>,
    /// The task that it is delegated from; it comes before this one.
    pub parent: Option<String>,
    /// What may be done at most; types of resources are as they were written.
    pub envelope: Option<Vec<Allowance<Value>>>,
    /// How much of it.
    pub budget: Option<Budget>,
    /// Why it does not begin, where it does not.
    pub refused: Option<RefusedWord>,
}

/// Whose words a task's parameters and prompt are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BegunBy {
    /// A person's or an orchestrator's.
    Orchestrator,
    /// The agent's own, or those of the agent above it.
    Agent,
}

/// One question and what is expected of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// The principal's name in the file.
    pub principal_name: String,
    /// Who acts.
    pub principal: Principal,
    /// Which of its credentials.
    pub credential: Option<String>,
    /// What the enforcement point calls its part of the session.
    pub session: Option<SessionName>,
    /// The task that it is done in.
    pub in_task: Option<String>,
    /// The tasks that end right before.
    pub after_end_of: BTreeSet<String>,
    /// The signals that come in right before.
    pub signals: Vec<Told>,
    /// What they do.
    pub action: ActionName,
    /// The resource's name in the file.
    pub resource_name: Option<String>,
    /// What they do it to, where it is named.
    pub resource: Option<Entity>,
    /// The arguments: an object.
    pub input: Value,
    /// What else the enforcement point says.
    pub context: Option<Value>,
    /// What people say where it was denied and they are asked.
    pub approved: Option<Approved>,
    /// When.
    pub now: Option<Timestamp>,
    /// How the live definition of the action stands to the approved one.
    pub definition: Definition,
    /// The kinds of obligation that the enforcement point can carry out; `None` is every one.
    pub understands: Option<BTreeSet<String>>,
    /// What is expected.
    pub expect: Expect,
    /// What then happens, where it is permitted.
    pub outcome: Execution,
    /// What the agent then reads, where that is said.
    pub result: Option<Value>,
}

/// What somebody tells of somebody, as of now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Told {
    /// Of whom.
    pub about: IdentityId,
    /// What was seen.
    pub kind: Kind,
    /// How bad it is.
    pub severity: Severity,
    /// How sure it is.
    pub confidence: Confidence,
}

/// What people say to a request: yes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Approved {
    /// Who, one after the other.
    pub by: Vec<IdentityId>,
    /// The most that numbers may be, by JSON Pointer.
    pub at_most: Vec<(Arc<str>, Value)>,
    /// How often in the same task; once where nothing is said.
    pub uses: Option<u32>,
    /// For how many seconds in every task of the intent; in the same task alone where nothing is
    /// said.
    pub for_s: Option<u32>,
}

/// How the live definition of an action stands to the approved one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Definition {
    /// It is the approved one, or nobody pinned it.
    Approved,
    /// It is another one: calls are denied.
    Quarantined,
}

/// Who acts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Principal {
    /// An identity of the world.
    Registered(IdentityId),
    /// An identity that is made for the test.
    Made(Box<Identity>),
    /// Someone of whom an enforcement point speaks.
    Asserted {
        /// The enforcement point; `None` is one that may say anything.
        by: Option<IdentityId>,
        /// Whom it speaks of.
        entity: Entity,
    },
}

/// What is expected of a decision.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Expect {
    /// The line that says so; for what is not listed, the line of the test.
    pub line: u32,
    /// Permit or Deny.
    pub decision: Decision,
    /// Exactly these reasons: ids of policies, codes of other reasons.
    pub reasons: Option<BTreeSet<String>>,
    /// Exactly these obligations.
    pub obligations: Option<BTreeSet<Obligation>>,
    /// Whether it may be requested.
    pub requestable: Option<bool>,
    /// Where arguments come from, by JSON Pointer.
    pub flow: BTreeMap<String, BTreeSet<SeenWord>>,
    /// What the session has read before.
    pub session: SessionExpect,
}

impl Expect {
    /// Only a decision, said in that line.
    pub fn of(decision: Decision, line: u32) -> Self {
        Self {
            line,
            decision,
            reasons: None,
            obligations: None,
            requestable: None,
            flow: BTreeMap::new(),
            session: SessionExpect::default(),
        }
    }
}

/// What is expected of what a session has read.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SessionExpect {
    /// Whether it has read anything untrusted.
    pub untrusted: Option<bool>,
    /// The highest confidentiality.
    pub sensitivity: Option<Confidentiality>,
    /// Exactly these categories.
    pub categories: Option<BTreeSet<Category>>,
}
