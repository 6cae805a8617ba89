//! Targets of information flow.

use safeconduct_model::{
    ArgumentRole, ArgumentUse, FieldLabel, Integrity, Label, RecordId, Returns, Value,
};
use safeconduct_session::flow::{
    Flow, Gleaned, INDEX_BYTES_MAX, Part, Provenance, Source, digest_result, normal_form,
};

fn source(sequence: u64) -> Source {
    let record = RecordId::new("r").expect("a short id");
    Source { sequence, record }
}

/// Results: what is gleaned is read back; folding is bounded and lowers nothing; what only an
/// untrusted result said is never better. With a first byte of 3 the rest is read as sealed.
pub fn result(data: &[u8]) {
    let Some((form, data)) = data.split_first() else {
        return;
    };
    let untrusted = Label { integrity: Integrity::Untrusted, ..Label::LEAST };
    let lossy = String::from_utf8_lossy(data);
    let part = match form % 4 {
        0 => Part::Json(data),
        1 => Part::Text(&lossy),
        2 => Part::Bytes(data),
        _ => {
            if let Ok(gleaned) = Gleaned::decode(data) {
                assert_eq!(gleaned.encode(), data, "one form");
                let mut flow = Flow::default();
                flow.fold(&gleaned);
                assert!(flow.label().covers(gleaned.label()));
            }
            return;
        }
    };
    let fields = vec![
        FieldLabel { pointer: "/*/account".into(), label: Label::LEAST },
        FieldLabel { pointer: "/a/*/b".into(), label: untrusted.clone() },
    ];
    let mut flow = Flow::keyed([7; 16]);
    for (n, fields) in [fields, Vec::new()].into_iter().enumerate() {
        let returns = Returns { default: untrusted.clone(), fields };
        let gleaned = digest_result(&flow.key(), &[part], &returns, source(n as u64));
        let again = Gleaned::decode(&gleaned.encode()).expect("what was sealed is read back");
        assert_eq!(again, gleaned);
        let before = flow.clone();
        flow.fold(&again);
        assert!(flow.label().covers(before.label()) && flow.label().covers(gleaned.label()));
        assert!(flow.bytes() <= INDEX_BYTES_MAX);
    }
    let mut alone = Flow::keyed([7; 16]);
    let returns = Returns::uniform(untrusted);
    alone.fold(&digest_result(&alone.key(), &[part], &returns, source(1)));
    let uses = [ArgumentUse { argument: "".into(), role: ArgumentRole::Address }];
    let origins = alone.look_up(&Value::from(&*lossy), &uses);
    for leaf in &origins.leaves {
        assert!(!leaf.is(Provenance::FromTask) && !leaf.is(Provenance::FromTrusted));
        assert!(leaf.seen.iter().next().is_some());
    }
    // Whatever stands before it, and whatever form that makes of the whole: an address is found.
    let (text, address) = (format!("{lossy} # eve@evil.example"), Value::from("eve@evil.example"));
    let mut alone = Flow::keyed([7; 16]);
    alone.fold(&digest_result(&alone.key(), &[Part::Text(&text)], &returns, source(1)));
    let origins = alone.look_up(&address, &uses);
    assert!(origins.leaves.iter().all(|leaf| leaf.is(Provenance::FromUntrusted)));
}

/// Normal forms: normalising twice changes nothing, and a text is found by its normal form.
pub fn normalise(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let once = normal_form(&text);
    assert_eq!(normal_form(&once), once, "once is enough");
    if once.is_empty() {
        return;
    }
    let mut flow = Flow::keyed([7; 16]);
    let label = Label { integrity: Integrity::Untrusted, ..Label::LEAST };
    let value = Value::from(&*text);
    let parts = [Part::Value(&value)];
    flow.fold(&digest_result(&flow.key(), &parts, &Returns::uniform(label), source(1)));
    let uses = [ArgumentUse { argument: "".into(), role: ArgumentRole::Address }];
    for form in [&*text, once.as_str()] {
        let origins = flow.look_up(&Value::from(form), &uses);
        assert!(origins.leaves.iter().all(|leaf| leaf.is(Provenance::FromUntrusted)));
    }
}
