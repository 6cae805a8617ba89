//! What a server asks of the client inside a result (2026-07-28): each request is decided on.

use std::time::Instant;

use safeconduct_model::{Execution, RecordId, Value};
use safeconduct_pep::Ways;

use super::Side;
use crate::authority::Authority;
use crate::message::{Answer, Fault, INTERNAL_ERROR};
use crate::methods::{Direction, Form, Rule, classify};
use crate::passage::Gated;
use crate::{Revision, action, denial, translate};

/// The requests of a server inside one result that were permitted, up to their outcome: they are
/// carried out together, when that result leaves for the client, or not at all.
pub(super) struct Inputs {
    decisions: Vec<RecordId>,
    begun: Instant,
}

impl<A: Authority> Side<A> {
    /// A result that asks for input carries requests of the server: each is decided on. Gives
    /// those that were permitted, or what the client is answered instead of the result.
    pub(super) async fn inputs_permitted(
        &self,
        answer: &Answer,
        gated: &Gated,
        decision: &RecordId,
    ) -> Result<Inputs, Answer> {
        let mut permitted = Inputs { decisions: Vec::new(), begun: Instant::now() };
        let Answer::Result(result) = answer else {
            return Ok(permitted);
        };
        if result.member("resultType").and_then(Value::as_str) != Some("input_required") {
            return match translate::finished(answer.clone()) {
                Answer::Result(_) => Ok(permitted),
                fault @ Answer::Fault(_) => Err(fault),
            };
        }
        let none = std::collections::BTreeMap::new();
        let inputs = match result.member("inputRequests") {
            None => &none,
            Some(Value::Object(inputs)) => inputs,
            // A client may yet make something of it that nobody has decided on.
            Some(_) => {
                let text = "the server asks for input in a form that is not the protocol's";
                return Err(Answer::Fault(Fault::new(INTERNAL_ERROR, text)));
            }
        };
        for input in inputs.values() {
            match self.input_permitted(input, gated, decision).await {
                Ok(asked) => permitted.decisions.extend(asked),
                Err(instead) => {
                    self.inputs_end(permitted, Execution::NotExecuted).await;
                    return Err(instead);
                }
            }
        }
        Ok(permitted)
    }

    /// Records what became of permitted requests: whether the client gets them with that answer.
    pub(super) async fn inputs_answered(&self, permitted: Inputs, answer: &Answer) {
        let execution = match answer {
            Answer::Result(_) => Execution::Succeeded,
            Answer::Fault(_) => Execution::NotExecuted,
        };
        self.inputs_end(permitted, execution).await;
    }

    async fn inputs_end(&self, permitted: Inputs, execution: Execution) {
        let detail = (execution == Execution::NotExecuted).then_some("not_offered");
        for decision in permitted.decisions {
            let report = self.report(decision, execution, permitted.begun, detail);
            self.observe(report).await;
        }
    }

    /// Decides on one request of the server; `None` where the table lets it through.
    async fn input_permitted(
        &self,
        input: &Value,
        gated: &Gated,
        decision: &RecordId,
    ) -> Result<Option<RecordId>, Answer> {
        let refuse = |fault: Fault| Err(Answer::Fault(fault));
        let method = input.member("method").and_then(Value::as_str).unwrap_or_default();
        match classify(Direction::ToClient, Form::Request, Revision::LATEST_LEGACY, method) {
            Rule::Passed => return Ok(None),
            Rule::Gated => {}
            _ => {
                let text = format!("the server asks for `{method}`, which is not let through");
                return refuse(Fault::new(INTERNAL_ERROR, text));
            }
        }
        let params = input.member("params");
        let question = match action::question(&self.backend.config.name, method, params) {
            Ok(question) => question,
            Err(fault) => return refuse(fault),
        };
        let asked = self.ask(question, method.into(), None, Some(decision.clone()));
        let permit = match self.inner.decide(asked).await {
            Ok(permit) => permit,
            Err((refusal, asked)) => {
                let what = format!("{}, which the server asks for", asked.question.what);
                return Err(denial::denied(
                    self.revision,
                    &gated.method,
                    &what,
                    &refusal,
                    &Ways::default(),
                ));
            }
        };
        match self.inner.authority.redeem(permit) {
            Ok(redeemed) if redeemed.obligations().is_empty() => {
                Ok(Some(redeemed.decision().clone()))
            }
            Ok(redeemed) => {
                self.not_executed(redeemed.decision().clone(), "obligation").await;
                let text = "an obligation cannot be carried out on what the server asks";
                refuse(Fault::new(INTERNAL_ERROR, text))
            }
            Err((lapsed, decision)) => {
                self.not_executed(decision, "lapsed").await;
                refuse(Fault::new(INTERNAL_ERROR, lapsed.to_string()))
            }
        }
    }
}
