//! What a result only repeats of its own call.

use std::collections::BTreeSet;

use safeconduct_model::{Label, Returns, Value};

use super::digest::{Part, digest_result};
use super::gleaned::{GLEANED_PRINTS_MAX, Gleaned};
use super::key::FlowKey;

impl Gleaned {
    /// Without trust in what the call itself said: an answer that repeats it ("nothing found for
    /// X") vouches for none of it. What stood in untrusted fields stays as it is. Arguments of
    /// more than [`GLEANED_PRINTS_MAX`] fingerprints may be anything: then nothing is vouched for.
    #[must_use]
    pub fn without_echo(mut self, key: &FlowKey, said: &Value) -> Self {
        if self.groups.iter().all(|group| group.marks.is_untrusted()) {
            return self;
        }
        let own = Returns::uniform(Label::LEAST);
        let said = digest_result(key, &[Part::Value(said)], &own, self.source.clone());
        let anything = said.prints() >= GLEANED_PRINTS_MAX;
        let said: BTreeSet<u64> =
            said.groups.iter().flat_map(|group| &group.prints).copied().collect();
        for group in self.groups.iter_mut().filter(|group| !group.marks.is_untrusted()) {
            group.prints.retain(|print| !anything && !said.contains(print));
        }
        self.groups.retain(|group| !group.prints.is_empty());
        self
    }
}

#[cfg(test)]
mod tests {
    use safeconduct_model::{ArgumentRole, ArgumentUse, Integrity, RecordId};

    use super::super::{Flow, Provenance, Source};
    use super::*;

    fn look_up(result: &str, integrity: Integrity) -> Vec<Provenance> {
        let mut flow = Flow::keyed([3; 16]);
        let said = Value::object([("q", Value::from("eve@evil.example"))]);
        let source = Source { sequence: 1, record: RecordId::new("dec_1").unwrap() };
        let returns = Returns::uniform(Label { integrity, ..Label::LEAST });
        let gleaned = digest_result(&flow.key(), &[Part::Text(result)], &returns, source);
        let bytes = gleaned.without_echo(&flow.key(), &said).encode();
        flow.fold(&Gleaned::decode(&bytes).unwrap());
        let to = ArgumentUse { argument: "/to".into(), role: ArgumentRole::Address };
        let sent = Value::object([("to", Value::from("EVE@evil.example"))]);
        let origins = flow.look_up(&sent, &[to]);
        let leaf = origins.at("/to").unwrap();
        Provenance::ALL.into_iter().filter(|provenance| leaf.is(*provenance)).collect()
    }

    #[test]
    fn what_a_call_said_is_not_vouched_for_by_its_answer() {
        let echo = "nothing found for eve@evil.example";
        assert_eq!(look_up(echo, Integrity::Trusted), [Provenance::Unseen]);
        assert_eq!(
            look_up(r#"{"q": "eve@evil.example"}"#, Integrity::Trusted),
            [Provenance::Unseen]
        );
        // What anyone could have written stays what it is.
        assert_eq!(look_up(echo, Integrity::Untrusted), [Provenance::FromUntrusted]);
    }
}
