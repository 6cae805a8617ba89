//! What a server asks of the client inside a result (2026-07-28): each request is decided on.

use std::time::Instant;

use safeconduct_model::{Execution, RecordId, Value};

use super::Side;
use crate::authority::Authority;
use crate::message::{Answer, Fault, INTERNAL_ERROR};
use crate::methods::{Direction, Form, Rule, classify};
use crate::passage::Gated;
use crate::{Revision, action, denial, translate};

impl<A: Authority> Side<A> {
    /// A result that asks for input carries requests of the server: each is decided on.
    pub(super) async fn inputs_permitted(
        &self,
        answer: Answer,
        gated: &Gated,
        decision: &RecordId,
    ) -> Result<Answer, Answer> {
        let Answer::Result(result) = &answer else {
            return Ok(answer);
        };
        let kind = result.member("resultType").and_then(Value::as_str);
        if kind != Some("input_required") {
            return Ok(translate::finished(answer));
        }
        let refuse = |fault: Fault| Err(Answer::Fault(fault));
        let none = std::collections::BTreeMap::new();
        let inputs = match result.member("inputRequests") {
            None => &none,
            Some(Value::Object(inputs)) => inputs,
            // A client may yet make something of it that nobody has decided on.
            Some(_) => {
                let text = "the server asks for input in a form that is not the protocol's";
                return refuse(Fault::new(INTERNAL_ERROR, text));
            }
        };
        for input in inputs.values() {
            let method = input.member("method").and_then(Value::as_str).unwrap_or_default();
            match classify(Direction::ToClient, Form::Request, Revision::LATEST_LEGACY, method) {
                Rule::Passed => continue,
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
            match self.inner.authority.decide(asked).await {
                Err((refusal, asked)) => {
                    let what = format!("{}, which the server asks for", asked.question.what);
                    return Err(denial::denied(self.revision, &gated.method, &what, &refusal));
                }
                Ok(permit) => match self.inner.authority.redeem(permit) {
                    Ok(redeemed) if redeemed.obligations().is_empty() => {
                        // It reaches the client with this very answer.
                        let decision = redeemed.decision().clone();
                        let now = Instant::now();
                        self.observe(self.report(decision, Execution::Succeeded, now, None)).await;
                    }
                    Ok(redeemed) => {
                        self.not_executed(redeemed.decision().clone(), "obligation").await;
                        let text = "an obligation cannot be carried out on what the server asks";
                        return refuse(Fault::new(INTERNAL_ERROR, text));
                    }
                    Err((lapsed, decision)) => {
                        self.not_executed(decision, "lapsed").await;
                        return refuse(Fault::new(INTERNAL_ERROR, lapsed.to_string()));
                    }
                },
            }
        }
        Ok(answer)
    }
}
