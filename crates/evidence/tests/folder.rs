//! A whole campaign, made of records, packed and verified; and whatever is changed is found.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "a test that cannot go on fails"
)]

use std::collections::BTreeMap;
use std::sync::Arc;

use proptest::prelude::*;
use safeconduct_evidence::{
    DIFF_LINES_MAX, Files, KeyFrom, Manifest, Material, Proven, Replayed, Selection, pack, verify,
};
use safeconduct_ledger::{
    Checkpoint, CheckpointKey, CheckpointVerifier, Origin, TileHashes, TilePath, TreeBuilder,
    canonical, encode, leaf_hash, prove_inclusion,
};
use safeconduct_model::{
    ActionName, Body, Decision, Digest, EntityRef, IdentityId, Record, RecordId, ReviewChange,
    ReviewDetail, ReviewedThing, Tier, Timestamp, Value,
};
use safeconduct_review::{
    Assigned, CameTo, Campaign, Case, Escalate, GrantKind, Population, Probe, ProposedFile,
    ProposedTexts, ProvedBy, RemediationStep, Response, ReviewDecision, Right, RightReplay, Source,
    Step,
};
use safeconduct_wire::{campaign, json};
use sha2::{Digest as _, Sha256};

const CAMPAIGN: &str = "camp_0123456789abcdef0123456789abcdef";
const REMEDIATION: &str = "rem_0123456789abcdef0123456789abcdef";
const PROPOSAL: &str = "prop_0123456789abcdef0123456789abcdef";

const DEFINITION: &str = "
campaign: agents
owner: grace
scope: {}
stages:
  - name: owners
    lasts: 14d
    reviewers: [owner]
";

fn id(text: &str) -> IdentityId {
    IdentityId::new(text).unwrap()
}

fn sha(bytes: &[u8]) -> Digest {
    Digest::from_bytes(Sha256::digest(bytes).into())
}

/// A ledger in memory.
#[derive(Default)]
struct Log {
    leaves: Vec<(Record, Vec<u8>)>,
    beside: BTreeMap<u64, Vec<u8>>,
    sequences: BTreeMap<String, u64>,
}

impl Log {
    fn record(&mut self, body: Body) -> u64 {
        let sequence = self.leaves.len() as u64;
        let record = Record {
            id: RecordId::new(format!("rec_{sequence:032}")).unwrap(),
            at: Timestamp::from_millis(1_000 + i64::try_from(sequence).unwrap()),
            trace: None,
            parent: None,
            body,
        };
        let leaf = encode(&record).unwrap();
        self.leaves.push((record, leaf));
        sequence
    }

    fn step(
        &mut self,
        (what, id): (ReviewedThing, &str),
        event: &str,
        by: Option<&str>,
        (detail, beside): (Value, Option<Vec<u8>>),
    ) {
        let next = self.sequences.entry(id.to_owned()).or_default();
        let mut detail = detail;
        if let (ReviewedThing::Campaign, Some(bytes), Value::Object(members)) =
            (what, &beside, &mut detail)
        {
            let said = Value::object([
                ("bytes", Value::from(bytes.len() as i64)),
                ("digest", sha(bytes).to_string().into()),
                ("parts", Value::from(1)),
            ]);
            members.insert("beside".into(), said);
        }
        let detail = String::from_utf8(canonical(&detail)).unwrap();
        let change = ReviewChange {
            what,
            id: id.into(),
            sequence: *next,
            event: event.into(),
            about: None,
            by: by.map(self::id),
            detail: ReviewDetail::new(detail).unwrap(),
        };
        *next += 1;
        let sequence = self.record(Body::ReviewChanged(Box::new(change)));
        self.beside.extend(beside.map(|bytes| (sequence, bytes)));
    }

    fn taken(&mut self, campaign: &mut Campaign, step: Step, by: Option<&str>) {
        let thing = (ReviewedThing::Campaign, CAMPAIGN);
        let (event, detail, beside) = (step.event(), step.detail(), step.beside());
        self.step(thing, event, by, (detail, beside));
        campaign.apply(step);
    }

    fn sealed(&self) -> Material {
        let mut selection = Selection::of(CAMPAIGN);
        loop {
            let before = selection.extent();
            self.leaves.iter().for_each(|(record, _)| selection.learn(record));
            if selection.extent() == before {
                break;
            }
        }
        let mut tree = TreeBuilder::new();
        let mut tiles: BTreeMap<String, Vec<u8>> = BTreeMap::new();
        for (_, leaf) in &self.leaves {
            let full = tree.push(leaf_hash(leaf));
            tiles.extend(full.into_iter().map(|tile| (tile.path.to_string(), tile.bytes)));
        }
        let partial = tree.partial_tiles().into_iter();
        tiles.extend(partial.map(|tile| (tile.path.to_string(), tile.bytes)));
        let (size, root) = (self.leaves.len() as u64, tree.root());
        let read = |path: &TilePath| tiles.get(&path.to_string()).cloned();
        let hashes = TileHashes::new(size, root, read);
        let chosen = self.leaves.iter().zip(0..).filter(|((record, _), _)| selection.holds(record));
        let records = chosen.map(|((_, leaf), sequence)| Proven {
            sequence,
            leaf: leaf.clone(),
            proof: prove_inclusion(&hashes, sequence).unwrap(),
        });
        let key = key(7);
        Material {
            campaign: CAMPAIGN.to_owned(),
            records: records.collect(),
            beside: self.beside.clone(),
            checkpoint: key.sign(&Checkpoint { size, root }).unwrap(),
            key: key.verifier_text().to_owned(),
            replays: None,
        }
    }
}

/// The same with what the decisions before the change would have been under it.
fn replayed(log: &Log) -> Material {
    let one = Replayed {
        proposal: PROPOSAL.to_owned(),
        from: Some(Digest::from_bytes([4; 32]).to_string()),
        to: Digest::from_bytes([5; 32]).to_string(),
        since: Some(Timestamp::from_millis(0).to_string()),
        until: Some(Timestamp::from_millis(3_000).to_string()),
        decisions: 12,
        same: 9,
        newly_denied: 2,
        newly_permitted: 0,
        not_replayable: 1,
        denied: vec![format!("dec_{:032}", 1), format!("dec_{:032}", 2)],
        ..Replayed::default()
    };
    Material { replays: Some(vec![one]), ..log.sealed() }
}

fn key(seed: u8) -> CheckpointKey {
    CheckpointKey::from_seed(&Origin::new("example.com/ledger").unwrap(), &[seed; 32]).unwrap()
}

fn verifier(seed: u8) -> CheckpointVerifier {
    CheckpointVerifier::parse(key(seed).verifier_text()).unwrap()
}

/// The beginning of a campaign about two rights, after a record of something else.
fn begun() -> (Log, Campaign) {
    let mut log = Log::default();
    log.record(Body::ServerStarted { version: "1".into() });
    let right = |name: &str| Right {
        kind: GrantKind::Statement,
        name: name.into(),
        at: Some("a.cedar:1:1".into()),
        words: "=HYPERLINK(\"x\") <script>alert(1)</script> on anything".into(),
        actions: 1,
        put_by: Vec::new(),
    };
    let case = |n: u8| Case {
        grant: Digest::from_bytes([n; 32]),
        holder: id("agent"),
        tier: Tier::High,
        given_by: None,
        what: right(&format!("rule-{n}")).into(),
    };
    let sources = vec![Source { name: "policies".into(), cursor: "sha256:0".into() }];
    let cases = [1, 2].map(|n| Ok::<_, String>(case(n)));
    let population = Population::freeze(cases, sources).unwrap();
    let file = campaign::parse("agents.yaml", DEFINITION).unwrap();
    let thing = (ReviewedThing::Campaign, CAMPAIGN);
    let created = Value::object([
        ("definition", file.written.clone()),
        ("name", "agents".into()),
        ("population", population.digest().to_string().into()),
        ("sources", json::parse(br#"[{"cursor":"sha256:0","name":"policies"}]"#).unwrap()),
    ]);
    log.step(thing, "created", Some("grace"), (created, Some(population.to_bytes())));
    let record = RecordId::new(CAMPAIGN).unwrap();
    let campaign = Campaign::begin(record, file.plan.definition.clone(), population).unwrap();
    (log, campaign)
}

/// A campaign about two rights, with what came of it, between records of others.
fn log() -> Log {
    let (mut log, mut campaign) = begun();
    let at = Timestamp::from_millis(2_000);
    let opened = campaign.open_stage(at, |_| vec![id("ada")], |_| Vec::new()).unwrap();
    log.taken(&mut campaign, opened, None);
    log.record(Body::ServerStarted { version: "2".into() });
    for (case, response) in [(0, Response::Reduce), (1, Response::Accept)] {
        let decided = ReviewDecision {
            by: id("ada"),
            acting_for: None,
            response,
            reason: "@SUM(A1) <img src=x onerror=alert(1)>".into(),
            opened_at: at,
            at: at.plus_ms(40_000),
            evidence: Digest::from_bytes([9; 32]),
            batch: 1,
        };
        let step = campaign.decide(case, decided).unwrap();
        log.taken(&mut campaign, step, Some("ada"));
    }
    let closed = campaign.close_stage(at.plus_ms(15 * 86_400_000)).unwrap();
    log.taken(&mut campaign, closed, None);
    let signed = campaign.sign_off(&id("grace"), campaign.digest()).unwrap();
    log.taken(&mut campaign, signed, Some("grace"));

    let texts = ProposedTexts {
        files: BTreeMap::from([(
            "a.cedar".to_owned(),
            ProposedFile {
                before: Some("permit (principal, action, resource);\n".to_owned()),
                after: Some("permit (principal, action == A, resource);\n".to_owned()),
            },
        )]),
    };
    let remediation = (ReviewedThing::Remediation, REMEDIATION);
    let scheduled = Value::object([
        ("cause", format!("{CAMPAIGN}/0").into()),
        ("grant", Digest::from_bytes([1; 32]).to_string().into()),
        ("holder", "agent".into()),
    ]);
    log.step(remediation, "scheduled", None, (scheduled, None));
    let proposal = (ReviewedThing::PolicyProposal, PROPOSAL);
    let proposed = Value::object([("beside", sha(&texts.to_bytes()).to_string().into())]);
    log.step(proposal, "proposed", Some("ada"), (proposed, Some(texts.to_bytes())));
    let of = Value::object([("proposal", PROPOSAL.into())]);
    log.step(remediation, "proposed", None, (of, None));
    log.step(proposal, "approved", Some("grace"), (Value::object::<&str>([]), None));
    let verified = json::parse(verified(at).detail().as_bytes()).unwrap();
    log.step(remediation, "verified", None, (verified, None));
    let loaded = |cause: &str| Body::PoliciesLoaded {
        digest: Digest::from_bytes([5; 32]),
        policies: 1,
        cause: cause.to_owned(),
    };
    log.record(loaded(&format!("proposal {PROPOSAL}")));
    log.record(loaded("change"));
    log
}

/// It was asked for and denied, and what came of it is denied too.
fn verified(at: Timestamp) -> RemediationStep {
    let record = || RecordId::new(format!("rec_{:032}", 0)).unwrap();
    let probe = Probe {
        action: ActionName::new("files.delete").unwrap(),
        resource: EntityRef::new("Safeconduct::Path", "/cases/1").unwrap(),
        wanted: Decision::Deny,
        answer: Decision::Deny,
        reasons: vec!["no_permit".into()],
        evidence: Some(record()),
        point: None,
    };
    let mut replay = RightReplay::new(Digest::from_bytes([5; 32]), at.plus_ms(-1000), at);
    replay.take(&record(), CameTo::Denied);
    replay.take_unknown(&record(), "erased");
    RemediationStep::Verified {
        probes: vec![probe],
        replay: Some(Box::new(replay)),
        proved_by: Some(ProvedBy::ProbeAndReplay),
    }
}

fn folder() -> Files {
    pack(&replayed(&log())).unwrap()
}

/// The manifest made anew, as somebody would who covers a change up.
fn covered_up(mut files: Files) -> Files {
    let manifest = Manifest::of(&files).to_text();
    files.insert("MANIFEST".into(), manifest.into_bytes());
    files
}

#[test]
fn a_folder_verifies_and_tells_the_whole_story() {
    let files = folder();
    let verified = verify(&files, Some(&verifier(7)));
    assert!(verified.holds(), "{:?}", verified.problems);
    assert_eq!(verified.key, KeyFrom::Given);
    let review = verified.review.unwrap();
    assert_eq!((review.cases[0].effect, review.cases[1].effect), ("reduce", "keep"));
    assert_eq!(review.signed.as_ref().unwrap().by, "grace");
    assert_eq!(review.signed.unwrap().over, review.digest);
    assert!(review.diffs[0].text.contains("+permit (principal, action == A, resource);"));
    assert_eq!((review.steps.len(), review.others.len()), (11, 2));
    assert_eq!(verify(&files, None).key, KeyFrom::Folder);
    assert!(verify(&files, None).holds());
    let other = verify(&files, Some(&verifier(8)));
    assert!(!other.holds() && other.problems[0].contains("checkpoint"), "{:?}", other.problems);
}

#[test]
fn whatever_byte_is_changed_is_found_even_where_the_manifest_is_made_anew() {
    let files = folder();
    for (name, bytes) in &files {
        let step = (bytes.len() / 40).max(1);
        for place in (0..bytes.len()).step_by(step) {
            let mut changed = files.clone();
            changed.get_mut(name).unwrap()[place] ^= 1;
            assert!(!verify(&changed, None).holds(), "{name} at {place}");
            if name != "MANIFEST" {
                assert!(!verify(&covered_up(changed), None).holds(), "{name} at {place}, covered");
            }
        }
    }
}

#[test]
fn whatever_file_is_left_out_or_put_in_is_found() {
    let files = folder();
    for name in files.keys() {
        let mut fewer = files.clone();
        fewer.remove(name);
        assert!(!verify(&fewer, None).holds(), "{name}");
        if name != "MANIFEST" {
            assert!(!verify(&covered_up(fewer), None).holds(), "{name}, covered");
        }
    }
    let mut more = files.clone();
    more.insert("beside/0".into(), b"x".to_vec());
    assert!(!verify(&covered_up(more), None).holds());
}

#[test]
fn replays_are_shown_and_held_against_what_the_records_tell_of_changes() {
    let files = folder();
    let text = |name: &str| String::from_utf8(files[name].clone()).unwrap();
    assert!(text("replays.csv").contains("\"12\",\"9\",\"2\",\"0\",\"1\""));
    let page = text("index.html");
    assert!(page.contains("Replays of recorded decisions") && page.contains("do not vouch for it"));
    let all = replayed(&log());
    let refused = |change: &dyn Fn(&mut Vec<Replayed>)| {
        let mut other = all.clone();
        change(other.replays.as_mut().unwrap());
        pack(&other).unwrap_err().to_string()
    };
    assert!(refused(&|all| all[0].same += 1).contains("add up"));
    assert!(
        refused(&|all| all[0].to = Digest::from_bytes([6; 32]).to_string()).contains("no record")
    );
    assert!(refused(&|all| all[0].proposal = "prop_other".into()).contains("no record"));
    assert!(refused(&|all| all[0].denied.push("dec_3".into())).contains("more decisions"));
    assert!(refused(&|all| all[0].problem = Some("no sets".into())).contains("not replayed"));
    assert!(refused(&|all| all.clear()).contains("each change"));
    assert!(refused(&|all| all.push(all[0].clone())).contains("each change"));
    // Folders of before say nothing of it, and hold.
    let before = pack(&log().sealed()).unwrap();
    assert!(!before.contains_key("replays.csv") && verify(&before, None).holds());
    assert!(!String::from_utf8(before["index.html"].clone()).unwrap().contains("Replays of"));
    // Nobody takes them out of a folder, or puts others in, by the manifest alone.
    for (name, bytes) in [("replays.json", b"[]\n".to_vec()), ("replays.csv", Vec::new())] {
        let mut changed = files.clone();
        changed.insert(name.to_owned(), bytes);
        assert!(!verify(&covered_up(changed), None).holds(), "{name}");
    }
}

#[test]
fn a_step_that_is_left_out_is_found() {
    let all = log().sealed();
    for left_out in 1..all.records.len() - 1 {
        let mut fewer = all.clone();
        let gone = fewer.records.remove(left_out);
        fewer.beside.remove(&gone.sequence);
        // The last steps of a thing cannot be missed; whatever is between others can.
        let last = left_out + 1 == all.records.len();
        assert!(pack(&fewer).is_err() || last || is_last_of_its_own(&all, left_out), "{left_out}");
    }
}

fn is_last_of_its_own(all: &Material, place: usize) -> bool {
    let thing = |proven: &Proven| match safeconduct_ledger::decode(&proven.leaf).unwrap().body {
        Body::ReviewChanged(change) => change.id.to_string(),
        _ => String::new(),
    };
    let id = thing(&all.records[place]);
    all.records[place + 1..].iter().all(|later| thing(later) != id)
}

fn refused(log: &Log) -> String {
    pack(&log.sealed()).unwrap_err().to_string()
}

#[test]
fn nothing_comes_after_the_end_of_a_campaign() {
    let nobody = || Arc::new(Assigned::new());
    let at = Timestamp::from_millis(2_000);
    let after = [
        Step::StageOpened { at, assigned: nobody() },
        Step::Reassigned { case: 0, from: id("ada"), to: id("bob") },
        Step::Reminded { people: 1 },
        Step::StageClosed,
        Step::Reiterated,
        Step::SignedOff { over: Digest::from_bytes([0; 32]) },
        Step::Cancelled,
    ];
    let thing = (ReviewedThing::Campaign, CAMPAIGN);
    pack(&begun_and_cancelled().sealed()).unwrap();
    for step in after {
        for mut over in [log(), begun_and_cancelled()] {
            over.step(thing, step.event(), Some("grace"), (step.detail(), step.beside()));
            let error = refused(&over);
            assert!(error.contains("after the campaign was over"), "{step:?}: {error}");
        }
    }
}

fn begun_and_cancelled() -> Log {
    let (mut log, mut campaign) = begun();
    log.taken(&mut campaign, Step::Cancelled, Some("grace"));
    log
}

#[test]
fn steps_that_the_rules_do_not_take_are_no_evidence() {
    let at = Timestamp::from_millis(2_000);
    let named = |who: &str| Arc::new(Assigned::from([(0, vec![id(who)].into())]));
    let stage = |who: &str| Step::StageOpened { at, assigned: named(who) };
    let escalated = Step::Escalated { assigned: named("bob"), how: Escalate::Add };
    let unknown = Arc::new(Assigned::from([(0, vec![id("agent")].into())]));
    let cases = [
        (vec![stage("agent")], "holds the right"),
        (vec![stage("ada"), stage("ada")], "opening a stage is not possible"),
        (vec![stage("ada"), Step::StageClosed], "1 cases wait"),
        (vec![stage("ada"), escalated], "an escalation is not possible"),
        (vec![stage("ada"), Step::Reminded { people: 1 }], "a reminder is not possible"),
        (vec![stage("ada"), Step::Reiterated], "asking again is not possible"),
        (
            vec![stage("ada"), Step::Replaced { gone: id("ada"), assigned: unknown }],
            "holds the right",
        ),
        (
            vec![stage("ada"), Step::Replaced { gone: id("eve"), assigned: named("bob") }],
            "a replacement is not possible",
        ),
        (
            vec![stage("ada"), Step::Reassigned { case: 0, from: id("eve"), to: id("bob") }],
            "not under review",
        ),
    ];
    for (steps, wanted) in cases {
        let (mut log, mut campaign) = begun();
        for step in steps {
            log.taken(&mut campaign, step, Some("grace"));
        }
        let error = refused(&log);
        assert!(error.contains(wanted), "{wanted}: {error}");
    }
}

#[test]
fn what_is_too_long_to_be_compared_is_counted() {
    let proposal = |name: &str, lines: usize| {
        let text = |word: &str| Some(format!("{word}\n").repeat(lines));
        let file = ProposedFile { before: text("a"), after: text("b") };
        ProposedTexts { files: BTreeMap::from([(name.to_owned(), file)]) }
    };
    let mut log = log();
    let thing = (ReviewedThing::PolicyProposal, PROPOSAL);
    for texts in [proposal("b.cedar", 10), proposal("c.cedar", DIFF_LINES_MAX / 2)] {
        let said = Value::object([("beside", sha(&texts.to_bytes()).to_string().into())]);
        log.step(thing, "proposed", Some("ada"), (said, Some(texts.to_bytes())));
    }
    let verified = verify(&pack(&log.sealed()).unwrap(), None);
    let diffs = verified.review.unwrap().diffs;
    assert!(diffs[1].text.contains("-a\n") && diffs[1].text.contains("+b\n"));
    assert_eq!(diffs[2].text, "10000 lines before and 10000 after: too many to be compared here\n");
}

#[test]
fn an_answer_that_the_rules_refuse_is_no_evidence() {
    let (mut log, mut campaign) = begun();
    let opened =
        campaign.open_stage(Timestamp::from_millis(2_000), |_| vec![id("ada")], |_| vec![]);
    log.taken(&mut campaign, opened.unwrap(), None);
    pack(&log.sealed()).unwrap();
    let detail = Value::object([
        ("at", Value::from(2_500)),
        ("batch", Value::from(1)),
        ("by", "agent".into()),
        ("case", Value::from(0)),
        ("evidence", Digest::from_bytes([9; 32]).to_string().into()),
        ("opened_at", Value::from(2_400)),
        ("reason", "mine".into()),
        ("response", "accept".into()),
    ]);
    log.step((ReviewedThing::Campaign, CAMPAIGN), "decided", Some("agent"), (detail, None));
    assert!(refused(&log).contains("holds the right"), "{}", refused(&log));
}

#[test]
fn what_people_read_holds_no_markup_and_no_formula_of_others() {
    let files = folder();
    let page = String::from_utf8(files["index.html"].clone()).unwrap();
    assert!(!page.contains("<script") && !page.contains("<img"), "{page}");
    assert!(page.contains("&lt;script&gt;") && page.contains("default-src 'none'"));
    // Within tags stands nothing that runs or styles.
    let tags = page.split('<').skip(1).filter_map(|rest| rest.split('>').next());
    assert!(tags.clone().count() > 50);
    for tag in tags {
        assert!(!tag.contains("style=") && !tag.contains(" on") && !tag.contains("src="), "{tag}");
    }
    for name in ["cases.csv", "decisions.csv", "steps.csv", "others.csv"] {
        let mut reader = csv::Reader::from_reader(&*files[name]);
        let rows: Vec<csv::StringRecord> = reader.records().map(Result::unwrap).collect();
        assert!(!rows.is_empty(), "{name}");
        let cells = rows.iter().flat_map(csv::StringRecord::iter);
        assert!(cells.clone().all(|cell| !cell.starts_with(['=', '+', '-', '@'])), "{name}");
    }
    let cases = String::from_utf8(files["cases.csv"].clone()).unwrap();
    assert!(cases.contains("\"'=HYPERLINK("), "{cases}");
}

/// What the schema of OSCAL assessment results requires, where it is not optional.
#[test]
fn the_assessment_results_have_what_oscal_requires() {
    let files = folder();
    let document: serde_json::Value =
        serde_json::from_slice(&files["assessment-results.json"]).unwrap();
    let results = &document["assessment-results"];
    let uuid = |value: &serde_json::Value| {
        let text = value["uuid"].as_str().unwrap_or_default();
        let parts: Vec<usize> = text.split('-').map(str::len).collect();
        assert_eq!(parts, [8, 4, 4, 4, 12], "{text}");
        assert!(text.as_bytes()[14] == b'5' && b"89ab".contains(&text.as_bytes()[19]), "{text}");
    };
    uuid(results);
    for name in ["title", "last-modified", "version", "oscal-version"] {
        assert!(results["metadata"][name].is_string(), "{name}");
    }
    let plan = results["import-ap"]["href"].as_str().unwrap().trim_start_matches('#');
    let resources = results["back-matter"]["resources"].as_array().unwrap();
    assert!(resources.iter().any(|resource| resource["uuid"] == plan));
    resources.iter().for_each(uuid);
    let result = &results["results"][0];
    uuid(result);
    for name in ["title", "description", "start"] {
        assert!(result[name].is_string(), "{name}");
    }
    let controls = &result["reviewed-controls"]["control-selections"][0]["include-controls"];
    assert!(controls[0]["control-id"].is_string());
    for observation in result["observations"].as_array().unwrap() {
        uuid(observation);
        assert!(observation["description"].is_string() && observation["collected"].is_string());
        assert_eq!(observation["methods"][0], "EXAMINE");
    }
    assert_eq!(result["risks"][0]["status"], "closed");
    for risk in result["risks"].as_array().unwrap() {
        uuid(risk);
        for name in ["title", "description", "statement", "status"] {
            assert!(risk[name].is_string(), "{name}");
        }
    }
    // Nobody but an assessor says that something is satisfied.
    assert!(result.get("findings").is_none());
    let text = String::from_utf8(files["assessment-results.json"].clone()).unwrap();
    assert!(!text.contains("satisfied") && !text.to_lowercase().contains("complian"));
}

/// The folder of the transcripts, and the seed of the fuzz target: the same folder in one file.
#[test]
fn the_folder_of_the_documents_is_this_one() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let mut kept = Files::new();
    let mut seed = Vec::new();
    for (name, content) in folder() {
        assert!(!content.contains(&0x1e) && !name.contains('\u{1f}'));
        seed.extend_from_slice(name.as_bytes());
        seed.push(0x1f);
        seed.extend_from_slice(&content);
        seed.push(0x1e);
        kept.insert(format!("docs/cli/evidence.in/review/{name}"), content);
    }
    seed.pop();
    kept.insert("fuzz/seeds/evidence/folder".to_owned(), seed);
    for (name, content) in kept {
        let file = root.join(&name);
        if std::env::var_os("UPDATE").is_some() {
            std::fs::create_dir_all(file.parent().unwrap()).unwrap();
            std::fs::write(&file, &content).unwrap();
        }
        let found = std::fs::read(&file).unwrap_or_default();
        assert!(found == content, "`{name}` differs; run with UPDATE=1");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn bytes_of_any_kind_are_refused_and_never_panic(
        name in prop::sample::select(vec!["MANIFEST", "records.ndjson", "proofs.ndjson",
            "checkpoint", "ledger.pub", "review.json", "beside/1"]),
        bytes in prop::collection::vec(any::<u8>(), 0..200),
    ) {
        let mut files = folder();
        prop_assume!(files.get(name) != Some(&bytes));
        files.insert(name.to_owned(), bytes);
        prop_assert!(!verify(&files, None).holds());
        prop_assert!(name == "MANIFEST" || !verify(&covered_up(files), None).holds());
    }
}
