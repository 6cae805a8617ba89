//! What goes back to a client: a result that is serialised once, or a fault.

use safeconduct_wire::json;

use crate::headers::{HEADER_MISMATCH, MISSING_CAPABILITY, UNSUPPORTED_VERSION};
use crate::message::{
    Answer, Fault, INVALID_REQUEST, Id, METHOD_NOT_FOUND, PARSE_ERROR, response_bytes,
};
use crate::upstream::{Answered, Form};

/// An answer on its way to a client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Reply {
    body: Body,
    /// The HTTP status that goes with it, where the upstream gave one.
    status: Option<u16>,
    /// The form that it goes out in over HTTP, where the client takes it.
    form: Form,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Body {
    /// The JSON text of the result.
    Result(Vec<u8>),
    Fault(Fault),
}

impl Reply {
    /// A result whose JSON text is there already.
    pub(crate) const fn result(bytes: Vec<u8>) -> Self {
        Self { body: Body::Result(bytes), status: None, form: Form::Text }
    }

    /// The same reply with the HTTP status and the form that the upstream gave it.
    pub(crate) fn delivered(self, status: Option<u16>, form: Form) -> Self {
        Self { status, form, ..self }
    }

    /// Whether it goes out as a stream of one event.
    pub(crate) fn is_stream(&self) -> bool {
        self.form == Form::Stream
    }

    /// The message.
    pub(crate) fn bytes(&self, id: &Id) -> Vec<u8> {
        match &self.body {
            Body::Fault(fault) => response_bytes(Some(id), &Answer::Fault(fault.clone())),
            Body::Result(result) => {
                let mut out = Vec::with_capacity(result.len() + 64);
                out.extend_from_slice(b"{\"jsonrpc\":\"2.0\",\"id\":");
                json::write(&id.to_value(), &mut out);
                out.extend_from_slice(b",\"result\":");
                out.extend_from_slice(result);
                out.push(b'}');
                out
            }
        }
    }

    /// The HTTP status for a client that speaks 2026-07-28; older ones get 200.
    pub(crate) fn modern_status(&self) -> u16 {
        match &self.body {
            Body::Result(_) => 200,
            Body::Fault(fault) => match fault.code {
                METHOD_NOT_FOUND => 404,
                HEADER_MISMATCH | MISSING_CAPABILITY | UNSUPPORTED_VERSION | PARSE_ERROR
                | INVALID_REQUEST => 400,
                _ => self.status.filter(|status| matches!(status, 400 | 404)).unwrap_or(200),
            },
        }
    }
}

impl From<Fault> for Reply {
    fn from(fault: Fault) -> Self {
        Self { body: Body::Fault(fault), status: None, form: Form::Text }
    }
}

impl From<Answer> for Reply {
    fn from(answer: Answer) -> Self {
        match answer {
            Answer::Result(result) => Self::result(json::to_bytes(&result)),
            Answer::Fault(fault) => fault.into(),
        }
    }
}

impl From<Answered> for Reply {
    fn from(answered: Answered) -> Self {
        Self::from(answered.answer).delivered(answered.status, answered.form)
    }
}
