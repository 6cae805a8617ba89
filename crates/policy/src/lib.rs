//! Cedar policies, and Rego as a second engine: load, validate, index by scope, evaluate with
//! reasons, explain.
//!
//! [`load`] takes texts and gives a set in which every policy is valid, or everything that is
//! wrong. [`Policies::evaluate`] answers one question at a cost that does not grow with the set.
//!
//! What this crate deliberately does not do: it reads no files and watches none, keeps no state
//! between questions that changes an answer, knows no session and no ledger, and decides nothing: what is permitted
//! follows from an [`Evaluation`] in crate `engine`.
//!
//! ```
//! use safeconduct_policy::{SourceFile, Sources, load};
//!
//! let policy = r#"
//!     @id("read-cases")
//!     permit (principal is Safeconduct::Agent, action, resource in Safeconduct::Path::"/cases")
//!     when { context.action.effect == "read" };
//! "#;
//! let sources = Sources {
//!     policies: vec![SourceFile::new("cases.cedar", policy)],
//!     servers: vec![safeconduct_model::ServerName::new("files")?],
//!     ..Sources::default()
//! };
//! let loaded = load(&sources)?;
//! assert_eq!(loaded.policies.len(), 1);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod ages;
mod annotations;
mod baseline;
mod canonical;
mod diagnostic;
mod evaluate;
mod exact;
mod excepted;
mod explain;
mod expression;
mod format;
mod gains;
mod load;
mod nesting;
mod policies;
mod prove;
mod reduce;
mod rego;
mod replay;
mod revoke;
mod schema;
mod shape;
mod situation;
mod source;
mod standing;
mod temporal;
mod validate;

pub use ages::{Age, Ages, SAID_ANEW_MAX};
pub use annotations::{LIST_MAX, MESSAGE_BYTES_MAX, PolicyMode, QUORUM_MAX, TTL_S_MAX};
pub use baseline::baseline;
pub use diagnostic::{Diagnostic, LoadError, Severity};
pub use evaluate::{Applied, Evaluation, Question, QuestionError};
pub use explain::{ExplainedClause, ExplainedClauses, Explanation, Verdict};
pub use expression::{
    AskError, AskedOf, Candidates, CaseFacts, CaseFilter, Evaluations, ExpressionError,
    REVIEW_EVALUATIONS_MAX, REVIEW_EXPRESSION_DEPTH_MAX, REVIEW_SCHEMA, ReviewExpression,
};
pub use format::format;
pub use gains::{Gains, gains};
pub use load::{Loaded, load, load_reusing};
pub use policies::{Policies, PolicyInfo};
pub use prove::{
    ActionProof, Beside, Counterexample, CounterexampleEntity, KindsProved, PROOF_CLAUSES_MAX,
    PROOF_ENTITIES_MAX, PROOF_QUESTIONS_MAX, PROOF_STATEMENTS_MAX, Proof, ProofOutcome,
    ProofVerdict, Unproven, prove,
};
pub use reduce::{
    Chosen, Evidence, Kept, Learned, NarrowedEnvelope, Proposal, ReducedFile, Reduction,
    StatementUse, Touched, USED_ACTIONS_MAX, Used, Widened, learn, narrow_envelope, reduce,
    still_given, widened,
};
pub use replay::{
    Change, Changes, ERAS_MAX, Fact, Lacking, Missing, NotReplayable, OfHolder, REPLAY_LISTED_MAX,
    Recalled, RecalledSession, RecalledTask, RecordedDecision, Redecided, Redenied, Replay,
    Replayer, Surroundings, Unknowns, replay,
};
pub use revoke::{RevokeError, RevokedFile, revoke};
pub use schema::SHIPPED_SCHEMA;
pub use shape::AdditionalArguments;
pub use situation::{
    ActionSituation, ApprovalSituation, Carried, FlowSituation, IdentitySituation, RiskSituation,
    SessionSituation, Situation, TaskSituation, TracedArgument,
};
pub use source::{
    DEFINITION_DEPTH_MAX, DIAGNOSTICS_MAX, EXPRESSION_DEPTH_MAX, FILE_BYTES_MAX, FILES_MAX,
    NESTING_MAX, Naming, OPERATORS_MAX, POLICIES_MAX, REGO_CALLS_MAX, REGO_FILES_MAX,
    REGO_INPUT_BYTES_MAX, REGO_INPUT_DEPTH_MAX, REGO_INSTRUCTIONS_MAX, REGO_NESTING_MAX,
    REGO_OPERATORS_MAX, REGO_RULES_MAX, SourceFile, Sources, ToolDefinition,
};
pub use standing::{ScopeActions, ScopeSide, ScopedStatement, StandingRight, StandingRights};
pub use temporal::{History, Monitoring, Past};
