//! A change of the policies that somebody wants: who says so, who else agrees, and what came of
//! it. Whoever wrote it never approves it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use safeconduct_model::{Digest, IdentityId, RecordId, Timestamp};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use thiserror::Error;

/// Most files that one proposal changes.
pub const PROPOSED_FILES_MAX: usize = 128;

/// Most remediations that one proposal carries out.
pub const PROPOSED_REMEDIATIONS_MAX: usize = 256;

/// Most bytes of the reason for a proposal, and of a rejection's.
pub const PROPOSAL_REASON_BYTES_MAX: usize = 4096;

/// The texts of a change: each file as it was and as it is to be. `None` is no file.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProposedTexts {
    /// By the file's path in the policy folder, with `/` between its parts.
    pub files: BTreeMap<String, ProposedFile>,
}

/// One file of a change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProposedFile {
    /// Its text when the change was proposed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<String>,
    /// Its text afterwards.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<String>,
}

impl ProposedTexts {
    /// What lies beside the record of the proposal.
    pub fn to_bytes(&self) -> Vec<u8> {
        // Texts under texts are always JSON.
        serde_json::to_vec(self).unwrap_or_default()
    }

    /// The texts of those bytes, where they have that digest.
    ///
    /// # Errors
    /// [`ProposalError::Beside`]: they are not what was recorded.
    pub fn of_bytes(bytes: &[u8], digest: Digest) -> Result<Self, ProposalError> {
        if Digest::from_bytes(Sha256::digest(bytes).into()) != digest {
            return Err(ProposalError::Beside);
        }
        serde_json::from_slice(bytes).map_err(|_| ProposalError::Beside)
    }
}

/// Whether a path can be that of a file that a proposal changes: within the folder, in the form
/// that the folder is read in, of a language that policies are written in, and no test.
pub fn is_policy_path(path: &str) -> bool {
    let plain = |part: &str| {
        let odd = |c: char| c.is_control() || c == '\\' || c == ':';
        !part.is_empty() && !part.starts_with('.') && !part.contains(odd)
    };
    let mut folders = path.split('/').rev().skip(1);
    let language = [".cedar", ".rego", ".cedarschema"].iter().any(|end| path.ends_with(end));
    path.len() <= 256
        && language
        && !path.ends_with("_test.rego")
        && path.split('/').all(plain)
        && folders.all(|folder| folder != "tests" && folder != "testdata")
}

/// Digest of a policy folder: of its files' names and texts, in the order of names.
pub fn folder_digest(files: &BTreeMap<String, String>) -> Digest {
    let mut hash = Sha256::new();
    for (name, text) in files {
        for part in [name, text] {
            hash.update((part.len() as u64).to_be_bytes());
            hash.update(part);
        }
    }
    Digest::from_bytes(hash.finalize().into())
}

impl ProposedTexts {
    /// What changes from one folder to another.
    pub fn between(from: &BTreeMap<String, String>, to: &BTreeMap<String, String>) -> Self {
        let names: BTreeSet<&String> = from.keys().chain(to.keys()).collect();
        let changed = names.into_iter().filter(|name| from.get(*name) != to.get(*name));
        let file = |name: &String| {
            let (before, after) = (from.get(name).cloned(), to.get(name).cloned());
            (name.clone(), ProposedFile { before, after })
        };
        Self { files: changed.map(file).collect() }
    }

    /// The same the other way around.
    #[must_use]
    pub fn reversed(self) -> Self {
        let turn = |file: ProposedFile| ProposedFile { before: file.after, after: file.before };
        Self { files: self.files.into_iter().map(|(name, file)| (name, turn(file))).collect() }
    }

    /// The folder with the change made, whatever its files were before: for showing.
    pub fn onto(&self, folder: &BTreeMap<String, String>) -> BTreeMap<String, String> {
        let mut after = folder.clone();
        for (name, file) in &self.files {
            match &file.after {
                Some(text) => after.insert(name.clone(), text.clone()),
                None => after.remove(name),
            };
        }
        after
    }

    /// The folder with the change made, where every file is as it was: the files that differ
    /// otherwise.
    ///
    /// # Errors
    /// The names of those files.
    pub fn on(
        &self,
        folder: &BTreeMap<String, String>,
    ) -> Result<BTreeMap<String, String>, Vec<String>> {
        let differs =
            |(name, file): &(&String, &ProposedFile)| folder.get(*name) != file.before.as_ref();
        let differing: Vec<String> =
            self.files.iter().filter(differs).map(|(name, _)| name.clone()).collect();
        if !differing.is_empty() {
            return Err(differing);
        }
        Ok(self.onto(folder))
    }
}

/// A proposal: a fold of its steps.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PolicyProposal {
    /// Its id.
    pub id: RecordId,
    /// Who wrote it.
    pub author: IdentityId,
    /// When it was proposed.
    pub at: Timestamp,
    /// What is proposed.
    pub change: ProposedChange,
    /// How it stands.
    pub state: ProposalState,
    /// Who approved or rejected it.
    pub answered_by: Option<IdentityId>,
    /// Why it was rejected, or what stood in its way.
    pub note: Option<Arc<str>>,
    /// How many steps there were.
    pub steps: u64,
}

/// What is recorded of a change; the texts lie beside.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProposedChange {
    /// Whether it gives back what its remediations took away.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub back: bool,
    /// SHA-256 of what lies beside: `sha256:…`.
    pub beside: String,
    /// The files, by path.
    pub files: Vec<String>,
    /// Digest of the folder that it was written for.
    pub from: String,
    /// Why, in words.
    pub reason: String,
    /// The remediations that it carries out.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub remediations: Vec<String>,
    /// How many policy tests were run, and passed.
    pub tests: u64,
    /// Digest of the folder afterwards.
    pub to: String,
    /// What the checks said, without effect.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
}

/// How a proposal stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ProposalState {
    /// It waits for somebody else.
    Open,
    /// Somebody else agreed; it is being put in force.
    Approved,
    /// It is in force, or was until the next one.
    Applied,
    /// Somebody else, or its author, said no.
    Rejected,
    /// The folder is not the one that it was written for: nothing was overwritten.
    Conflict,
    /// It could not be put in force.
    Failed,
}

impl ProposalState {
    /// Every state.
    pub const ALL: [Self; 6] =
        [Self::Open, Self::Approved, Self::Applied, Self::Rejected, Self::Conflict, Self::Failed];

    /// Whether it waits for somebody, or is being put in force.
    pub const fn is_open(self) -> bool {
        matches!(self, Self::Open | Self::Approved)
    }

    /// The word for it on every wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Approved => "approved",
            Self::Applied => "applied",
            Self::Rejected => "rejected",
            Self::Conflict => "conflict",
            Self::Failed => "failed",
        }
    }

    /// The state of that word.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == word)
    }
}

/// What happened to a proposal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ProposalStep {
    /// It was proposed.
    Proposed(Box<ProposedChange>),
    /// Somebody else agreed.
    Approved,
    /// Somebody said no.
    Rejected {
        /// Why.
        reason: Arc<str>,
    },
    /// It is in force.
    Applied,
    /// The folder has changed meanwhile.
    Conflict {
        /// What differs.
        problem: Arc<str>,
    },
    /// It could not be put in force.
    Failed {
        /// Why.
        problem: Arc<str>,
    },
    /// No proposal: the folder as it was when proposals began to count.
    Imported {
        /// Its digest.
        to: Digest,
    },
}

/// Why a step cannot be taken.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ProposalError {
    /// The caller's fault: whoever wrote it does not approve it.
    #[error("`{0}` wrote the proposal: somebody else has to approve it")]
    OwnProposal(IdentityId),
    /// The caller's fault: not in this state.
    #[error("the proposal is {}, and that is not possible then", .0.as_str())]
    NotNow(ProposalState),
    /// The caller's fault: no reason, or too long a one.
    #[error("a reason has 1 to {PROPOSAL_REASON_BYTES_MAX} bytes")]
    Reason,
    /// The caller's fault: no file of policies.
    #[error("`{0}` is no path of a policy file in the folder")]
    Path(String),
    /// The caller's fault: nothing changes, or too much.
    #[error("a proposal changes 1 to {PROPOSED_FILES_MAX} files")]
    Files,
    /// The disk's fault, or that of whoever wrote it: the texts are not what was recorded.
    #[error("the texts of the proposal are not those that were recorded")]
    Beside,
    /// A record that is no step of a proposal.
    #[error("`{0}` of a step of a proposal is missing or does not fit")]
    Step(Arc<str>),
}

/// The detail of a step other than the first.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Detail {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    to: Option<String>,
}

impl ProposalStep {
    /// The word for it in its record.
    pub const fn event(&self) -> &'static str {
        match self {
            Self::Proposed(_) => "proposed",
            Self::Approved => "approved",
            Self::Rejected { .. } => "rejected",
            Self::Applied => "applied",
            Self::Conflict { .. } => "conflict",
            Self::Failed { .. } => "failed",
            Self::Imported { .. } => "imported",
        }
    }

    /// What its record says beside that, as canonical JSON.
    pub fn detail(&self) -> String {
        let of = |reason: &Arc<str>| Detail { reason: Some(reason.to_string()), to: None };
        let written = match self {
            Self::Proposed(change) => serde_json::to_string(change),
            Self::Approved | Self::Applied => serde_json::to_string(&Detail::default()),
            Self::Rejected { reason } => serde_json::to_string(&of(reason)),
            Self::Conflict { problem } | Self::Failed { problem } => {
                serde_json::to_string(&of(problem))
            }
            Self::Imported { to } => {
                serde_json::to_string(&Detail { reason: None, to: Some(to.to_string()) })
            }
        };
        // Texts and numbers are always JSON.
        written.unwrap_or_else(|_| "{}".to_owned())
    }

    /// The step of a record.
    ///
    /// # Errors
    /// [`ProposalError::Step`] says what does not fit.
    pub fn read(event: &str, detail: &str) -> Result<Self, ProposalError> {
        let unfit = |what: &str| ProposalError::Step(what.into());
        if event == "proposed" {
            let change = serde_json::from_str(detail).map_err(|e| unfit(&e.to_string()))?;
            return Ok(Self::Proposed(Box::new(change)));
        }
        let form: Detail = serde_json::from_str(detail).map_err(|e| unfit(&e.to_string()))?;
        let reason = form.reason.map(Arc::<str>::from).ok_or_else(|| unfit("reason"));
        Ok(match event {
            "approved" => Self::Approved,
            "applied" => Self::Applied,
            "rejected" => Self::Rejected { reason: reason? },
            "conflict" => Self::Conflict { problem: reason? },
            "failed" => Self::Failed { problem: reason? },
            "imported" => {
                let to = form.to.as_deref().and_then(Digest::parse);
                Self::Imported { to: to.ok_or_else(|| unfit("to"))? }
            }
            other => return Err(unfit(other)),
        })
    }
}

impl ProposedChange {
    /// Whether it is one that can be recorded.
    ///
    /// # Errors
    /// [`ProposalError`] says what does not fit.
    pub fn check(&self) -> Result<(), ProposalError> {
        if !(1..=PROPOSED_FILES_MAX).contains(&self.files.len()) {
            return Err(ProposalError::Files);
        }
        match (1..=PROPOSAL_REASON_BYTES_MAX).contains(&self.reason.len()) {
            true => Ok(()),
            false => Err(ProposalError::Reason),
        }
    }
}

impl PolicyProposal {
    /// A proposal that was just made.
    pub const fn proposed(
        id: RecordId,
        change: ProposedChange,
        author: IdentityId,
        at: Timestamp,
    ) -> Self {
        let state = ProposalState::Open;
        Self { id, author, at, change, state, answered_by: None, note: None, steps: 1 }
    }

    /// Whether a step can be taken by somebody; time and the server are nobody.
    ///
    /// # Errors
    /// [`ProposalError`] says why not.
    pub fn check(&self, step: &ProposalStep, by: Option<&IdentityId>) -> Result<(), ProposalError> {
        use ProposalState::{Approved, Open};
        let possible = match step {
            ProposalStep::Proposed(_) | ProposalStep::Imported { .. } => false,
            ProposalStep::Approved => {
                // INVARIANT: nobody approves what they wrote, and nothing approves by itself.
                match by {
                    Some(by) if *by != self.author => {}
                    _ => return Err(ProposalError::OwnProposal(self.author.clone())),
                }
                self.state == Open
            }
            ProposalStep::Rejected { reason } => {
                if !(1..=PROPOSAL_REASON_BYTES_MAX).contains(&reason.len()) {
                    return Err(ProposalError::Reason);
                }
                self.state == Open
            }
            ProposalStep::Applied => self.state == Approved,
            ProposalStep::Conflict { .. } | ProposalStep::Failed { .. } => {
                matches!(self.state, Open | Approved)
            }
        };
        if possible { Ok(()) } else { Err(ProposalError::NotNow(self.state)) }
    }

    /// Takes a step in that was checked and recorded.
    pub fn apply(&mut self, step: &ProposalStep, by: Option<&IdentityId>) {
        self.steps += 1;
        let note = match step {
            ProposalStep::Rejected { reason: note }
            | ProposalStep::Conflict { problem: note }
            | ProposalStep::Failed { problem: note } => Some(note),
            _ => None,
        };
        if let Some(note) = note {
            self.note = Some(Arc::clone(note));
        }
        self.state = match step {
            ProposalStep::Proposed(_) | ProposalStep::Imported { .. } => return,
            ProposalStep::Approved => ProposalState::Approved,
            ProposalStep::Rejected { .. } => ProposalState::Rejected,
            ProposalStep::Applied => ProposalState::Applied,
            ProposalStep::Conflict { .. } => ProposalState::Conflict,
            ProposalStep::Failed { .. } => ProposalState::Failed,
        };
        if matches!(self.state, ProposalState::Approved | ProposalState::Rejected) {
            self.answered_by = by.cloned();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn who(text: &str) -> IdentityId {
        IdentityId::new(text).unwrap()
    }

    fn change() -> ProposedChange {
        ProposedChange {
            back: false,
            beside: Digest::from_bytes([1; 32]).to_string(),
            files: vec!["own.cedar".into()],
            from: Digest::from_bytes([2; 32]).to_string(),
            reason: "less".into(),
            remediations: Vec::new(),
            tests: 3,
            to: Digest::from_bytes([3; 32]).to_string(),
            warnings: Vec::new(),
        }
    }

    fn open() -> PolicyProposal {
        let id = RecordId::new("prop_1").unwrap();
        PolicyProposal::proposed(id, change(), who("ada"), Timestamp::from_millis(0))
    }

    #[test]
    fn nobody_approves_what_they_wrote() {
        let mut one = open();
        let own = ProposalError::OwnProposal(who("ada"));
        assert_eq!(one.check(&ProposalStep::Approved, Some(&who("ada"))), Err(own.clone()));
        assert_eq!(one.check(&ProposalStep::Approved, None), Err(own));
        one.check(&ProposalStep::Approved, Some(&who("bob"))).unwrap();
        one.apply(&ProposalStep::Approved, Some(&who("bob")));
        assert_eq!(one.answered_by, Some(who("bob")));
        let again = one.check(&ProposalStep::Approved, Some(&who("eve")));
        assert_eq!(again, Err(ProposalError::NotNow(ProposalState::Approved)));
    }

    #[test]
    fn nothing_is_in_force_that_nobody_approved() {
        let mut one = open();
        assert!(one.check(&ProposalStep::Applied, None).is_err());
        let no = ProposalStep::Rejected { reason: "no".into() };
        one.check(&no, Some(&who("ada"))).unwrap();
        one.apply(&no, Some(&who("ada")));
        for step in [ProposalStep::Approved, ProposalStep::Applied, no] {
            assert!(one.check(&step, Some(&who("bob"))).is_err(), "{step:?}");
        }
    }

    #[test]
    fn no_path_leads_out_of_the_folder() {
        for path in ["a.cedar", "team/b.rego", "schema.cedarschema"] {
            assert!(is_policy_path(path), "{path}");
        }
        for path in [
            "",
            "/etc/a.cedar",
            "../a.cedar",
            "a/../../b.cedar",
            "a//b.cedar",
            ".a.cedar",
            "a.txt",
            "tests/a.cedar",
            "x/testdata/a.cedar",
            "a_test.rego",
            "a\\b.cedar",
            "c:a.cedar",
        ] {
            assert!(!is_policy_path(path), "{path}");
        }
    }

    #[test]
    fn steps_and_texts_are_read_back() {
        let steps = [
            ProposalStep::Proposed(Box::new(change())),
            ProposalStep::Approved,
            ProposalStep::Rejected { reason: "no".into() },
            ProposalStep::Applied,
            ProposalStep::Conflict { problem: "`a` differs".into() },
            ProposalStep::Failed { problem: "the disk is full".into() },
            ProposalStep::Imported { to: Digest::from_bytes([4; 32]) },
        ];
        for step in steps {
            assert_eq!(ProposalStep::read(step.event(), &step.detail()).unwrap(), step);
        }
        let texts = ProposedTexts {
            files: BTreeMap::from([(
                "own.cedar".to_owned(),
                ProposedFile { before: None, after: Some("permit (…);".to_owned()) },
            )]),
        };
        let bytes = texts.to_bytes();
        let digest = Digest::from_bytes(Sha256::digest(&bytes).into());
        assert_eq!(ProposedTexts::of_bytes(&bytes, digest).unwrap(), texts);
        let other = Digest::from_bytes([0; 32]);
        assert_eq!(ProposedTexts::of_bytes(&bytes, other), Err(ProposalError::Beside));
    }
}
