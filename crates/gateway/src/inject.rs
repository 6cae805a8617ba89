//! Static secrets that an upstream wants and an agent never sees: put into what goes to that one
//! upstream, and taken out of whatever comes back.
//!
//! A conversation has the secrets of the task that it was begun for, as they were when it began.
//! Where they are others now, or are refused, nothing more is said in it. They go nowhere but to
//! the upstream's configured command or URL: redirects are not followed.

use std::ffi::OsString;
use std::fmt;
use std::sync::Arc;

use http::{HeaderMap, HeaderName, HeaderValue};
use safeconduct_credential::inject::{
    InjectError, Injection, Place, REDACTED, Scrubber, ScrubberError,
};
use safeconduct_model::{Authentication, Edit, Obligation, ServerName, Value};
use safeconduct_service::{Awaited, Secret};
use thiserror::Error;

use crate::edit;
use crate::message::{Answer, Fault, Id, Message, Notification, Request};

/// The kind of edit by which an injection is recorded: `inject:NAME`, never the value.
const INJECT: &str = "inject";

/// One secret on its way.
#[derive(Clone)]
pub struct Injected {
    /// What records call it.
    pub name: Arc<str>,
    /// Where it goes.
    pub injection: Injection,
    /// The secret.
    pub secret: Arc<Secret>,
}

/// What goes to one upstream for one task, with what takes it out again. Its `Debug` shows names
/// alone.
pub struct Secrets {
    all: Vec<Injected>,
    scrubber: Option<Arc<Scrubber>>,
}

/// Why there are no secrets for a call, which is then not made: in words that hold none.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{0}")]
pub struct NoSecrets(pub String);

/// Where secrets come from.
pub trait Injections: Send + Sync + 'static {
    /// Whether calls to that upstream can have any. What is said must not change while the
    /// upstream is there.
    fn concerns(&self, upstream: &ServerName) -> bool;

    /// What goes to that upstream for the task in which they act, by their own proof; nothing where
    /// they act in none, or nobody asks. It is asked before every request; as long as the answer is
    /// the very same `Arc`, conversations go on.
    fn secrets<'a>(
        &'a self,
        upstream: &'a ServerName,
        of: Option<&'a Authentication>,
    ) -> Awaited<'a, Result<Arc<Secrets>, NoSecrets>>;
}

impl Secrets {
    /// These secrets.
    ///
    /// # Errors
    /// [`ScrubberError`] where one could not be kept out of results: it must not be used.
    pub fn new(all: Vec<Injected>) -> Result<Self, ScrubberError> {
        let scrubber = match all.is_empty() {
            true => None,
            false => Some(Arc::new(Scrubber::new(all.iter().map(|one| one.secret.reveal()))?)),
        };
        Ok(Self { all, scrubber })
    }

    pub(crate) fn scrubber(&self) -> Option<Arc<Scrubber>> {
        self.scrubber.clone()
    }

    /// The headers of every HTTP request, beside those that are configured.
    pub(crate) fn headers(
        &self,
        upstream: &ServerName,
        configured: &HeaderMap,
    ) -> Result<HeaderMap, InjectError> {
        let mut headers = configured.clone();
        for one in &self.all {
            let Place::Header(name) = one.injection.place() else { continue };
            let value = one.injection.value(upstream, one.secret.reveal())?;
            let name = HeaderName::from_bytes(name.as_bytes()).map_err(|_| InjectError::Unfit)?;
            let mut value = HeaderValue::from_str(&value).map_err(|_| InjectError::Unfit)?;
            value.set_sensitive(true);
            if headers.insert(name, value).is_some() {
                return Err(InjectError::Occupied);
            }
        }
        Ok(headers)
    }

    /// The URL of every HTTP request.
    pub(crate) fn url(&self, upstream: &ServerName, url: &str) -> Result<String, InjectError> {
        let mut url = url.to_owned();
        for one in &self.all {
            if matches!(one.injection.place(), Place::Query(_)) {
                url = one.injection.url(upstream, &url, one.secret.reveal())?.to_string();
            }
        }
        Ok(url)
    }

    /// What a child process gets into its environment, beside what is configured.
    pub(crate) fn environment(
        &self,
        upstream: &ServerName,
        configured: &[(OsString, OsString)],
    ) -> Result<Vec<(OsString, OsString)>, InjectError> {
        let mut added: Vec<(OsString, OsString)> = Vec::new();
        for one in &self.all {
            let Place::Env(name) = one.injection.place() else { continue };
            let name = OsString::from(&**name);
            if configured.iter().chain(&added).any(|(taken, _)| *taken == name) {
                return Err(InjectError::Occupied);
            }
            let value = one.injection.value(upstream, one.secret.reveal())?;
            added.push((name, OsString::from(value.as_str())));
        }
        Ok(added)
    }

    /// The parameters of a tool call with the secrets that go into the message. Pointers lead
    /// from the message: `/params/arguments/api_key`.
    pub(crate) fn params(
        &self,
        upstream: &ServerName,
        params: Option<Value>,
    ) -> Result<Option<Value>, InjectError> {
        if !self.all.iter().any(|one| matches!(one.injection.place(), Place::Json(_))) {
            return Ok(params);
        }
        let mut params = params.unwrap_or_else(edit::empty);
        if params.member("arguments").is_none() {
            edit::set(&mut params, "arguments", edit::empty());
        }
        let mut message = Value::object([("params", params)]);
        for one in &self.all {
            if matches!(one.injection.place(), Place::Json(_)) {
                message = one.injection.body(upstream, &message, one.secret.reveal())?;
            }
        }
        Ok(edit::take(&mut message, "params"))
    }

    /// What is recorded of a request of that method that went out with them.
    pub(crate) fn edits(&self, method: &str) -> Vec<Edit> {
        let goes = |one: &&Injected| {
            method == "tools/call" || !matches!(one.injection.place(), Place::Json(_))
        };
        let edit = |one: &Injected| Edit {
            obligation: Obligation { kind: INJECT.into(), parameter: Arc::clone(&one.name) },
            values: 1,
        };
        self.all.iter().filter(goes).map(edit).collect()
    }
}

impl fmt::Debug for Secrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.all.iter().map(|one| &one.name)).finish()
    }
}

/// A message without secrets.
pub(crate) fn scrubbed(message: Message, scrubber: Option<&Scrubber>) -> Message {
    let Some(scrubber) = scrubber else { return message };
    let text = |text: Arc<str>| match scrubber.text(&text) {
        std::borrow::Cow::Borrowed(_) => Arc::clone(&text),
        std::borrow::Cow::Owned(clean) => clean.into(),
    };
    let value = |value: Value| scrubber.value(&value).unwrap_or(value);
    // A server that puts a secret into an id gets an answer to no question of its own.
    let id = |id: Id| match id {
        Id::Text(name) if *text(Arc::clone(&name)) != *name => Id::Text(REDACTED.into()),
        id => id,
    };
    match message {
        Message::Request(Request { id: asked, method, params }) => Message::Request(Request {
            id: id(asked),
            method: text(method),
            params: params.map(value),
        }),
        Message::Notification(Notification { method, params }) => {
            Message::Notification(Notification { method: text(method), params: params.map(value) })
        }
        Message::Response(answered, answer) => {
            let answer = match answer {
                Answer::Result(result) => Answer::Result(value(result)),
                Answer::Fault(Fault { code, message, data }) => {
                    Answer::Fault(Fault { code, message: text(message), data: data.map(value) })
                }
            };
            Message::Response(answered.map(id), answer)
        }
    }
}
