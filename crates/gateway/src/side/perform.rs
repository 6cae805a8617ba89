//! What a permit allows, performed once, and its outcome, reported once.

use std::sync::Arc;
use std::time::Instant;

use safeconduct_model::{Edit, Execution, RecordId, Value};
use safeconduct_pep::Redeemed;
use safeconduct_service::{Read, Report};
use safeconduct_wire::json;

use super::Side;
use crate::authority::Authority;
use crate::backend::Ready;
use crate::message::{Answer, Fault, INTERNAL_ERROR};
use crate::obligation::Plan;
use crate::passage::{Gated, Passage};
use crate::reading;
use crate::related::{Related, and};
use crate::reply::Reply;
use crate::upstream::{Answered, Patience};

impl<A: Authority> Side<A> {
    /// Performs what a used permit allows, once, and reports what came of it, once.
    pub(super) async fn perform(
        &self,
        redeemed: Redeemed<Gated>,
        ready: &Ready,
        related: &Arc<Related>,
        offered: bool,
    ) -> Reply {
        let (mut passage, gated, decision, obligations) = Passage::permitted(redeemed);
        let plan = match Plan::of(&obligations) {
            Ok(plan) if offered => plan,
            Ok(_) => {
                self.not_executed(decision, "not_offered").await;
                let text = format!("the server does not offer {}", gated.question.what);
                return Fault::new(crate::message::INVALID_PARAMS, text).into();
            }
            Err(obligation) => {
                self.not_executed(decision, "obligation").await;
                let text = format!("the obligation `{}` cannot be carried out", obligation.kind);
                return Fault::new(INTERNAL_ERROR, text).into();
            }
        };
        let mut edits = passage.edit(|method, params| {
            let edits = params.as_mut().map(|params| plan.edit_input(method, params));
            self.fit_params(params, ready);
            edits.unwrap_or_default()
        });
        edits.extend(ready.live.injected(&gated.method));
        let begun = Instant::now();
        let (inner, of, pep) =
            (Arc::downgrade(&self.inner), decision.clone(), self.backend.pep.clone());
        related.tell(move |read| {
            if let Some(inner) = inner.upgrade() {
                inner.authority.reads(&of, &pep, read);
            }
        });
        let (connection, live) = (&ready.connection, &ready.live);
        let call = connection.call(live, passage, related, Patience::Bounded);
        let Answered { answer, status, form } = match self.while_standing(related, call).await {
            Ok(answered) => answered,
            Err(error) => {
                let (execution, detail) = error.outcome();
                let report = self.report(decision, execution, begun, Some(detail));
                // Of a call that was not made nothing was changed.
                let edits = if execution == Execution::NotExecuted { Vec::new() } else { edits };
                // What the server has said meanwhile was read, whatever came of the call.
                let beside = related.said();
                self.observe(Report { edits, beside, ..report }).await;
                return error.fault().into();
            }
        };
        let answer = self.redacted(answer, &plan, &mut edits);
        let answer = match self.inputs_permitted(&answer, &gated, &decision).await {
            Ok(inputs) => {
                let answer = self.fit_answer(&gated.method, answer, ready);
                self.inputs_answered(inputs, &answer).await;
                if let Answer::Result(_) = &answer
                    && let Some(uri) = gated.question.input.member("uri")
                    && &*gated.method == "resources/subscribe"
                {
                    self.backend.given.remember(&gated.authentication, &gated.method, uri);
                }
                if let Answer::Result(result) = &answer {
                    let (of, action) = (&gated.authentication, &gated.question.action);
                    self.backend.inputs.remember(of, action, result);
                }
                answer
            }
            Err(denied) => denied,
        };
        let report = self.report(decision, Execution::Unknown, begun, None);
        let report = Report { edits, beside: related.said(), ..report };
        self.conclude(answer, report).await.delivered(status, form)
    }

    fn redacted(&self, answer: Answer, plan: &Plan, edits: &mut Vec<Edit>) -> Answer {
        match answer {
            Answer::Result(mut result) => {
                edits.extend(plan.edit_result(&mut result));
                Answer::Result(result)
            }
            // What else a fault carries cannot be told apart.
            Answer::Fault(fault) if plan.redacts() => Answer::Fault(Fault { data: None, ..fault }),
            fault @ Answer::Fault(_) => fault,
        }
    }

    /// Records the outcome of a call that was answered; the record is queued before the reply
    /// leaves, and is waited for by nobody.
    async fn conclude(&self, answer: Answer, report: Report) -> Reply {
        let (execution, detail) = match &answer {
            Answer::Fault(_) => (Execution::Failed, Some("upstream_error")),
            Answer::Result(result) => match result.member("isError").and_then(Value::as_bool) {
                Some(true) => (Execution::Failed, Some("upstream_error")),
                _ => (Execution::Succeeded, None),
            },
        };
        let mut report = Report { execution, detail: detail.map(Arc::from), ..report };
        let (read, reply) = match answer {
            Answer::Result(mut result) => {
                let bytes = json::to_bytes(&result);
                report.result = Some(bytes.clone());
                // What a declassifier lowers is the answer, not what stands around it.
                if let Some(around) = reading::take_around(&mut result) {
                    report.beside = and(Read::This(vec![around]), report.beside);
                }
                (reading::of_result(result), Reply::result(bytes))
            }
            Answer::Fault(fault) => {
                (reading::of_fault(&fault.message, fault.data.as_ref()), fault.into())
            }
        };
        report.read = Read::This(read);
        self.observe(report).await;
        reply
    }

    pub(super) fn report(
        &self,
        decision: RecordId,
        execution: Execution,
        begun: Instant,
        detail: Option<&'static str>,
    ) -> Report {
        Report {
            decision,
            reported_by: self.backend.pep.clone(),
            execution,
            duration_ms: Some(u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX)),
            result: None,
            detail: detail.map(Arc::from),
            edits: Vec::new(),
            read: Read::Nothing,
            beside: Read::Nothing,
        }
    }

    pub(super) async fn not_executed(&self, decision: RecordId, detail: &'static str) {
        let report = self.report(decision, Execution::NotExecuted, Instant::now(), Some(detail));
        self.observe(report).await;
    }

    pub(super) async fn observe(&self, report: Report) {
        self.inner.observe(report).await;
    }
}
