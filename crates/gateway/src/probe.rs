//! A question that goes the way of a client's call, up to the decision and no further: to see
//! whether what was taken away is denied here, where calls are let through or stopped.
//!
//! It is made into the message that a client would send, read as such a message, sorted by the same
//! table, and asked in the words, for the obligations and in the mode of this gateway. The decision
//! is weighed and not made: nothing is recorded of it, no session or budget moves, no upstream is
//! connected to, and no permit exists that could be used.

use std::sync::{Arc, Mutex, PoisonError};

use http::header::{ACCEPT, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue};
use safeconduct_model::{ActionName, Body, Value};
use safeconduct_pep::Asks as _;
use safeconduct_service::{Outcome, PointProbe, Probed};
use safeconduct_wire::json;

use crate::authority::Authority;
use crate::gateway::Gateway;
use crate::headers::{META_CAPABILITIES, META_VERSION, PROTOCOL_VERSION, mirror};
use crate::message::{Fault, INVALID_REQUEST, Request};
use crate::methods::Rule;
use crate::passage::Gated;
use crate::reply::Reply;
use crate::session::Caller;
use crate::side::Side;
use crate::task_tools::RESERVED;
use crate::{Revision, action, edit, front};

/// Where the answer to a probe is put down. It comes with the message from within this process, and
/// by no header or byte of a client.
#[derive(Debug, Default)]
pub(crate) struct Probing(Mutex<Option<Probed>>);

impl Probing {
    fn put(&self, found: Probed) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(found);
    }

    fn taken(&self) -> Option<Probed> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

impl<A: Authority> Gateway<A> {
    /// Sends a question the way of a call by that caller, up to the decision.
    pub async fn probe(&self, probe: PointProbe) -> Probed {
        let PointProbe { server, action, input, proof } = probe;
        let Some(backend) = self.inner.backend(server.as_str()) else {
            return Probed::NotServed;
        };
        let Some((method, params)) = call_of(server.as_str(), &action, &input) else {
            return Probed::Silent(format!("no call of server `{server}` asks that"));
        };
        let caller = Caller::of(&*self.inner.authority, proof, None);
        let probing = Arc::new(Probing::default());
        let message = (headers(&method, &params), body(&method, params));
        front::probe(&self.inner, backend, caller, message, &probing).await;
        let none =
            || Probed::Silent("the gateway refused the message before a decision".to_owned());
        match probing.taken() {
            Some(Probed::Weighed { outcome, .. }) if asked(&outcome) != Some(&action) => {
                Probed::Silent("the message that asks that would ask something else".to_owned())
            }
            found => found.unwrap_or_else(none),
        }
    }
}

/// What was asked, as it would have been recorded.
fn asked(outcome: &Outcome) -> Option<&ActionName> {
    match &outcome.record.body {
        Body::Decided(decided) => Some(&decided.action),
        _ => None,
    }
}

/// The call that asks for an action of a server: its method and parameters.
fn call_of(server: &str, action: &ActionName, input: &Value) -> Option<(String, Value)> {
    let rest = action.as_str().strip_prefix(server)?;
    if let Some(tool) = rest.strip_prefix('.') {
        let params = [("name", Value::from(tool)), ("arguments", input.clone())];
        return Some(("tools/call".to_owned(), Value::object(params)));
    }
    let method = rest.strip_prefix('/')?;
    Some((method.to_owned(), input.clone()))
}

fn headers(method: &str, params: &Value) -> HeaderMap {
    let json = HeaderValue::from_static("application/json");
    let mut headers = mirror(method, Some(params), None);
    headers.insert(CONTENT_TYPE, json.clone());
    headers.insert(ACCEPT, json);
    let revision = HeaderValue::from_static(Revision::V2026_07_28.as_str());
    headers.insert(PROTOCOL_VERSION, revision);
    headers
}

fn body(method: &str, mut params: Value) -> Vec<u8> {
    edit::set_meta(&mut params, META_VERSION, Revision::V2026_07_28.as_str());
    edit::set_meta(&mut params, META_CAPABILITIES, edit::empty());
    json::to_bytes(&Value::object([
        ("jsonrpc", Value::from("2.0")),
        ("id", Value::from("probe")),
        ("method", Value::from(method)),
        ("params", params),
    ]))
}

impl<A: Authority> Side<A> {
    /// Weighs what a gated request asks, and puts the answer down; the request goes nowhere.
    pub(crate) fn probed(&self, rule: Rule, request: Request, probing: &Probing) -> Reply {
        let Request { method, params, .. } = request;
        let tool = params.as_ref().and_then(|params| params.member("name")).and_then(Value::as_str);
        let is_own =
            &*method == "tools/call" && tool.is_some_and(|tool| tool.starts_with(RESERVED));
        let question = action::question(&self.backend.config.name, &method, params.as_ref());
        let found = match question {
            _ if rule != Rule::Gated || is_own => {
                Probed::Silent(format!("`{method}` is not decided on here"))
            }
            Err(fault) => Probed::Silent(fault.message.to_string()),
            Ok(question) => {
                let gated: Gated = self.ask(question, method, params, None);
                let outcome = Box::new(self.inner.authority.weigh(gated.check()));
                Probed::Weighed { point: self.backend.pep.clone(), outcome }
            }
        };
        probing.put(found);
        Fault::new(INVALID_REQUEST, "a probe goes no further than the decision").into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_action_is_asked_for_by_its_call() {
        let input = json::parse(br#"{"uri":"u:x"}"#).unwrap();
        let called = |action: &str| {
            let action = ActionName::new(action).unwrap();
            call_of("s", &action, &input).map(|(method, params)| (method, json::to_text(&params)))
        };
        let of = |method: &str, params: &str| Some((method.to_owned(), params.to_owned()));
        let tool = of("tools/call", r#"{"arguments":{"uri":"u:x"},"name":"t"}"#);
        assert_eq!(called("s.t"), tool);
        assert_eq!(called("s/resources/read"), of("resources/read", r#"{"uri":"u:x"}"#));
        assert_eq!(called("other.t"), None);
        assert_eq!(called("sx"), None);
    }
}
