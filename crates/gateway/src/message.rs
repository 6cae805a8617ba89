//! JSON-RPC messages: read strictly, written in one way. No IO.
//!
//! What is refused here is refused before any decision: batches, ids that are neither text nor
//! integer, a message that is at once a request and an answer, and all that strict JSON refuses.

use std::fmt;
use std::sync::Arc;

use safeconduct_model::Value;
use safeconduct_wire::json::{self, JsonError, Limits};
use thiserror::Error;

/// JSON-RPC: the text is not JSON.
pub const PARSE_ERROR: i64 = -32700;
/// JSON-RPC: the value is not a request.
pub const INVALID_REQUEST: i64 = -32600;
/// JSON-RPC: nobody knows the method.
pub const METHOD_NOT_FOUND: i64 = -32601;
/// JSON-RPC: the method's parameters do not fit.
pub const INVALID_PARAMS: i64 = -32602;
/// JSON-RPC: the server is at fault.
pub const INTERNAL_ERROR: i64 = -32603;

/// Longest id that is a text, in bytes.
pub const ID_BYTES_MAX: usize = 256;

/// The id of a request: a text or an integer, never null and never a fraction.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Id {
    /// An integer of 64 bits.
    Integer(i64),
    /// A text of at most [`ID_BYTES_MAX`] bytes.
    Text(Arc<str>),
}

impl Id {
    /// The id that a value is, where it is one.
    pub fn of(value: &Value) -> Option<Self> {
        match value {
            Value::Integer(n) => Some(Self::Integer(*n)),
            Value::String(text) if text.len() <= ID_BYTES_MAX => Some(Self::Text(text.clone())),
            _ => None,
        }
    }

    /// What kind of id it is, for logs: its text may say more than belongs there.
    pub(crate) const fn kind(&self) -> &'static str {
        match self {
            Self::Integer(_) => "integer",
            Self::Text(_) => "text",
        }
    }

    /// The id as a value.
    pub fn to_value(&self) -> Value {
        match self {
            Self::Integer(n) => Value::Integer(*n),
            Self::Text(text) => Value::String(Arc::clone(text)),
        }
    }
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Integer(n) => write!(f, "{n}"),
            Self::Text(text) => write!(f, "{text:?}"),
        }
    }
}

/// A JSON-RPC error object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// Its code.
    pub code: i64,
    /// One sentence.
    pub message: Arc<str>,
    /// What else the answering side says.
    pub data: Option<Value>,
}

impl Fault {
    /// A fault without data.
    pub fn new(code: i64, message: impl Into<Arc<str>>) -> Self {
        Self { code, message: message.into(), data: None }
    }

    /// The same fault with data.
    #[must_use]
    pub fn with_data(self, data: Value) -> Self {
        Self { data: Some(data), ..self }
    }
}

/// What a request is answered with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// Its result: an object.
    Result(Value),
    /// Why there is none.
    Fault(Fault),
}

/// A request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// Its id.
    pub id: Id,
    /// Its method.
    pub method: Arc<str>,
    /// Its parameters: an object where there are any.
    pub params: Option<Value>,
}

/// A notification.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notification {
    /// Its method.
    pub method: Arc<str>,
    /// Its parameters: an object where there are any.
    pub params: Option<Value>,
}

/// One message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Message {
    /// Wants an answer.
    Request(Request),
    /// Wants none.
    Notification(Notification),
    /// An answer; an error to something that could not be read has no id.
    Response(Option<Id>, Answer),
}

/// Why bytes are no message: the sender is at fault.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum FramingError {
    /// Not JSON as it must be.
    #[error("the message is not JSON: {0}")]
    Json(#[from] JsonError),
    /// A list of messages.
    #[error("batches are not part of this protocol; send one message at a time")]
    Batch,
    /// JSON, but no JSON-RPC message.
    #[error("{problem}")]
    Shape {
        /// What does not fit.
        problem: &'static str,
        /// The request's id, where it could be read.
        id: Option<Id>,
    },
}

impl FramingError {
    /// The JSON-RPC code for it.
    pub const fn code(&self) -> i64 {
        match self {
            Self::Json(_) => PARSE_ERROR,
            Self::Batch | Self::Shape { .. } => INVALID_REQUEST,
        }
    }

    /// The id of the request that could not be read as a whole.
    pub fn id(&self) -> Option<&Id> {
        match self {
            Self::Shape { id, .. } => id.as_ref(),
            Self::Json(_) | Self::Batch => None,
        }
    }
}

/// Reads one message within the default limits of crate `wire` (4 MiB, 64 levels).
///
/// # Errors
/// [`FramingError`] says what does not fit.
pub fn parse(bytes: &[u8]) -> Result<Message, FramingError> {
    parse_within(bytes, Limits::default())
}

/// Reads one message within the given limits.
///
/// # Errors
/// [`FramingError`] says what does not fit.
pub fn parse_within(bytes: &[u8], limits: Limits) -> Result<Message, FramingError> {
    from_value(json::parse_within(bytes, limits)?)
}

fn from_value(value: Value) -> Result<Message, FramingError> {
    let mut members = match value {
        Value::Object(members) => members,
        Value::Array(_) => return Err(FramingError::Batch),
        _ => {
            return Err(FramingError::Shape { problem: "a message is an object", id: None });
        }
    };
    let id_value = members.remove("id");
    let id = id_value.as_ref().and_then(Id::of);
    let shape = |problem| FramingError::Shape { problem, id: id.clone() };
    if members.get("jsonrpc").and_then(Value::as_str) != Some("2.0") {
        return Err(shape("`jsonrpc` must be \"2.0\""));
    }
    let method = members.remove("method");
    let (result, error) = (members.remove("result"), members.remove("error"));
    let params = members.remove("params");
    match (method, result, error) {
        (Some(Value::String(method)), None, None) => {
            if !matches!(params, None | Some(Value::Object(_))) {
                return Err(shape("`params` must be an object"));
            }
            match (id_value, id.clone()) {
                (None, _) => Ok(Message::Notification(Notification { method, params })),
                (Some(_), Some(id)) => Ok(Message::Request(Request { id, method, params })),
                (Some(_), None) => {
                    Err(shape("`id` must be a text of at most 256 bytes or an integer"))
                }
            }
        }
        (Some(_), None, None) => Err(shape("`method` must be a text")),
        (Some(_), ..) => Err(shape("a message is a request or an answer, never both")),
        (None, Some(result @ Value::Object(_)), None) => match id.clone() {
            Some(id) => Ok(Message::Response(Some(id), Answer::Result(result))),
            None => Err(shape("an answer needs the `id` of its request")),
        },
        (None, Some(_), None) => Err(shape("`result` must be an object")),
        (None, None, Some(error)) => {
            if !matches!(id_value, None | Some(Value::Null)) && id.is_none() {
                return Err(shape("`id` must be a text of at most 256 bytes or an integer"));
            }
            let fault = fault(error)
                .ok_or_else(|| shape("`error` must have an integer `code` and a text `message`"))?;
            Ok(Message::Response(id, Answer::Fault(fault)))
        }
        (None, Some(_), Some(_)) => Err(shape("an answer has a result or an error, never both")),
        (None, None, None) => Err(shape("neither `method` nor `result` nor `error` is there")),
    }
}

fn fault(error: Value) -> Option<Fault> {
    let Value::Object(mut members) = error else {
        return None;
    };
    let code = members.get("code")?.as_integer()?;
    let message = match members.remove("message")? {
        Value::String(message) => message,
        _ => return None,
    };
    Some(Fault { code, message, data: members.remove("data") })
}

/// The bytes of a request.
pub fn request_bytes(id: &Id, method: &str, params: Option<&Value>) -> Vec<u8> {
    let mut out = open();
    member("id", &id.to_value(), &mut out);
    call(method, params, &mut out);
    close(out)
}

/// The bytes of a notification.
pub fn notification_bytes(method: &str, params: Option<&Value>) -> Vec<u8> {
    let mut out = open();
    call(method, params, &mut out);
    close(out)
}

/// The bytes of an answer.
pub fn response_bytes(id: Option<&Id>, answer: &Answer) -> Vec<u8> {
    let mut out = open();
    if let Some(id) = id {
        member("id", &id.to_value(), &mut out);
    }
    match answer {
        Answer::Result(result) => member("result", result, &mut out),
        Answer::Fault(Fault { code, message, data }) => {
            out.extend_from_slice(b",\"error\":{\"code\":");
            json::write_integer(*code, &mut out);
            out.extend_from_slice(b",\"message\":");
            json::write_string(message, &mut out);
            if let Some(data) = data {
                member("data", data, &mut out);
            }
            out.push(b'}');
        }
    }
    close(out)
}

fn open() -> Vec<u8> {
    let mut out = Vec::with_capacity(512);
    out.extend_from_slice(b"{\"jsonrpc\":\"2.0\"");
    out
}

fn call(method: &str, params: Option<&Value>, out: &mut Vec<u8>) {
    out.extend_from_slice(b",\"method\":");
    json::write_string(method, out);
    if let Some(params) = params {
        member("params", params, out);
    }
}

fn member(name: &str, value: &Value, out: &mut Vec<u8>) {
    out.push(b',');
    json::write_string(name, out);
    out.push(b':');
    json::write(value, out);
}

fn close(mut out: Vec<u8>) -> Vec<u8> {
    out.push(b'}');
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_is_a_message_is_read() {
        for (text, id) in [
            (r#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#, Id::Integer(1)),
            (r#"{"jsonrpc":"2.0","id":"a","method":"ping","params":{}}"#, Id::Text("a".into())),
            (r#"{"jsonrpc":"2.0","id":-7,"method":"x","extra":1}"#, Id::Integer(-7)),
        ] {
            assert!(
                matches!(parse(text.as_bytes()), Ok(Message::Request(r)) if r.id == id),
                "{text}"
            );
        }
        assert!(matches!(
            parse(br#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#),
            Ok(Message::Notification(_))
        ));
        assert!(matches!(
            parse(br#"{"jsonrpc":"2.0","id":null,"error":{"code":-32700,"message":"x"}}"#),
            Ok(Message::Response(None, Answer::Fault(_)))
        ));
    }

    #[test]
    fn what_is_no_message_is_refused() {
        for (text, code) in [
            ("", PARSE_ERROR),
            ("{", PARSE_ERROR),
            (r#"{"jsonrpc":"2.0","id":1,"id":2,"method":"x"}"#, PARSE_ERROR),
            (r#"{"jsonrpc":"2.0","id":1,"method":"x","m\u0065thod":"y"}"#, PARSE_ERROR),
            (r#"[{"jsonrpc":"2.0","id":1,"method":"ping"}]"#, INVALID_REQUEST),
            ("1", INVALID_REQUEST),
            (r#"{"id":1,"method":"x"}"#, INVALID_REQUEST),
            (r#"{"jsonrpc":"1.0","id":1,"method":"x"}"#, INVALID_REQUEST),
            (r#"{"jsonrpc":"2.0","id":1.5,"method":"x"}"#, INVALID_REQUEST),
            (r#"{"jsonrpc":"2.0","id":1.0,"method":"x"}"#, INVALID_REQUEST),
            (r#"{"jsonrpc":"2.0","id":1e3,"method":"x"}"#, INVALID_REQUEST),
            (r#"{"jsonrpc":"2.0","id":18446744073709551615,"method":"x"}"#, INVALID_REQUEST),
            (r#"{"jsonrpc":"2.0","id":null,"method":"x"}"#, INVALID_REQUEST),
            (r#"{"jsonrpc":"2.0","id":{},"method":"x"}"#, INVALID_REQUEST),
            (r#"{"jsonrpc":"2.0","id":1,"method":7}"#, INVALID_REQUEST),
            (r#"{"jsonrpc":"2.0","id":1,"method":"x","params":[]}"#, INVALID_REQUEST),
            (r#"{"jsonrpc":"2.0","id":1,"method":"x","result":{}}"#, INVALID_REQUEST),
            (r#"{"jsonrpc":"2.0","id":1,"result":{},"error":{}}"#, INVALID_REQUEST),
            (r#"{"jsonrpc":"2.0","id":1,"result":1}"#, INVALID_REQUEST),
            (r#"{"jsonrpc":"2.0","result":{}}"#, INVALID_REQUEST),
            (r#"{"jsonrpc":"2.0","id":1,"error":{"code":1.5,"message":"x"}}"#, INVALID_REQUEST),
            (r#"{"jsonrpc":"2.0","id":1}"#, INVALID_REQUEST),
        ] {
            match parse(text.as_bytes()) {
                Err(error) => assert_eq!(error.code(), code, "{text}"),
                Ok(message) => panic!("{text} was read as {message:?}"),
            }
        }
        assert_eq!(parse(b"\"\xFF\"").map_err(|e| e.code()), Err(PARSE_ERROR));
        let deep = format!(
            r#"{{"jsonrpc":"2.0","id":1,"method":"x","params":{}1{}}}"#,
            r#"{"a":"#.repeat(100),
            "}".repeat(100)
        );
        assert_eq!(parse(deep.as_bytes()).map_err(|e| e.code()), Err(PARSE_ERROR));
    }

    #[test]
    fn the_id_of_a_request_that_does_not_fit_is_told() {
        let error = parse(br#"{"jsonrpc":"2.0","id":7,"method":"x","params":3}"#).unwrap_err();
        assert_eq!(error.id(), Some(&Id::Integer(7)));
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = parse(&bytes);
        }

        #[test]
        fn what_is_written_is_read_back(n in any::<i64>(), method in ".{0,20}", text in ".{0,20}") {
            let params = Value::object([("t", Value::from(text.as_str()))]);
            let bytes = request_bytes(&Id::Integer(n), &method, Some(&params));
            let wanted = Request {
                id: Id::Integer(n), method: method.as_str().into(), params: Some(params.clone()),
            };
            prop_assert_eq!(parse(&bytes).unwrap(), Message::Request(wanted));
            let fault = Fault::new(n, text.as_str()).with_data(params);
            let answer = Answer::Fault(fault);
            let bytes = response_bytes(Some(&Id::Text("q".into())), &answer);
            prop_assert_eq!(
                parse(&bytes).unwrap(), Message::Response(Some(Id::Text("q".into())), answer)
            );
        }
    }
}
