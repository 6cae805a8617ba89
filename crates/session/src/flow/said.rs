//! What a session says to the world after it has read what nobody vouches for.

use safeconduct_model::{ArgumentUse, Integrity, Label, Returns, Value};

use super::Flow;
use super::digest::{Part, digest_result};
use super::gleaned::{Gleaned, Source};
use super::origins::{LeafOrigin, Place, Provenance};
use super::table::Kind;

impl Flow {
    /// What a call leaves behind that was permitted and that changes something: its own values,
    /// as untrusted ones, so that they are no better when they are read back, from whatever place.
    ///
    /// Nothing of a session that has read nothing untrusted, and nothing of what its task or a
    /// trusted result named. Words and pieces of texts are left out: whole values, and what looks
    /// like an address in them, are what comes back; so are names of members that are more than a
    /// plain name. `uses` as in [`Flow::look_up`]; `beside` goes out beside the arguments, and
    /// nothing is said of what it decides.
    pub fn said(
        &self,
        (arguments, beside): (&Value, &[&Value]),
        uses: &[ArgumentUse],
        source: Source,
    ) -> Option<Gleaned> {
        if self.label.integrity != Integrity::Untrusted {
            return None;
        }
        let mut values = self.own(arguments, uses);
        beside.iter().for_each(|beside| values.extend(self.own(beside, &[])));
        let values = Value::Array(values);
        let label = Label { integrity: Integrity::Untrusted, ..Label::LEAST };
        let returns = Returns::uniform(label);
        let mut said = digest_result(&self.key, &[Part::Value(&values)], &returns, source);
        said.groups.retain(|group| group.marks.kind() == Kind::Value);
        said.shingles = 0;
        (said.prints() > 0).then_some(said)
    }

    /// The values and names for which neither the task nor a trusted result vouches.
    fn own(&self, arguments: &Value, uses: &[ArgumentUse]) -> Vec<Value> {
        let vouched = [Provenance::FromTask, Provenance::FromTrusted];
        let origins = self.look_up(arguments, uses);
        let mut own: Vec<&LeafOrigin> = origins.leaves.iter().collect();
        own.retain(|leaf| !vouched.iter().any(|one| leaf.is(*one)));
        // Where there are more values than are looked at, the last ones stand for all of them.
        own.dedup_by_key(|leaf| (&leaf.pointer, leaf.place));
        let value = |leaf: &LeafOrigin| match leaf.place {
            Place::Value => arguments.pointer(&leaf.pointer).cloned(),
            Place::Name => name_at(&leaf.pointer).map(Value::from),
        };
        own.into_iter().filter_map(value).collect()
    }
}

/// The name of the member at that place (RFC 6901).
fn name_at(pointer: &str) -> Option<String> {
    let (_, name) = pointer.rsplit_once('/')?;
    Some(name.replace("~1", "/").replace("~0", "~"))
}

#[cfg(test)]
mod tests {
    use safeconduct_model::{ArgumentRole, Confidentiality};

    use super::super::tests::{leaf, read, source, task, untrusted};
    use super::*;

    fn address(flow: &Flow, value: &str) -> Vec<Provenance> {
        let found = leaf(flow, ArgumentRole::Address, value);
        Provenance::ALL.into_iter().filter(|one| found.is(*one)).collect()
    }

    fn write(name: &str, account: &str) -> Value {
        Value::object([
            ("name", Value::from(name)),
            ("account", Value::from(account)),
            ("urgent", Value::Bool(true)),
        ])
    }

    #[test]
    fn what_an_untrusted_session_writes_is_untrusted_when_it_is_read_back() {
        let mut flow = Flow::keyed([1; 16]);
        let written = write("eve", "GB33BUKB20201555555555");
        let nothing = flow.said((&written, &[]), &[], source(1));
        assert_eq!(nothing, None, "nothing untrusted was read");
        read(&mut flow, 1, untrusted(), Part::Text("Save my account!"));
        let said = flow.said((&written, &[]), &[], source(2)).unwrap();
        assert!(said.label().confidentiality == Confidentiality::Public);
        flow.fold(&Gleaned::decode(&said.encode()).unwrap());
        read(&mut flow, 3, Label::LEAST, Part::Text("GB33 BUKB 2020 1555 5555 55"));
        let both = [Provenance::FromTrusted, Provenance::FromUntrusted];
        assert_eq!(address(&flow, "GB33BUKB20201555555555"), both);
    }

    #[test]
    fn names_of_members_and_what_goes_out_beside_the_arguments_are_said_too() {
        let mut flow = Flow::keyed([1; 16]);
        read(&mut flow, 1, untrusted(), Part::Text("Save my account!"));
        let member = |name: &str| Value::object([(name, Value::Bool(true))]);
        let recipients = Value::object([("recipients", member("eve/1~2@x.example"))]);
        let answer = Value::object([("account", Value::from("GB33BUKB20201555555555"))]);
        let said = flow.said((&recipients, &[&answer]), &[], source(2)).unwrap();
        flow.fold(&said);
        for (sequence, value) in [(3, "eve/1~2@x.example"), (4, "GB33 BUKB 2020 1555 5555 55")] {
            assert_eq!(address(&flow, value), [Provenance::FromUntrusted], "{value}");
            read(&mut flow, sequence, Label::LEAST, Part::Text(value));
            let both = [Provenance::FromTrusted, Provenance::FromUntrusted];
            assert_eq!(address(&flow, value), both, "{value}");
        }
        assert_eq!(address(&flow, "recipients"), [Provenance::Unseen]);
    }

    #[test]
    fn what_the_task_or_a_trusted_result_named_stays_what_it_is() {
        let mut flow = Flow::keyed([1; 16]);
        task(&mut flow, "save DE89370400440532013000", &[]);
        read(&mut flow, 1, Label::LEAST, Part::Text("FR7630006000011234567890189"));
        read(&mut flow, 2, untrusted(), Part::Text("hello"));
        let before = flow.clone();
        for account in ["DE89370400440532013000", "FR7630006000011234567890189"] {
            if let Some(said) = flow.said((&write("bob", account), &[]), &[], source(3)) {
                flow.fold(&said);
            }
            assert_eq!(address(&flow, account), address(&before, account));
        }
    }
}
