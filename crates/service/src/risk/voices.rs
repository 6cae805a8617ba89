//! Who vouches for somebody here, and when the streams that would tell of them were last heard.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use safeconduct_engine::LastWord;
use safeconduct_model::signal::{About, issuer_named};
use safeconduct_model::{IdentityId, Timestamp};
use safeconduct_wire::config::SubjectsForm;

use super::Risks;
use crate::Service;

/// What stands in a template for the name of a subject.
const NAME: &str = "{}";

/// A stream that we receive: of whom it may speak, and when it did.
pub(crate) struct Voice {
    issuer: Arc<str>,
    issuers: BTreeSet<String>,
    listed: BTreeSet<IdentityId>,
    /// What stands before and after the name of a subject, by template.
    templates: Vec<(String, String)>,
    /// In milliseconds since the epoch; the least there is where it never spoke.
    last: AtomicI64,
}

impl Voice {
    /// Of a transmitter with those subjects, that had told what it knows until then.
    pub(crate) fn new(issuer: Arc<str>, subjects: &SubjectsForm, last: Option<Timestamp>) -> Self {
        let SubjectsForm { email, opaque, account, uri, iss_sub, issuers, listed } = subjects;
        let templates = [email, opaque, account, uri, iss_sub].into_iter().flatten();
        let apart = |text: &String| {
            let (before, after) = text.split_once(NAME)?;
            Some((before.to_owned(), after.to_owned()))
        };
        Self {
            issuer,
            issuers: issuers.clone(),
            listed: listed.values().map(|id| id.0.clone()).collect(),
            templates: templates.filter_map(apart).collect(),
            last: AtomicI64::new(last.map_or(i64::MIN, Timestamp::as_millis)),
        }
    }

    /// Notes that it said something that it issued then.
    pub(crate) fn heard(&self, at: Timestamp) {
        self.last.fetch_max(at.as_millis(), Ordering::Relaxed);
    }

    /// Whether it may speak of the subjects of that issuer.
    pub(crate) fn speaks_for(&self, issuer: &str) -> bool {
        *self.issuer == *issuer || self.issuers.contains(issuer)
    }

    /// Whether its configuration says that it speaks of that very identity.
    fn speaks_of(&self, id: &IdentityId) -> bool {
        let named = |(before, after): &(String, String)| {
            // One that everybody fits says nothing of anybody.
            let fixed = !before.is_empty() || !after.is_empty();
            let long_enough = id.as_str().len() > before.len() + after.len();
            let id = id.as_str();
            fixed && long_enough && id.starts_with(before) && id.ends_with(after)
        };
        self.listed.contains(id) || self.templates.iter().any(named)
    }

    /// Whether any name may be made to be anybody's.
    pub(crate) fn speaks_of_everyone(&self) -> bool {
        self.templates.iter().any(|(before, after)| before.is_empty() && after.is_empty())
    }

    fn last(&self) -> LastWord {
        match self.last.load(Ordering::Relaxed) {
            i64::MIN => LastWord::Never,
            at => LastWord::At(Timestamp::from_millis(at)),
        }
    }
}

impl Risks {
    /// The streams that are received from now on.
    pub(crate) fn listen_to(&self, voices: Vec<Arc<Voice>>) {
        self.voices.store(Arc::new(voices));
    }
}

impl Service {
    /// Whose subject an identity is: by its name, and by the trust records in force.
    pub(crate) fn issuers_of(&self, id: &IdentityId) -> Vec<Arc<str>> {
        let mut issuers = self.proofs.issuers_of(id);
        issuers.extend(issuer_named(id).map(Arc::from));
        issuers
    }

    /// Whether a stream may speak of that identity.
    pub(crate) fn may_speak_of(&self, voice: &Voice, id: &IdentityId) -> bool {
        voice.speaks_of(id) || self.issuers_of(id).iter().any(|issuer| voice.speaks_for(issuer))
    }

    /// Those who vouch for an identity, whoever would tell of it among them.
    pub(super) fn vouching_for(&self, id: &IdentityId) -> impl Iterator<Item = About> {
        let issuers = self.issuers_of(id);
        let voices = self.risks.voices.load();
        let tell = |voice: &&Arc<Voice>| {
            voice.speaks_of(id) || issuers.iter().any(|issuer| voice.speaks_for(issuer))
        };
        let telling = voices.iter().filter(tell).map(|voice| Arc::clone(&voice.issuer));
        let all: BTreeSet<Arc<str>> = telling.chain(issuers.iter().cloned()).collect();
        all.into_iter().map(About::Issuer)
    }

    /// When those who vouch for these people spoke last: the oldest word of all. `None` where
    /// nobody but ourselves vouches for any of them; where one vouches of whom we hear nothing, it
    /// is [`LastWord::Never`].
    pub(super) fn last_word(&self, people: &[IdentityId]) -> Option<LastWord> {
        let voices = self.risks.voices.load();
        let of = |id: &IdentityId| {
            let told = voices.iter().filter(|voice| voice.speaks_of(id)).map(|voice| voice.last());
            let vouched = self.issuers_of(id).into_iter().map(|issuer| {
                let telling = voices.iter().filter(|voice| voice.speaks_for(&issuer));
                telling.map(|voice| voice.last()).min().unwrap_or(LastWord::Never)
            });
            told.chain(vouched).min()
        };
        people.iter().filter_map(of).min()
    }
}
