//! The JSON of the administration API, where crate `wire` has no form for it.

use std::sync::Arc;

use safeconduct_model::{
    ActionEntry, Digest, Edit, Execution, Identity, IdentityId, Obligation, Token, Value,
};
use safeconduct_service::{Operation, ReadRecord, SessionView};
use safeconduct_wire::document::Written;
use safeconduct_wire::identity::IdentityForm;
use safeconduct_wire::json;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use utoipa::ToSchema;

use crate::problem::Problem;
use crate::{PolicyStatus, UpstreamStatus};

/// Most edits that one outcome reports.
const EDITS_MAX: usize = 64;

/// Longest `detail` of an outcome, in bytes.
const DETAIL_BYTES_MAX: usize = 64;

/// Reads a body as a form: strict JSON first, so that nobody reads another message than we do.
pub(crate) fn read<T: DeserializeOwned>(body: &[u8]) -> Result<T, Problem> {
    of_value(&value(body)?)
}

/// Reads a body as strict JSON.
pub(crate) fn value(body: &[u8]) -> Result<Value, Problem> {
    json::parse(body)
        .map_err(|error| Problem::invalid(format!("the body is not acceptable JSON: {error}")))
}

/// Reads a value as a form.
pub(crate) fn of_value<T: DeserializeOwned>(value: &Value) -> Result<T, Problem> {
    serde_json::from_value(json::to_serde(value))
        .map_err(|error| Problem::invalid(format!("the body does not fit: {error}")))
}

/// What then happened to a permitted action.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct OutcomeForm {
    /// `succeeded`, `failed`, `not_executed` or `unknown`.
    #[schema(example = "succeeded")]
    execution: String,
    /// How long it took, in milliseconds; left out, the time since the decision.
    duration_ms: Option<u64>,
    /// What came back: digested under the session's key, and kept only where the catalogue says
    /// so, encrypted.
    #[expect(dead_code, reason = "taken from the exact value, not through serde's numbers")]
    #[serde(default)]
    #[schema(value_type = Option<Object>)]
    result: serde::de::IgnoredAny,
    /// Why it failed or is unknown: one word of `a`-`z` and `_`, at most 64.
    detail: Option<String>,
    /// Obligations that were carried out. At most 64.
    #[serde(default)]
    edits: Vec<EditForm>,
}

/// An edit that an obligation made.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct EditForm {
    /// The obligation's `id`, as the decision gave it.
    obligation: String,
    /// How many values it changed.
    values: u64,
}

/// An outcome that was read.
pub(crate) struct ReadOutcome {
    pub(crate) execution: Execution,
    pub(crate) duration_ms: Option<u64>,
    /// The result's JSON, its numbers as they were written.
    pub(crate) result: Option<Vec<u8>>,
    pub(crate) detail: Option<Arc<str>>,
    pub(crate) edits: Vec<Edit>,
}

impl ReadOutcome {
    pub(crate) fn parse(body: &[u8]) -> Result<Self, Problem> {
        let value = value(body)?;
        let form: OutcomeForm = of_value(&value)?;
        let execution = Execution::parse(&form.execution).ok_or_else(|| {
            let words = Execution::ALL.map(|word| format!("`{}`", word.as_str())).join(", ");
            Problem::invalid(format!("`/execution` must be one of {words}"))
        })?;
        if form.edits.len() > EDITS_MAX {
            return Err(Problem::invalid(format!("`/edits` has more than {EDITS_MAX} edits")));
        }
        let detail = form.detail.map(|detail| word(&detail)).transpose()?;
        let edit = |edit: EditForm| Edit {
            obligation: Obligation::parse(&edit.obligation),
            values: edit.values,
        };
        Ok(Self {
            execution,
            duration_ms: form.duration_ms,
            result: value.member("result").map(json::to_bytes),
            detail,
            edits: form.edits.into_iter().map(edit).collect(),
        })
    }
}

/// A fixed word, so that no reported text carries data into the ledger.
fn word(text: &str) -> Result<Arc<str>, Problem> {
    let fits = !text.is_empty()
        && text.len() <= DETAIL_BYTES_MAX
        && text.bytes().all(|b| b.is_ascii_lowercase() || b == b'_');
    if fits {
        return Ok(text.into());
    }
    Err(Problem::invalid("`/detail` must be one word of `a`-`z` and `_`, at most 64 long"))
}

/// Who the caller is.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct WhoamiForm {
    pub(crate) identity: IdentityForm,
    /// By which token.
    pub(crate) token: String,
    /// How the caller proved who it is: `api_key`, `local_peer`.
    pub(crate) method: &'static str,
    /// What it may do here.
    pub(crate) operations: Vec<&'static str>,
}

impl WhoamiForm {
    pub(crate) fn words(operations: impl Iterator<Item = Operation>) -> Vec<&'static str> {
        operations.map(Operation::as_str).collect()
    }
}

/// Identities, by id.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct IdentitiesForm {
    pub(crate) identities: Vec<IdentityForm>,
    /// Where the next page begins: `after` of the next question. Absent at the end.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) next: Option<String>,
}

/// A token that was issued: never the token itself.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct TokenForm {
    pub(crate) id: String,
    /// Whose it is.
    pub(crate) identity: String,
    /// RFC 3339 in UTC.
    pub(crate) issued_at: String,
    /// RFC 3339 in UTC.
    pub(crate) expires_at: String,
    pub(crate) revoked: bool,
}

impl From<&Token> for TokenForm {
    fn from(token: &Token) -> Self {
        Self {
            id: token.id.to_string(),
            identity: token.identity.to_string(),
            issued_at: token.issued_at.to_string(),
            expires_at: token.expires_at.to_string(),
            revoked: token.revoked,
        }
    }
}

/// Tokens, by id.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct TokensForm {
    pub(crate) tokens: Vec<TokenForm>,
    /// Where the next page begins: `after` of the next question. Absent at the end.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) next: Option<String>,
}

/// A token to issue.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewTokenForm {
    /// Whose it will be.
    #[schema(value_type = String)]
    pub(crate) identity: Written<IdentityId>,
    /// How long it lives, in seconds: 1 to 31622400; left out, 2592000 (30 days).
    pub(crate) ttl_s: Option<i64>,
}

/// A token as it is issued: the one time that it is shown.
#[derive(Serialize, ToSchema)]
pub(crate) struct IssuedTokenForm<'a> {
    /// The token itself. It is not kept and cannot be shown again.
    pub(crate) token: &'a str,
    #[serde(flatten)]
    pub(crate) registered: TokenForm,
}

/// A record of the ledger.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct RecordForm {
    /// Its place in the ledger, from 0.
    pub(crate) sequence: u64,
    /// The leaf: the record's canonical JSON (RFC 8785), whose bytes the tree is over.
    #[schema(value_type = Object)]
    pub(crate) record: Box<RawValue>,
}

impl TryFrom<&ReadRecord> for RecordForm {
    type Error = Problem;

    fn try_from(read: &ReadRecord) -> Result<Self, Problem> {
        let record = RawValue::from_string(read.leaf.to_string()).map_err(|error| {
            tracing::error!(%error, sequence = read.sequence, "the read model holds a leaf that is not JSON");
            Problem::unavailable("a record of the read model cannot be shown; rebuild it")
        })?;
        Ok(Self { sequence: read.sequence, record })
    }
}

/// Records, newest first.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct RecordsForm {
    pub(crate) records: Vec<RecordForm>,
    /// How many records of the ledger this answer rests on: all of sequence numbers below.
    pub(crate) read_up_to: u64,
    /// `before` of the next page. Absent at the end.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) next_before: Option<u64>,
}

/// One record.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct OneRecordForm {
    #[serde(flatten)]
    pub(crate) record: RecordForm,
    /// How many records of the ledger this answer rests on: all of sequence numbers below.
    pub(crate) read_up_to: u64,
}

/// How the policies stand.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct PoliciesForm {
    /// The digest of the set in force.
    pub(crate) digest: String,
    /// How many policies it has.
    pub(crate) policies: u64,
    /// The digest of the catalogue in force.
    pub(crate) catalogue: String,
    /// When the set was loaded: RFC 3339 in UTC.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) loaded_at: Option<String>,
    /// Why the last attempt since then was refused.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) refused: Option<String>,
}

impl PoliciesForm {
    pub(crate) fn new(world: &safeconduct_service::World, status: PolicyStatus) -> Self {
        Self {
            digest: world.policies().digest().to_string(),
            policies: world.policies().len() as u64,
            catalogue: world.catalogue_digest().to_string(),
            loaded_at: status.loaded_at.map(|at| at.to_string()),
            refused: status.refused,
        }
    }
}

/// What is known of an action.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct CatalogueEntryForm {
    pub(crate) action: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) server: Option<String>,
    /// `low`, `moderate`, `high`, `critical`.
    pub(crate) tier: &'static str,
    /// `read`, `write`, `execute`, `send`, `delegate`, `administer`.
    pub(crate) effect: &'static str,
    /// Whether tier and effect were guessed by an import and nobody has confirmed them.
    pub(crate) guessed: bool,
    /// Whether what it returns may steer an agent: `trusted`, `untrusted`.
    pub(crate) integrity: &'static str,
    /// How far what it returns may travel: `public`, `internal`, `confidential`, `secret`.
    pub(crate) confidentiality: &'static str,
    /// The digest of the approved definition.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) pinned: Option<String>,
    /// The digest of the live definition, where it is not the approved one: calls are denied.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) quarantined: Option<String>,
}

impl CatalogueEntryForm {
    pub(crate) fn new(entry: &ActionEntry, seen: Option<Digest>) -> Self {
        Self {
            action: entry.name.to_string(),
            server: entry.server.as_ref().map(ToString::to_string),
            tier: entry.tier.as_str(),
            effect: entry.effect.as_str(),
            guessed: entry.guessed,
            integrity: entry.integrity.as_str(),
            confidentiality: entry.confidentiality.as_str(),
            pinned: entry.definition.map(|digest| digest.to_string()),
            quarantined: seen.map(|digest| digest.to_string()),
        }
    }
}

/// The catalogue, by action.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct CatalogueForm {
    pub(crate) actions: Vec<CatalogueEntryForm>,
    /// Where the next page begins: `after` of the next question. Absent at the end.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) next: Option<String>,
}

/// An upstream.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct UpstreamForm {
    pub(crate) name: String,
    /// `stdio` or `http`.
    pub(crate) transport: &'static str,
    /// `enforce`, or `observe`: denials are recorded and not carried out.
    pub(crate) mode: &'static str,
    /// `starting`, `ready`, `failed`.
    pub(crate) state: &'static str,
    /// Why it cannot be called.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) problem: Option<String>,
}

impl From<UpstreamStatus> for UpstreamForm {
    fn from(status: UpstreamStatus) -> Self {
        Self {
            name: status.name.to_string(),
            transport: status.transport,
            mode: status.mode.as_str(),
            state: status.state.as_str(),
            problem: status.problem,
        }
    }
}

/// The upstreams, by name.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct UpstreamsForm {
    pub(crate) upstreams: Vec<UpstreamForm>,
}

/// The state of a session.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct SessionForm {
    pub(crate) identity: String,
    pub(crate) token: String,
    /// Decisions so far.
    pub(crate) sequence: u64,
    /// Permitted decisions so far.
    pub(crate) steps: u64,
    /// Denied decisions so far.
    pub(crate) denials: u64,
    /// Different resources that were touched; at most 4096 are counted.
    pub(crate) distinct_resources: u64,
    /// When the first decision was made: RFC 3339 in UTC.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) began_at: Option<String>,
    /// Permitted actions and how often; at most 1024 are listed.
    pub(crate) actions: std::collections::BTreeMap<String, u64>,
}

impl From<&SessionView> for SessionForm {
    fn from(view: &SessionView) -> Self {
        let session = &view.session;
        Self {
            identity: view.key.identity.to_string(),
            token: view.key.token.to_string(),
            sequence: session.sequence(),
            steps: session.steps(),
            denials: session.denials(),
            distinct_resources: session.distinct_resources(),
            began_at: session.began_at().map(|at| at.to_string()),
            actions: session.actions().map(|(name, n)| (name.to_string(), n)).collect(),
        }
    }
}

/// What an erasure did.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ErasedForm {
    /// How many sealed values and keys were overwritten.
    pub(crate) attachments: u64,
}

/// An identity to register or change, its id in the path.
pub(crate) fn identity(body: &[u8], id: &str) -> Result<Identity, Problem> {
    let form: IdentityForm = read(body)?;
    if form.id.0.as_str() != id {
        return Err(Problem::invalid("`/id` is not the id in the path"));
    }
    Ok(form.into_model())
}
