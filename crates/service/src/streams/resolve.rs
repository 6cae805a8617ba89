//! Who the subjects of a transmitter are here.

use safeconduct_model::{IdentityId, TaskId};
use safeconduct_risk::About;
use safeconduct_risk::intake::by_name;
use safeconduct_wire::config::SubjectsForm;
use safeconduct_wire::signals::SubjectId;

use super::{Stream, Streams};

impl Streams {
    /// Whom a subject, or the member of that name of a complex one, means: nobody, where the
    /// stream's configuration does not say.
    pub(super) fn resolve(&self, stream: &Stream, member: &str, subject: &SubjectId) -> Vec<About> {
        if let Some(task) = self.task(stream, member, subject) {
            return vec![task];
        }
        let SubjectsForm { listed, .. } = &stream.subjects;
        if let Some(id) = shown(subject).and_then(|text| listed.get(&*text)) {
            return named(member, &id.0);
        }
        match (template(&stream.subjects, subject, &stream.issuer), subject) {
            (Some((template, text)), _) => {
                let id = IdentityId::new(template.replacen("{}", text, 1));
                id.map(|id| named(member, &id)).unwrap_or_default()
            }
            // Each transmitter speaks for its own, unless more was agreed, whatever format it
            // names them in.
            (None, subject) => {
                let mut named = by_name(member, subject);
                named.retain(|about| self.is_known_to(stream, about));
                named
            }
        }
    }

    /// A task of ours, as our own transmitter names it, of whose agent or user the stream may
    /// speak.
    fn task(&self, stream: &Stream, member: &str, subject: &SubjectId) -> Option<About> {
        let (SubjectId::Opaque(id), "" | "session") = (subject, member) else { return None };
        let id = TaskId::new(id.clone()).ok()?;
        let line = self.service.line(&id)?;
        let own = |who: &IdentityId| self.service.may_speak_of(&stream.voice, who);
        let may = stream.voice.speaks_of_everyone() || line.everyone().any(own);
        may.then_some(About::Task(id))
    }

    /// Whether somebody whom a stream names by their own name is one of whom it may speak.
    fn is_known_to(&self, stream: &Stream, about: &About) -> bool {
        match about {
            About::Identity(id) | About::User(id) => self.service.may_speak_of(&stream.voice, id),
            About::Session(_) | About::Task(_) | About::Issuer(_) => false,
        }
    }
}

/// An identity of ours, as the member of that name.
fn named(member: &str, id: &IdentityId) -> Vec<About> {
    by_name(member, &SubjectId::Uri(id.as_str().into()))
}

/// The text of a subject, as a list of them has it.
fn shown(subject: &SubjectId) -> Option<String> {
    Some(match subject {
        SubjectId::Account(text)
        | SubjectId::Email(text)
        | SubjectId::Opaque(text)
        | SubjectId::PhoneNumber(text)
        | SubjectId::Did(text)
        | SubjectId::Uri(text) => text.to_string(),
        SubjectId::IssuerSubject { issuer, subject } => format!("{issuer}|{subject}"),
        _ => return None,
    })
}

fn template<'a>(
    subjects: &'a SubjectsForm,
    subject: &'a SubjectId,
    own: &str,
) -> Option<(&'a String, &'a str)> {
    let (template, text) = match subject {
        SubjectId::Email(text) => (&subjects.email, text),
        SubjectId::Opaque(text) => (&subjects.opaque, text),
        SubjectId::Account(text) => (&subjects.account, text),
        SubjectId::Uri(text) => (&subjects.uri, text),
        SubjectId::IssuerSubject { issuer, subject } if **issuer == *own => {
            (&subjects.iss_sub, subject)
        }
        _ => return None,
    };
    Some((template.as_ref()?, text))
}
