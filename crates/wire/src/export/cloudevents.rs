//! CloudEvents 1.0 in its JSON form: <https://github.com/cloudevents/spec>.

use safeconduct_model::Record;

use crate::json;

/// What the type of every event begins with; the kind of record follows.
const TYPE_PREFIX: &str = "safeconduct.record.";

/// A record as an event, in one line without its end. `source` names the ledger as a URI
/// reference: with the id of the record it is unique. `leaf` is the record's bytes, which become
/// the data as they are, so that whoever gets them can check them against the signed log; the
/// record's place is in the extension `sequence`, which sorts as text.
pub fn cloud_event(record: &Record, sequence: u64, source: &str, leaf: &str) -> String {
    let mut out = Vec::with_capacity(leaf.len() + 256);
    out.extend_from_slice(b"{\"specversion\":\"1.0\",\"id\":");
    json::write_string(record.id.as_str(), &mut out);
    out.extend_from_slice(b",\"source\":");
    json::write_string(source, &mut out);
    out.extend_from_slice(b",\"type\":");
    json::write_string(&format!("{TYPE_PREFIX}{}", record.body.kind()), &mut out);
    out.extend_from_slice(b",\"time\":");
    json::write_string(&record.at.to_string(), &mut out);
    out.extend_from_slice(format!(",\"sequence\":\"{sequence:020}\"").as_bytes());
    out.extend_from_slice(b",\"datacontenttype\":\"application/json\",\"data\":");
    out.extend_from_slice(leaf.as_bytes());
    out.push(b'}');
    String::from_utf8_lossy(&out).into_owned()
}
