//! The review as OSCAL assessment results (<https://pages.nist.gov/OSCAL/>): observations for what
//! was looked at, and a risk for each right that was not to stay. Nothing in it says that a control
//! is satisfied, and so it has no findings: those are an assessor's.

use std::collections::BTreeMap;

use safeconduct_review::RemediationStep;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::Files;
use crate::manifest::sha256;
use crate::view::{Case, Decided, Review, Step};

/// The version of OSCAL.
pub const OSCAL_VERSION: &str = "1.1.3";

/// Most rights with an observation of their own: of a larger campaign, those that stay as they are
/// are counted in one.
pub(crate) const OBSERVED_MAX: usize = 10_000;

/// Controls of SP 800-53 that a review of rights is evidence toward.
const CONTROLS: [&str; 4] = ["ac-2", "ac-5", "ac-6", "ac-6.7"];

/// The document. `files` are those of the folder that it names as evidence.
pub(crate) fn document(review: &Review, files: &Files) -> Vec<u8> {
    let mut people: Vec<&str> = vec![&review.owner];
    people.extend(review.decisions.iter().map(|decided| decided.answer.by.as_str()));
    people.sort_unstable();
    people.dedup();
    let whole = review.cases.len() <= OBSERVED_MAX;
    let own = |case: &&Case| whole || case.effect != "keep";
    let observed: Vec<&Case> = review.cases.iter().filter(own).take(OBSERVED_MAX).collect();
    let index = Index::of(review);
    let mut observations: Vec<Value> =
        observed.iter().map(|case| observation(review, case, &index)).collect();
    observations.push(summary(review));
    let risks = observed.iter().filter(|case| case.effect != "keep");
    let risks: Vec<Value> = risks.map(|case| risk(review, case, &index)).collect();
    let mut result = json!({
        "uuid": uuid(review, "result"),
        "title": line(&format!("Access review {}", review.name)),
        "description": format!(
            "Campaign {} over {} rights; the population has the digest {}.",
            review.id, review.cases.len(), review.population
        ),
        "start": review.began_at.to_string(),
        "end": review.until.to_string(),
        "reviewed-controls": {
            "description": "The records are evidence toward these controls. Whether one is met is for an assessor to say.",
            "control-selections": [{
                "include-controls": CONTROLS.map(|id| json!({ "control-id": id })),
            }],
        },
        "observations": observations,
    });
    if let (false, Some(members)) = (risks.is_empty(), result.as_object_mut()) {
        members.insert("risks".to_owned(), Value::Array(risks));
    }
    let parties = people.iter().map(|who| {
        json!({ "uuid": uuid(review, &format!("party/{who}")), "type": "person", "name": line(who) })
    });
    let resources = files.iter().map(|(name, bytes)| {
        json!({
            "uuid": uuid(review, &format!("file/{name}")),
            "title": name,
            "rlinks": [{
                "href": name,
                "hashes": [{ "algorithm": "SHA-256", "value": sha256(bytes) }],
            }],
        })
    });
    let mut resources: Vec<Value> = resources.collect();
    resources.push(json!({
        "uuid": uuid(review, "plan"),
        "title": "Definition of the campaign",
        "description": review.definition,
    }));
    let document = json!({
        "assessment-results": {
            "uuid": uuid(review, "document"),
            "metadata": {
                "title": line(&format!("Access review {}", review.name)),
                "last-modified": review.until.to_string(),
                "version": "1",
                "oscal-version": OSCAL_VERSION,
                "parties": parties.collect::<Vec<_>>(),
            },
            "import-ap": { "href": format!("#{}", uuid(review, "plan")) },
            "results": [result],
            "back-matter": { "resources": resources },
        },
    });
    let mut text = serde_json::to_vec_pretty(&document).unwrap_or_default();
    text.push(b'\n');
    text
}

/// What belongs to a case, found once for all of them.
struct Index<'r> {
    answers: BTreeMap<u32, Vec<&'r Decided>>,
    /// Remediations by whose right they take, and which.
    remediations: BTreeMap<(String, String), &'r str>,
    /// What happened to each remediation.
    events: BTreeMap<&'r str, Vec<&'r str>>,
}

impl<'r> Index<'r> {
    fn of(review: &'r Review) -> Self {
        let mut index = Self {
            answers: BTreeMap::new(),
            remediations: BTreeMap::new(),
            events: BTreeMap::new(),
        };
        for decided in &review.decisions {
            index.answers.entry(decided.case).or_default().push(decided);
        }
        for step in review.steps.iter().filter(|step| step.what == "remediation") {
            index.events.entry(&step.id).or_default().push(told(step));
            let detail: Value = serde_json::from_str(&step.detail).unwrap_or(Value::Null);
            let text = |name: &str| detail.get(name).and_then(Value::as_str).map(str::to_owned);
            if let (Some(holder), Some(grant)) = (text("holder"), text("grant")) {
                index.remediations.insert((holder, grant), &step.id);
            }
        }
        index
    }
}

/// What happened in a step. A verification that proves nothing is none.
fn told(step: &Step) -> &str {
    let read = RemediationStep::read(&step.event, &step.detail);
    let proves = read.is_ok_and(|read| read.is_proof());
    match &*step.event {
        "verified" if !proves => "not verified",
        event => event,
    }
}

fn observation(review: &Review, case: &Case, index: &Index<'_>) -> Value {
    let answers = index.answers.get(&case.number).map(Vec::as_slice).unwrap_or_default();
    let prop = |name: &str, value: &str| json!({ "name": name, "ns": "https://safeconduct.dev/ns/oscal", "value": line(value) });
    let mut props = vec![
        prop("case", &case.number.to_string()),
        prop("grant", &case.grant),
        prop("tier", case.tier),
        prop("outcome", case.outcome),
        prop("effect", case.effect),
    ];
    props.extend(answers.iter().map(|decided| prop("record", &decided.record)));
    let mut observation = json!({
        "uuid": uuid(review, &format!("observation/{}", case.number)),
        "title": line(&format!("{}: {} {}", case.holder, case.kind, case.name)),
        "description": format!(
            "{} holds {} `{}` {}: {}. The review came to {}, and the right is to {}.",
            case.holder, case.kind, case.name, case.at, case.words, case.outcome, case.effect
        ),
        "props": props,
        "methods": ["EXAMINE"],
        "relevant-evidence": [{
            "href": format!("#{}", uuid(review, "file/records.ndjson")),
            "description": format!("{} answers, each a record in the log", answers.len()),
        }],
        "collected": answers.last().map_or(review.until, |decided| decided.answer.at).to_string(),
    });
    let mut people: Vec<&str> = answers.iter().map(|decided| decided.answer.by.as_str()).collect();
    people.dedup();
    if let (false, Some(members)) = (people.is_empty(), observation.as_object_mut()) {
        let actors = people.iter().map(
            |who| json!({ "type": "party", "actor-uuid": uuid(review, &format!("party/{who}")) }),
        );
        let actors: Vec<Value> = actors.collect();
        members.insert("origins".to_owned(), json!([{ "actors": actors }]));
    }
    observation
}

/// What holds of all of it: counts, and the signature.
fn summary(review: &Review) -> Value {
    let of = |effect: &str| review.cases.iter().filter(|case| case.effect == effect).count();
    let signed = match &review.signed {
        Some(signed) => {
            format!("{} signed it off at {} over {}.", signed.by, signed.at, signed.over)
        }
        None => "Nobody has signed it off.".to_owned(),
    };
    json!({
        "uuid": uuid(review, "observation/all"),
        "title": "The review as a whole",
        "description": format!(
            "{} rights: {} keep, {} reduce, {} suspend, {} revoke. {signed}",
            review.cases.len(), of("keep"), of("reduce"), of("suspend"), of("revoke")
        ),
        "methods": ["EXAMINE"],
        "relevant-evidence": [{
            "href": format!("#{}", uuid(review, "file/records.ndjson")),
            "description": "Every step of the campaign, each a record in the log",
        }],
        "collected": review.until.to_string(),
    })
}

fn risk(review: &Review, case: &Case, index: &Index<'_>) -> Value {
    let of_case = index.remediations.get(&(case.holder.clone(), case.grant.clone()));
    let events = of_case.and_then(|id| index.events.get(id));
    let events = events.map(Vec::as_slice).unwrap_or_default();
    let (status, lifecycle) = match events.last() {
        Some(&"verified") => ("closed", "completed"),
        Some(
            &("applied" | "not verified" | "ended" | "quarantined" | "scheduled" | "proposed"),
        ) => ("remediating", "planned"),
        _ => ("open", "recommendation"),
    };
    json!({
        "uuid": uuid(review, &format!("risk/{}", case.number)),
        "title": line(&format!("{} holds a right that was not to stay", case.holder)),
        "description": format!("{} `{}` {}: {}", case.kind, case.name, case.at, case.words),
        "statement": format!("The review decided to {} it.", case.effect),
        "status": status,
        "remediations": [{
            "uuid": uuid(review, &format!("response/{}", case.number)),
            "lifecycle": lifecycle,
            "title": line(&format!("{} the right", case.effect)),
            "description": match events.is_empty() {
                true => "Nothing was done yet.".to_owned(),
                false => format!("So far: {}.", events.join(", ")),
            },
        }],
        "related-observations": [{
            "observation-uuid": uuid(review, &format!("observation/{}", case.number)),
        }],
    })
}

/// A text of one line, as OSCAL takes it: something, and no space around it.
fn line(text: &str) -> String {
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    let line: String = line.chars().filter(|c| !c.is_control()).collect();
    if line.is_empty() { "-".to_owned() } else { line }
}

/// A UUID that follows from the campaign and a name, in the form of version 5: OSCAL takes
/// versions 4 and 5 alone. Its bits are of SHA-256, where RFC 9562 has those of SHA-1.
fn uuid(review: &Review, name: &str) -> String {
    let mut hash = Sha256::new();
    for part in [&*review.id, &review.population.to_string(), name] {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part);
    }
    let hex = sha256(&hash.finalize());
    let part = |from: usize, to: usize| hex.get(from..to).unwrap_or_default().to_owned();
    let variant = match hex.as_bytes().get(16).map_or(0, |byte| byte % 4) {
        0 => '8',
        1 => '9',
        2 => 'a',
        _ => 'b',
    };
    format!(
        "{}-{}-5{}-{variant}{}-{}",
        part(0, 8),
        part(8, 12),
        part(13, 16),
        part(17, 20),
        part(20, 32)
    )
}
