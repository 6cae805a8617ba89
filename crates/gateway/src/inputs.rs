//! What servers have asked for inside their results (2026-07-28), so that an answer to a question
//! that nobody asked can be told from one that was wanted.

use std::collections::VecDeque;
use std::hash::{BuildHasher as _, RandomState};
use std::sync::{Mutex, PoisonError};

use safeconduct_model::{ActionName, Authentication, SessionKey, Value};
use safeconduct_wire::json;

/// Most results of one upstream that are remembered; the oldest is forgotten first.
const RESULTS_MAX: usize = 4096;
/// Most of them of one task, or of one credential outside of tasks.
const RESULTS_OF_ONE_MAX: usize = 32;
/// Most questions of one result; answers to further ones count as unasked.
const QUESTIONS_MAX: usize = 64;

/// What one upstream has asked for.
#[derive(Default)]
pub(crate) struct Inputs {
    results: Mutex<VecDeque<Asking>>,
    /// Its keys are this process's own, so that nobody can aim for a collision.
    hashing: RandomState,
}

/// One result that asked for input.
struct Asking {
    by: SessionKey,
    action: ActionName,
    /// Fingerprints of the questions' names.
    questions: Vec<u64>,
    /// Fingerprint of the state that is to be given back.
    state: Option<u64>,
}

impl Inputs {
    /// Takes in a result that goes to the client, where it asks for input.
    pub(crate) fn remember(&self, of: &Authentication, action: &ActionName, result: &Value) {
        if result.member("resultType").and_then(Value::as_str) != Some("input_required") {
            return;
        }
        let names = result.member("inputRequests").and_then(Value::as_object);
        let names = names.into_iter().flat_map(|names| names.keys());
        let asking = Asking {
            by: SessionKey::of(of),
            action: action.clone(),
            questions: names.take(QUESTIONS_MAX).map(|name| self.hashing.hash_one(name)).collect(),
            state: self.state(result),
        };
        let mut results = self.results.lock().unwrap_or_else(PoisonError::into_inner);
        let own = |other: &Asking| other.by == asking.by;
        if results.iter().filter(|other| own(other)).count() >= RESULTS_OF_ONE_MAX
            && let Some(oldest) = results.iter().position(own)
        {
            results.remove(oldest);
        }
        if results.len() >= RESULTS_MAX {
            results.pop_front();
        }
        results.push_back(asking);
    }

    /// Of what the parameters of a call give back, where each stands that was asked for: by a
    /// result of the same action, in the same task, with the same state.
    pub(crate) fn asked(
        &self,
        of: &Authentication,
        action: &ActionName,
        params: Option<&Value>,
    ) -> Vec<Value> {
        let Some(params) = params else {
            return Vec::new();
        };
        let given = params.member("inputResponses").and_then(Value::as_object);
        let state = self.state(params);
        if given.is_none() && state.is_none() {
            return Vec::new();
        }
        let by = SessionKey::of(of);
        let results = self.results.lock().unwrap_or_else(PoisonError::into_inner);
        let fits =
            |asking: &&Asking| asking.by == by && asking.action == *action && asking.state == state;
        let fitting: Vec<&Asking> = results.iter().filter(fits).collect();
        let is_asked = |name: &str| {
            let name = self.hashing.hash_one(name);
            fitting.iter().any(|asking| asking.questions.contains(&name))
        };
        let names = given.into_iter().flat_map(|given| given.keys());
        let names = names.filter(|name| is_asked(name)).map(|name| {
            let token = name.replace('~', "~0").replace('/', "~1");
            Value::from(format!("/inputResponses/{token}"))
        });
        let state = (state.is_some() && !fitting.is_empty()).then(|| Value::from("/requestState"));
        names.chain(state).collect()
    }

    fn state(&self, of: &Value) -> Option<u64> {
        of.member("requestState").map(|state| self.hashing.hash_one(json::to_bytes(state)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use safeconduct_model::{Assurance, IdentityId, Method, Timestamp, TokenId};

    fn value(text: &str) -> Value {
        json::parse(text.as_bytes()).unwrap()
    }

    fn authentication(token: &str) -> Authentication {
        Authentication {
            identity: IdentityId::new("agent").unwrap(),
            token: TokenId::new(token).unwrap(),
            method: Method::ApiKey,
            assurance: Assurance::Low,
            at: Timestamp::from_millis(0),
            expires_at: None,
            task: None,
        }
    }

    fn told(inputs: &Inputs, token: &str, action: &str, params: &str) -> String {
        let action = ActionName::new(action).unwrap();
        let asked = inputs.asked(&authentication(token), &action, Some(&value(params)));
        json::to_text(&Value::Array(asked))
    }

    #[test]
    fn what_was_asked_is_told_from_what_was_not() {
        let inputs = Inputs::default();
        let asked = r#"{"resultType":"input_required","requestState":"s",
            "inputRequests":{"a":{},"b/c":{}}}"#;
        let tool = ActionName::new("s.t").unwrap();
        inputs.remember(&authentication("one"), &tool, &value(asked));
        let full = r#"{"inputResponses":{"a":1,"b/c":2,"d":3},"requestState":"s"}"#;
        assert_eq!(
            told(&inputs, "one", "s.t", full),
            r#"["/inputResponses/a","/inputResponses/b~1c","/requestState"]"#
        );
        // Another credential's, another tool's, another state, none.
        assert_eq!(told(&inputs, "two", "s.t", full), "[]");
        assert_eq!(told(&inputs, "one", "s.u", full), "[]");
        let other = r#"{"inputResponses":{"a":1},"requestState":"secret"}"#;
        assert_eq!(told(&inputs, "one", "s.t", other), "[]");
        assert_eq!(told(&inputs, "one", "s.t", r#"{"inputResponses":{"a":1}}"#), "[]");
        // What asks for nothing is not remembered.
        let done = value(r#"{"resultType":"complete","requestState":"t"}"#);
        inputs.remember(&authentication("one"), &tool, &done);
        assert_eq!(told(&inputs, "one", "s.t", r#"{"requestState":"t"}"#), "[]");
    }

    #[test]
    fn one_that_is_asked_much_pushes_out_its_own_only() {
        let inputs = Inputs::default();
        let tool = ActionName::new("s.t").unwrap();
        let asking = |state: usize| {
            value(&format!(r#"{{"resultType":"input_required","requestState":{state}}}"#))
        };
        inputs.remember(&authentication("two"), &tool, &asking(0));
        for state in 0..=RESULTS_OF_ONE_MAX {
            inputs.remember(&authentication("one"), &tool, &asking(state));
        }
        assert_eq!(told(&inputs, "one", "s.t", r#"{"requestState":0}"#), "[]");
        assert_eq!(told(&inputs, "one", "s.t", r#"{"requestState":1}"#), r#"["/requestState"]"#);
        assert_eq!(told(&inputs, "two", "s.t", r#"{"requestState":0}"#), r#"["/requestState"]"#);
    }
}
