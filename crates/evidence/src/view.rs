//! What the records of a folder say: the fold of the campaign, and the story of what came of it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use safeconduct_ledger::canonical;
use safeconduct_model::{
    Body, Digest, IdentityId, Record, RecordId, ReviewChange, ReviewedThing, Timestamp, Value,
};
use safeconduct_review::{
    Campaign, CampaignState, Population, ProposedTexts, ReviewDecision, Source, Step as Taken,
};
use safeconduct_wire::{campaign, json};
use similar::DiffableStr as _;
use thiserror::Error;

use crate::Replayed;
use crate::manifest::sha256;

/// Most lines, before and after, of all files of all proposals that are compared: comparing takes
/// a time that grows with the square of them. Of what is beyond, the lines are counted alone.
pub const DIFF_LINES_MAX: usize = 20_000;

/// Why records do not make a campaign: whoever wrote them, or left some out, is at fault.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum FoldError {
    /// No record says that it began.
    #[error("no record begins the campaign `{0}`")]
    NotBegun(String),
    /// A record does not fit behind those before it.
    #[error("record {sequence}: {problem}")]
    Step {
        /// Its place in the log.
        sequence: u64,
        /// What does not fit.
        problem: String,
    },
}

/// A campaign as its records tell it: plain data, for whoever writes it down.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Review {
    /// Its id.
    pub id: String,
    /// Its name.
    pub name: String,
    /// Who signs it off.
    pub owner: String,
    /// Where it stands.
    pub state: &'static str,
    /// When it began.
    pub began_at: Timestamp,
    /// Who began it; empty where its schedule or an event did.
    pub began_by: String,
    /// When the last of its records was made.
    pub until: Timestamp,
    /// The definition as it was recorded: canonical JSON.
    pub definition: String,
    /// SHA-256 over the population.
    pub population: Digest,
    /// Where the population was read: source and cursor.
    pub sources: Vec<(String, String)>,
    /// SHA-256 over the population and every answer, outcome and effect.
    pub digest: Digest,
    /// The signature of its owner, where there is one.
    pub signed: Option<Signed>,
    /// The rights that it is about.
    pub cases: Vec<Case>,
    /// Every answer.
    pub decisions: Vec<Decided>,
    /// Every step of it and of what came of it.
    pub steps: Vec<Step>,
    /// Changes of policies that came of it.
    pub diffs: Vec<Diff>,
    /// Other records that are named.
    pub others: Vec<Other>,
    /// What lies beside records.
    pub beside: Vec<Beside>,
    /// The policy sets that proposals put in force, by proposal.
    pub put: BTreeMap<String, String>,
    /// What decisions would have been under those, where it was computed.
    pub replays: Option<Vec<Replayed>>,
}

/// A signature.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signed {
    /// By whom.
    pub by: String,
    /// When.
    pub at: Timestamp,
    /// Over which digest.
    pub over: Digest,
    /// The record.
    pub record: String,
}

/// One right that was reviewed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Case {
    /// Its number.
    pub number: u32,
    /// Who holds it.
    pub holder: String,
    /// What kind of thing gives it.
    pub kind: &'static str,
    /// Which one.
    pub name: String,
    /// Where that stands; empty where it is no statement.
    pub at: String,
    /// What it permits, in words.
    pub words: String,
    /// How many actions that is.
    pub actions: u32,
    /// The highest tier of it.
    pub tier: &'static str,
    /// Who gave it; empty where that is not known.
    pub given_by: String,
    /// Its digest.
    pub grant: String,
    /// What came of it so far.
    pub outcome: &'static str,
    /// What becomes of it.
    pub effect: &'static str,
    /// How many answers there were.
    pub answers: usize,
}

/// An answer with its record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decided {
    /// Its place in the log.
    pub sequence: u64,
    /// The record.
    pub record: String,
    /// About which case.
    pub case: u32,
    /// The answer.
    pub answer: ReviewDecision,
}

/// A step of something that is reviewed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// Its place in the log.
    pub sequence: u64,
    /// When.
    pub at: Timestamp,
    /// The record.
    pub record: String,
    /// Of what: `campaign`, `remediation`, `policy_proposal` …
    pub what: &'static str,
    /// Which one.
    pub id: String,
    /// What happened.
    pub event: String,
    /// About whom; may be empty.
    pub about: String,
    /// Who did it; may be empty.
    pub by: String,
    /// The rest, as canonical JSON.
    pub detail: String,
}

/// A change of one file of the policies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diff {
    /// Of which proposal.
    pub proposal: String,
    /// Which file.
    pub file: String,
    /// The change, unified.
    pub text: String,
}

/// A record that is named, and is no step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Other {
    /// Its place in the log.
    pub sequence: u64,
    /// When.
    pub at: Timestamp,
    /// The record.
    pub record: String,
    /// Its kind.
    pub kind: &'static str,
}

/// Bytes that lie beside a record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Beside {
    /// The place of the record.
    pub sequence: u64,
    /// How many bytes.
    pub bytes: usize,
    /// Their SHA-256 in hexadecimal.
    pub sha256: String,
}

impl Review {
    /// What those records say of that campaign. Each answer and the signature have to be such as
    /// the rules of campaigns take, and whatever lies beside a record what it says.
    ///
    /// # Errors
    /// [`FoldError`] names the first record that does not fit.
    pub fn of(
        records: &[(u64, Record)],
        beside: &BTreeMap<u64, Vec<u8>>,
        campaign: &str,
    ) -> Result<Self, FoldError> {
        let mut fold = Fold::new(campaign, beside);
        for (sequence, record) in records {
            let problem = |problem| FoldError::Step { sequence: *sequence, problem };
            fold.take(*sequence, record).map_err(problem)?;
        }
        fold.finish(campaign)
    }
}

/// What is known while records are taken in.
struct Fold<'a> {
    campaign: &'a str,
    beside: &'a BTreeMap<u64, Vec<u8>>,
    running: Option<Begun>,
    /// Where parts lie of what belongs to a record to come, by its digest.
    parts: Vec<(String, u64)>,
    /// What lies beside records and was held against what they say.
    vouched: BTreeSet<u64>,
    /// How many steps there were of each thing.
    counts: BTreeMap<(ReviewedThing, Arc<str>), u64>,
    signed: Option<Signed>,
    decisions: Vec<Decided>,
    steps: Vec<Step>,
    diffs: Vec<Diff>,
    /// How many lines were compared.
    compared: usize,
    others: Vec<Other>,
    put: BTreeMap<String, String>,
    until: Timestamp,
}

struct Begun {
    campaign: Campaign,
    at: Timestamp,
    by: String,
    definition: String,
}

impl<'a> Fold<'a> {
    fn new(campaign: &'a str, beside: &'a BTreeMap<u64, Vec<u8>>) -> Self {
        Self {
            campaign,
            beside,
            running: None,
            parts: Vec::new(),
            vouched: BTreeSet::new(),
            counts: BTreeMap::new(),
            signed: None,
            decisions: Vec::new(),
            steps: Vec::new(),
            diffs: Vec::new(),
            compared: 0,
            others: Vec::new(),
            put: BTreeMap::new(),
            until: Timestamp::from_millis(0),
        }
    }

    fn take(&mut self, sequence: u64, record: &Record) -> Result<(), String> {
        let id = record.id.to_string();
        let Body::ReviewChanged(change) = &record.body else {
            if let Body::PoliciesLoaded { digest, cause, .. } = &record.body
                && let Some(proposal) = cause.strip_prefix("proposal ")
            {
                // A server that was started again may say so again.
                self.put.entry(proposal.to_owned()).or_insert_with(|| digest.to_string());
            }
            let (at, kind) = (record.at, record.body.kind());
            self.others.push(Other { sequence, at, record: id, kind });
            return Ok(());
        };
        self.counted(change)?;
        self.until = self.until.max(record.at);
        let name =
            |who: &Option<IdentityId>| who.as_ref().map(ToString::to_string).unwrap_or_default();
        self.steps.push(Step {
            sequence,
            at: record.at,
            record: id,
            what: change.what.as_str(),
            id: change.id.to_string(),
            event: change.event.to_string(),
            about: name(&change.about),
            by: name(&change.by),
            detail: change.detail.as_str().to_owned(),
        });
        let detail = json::parse(change.detail.as_str().as_bytes()).unwrap_or_default();
        match change.what {
            ReviewedThing::Campaign if &*change.id == self.campaign => {
                self.campaign_step(sequence, record, change, &detail)
            }
            ReviewedThing::PolicyProposal => self.proposal_step(sequence, change, &detail),
            _ => Ok(()),
        }
    }

    /// No step of what is told in whole is left out between others. Single records of findings
    /// and other campaigns are named without the rest.
    fn counted(&mut self, change: &ReviewChange) -> Result<(), String> {
        let whole = match change.what {
            ReviewedThing::Campaign => &*change.id == self.campaign,
            ReviewedThing::Remediation | ReviewedThing::PolicyProposal => true,
            ReviewedThing::Finding | ReviewedThing::Exemption | ReviewedThing::Import => false,
        };
        let next = self.counts.entry((change.what, Arc::clone(&change.id))).or_default();
        if whole && change.sequence != *next {
            let (what, id) = (change.what.as_str(), &change.id);
            let found = change.sequence;
            return Err(format!("step {next} of the {what} `{id}` is missing before step {found}"));
        }
        *next = change.sequence.saturating_add(1);
        Ok(())
    }

    fn campaign_step(
        &mut self,
        sequence: u64,
        record: &Record,
        change: &ReviewChange,
        detail: &Value,
    ) -> Result<(), String> {
        let state = self.running.as_ref().map(|running| running.campaign.state());
        if let Some(CampaignState::SignedOff { .. } | CampaignState::Cancelled) = state {
            return Err("it comes after the campaign was over".to_owned());
        }
        if &*change.event == "part" {
            self.parts.extend(text(detail, "of").map(|of| (of.to_owned(), sequence)));
            return Ok(());
        }
        let said = detail.member("beside");
        let bytes = said.map(|said| self.assembled(sequence, said)).transpose()?;
        if &*change.event == "created" {
            if self.running.is_some() {
                return Err("the campaign has begun before it".to_owned());
            }
            let bytes = bytes.ok_or("its population does not lie beside it")?;
            self.running = Some(begun(record, change, detail, &bytes)?);
            return Ok(());
        }
        let running = self.running.as_mut().ok_or("it comes before the beginning")?;
        let campaign = &mut running.campaign;
        let cases = campaign.population().cases().len();
        let step = Taken::read(&change.event, detail, bytes.as_deref(), cases);
        let step = step.map_err(|error| error.to_string())?;
        let allowed = campaign.check(&step, change.by.as_ref(), record.at);
        allowed.map_err(|error| error.to_string())?;
        match &step {
            Taken::Decided { case, decided } => {
                if change.by.as_ref().is_some_and(|by| *by != decided.by) {
                    return Err("it was recorded for somebody else than who answered".to_owned());
                }
                let record = record.id.to_string();
                let answer = ReviewDecision::clone(decided);
                self.decisions.push(Decided { sequence, record, case: *case, answer });
            }
            Taken::SignedOff { over } => {
                let by = change.by.as_ref().ok_or("nobody signed")?;
                let (by, at) = (by.to_string(), record.at);
                let record = record.id.to_string();
                self.signed = Some(Signed { by, at, over: *over, record });
            }
            _ => {}
        }
        campaign.apply(step);
        Ok(())
    }

    /// What lies beside a record and those of its parts, put together and held against the digest
    /// that it says.
    fn assembled(&mut self, sequence: u64, said: &Value) -> Result<Vec<u8>, String> {
        let digest = text(said, "digest").ok_or("it does not say what lies beside it")?;
        let wanted = said.member("parts").and_then(Value::as_integer).unwrap_or(1);
        let wanted = usize::try_from(wanted).unwrap_or(1).max(1);
        let parts = self.parts.iter().filter(|(of, _)| of == digest).map(|(_, at)| *at);
        let parts: Vec<u64> = parts.collect();
        let skip = (parts.len() + 1).checked_sub(wanted).ok_or("a part is missing")?;
        let mut all = Vec::new();
        for place in parts.into_iter().skip(skip).chain([sequence]) {
            let part = self.beside.get(&place).ok_or("what lay beside it is not there")?;
            all.extend_from_slice(part);
            self.vouched.insert(place);
        }
        // A part that was recorded again after others came in between stands there twice.
        let repeated = self.parts.iter().filter(|(of, _)| of == digest).map(|(_, at)| *at);
        self.vouched.extend(repeated);
        match format!("sha256:{}", sha256(&all)) == *digest {
            true => Ok(all),
            false => Err("what lies beside it is not what it says".to_owned()),
        }
    }

    fn proposal_step(
        &mut self,
        sequence: u64,
        change: &ReviewChange,
        detail: &Value,
    ) -> Result<(), String> {
        let Some(digest) = text(detail, "beside").and_then(Digest::parse) else { return Ok(()) };
        let bytes = self.beside.get(&sequence).ok_or("what lay beside it is not there")?;
        let texts = ProposedTexts::of_bytes(bytes, digest).map_err(|error| error.to_string())?;
        self.vouched.insert(sequence);
        for (file, change_of) in &texts.files {
            let before = change_of.before.as_deref().unwrap_or_default();
            let after = change_of.after.as_deref().unwrap_or_default();
            let text = self.compared(file, before, after);
            let (proposal, file) = (change.id.to_string(), file.clone());
            self.diffs.push(Diff { proposal, file, text });
        }
        Ok(())
    }

    /// The change of a file, unified. The limit counts lines and no time, so that the same records
    /// always make the same folder.
    fn compared(&mut self, file: &str, before: &str, after: &str) -> String {
        let (old, new) = (before.tokenize_lines().len(), after.tokenize_lines().len());
        let compared = self.compared.saturating_add(old).saturating_add(new);
        if compared > DIFF_LINES_MAX {
            return format!("{old} lines before and {new} after: too many to be compared here\n");
        }
        self.compared = compared;
        let diff = similar::TextDiff::from_lines(before, after);
        diff.unified_diff().context_radius(3).header(file, file).to_string()
    }

    fn finish(self, id: &str) -> Result<Review, FoldError> {
        let Some(Begun { campaign, at, by, definition }) = &self.running else {
            return Err(FoldError::NotBegun(id.to_owned()));
        };
        if let Some(sequence) = self.beside.keys().find(|place| !self.vouched.contains(place)) {
            let problem = "no record says what lies beside it".to_owned();
            return Err(FoldError::Step { sequence: *sequence, problem });
        }
        let population = campaign.population();
        let sources = population.sources().iter();
        let beside = self.beside.iter().map(|(sequence, bytes)| Beside {
            sequence: *sequence,
            bytes: bytes.len(),
            sha256: sha256(bytes),
        });
        Ok(Review {
            id: id.to_owned(),
            name: campaign.definition().name.to_string(),
            owner: campaign.definition().owner.to_string(),
            state: campaign.state().as_str(),
            began_at: *at,
            began_by: by.clone(),
            until: self.until,
            definition: definition.clone(),
            population: population.digest(),
            sources: sources.map(|one| (one.name.to_string(), one.cursor.to_string())).collect(),
            digest: match campaign.state() {
                CampaignState::SignedOff { over } => *over,
                _ => campaign.digest(),
            },
            signed: self.signed,
            cases: cases(campaign),
            decisions: self.decisions,
            steps: self.steps,
            diffs: self.diffs,
            others: self.others,
            beside: beside.collect(),
            put: self.put,
            replays: None,
        })
    }
}

fn begun(
    record: &Record,
    change: &ReviewChange,
    detail: &Value,
    bytes: &[u8],
) -> Result<Begun, String> {
    let written = detail.member("definition").cloned().unwrap_or_default();
    let file = campaign::of_value(&written).map_err(|problems| {
        let first = problems.first().map(ToString::to_string).unwrap_or_default();
        format!("its definition cannot be read: {first}")
    })?;
    let sources = detail.member("sources").and_then(Value::as_array).unwrap_or_default();
    let sources = sources.iter().filter_map(|source| {
        Some(Source { name: text(source, "name")?.into(), cursor: text(source, "cursor")?.into() })
    });
    let population = Population::from_bytes(bytes, sources.collect());
    let population = population.map_err(|error| error.to_string())?;
    if text(detail, "population").and_then(Digest::parse) != Some(population.digest()) {
        return Err("its population is not the one that was frozen".to_owned());
    }
    let id = RecordId::new(Arc::clone(&change.id)).map_err(|error| error.to_string())?;
    let campaign = Campaign::begin(id, Arc::clone(&file.plan.definition), population);
    Ok(Begun {
        campaign: campaign.map_err(|error| error.to_string())?,
        at: record.at,
        by: change.by.as_ref().map(ToString::to_string).unwrap_or_default(),
        definition: String::from_utf8_lossy(&canonical(&written)).into_owned(),
    })
}

fn cases(campaign: &Campaign) -> Vec<Case> {
    let cases = campaign.cases().map(|(number, case, item)| Case {
        number,
        holder: case.holder.to_string(),
        kind: case.what.kind.as_str(),
        name: case.what.name.to_string(),
        at: case.what.at.as_deref().unwrap_or_default().to_owned(),
        words: case.what.words.to_string(),
        actions: case.what.actions,
        tier: case.tier.as_str(),
        given_by: case.givers().map(ToString::to_string).collect::<Vec<_>>().join(", "),
        grant: case.grant.to_string(),
        outcome: campaign.outcome(item).as_str(),
        effect: campaign.effect(case, item).as_str(),
        answers: item.answers.len() + item.earlier.len(),
    });
    cases.collect()
}

fn text<'v>(value: &'v Value, name: &str) -> Option<&'v str> {
    value.member(name).and_then(Value::as_str)
}
