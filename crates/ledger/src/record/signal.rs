//! The record of a signal, there and back.

use safeconduct_model::signal::{About, Confidence, Kind, Severity, Source};
use safeconduct_model::{Body, Signal};

use super::decode::{name, parse, session, shared, time, unknown, word};
use super::encode::Object;
use super::form;
use super::{DecodeError, EncodeError};

pub(super) fn write(signal: &Signal, o: &mut Object<'_>) -> Result<(), EncodeError> {
    o.nested("about", |o| write_about(&signal.about, o))?;
    o.number("confidence", u64::from(signal.confidence.as_percent()));
    o.optional("detail", said(&signal.detail));
    o.time("expires_at", signal.expires_at)?;
    o.text("id", &signal.id);
    o.text("kind", signal.kind.as_str());
    o.time("observed_at", signal.observed_at)?;
    o.text("severity", signal.severity.as_str());
    o.nested("source", |o| {
        o.text("kind", signal.source.word());
        o.optional("name", signal.source.name());
        Ok(())
    })?;
    o.optional("topic", said(&signal.topic));
    Ok(())
}

fn said(text: &str) -> Option<&str> {
    Some(text).filter(|text| !text.is_empty())
}

fn write_about(about: &About, o: &mut Object<'_>) -> Result<(), EncodeError> {
    match about {
        About::Identity(id) => o.text("identity", id.as_str()),
        About::Issuer(issuer) => o.text("issuer", issuer),
        About::Session(_) | About::Task(_) | About::User(_) => {}
    }
    o.text("kind", about.word());
    match about {
        About::Session(session) => o.session(session)?,
        About::Task(task) => o.text("task", task.as_str()),
        About::User(id) => o.text("user", id.as_str()),
        About::Identity(_) | About::Issuer(_) => {}
    }
    Ok(())
}

/// The body of the kind that this module knows.
pub(super) fn body(kind: &str, json: &[u8]) -> Result<Option<Body>, DecodeError> {
    match kind {
        "signal" => read(&parse(json)?).map(Some),
        _ => Ok(None),
    }
}

fn read(form: &form::Signal<'_>) -> Result<Body, DecodeError> {
    let text = |text: &Option<form::Text<'_>>| text.as_ref().map(shared).unwrap_or_default();
    let signal = Signal {
        about: about(&form.about)?,
        kind: word("kind", &form.kind, Kind::ALL, Kind::as_str)?,
        severity: word("severity", &form.severity, &Severity::ALL, Severity::as_str)?,
        confidence: Confidence::percent(form.confidence),
        source: source(&form.source)?,
        topic: text(&form.topic),
        observed_at: time("observed_at", &form.observed_at)?,
        expires_at: time("expires_at", &form.expires_at)?,
        id: shared(&form.id),
        detail: text(&form.detail),
    };
    signal.check().map_err(|error| DecodeError::Malformed { problem: error.to_string() })?;
    Ok(Body::SignalSeen(Box::new(signal)))
}

fn source(form: &form::SignalSource<'_>) -> Result<Source, DecodeError> {
    match (&*form.kind.0, &form.name) {
        ("detector", None) => Ok(Source::Detector),
        ("stream", Some(issuer)) => Ok(Source::Stream(shared(issuer))),
        ("webhook", Some(webhook)) => Ok(Source::Webhook(shared(webhook))),
        ("person", Some(id)) => Ok(Source::Person(name("name", id)?)),
        _ => Err(unknown("source", &form.kind)),
    }
}

fn about(form: &form::SignalAbout<'_>) -> Result<About, DecodeError> {
    let form::SignalAbout { identity, issuer, kind, session: key, task, user } = form;
    match (&*kind.0, identity, issuer, key, task, user) {
        ("identity", Some(id), None, None, None, None) => {
            Ok(About::Identity(name("identity", id)?))
        }
        ("issuer", None, Some(issuer), None, None, None) => Ok(About::Issuer(shared(issuer))),
        ("session", None, None, Some(key), None, None) => Ok(About::Session(session(key)?)),
        ("task", None, None, None, Some(task), None) => Ok(About::Task(name("task", task)?)),
        ("user", None, None, None, None, Some(id)) => Ok(About::User(name("user", id)?)),
        _ => Err(unknown("about", kind)),
    }
}
