//! What is said before JSON-RPC begins.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::exit::{CommandError, failed};

/// The version of this protocol.
pub(crate) const VERSION: u32 = 1;

/// Longest hello or answer, in bytes.
pub(super) const LINE_BYTES_MAX: u64 = 1024 * 1024;

/// How long either side waits for the other's line.
pub(super) const LINE_TIME: Duration = Duration::from_secs(10);

/// What a wrapper says first. It has no `Debug`: the environment may hold secrets.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Hello {
    /// [`VERSION`].
    pub(crate) version: u32,
    /// The configuration file that the wrapper means, absolute.
    pub(crate) config: PathBuf,
    /// The server's name.
    pub(crate) server: String,
    /// The identity that the client acts as; the server chooses where there is one choice.
    pub(crate) agent: Option<String>,
    /// The handle of the task that the client acts in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) task: Option<String>,
    /// The command that starts the MCP server.
    pub(crate) command: Vec<String>,
    /// The folder that it starts in.
    pub(crate) cwd: PathBuf,
    /// Its environment.
    pub(crate) env: BTreeMap<String, String>,
}

/// What the server answers.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Answer {
    /// JSON-RPC may begin.
    Ok {
        /// The identity that the client acts as.
        agent: String,
    },
    /// It may not, and why.
    Error(String),
}

/// One line of JSON.
///
/// # Errors
/// It cannot be written as JSON.
pub(super) fn line(value: &impl Serialize) -> Result<Vec<u8>, CommandError> {
    let mut line = serde_json::to_vec(value).map_err(|error| failed("socket", error))?;
    line.push(b'\n');
    Ok(line)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_told_apart() {
        let ok = line(&Answer::Ok { agent: "a".into() }).unwrap();
        assert_eq!(ok, b"{\"ok\":{\"agent\":\"a\"}}\n");
        let error: Answer = serde_json::from_str(r#"{"error":"no"}"#).unwrap();
        assert_eq!(error, Answer::Error("no".into()));
    }

    #[test]
    fn a_hello_with_a_word_too_many_is_none() {
        let text = r#"{"version":1,"config":"/c","server":"s","agent":null,"command":["c"],
            "cwd":"/","env":{},"more":1}"#;
        assert!(serde_json::from_str::<Hello>(text).is_err());
    }
}
