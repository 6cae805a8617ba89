//! The same with sets of texts: slow, unbounded, and plain enough to be believed.

use std::collections::BTreeSet;

use super::canonical;
use super::normal::{Kept, normalise};

/// What was said whole, and all texts, by trust.
#[derive(Default)]
pub(super) struct Reference {
    trusted: BTreeSet<String>,
    untrusted: BTreeSet<String>,
    trusted_texts: Vec<String>,
}

impl Reference {
    pub(super) fn trusted(&mut self, value: &str) {
        self.trusted.extend(forms(value));
        self.trusted_texts.push(normal(value));
    }

    pub(super) fn untrusted(&mut self, value: &str) {
        self.untrusted.extend(forms(value));
    }

    /// Whether it stood whole in a trusted, and in an untrusted result.
    pub(super) fn seen(&self, value: &str) -> (bool, bool) {
        let any = |set: &BTreeSet<String>| forms(value).iter().any(|form| set.contains(form));
        (any(&self.trusted), any(&self.untrusted))
    }

    /// Whether it, or what it says in another form, stands somewhere in a trusted text.
    pub(super) fn is_said_in_trusted(&self, value: &str) -> bool {
        let squeezed =
            |text: &str| text.chars().filter(|c| c.is_alphanumeric()).collect::<String>();
        let said: Vec<String> = forms(value).iter().map(|form| squeezed(form)).collect();
        self.trusted_texts.iter().any(|text| {
            let decoded = squeezed(&decoded(text));
            let text = squeezed(text);
            said.iter().any(|form| text.contains(form.as_str()) || decoded.contains(form.as_str()))
        })
    }

    pub(super) fn knows(&self, value: &str) -> bool {
        self.seen(value).0 || self.is_said_in_trusted(value)
    }
}

fn decoded(text: &str) -> String {
    let mut plain = String::new();
    super::scan::unescape(text, &mut plain);
    plain
}

pub(super) fn normal(value: &str) -> String {
    let mut out = Vec::new();
    normalise(value, &mut out);
    String::from_utf8(out).unwrap()
}

pub(super) fn is_altered(value: &str) -> bool {
    normalise(value, &mut Vec::new()) == Kept::Altered
}

/// The forms of a value by which it may be found again.
fn forms(value: &str) -> BTreeSet<String> {
    let normal = normal(value);
    let text = |short: canonical::Short| String::from_utf8(short.as_bytes().to_vec()).unwrap();
    let bytes = normal.as_bytes();
    let one = canonical::number(bytes).or_else(|| canonical::date(bytes)).map(text);
    let more = [canonical::telephone(bytes), canonical::account(bytes)].into_iter().flatten();
    let mut forms: BTreeSet<String> = more.map(text).collect();
    for scheme in ["http://", "https://"] {
        let address = normal.strip_prefix(scheme);
        forms.extend(address.map(|a| a.strip_suffix('/').unwrap_or(a).to_owned()));
    }
    forms.insert(one.unwrap_or(normal));
    forms
}
