//! The fixed requests: each connection always asks the same question, under a token of its own.

use safeconduct_api::Bearer;

use crate::section::Failure;
use crate::world;

/// Connections at once, and sessions: each has one token.
pub(crate) const CONNECTIONS: usize = 64;

/// Whose form of request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Dialect {
    /// Ours, and what the empty handler reads.
    Safeconduct,
    /// The same question in the properties that Cerbos's AuthZEN endpoint wants.
    Cerbos,
}

impl Dialect {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Safeconduct => "safeconduct",
            Self::Cerbos => "cerbos",
        }
    }

    pub(crate) fn parse(name: &str) -> Result<Self, Failure> {
        [Self::Safeconduct, Self::Cerbos]
            .into_iter()
            .find(|dialect| dialect.name() == name)
            .ok_or_else(|| format!("there is no dialect `{name}`").into())
    }

    /// The bytes of the request of that connection.
    pub(crate) fn request(self, connection: usize) -> Vec<u8> {
        let body = match self {
            Self::Safeconduct => ours(connection),
            Self::Cerbos => cerbos(connection),
        };
        let head = format!(
            "POST /access/v1/evaluation HTTP/1.1\r\nHost: 127.0.0.1\r\n\
             Authorization: Bearer {}\r\nContent-Type: application/json\r\n\
             Content-Length: {}\r\n\r\n",
            bearer(connection).reveal(),
            body.len()
        );
        [head.into_bytes(), body.into_bytes()].concat()
    }
}

/// The token of that connection.
pub(crate) fn bearer(connection: usize) -> Bearer {
    let byte = u8::try_from(connection).unwrap_or(u8::MAX);
    Bearer::from_random([byte; 32])
}

fn ours(n: usize) -> String {
    let path = world::path(n);
    format!(
        r#"{{"subject":{{"type":"Agent","id":"agent-{n}"}},"action":{{"name":"{}","properties":{{"path":"{path}","head":40,"why":"the customer asked for it"}}}},"resource":{{"type":"Resource","id":"case-{n}"}},"context":{{"channel":"chat"}}}}"#,
        world::ACTION
    )
}

fn cerbos(n: usize) -> String {
    let path = world::path(n);
    format!(
        r#"{{"subject":{{"type":"agent","id":"agent-{n}","properties":{{"cerbos.roles":["clerk"],"case":"case-{n}"}}}},"action":{{"name":"read_text_file"}},"resource":{{"type":"case","id":"case-{n}","properties":{{"path":"{path}","head":40,"why":"the customer asked for it"}}}},"context":{{"channel":"chat"}}}}"#
    )
}
