//! Fuzz targets: one plain function for each parser of foreign bytes.
//!
//! Each says more than that nothing panics: what is read is written back, what is checked twice
//! is found alike, what is edited is still read. Two programs drive them: `smoke`, which is
//! deterministic, bounded and part of every test run; and libFuzzer (`run TARGET`), which is
//! neither.

use std::path::Path;

use safeconduct_model::{Digest, Value};
use safeconduct_wire::admin::{TOKEN_TTL_S_MAX, TokenRequest};
use safeconduct_wire::authzen::{Evaluation, Evaluations};
use safeconduct_wire::document::read_json;
use safeconduct_wire::identity::IdentityForm;
use safeconduct_wire::json::{self, JsonProblem};
use safeconduct_wire::{catalogue, config, intent, outcome, suite};

pub mod evidence;
pub mod flow;
pub mod identity;
pub mod import;
#[cfg(feature = "policy")]
pub mod question;
pub mod signals;

/// A target: its name, which is also that of its folder of seeds, and its function.
pub struct Target {
    /// Its name.
    pub name: &'static str,
    /// Its function.
    pub run: fn(&[u8]),
    /// How many rounds of it a unit of work buys: the slow ones get fewer.
    pub share: u32,
}

/// Every target.
pub const TARGETS: &[Target] = &[
    Target { name: "json", run: json, share: 100 },
    Target { name: "authzen", run: authzen, share: 100 },
    Target { name: "outcome", run: outcome, share: 25 },
    Target { name: "evidence", run: evidence::folder, share: 5 },
    Target { name: "security_event", run: signals::security_event, share: 50 },
    Target { name: "import", run: import::import, share: 25 },
    Target { name: "scim", run: import::scim, share: 25 },
    Target { name: "administration", run: administration, share: 25 },
    Target { name: "catalogue", run: catalogue, share: 25 },
    Target { name: "intent", run: intent, share: 25 },
    Target { name: "tools", run: tools, share: 50 },
    Target { name: "config", run: config, share: 25 },
    Target { name: "suite", run: suite, share: 25 },
    #[cfg(feature = "policy")]
    Target { name: "policy", run: policy, share: 1 },
    #[cfg(feature = "policy")]
    Target { name: "rego", run: rego, share: 1 },
    #[cfg(feature = "policy")]
    Target { name: "schema", run: schema, share: 1 },
    #[cfg(feature = "gateway")]
    Target { name: "message", run: message, share: 100 },
    #[cfg(feature = "store")]
    Target { name: "segment", run: segment, share: 1 },
    Target { name: "token", run: identity::token, share: 10 },
    Target { name: "token_request", run: identity::token_request, share: 25 },
    Target { name: "keys", run: identity::keys, share: 25 },
    #[cfg(feature = "directory")]
    Target { name: "svid", run: identity::svid, share: 50 },
    Target { name: "flow_result", run: flow::result, share: 25 },
    Target { name: "flow_normalise", run: flow::normalise, share: 100 },
    Target { name: "record", run: record, share: 100 },
    Target { name: "checkpoint", run: checkpoint, share: 100 },
];

/// Strict JSON: what is read is written and read back alike, and another reader agrees.
pub fn json(data: &[u8]) {
    let ours = json::parse(data);
    let theirs = serde_json::from_slice::<serde_json::Value>(data);
    match (ours, theirs) {
        (Ok(value), theirs) => {
            let written = json::to_bytes(&value);
            assert_eq!(json::parse(&written).as_ref(), Ok(&value), "what is written is read back");
            match theirs {
                Ok(theirs) => assert_eq!(json::to_serde(&value), theirs, "readers agree"),
                // A double has no room for it; we keep the text.
                Err(error) => assert!(error.to_string().contains("out of range"), "{error}"),
            }
        }
        (Err(error), theirs) => {
            assert!(error.offset <= data.len() && error.line > 0 && error.column > 0);
            let ours_alone = matches!(
                error.problem,
                JsonProblem::DuplicateMember
                    | JsonProblem::NumberTooLong
                    | JsonProblem::TooDeep { .. }
                    | JsonProblem::TooLong { .. }
            );
            assert!(ours_alone || theirs.is_err(), "refused without need: {error}");
        }
    }
}

/// AuthZEN bodies: one question asked alone is the same as one asked in an empty batch.
pub fn authzen(data: &[u8]) {
    let single = Evaluation::parse(data);
    match Evaluations::parse(data) {
        Ok(Evaluations::Single(asked)) => assert_eq!(single, Ok(*asked)),
        Ok(Evaluations::Batch(batch)) => assert!(!batch.items.is_empty()),
        Err(error) => assert!(!error.to_string().is_empty()),
    }
}

/// Outcome reports.
pub fn outcome(data: &[u8]) {
    if let Err(error) = outcome::parse(data) {
        assert!(!error.to_string().is_empty());
    }
}

/// Bodies of the administration API: an identity that is read is shown as it is read.
pub fn administration(data: &[u8]) {
    if let Ok(form) = read_json::<IdentityForm>(data) {
        let shown = serde_json::to_vec(&form).expect("what was read can be shown");
        assert_eq!(read_json::<IdentityForm>(&shown).as_ref(), Ok(&form));
        assert_eq!(IdentityForm::from(&form.clone().into_model()), form);
    }
    if let Ok(request) = read_json::<TokenRequest>(data) {
        assert!((1..=TOKEN_TTL_S_MAX).contains(&request.ttl_s));
    }
}

/// Files of intents: what is read is written in one form, which reads back as the same intent.
pub fn intent(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    if let Ok(file) = intent::parse("f.yaml", text) {
        let written = json::to_text(&intent::document(&file.intent));
        let again = intent::parse("again.json", &written).expect("what is written is an intent");
        assert_eq!(again.intent, file.intent, "what is written is read back");
    }
}

/// Catalogue files: what is read merges, and a pin changes nothing but itself.
pub fn catalogue(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    let Ok(file) = catalogue::parse("f.yaml", text) else {
        return;
    };
    let pin = Digest::from_bytes([7; 32]);
    if let Some((entry, _)) = file.entries.first()
        && let Ok(pinned) = catalogue::repin("f.yaml", text, entry.name.as_str(), &pin)
    {
        let again = catalogue::parse("f.yaml", &pinned).expect("a pinned file is a catalogue");
        let entries = |file: &catalogue::CatalogueFile| {
            file.entries.iter().map(|(entry, _)| entry.clone()).collect::<Vec<_>>()
        };
        let mut expected = entries(&file);
        if let Some(first) = expected.first_mut() {
            first.definition = Some(pin);
        }
        assert_eq!(entries(&again), expected, "a pin changes nothing but itself");
    }
    let merged = catalogue::merge(vec![file]);
    assert!(merged.is_ok(), "one file contradicts itself: {merged:?}");
}

/// Lists of tools: written and read back alike; their draft is a catalogue.
pub fn tools(data: &[u8]) {
    let Ok(tools) = catalogue::parse_tools("t.json", data) else {
        return;
    };
    let written = catalogue::write_tools(&tools);
    let again = catalogue::parse_tools("t.json", written.as_bytes()).expect("what we wrote");
    assert_eq!(catalogue::write_tools(&again), written);
    let drafted: Vec<_> =
        tools.iter().map(|definition| catalogue::DraftTool { definition, digest: None }).collect();
    // What a foreign server greets with goes into comments, and stays in them.
    let said = String::from_utf8_lossy(data);
    let greeting = Value::object([("instructions", Value::from(&*said))]);
    let greeting = Some((&greeting, Digest::from_bytes([7; 32])));
    let draft = catalogue::draft("server", &drafted, greeting, Some("/srv/a b"));
    if let Err(problems) = catalogue::parse("d.yaml", &draft) {
        // A foreign name or argument can be too long for any name; nothing else may go wrong.
        let fits = |message: &str| message.contains("512") || message.contains("more than");
        assert!(problems.iter().all(|p| fits(&p.message)), "{problems:?}\n{draft}");
    }
}

/// Configuration files.
pub fn config(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    if let Err(problems) = config::parse("f.yaml", text, Path::new("/etc")) {
        assert!(!problems.is_empty() && problems.iter().all(|p| p.line > 0 && p.column > 0));
    }
}

/// Test files.
pub fn suite(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    match suite::parse("t.yaml", text) {
        Ok(suite) => {
            let steps: usize = suite.tests.iter().map(|test| test.steps.len()).sum();
            assert!(steps <= suite::STEPS_MAX);
        }
        Err(problems) => assert!(!problems.is_empty()),
    }
}

/// Policy files: what loads is written by the formatter as what loads.
#[cfg(feature = "policy")]
pub fn policy(data: &[u8]) {
    use std::sync::Arc;

    use safeconduct_policy::{SourceFile, Sources};

    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    let name: Arc<str> = "f.cedar".into();
    let load = |text: &str| {
        let policies = vec![SourceFile::new(Arc::clone(&name), text)];
        safeconduct_policy::load(&Sources { policies, ..Sources::default() })
    };
    let loaded = load(text);
    if let (Ok(loaded), Ok(formatted)) = (loaded, safeconduct_policy::format(&name, text)) {
        let again = load(&formatted).expect("a formatted file loads");
        assert_eq!(again.policies.len(), loaded.policies.len());
    }
}

/// Rego files: what does not load is said of, and what loads always gives the same answer.
#[cfg(feature = "policy")]
pub fn rego(data: &[u8]) {
    use safeconduct_policy::{SourceFile, Sources};

    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    let sources = Sources {
        policies: vec![SourceFile::new("f.rego", text)],
        servers: vec![safeconduct_model::ServerName::new("files").expect("a name")],
        ..Sources::default()
    };
    match safeconduct_policy::load(&sources) {
        Ok(loaded) => {
            assert_eq!(loaded.policies.len(), 1);
            let answer = question::ask(&loaded.policies);
            assert_eq!(answer, question::ask(&loaded.policies));
            let again = safeconduct_policy::load(&sources).expect("it loaded once");
            assert_eq!(answer, question::ask(&again.policies));
        }
        Err(error) => assert!(!error.diagnostics.is_empty()),
    }
}

/// Schema files: what does not load is said of, and what loads holds a policy of no effect.
#[cfg(feature = "policy")]
pub fn schema(data: &[u8]) {
    use safeconduct_policy::{SourceFile, Sources};

    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    let loaded = safeconduct_policy::load(&Sources {
        schemas: vec![SourceFile::new("f.cedarschema", text)],
        ..Sources::default()
    });
    match loaded {
        Ok(loaded) => assert_eq!(loaded.policies.len(), 0),
        Err(error) => assert!(!error.diagnostics.is_empty()),
    }
}

/// Checkpoints and the keys that they are verified with: one that nobody signed says at most
/// what it says.
pub fn checkpoint(data: &[u8]) {
    if let Ok(text) = std::str::from_utf8(data)
        && let Ok(verifier) = safeconduct_ledger::CheckpointVerifier::parse(text)
    {
        assert!(verifier.verify(data).is_err(), "a key is no checkpoint");
    }
    if let Err(error) = safeconduct_ledger::read_unverified(data) {
        assert!(!error.to_string().is_empty());
    }
}

/// Leaves of the ledger: there is one text for each record, so what is read is written alike.
pub fn record(data: &[u8]) {
    if let Ok(record) = safeconduct_ledger::decode(data) {
        let again = safeconduct_ledger::encode(&record).expect("what was read can be written");
        assert_eq!(again, data, "a leaf has one form");
    }
    // Whatever is JSON has canonical bytes, and they are their own canonical bytes.
    if let Ok(value) = json::parse(data) {
        let canonical = safeconduct_ledger::canonical(&value);
        let again: Result<Value, _> = json::parse(&canonical);
        if let Ok(again) = again {
            assert_eq!(safeconduct_ledger::canonical(&again), canonical);
        }
    }
    let _ = safeconduct_ledger::decode_bundle(data);
    if let Ok(text) = std::str::from_utf8(data)
        && let Ok(path) = safeconduct_ledger::TilePath::parse(text)
    {
        assert_eq!(path.to_string(), text, "a tile has one path");
    }
}

/// MCP messages: what is read as one kind is written as bytes that are read as the same.
#[cfg(feature = "gateway")]
pub fn message(data: &[u8]) {
    use safeconduct_gateway::message::{
        Message, notification_bytes, parse, request_bytes, response_bytes,
    };

    let Ok(message) = parse(data) else { return };
    let written = match &message {
        Message::Request(request) => {
            request_bytes(&request.id, &request.method, request.params.as_ref())
        }
        Message::Notification(note) => notification_bytes(&note.method, note.params.as_ref()),
        Message::Response(id, answer) => response_bytes(id.as_ref(), answer),
    };
    assert_eq!(parse(&written).ok(), Some(message), "what is forwarded is what was read");
}

/// Segment files: damage is refused, or cuts a torn tail; what is left is what was written.
///
/// The input is a list of edits of a good segment, three bytes each: where (in 65,535ths of the
/// file) and what to put there. A first byte that is odd cuts the file there instead.
#[cfg(feature = "store")]
pub fn segment(data: &[u8]) {
    store::damage(data);
}

#[cfg(feature = "store")]
mod store;
