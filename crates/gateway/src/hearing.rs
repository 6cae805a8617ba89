//! What a server says by itself, as far as an agent reads it: lists, greetings, faults. It is
//! taken in before the agent gets it; what cannot be taken in does not go on.
//!
//! What the protocol itself counts and names is not content: cursors, lifetimes, and how a server
//! names itself. Of a tool that is described as it was approved nothing is new.

use std::sync::Arc;

use safeconduct_model::{ActionName, Authentication, Digest, Value};
use safeconduct_service::{Content, Read, Said, definition_digest};
use safeconduct_wire::catalogue::greeting_definition;

use crate::authority::Authority;
use crate::backend::{Backend, Ready};
use crate::gateway::Inner;
use crate::message::{Answer, Fault, INTERNAL_ERROR};
use crate::methods::List;
use crate::upstream::{ListError, OpenError};
use crate::{action, listing, reading};

/// Members of a result that are the protocol's own.
const WORDS: [&str; 9] = [
    "capabilities",
    "cacheScope",
    "nextCursor",
    "protocolVersion",
    "resultType",
    "serverInfo",
    "supportedVersions",
    "ttlMs",
    "_meta",
];

/// Members of a tool that its pin covers, and those that no model is shown.
const OF_TOOL: [&str; 9] = [
    "annotations",
    "description",
    "inputSchema",
    "name",
    "outputSchema",
    "title",
    "_meta",
    "execution",
    "icons",
];

impl<A: Authority> Inner<A> {
    /// Takes in what a server says by itself to whoever is proved by that. `asked` is what it
    /// answers.
    ///
    /// # Errors
    /// The fault that the client gets instead.
    pub(crate) fn hear(
        &self,
        by: &Authentication,
        backend: &Backend,
        source: &str,
        asked: Option<&Value>,
        content: Vec<Content>,
    ) -> Result<(), Fault> {
        self.hear_as(by, backend, source, asked, (content, None))
    }

    /// The same for a greeting, whole as the server gave it: what the catalogue pins of it is
    /// compared before the agent reads any. A server that greets otherwise than it was approved is
    /// recorded as one whose definition has changed.
    pub(crate) async fn hear_greeting(
        &self,
        by: &Authentication,
        backend: &Backend,
        ready: &Ready,
        source: &str,
        greeted: &Value,
    ) -> Result<(), Fault> {
        let content = of_result(greeted);
        let Some(definition) = of_greeting(greeted) else {
            return self.hear(by, backend, source, None, content);
        };
        let digest = definition_digest(&definition);
        let seen = ready.connection.greeting_seen(&ready.live, &*self.authority, definition).await;
        seen.map_err(|error| Fault::new(INTERNAL_ERROR, error.to_string()))?;
        self.hear_as(by, backend, source, None, (content, Some(digest)))
    }

    fn hear_as(
        &self,
        by: &Authentication,
        backend: &Backend,
        source: &str,
        asked: Option<&Value>,
        (content, definition): (Vec<Content>, Option<Digest>),
    ) -> Result<(), Fault> {
        if content.is_empty() {
            return Ok(());
        }
        let said = Said {
            by: by.clone(),
            pep: backend.pep.clone(),
            server: backend.config.name.clone(),
            source: source.into(),
            asked: asked.cloned().unwrap_or_default(),
            content,
            definition,
        };
        self.authority.hears(said).map_err(|error| {
            tracing::error!(%error, source, "what a server says could not be taken in");
            Fault::new(INTERNAL_ERROR, "what the server says could not be recorded")
        })
    }

    /// The same for an answer: a fault, or a result of which nothing is known but that it is one.
    pub(crate) fn hear_answer(
        &self,
        by: &Authentication,
        backend: &Backend,
        source: &str,
        asked: Option<&Value>,
        answer: &Answer,
    ) -> Result<(), Fault> {
        let content = match answer {
            Answer::Result(result) => of_result(result),
            Answer::Fault(fault) => reading::of_fault(&fault.message, fault.data.as_ref()),
        };
        self.hear(by, backend, source, asked, content)
    }

    /// What the client is told where a conversation could not be begun.
    pub(crate) fn open_fault(
        &self,
        by: &Authentication,
        backend: &Backend,
        error: &OpenError,
    ) -> Fault {
        let content = match error {
            OpenError::Refused(fault) => reading::of_fault(&fault.message, fault.data.as_ref()),
            OpenError::Revision(text) => vec![Content::Text(text.as_str().into())],
            _ => Vec::new(),
        };
        let heard = self.hear(by, backend, "initialize", None, content);
        heard.err().unwrap_or_else(|| error.fault())
    }

    /// What the client is told where tools could not be listed.
    pub(crate) fn list_fault(
        &self,
        by: &Authentication,
        backend: &Backend,
        error: &ListError,
    ) -> Fault {
        let content = match error {
            ListError::Refused(fault) => reading::of_fault(&fault.message, None),
            _ => Vec::new(),
        };
        let heard = self.hear(by, backend, "tools/list", None, content);
        heard.err().unwrap_or_else(|| Fault::new(INTERNAL_ERROR, error.to_string()))
    }

    /// What an agent reads of a page of a list that has not been approved.
    pub(crate) fn news(&self, backend: &Backend, list: List, page: &Value) -> Vec<Content> {
        let server = &backend.config.name;
        let items = page.member(listing::member(list)).and_then(Value::as_array);
        let items = items.unwrap_or_default().iter().filter_map(|item| match list {
            List::Tools => {
                let name = item.member("name").and_then(Value::as_str);
                let action = name.and_then(|name| action::tool_action(server, name));
                match action.is_some_and(|action| self.is_approved(&action, item)) {
                    true => without(item, &OF_TOOL),
                    false => Some(item.clone()),
                }
            }
            List::Resources | List::Templates | List::Prompts => Some(item.clone()),
        });
        let beside = without(page, &[&WORDS[..], &[listing::member(list)]].concat());
        items.chain(beside).map(Content::Value).collect()
    }

    fn is_approved(&self, action: &ActionName, tool: &Value) -> bool {
        self.authority.is_approved(action, tool)
    }
}

/// What an agent reads of a result that is no call's: all but the protocol's own words.
pub(crate) fn of_result(result: &Value) -> Vec<Content> {
    without(result, &WORDS).into_iter().map(Content::Value).collect()
}

/// What an agent reads of a greeting, as the definition that a catalogue pins; nothing of one in
/// which there is nothing to read.
pub(crate) fn of_greeting(greeted: &Value) -> Option<Value> {
    said_in_greeting(greeted).map(|said| greeting_definition(&said))
}

/// What an agent reads of a greeting.
pub(crate) fn said_in_greeting(greeted: &Value) -> Option<Value> {
    without(greeted, &WORDS)
}

/// What is left of an object without those members; nothing of an empty one.
fn without(value: &Value, names: &[&str]) -> Option<Value> {
    let Value::Object(members) = value else {
        return Some(value.clone());
    };
    let left = members.iter().filter(|(name, _)| !names.contains(&&***name));
    let left: Vec<_> = left.map(|(name, value)| (Arc::clone(name), value.clone())).collect();
    (!left.is_empty()).then(|| Value::object(left))
}

/// The pieces of what a server says while something else is under way.
pub(crate) fn pieces(read: &Read) -> Vec<Content> {
    match read {
        Read::This(content) => content.clone(),
        Read::Nothing | Read::Unseen => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use safeconduct_wire::json;

    #[test]
    fn what_the_protocol_counts_and_names_is_no_content() {
        let read = |text: &str| {
            let content = of_result(&json::parse(text.as_bytes()).unwrap());
            let [Content::Value(value)] = content.as_slice() else {
                assert!(content.is_empty());
                return String::new();
            };
            json::to_text(value)
        };
        assert_eq!(read(r#"{"resultType":"complete","ttlMs":0,"_meta":{"x":1}}"#), "");
        assert_eq!(
            read(r#"{"protocolVersion":"1","serverInfo":{"name":"n"},"instructions":"pay"}"#),
            r#"{"instructions":"pay"}"#
        );
        assert_eq!(read("7"), "7");
    }
}
