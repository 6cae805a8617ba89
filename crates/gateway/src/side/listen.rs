//! Subscriptions (2026-07-28): a stream of notifications, on resources that were decided on.

use std::sync::Arc;
use std::time::Instant;

use safeconduct_model::{Execution, RecordId, Value};

use super::{Side, cannot_cross};
use crate::authority::Authority;
use crate::backend::Ready;
use crate::message::{Answer, Fault, INVALID_REQUEST, Request};
use crate::obligation::Plan;
use crate::related::Related;
use crate::reply::Reply;
use crate::revision::Era;
use crate::upstream::{Answered, Patience};
use crate::{action, edit, notify};

/// Most resources that one subscription may name.
const SUBSCRIPTIONS_MAX: usize = 64;

impl<A: Authority> Side<A> {
    /// Opens a stream of notifications; each resource that it names is decided on.
    pub(super) async fn listen(
        &self,
        mut request: Request,
        ready: &Ready,
        related: &Arc<Related>,
    ) -> Reply {
        if ready.live.revision.era() == Era::Legacy {
            return cannot_cross(&request.method, ready.live.revision).into();
        }
        let permitted = match self.subscribable(&mut request.params).await {
            Ok(permitted) => permitted,
            Err(fault) => return fault.into(),
        };
        let (begun, method) = (Instant::now(), Arc::clone(&request.method));
        let mut call = std::pin::pin!(self.forward(request, ready, related, Patience::Endless));
        let mut answered = None;
        if !permitted.is_empty() {
            tokio::select! {
                biased;
                done = &mut call => answered = Some(done),
                // The first message on the stream acknowledges it.
                () = related.sign() => {}
            }
            let (execution, detail) = match &answered {
                None => (Execution::Succeeded, None),
                Some(Ok(_)) => (Execution::Failed, Some("upstream_error")),
                Some(Err(error)) => (error.outcome().0, Some(error.outcome().1)),
            };
            for decision in permitted {
                let report = self.report(decision, execution, begun, detail);
                self.observe(report).await;
            }
        }
        let answered = match answered {
            Some(answered) => answered,
            None => call.await,
        };
        match answered {
            Ok(Answered { mut answer, status, form }) => {
                if let Err(fault) = self.hear(&method, None, &answer) {
                    return fault.into();
                }
                if let Answer::Result(result) = &mut answer {
                    notify::result_for_client(result, related);
                }
                Reply::from(answer).delivered(status, form)
            }
            Err(error) => error.fault().into(),
        }
    }

    /// Leaves those resources in a subscription that the caller may subscribe to; gives the
    /// decisions whose outcome is to be reported.
    async fn subscribable(&self, params: &mut Option<Value>) -> Result<Vec<RecordId>, Fault> {
        const METHOD: &str = "resources/subscribe";
        let filter = params.as_mut().and_then(|p| edit::member_mut(p, "notifications"));
        let Some(filter) = filter else {
            return Ok(Vec::new());
        };
        let Some(Value::Array(uris)) = edit::take(filter, "resourceSubscriptions") else {
            return Ok(Vec::new());
        };
        if uris.len() > SUBSCRIPTIONS_MAX {
            return Err(Fault::new(
                INVALID_REQUEST,
                format!("a subscription names at most {SUBSCRIPTIONS_MAX} resources"),
            ));
        }
        let (mut left, mut decisions) = (Vec::new(), Vec::new());
        for uri in uris {
            let params = Value::object([("uri", uri.clone())]);
            let question = action::question(&self.backend.config.name, METHOD, Some(&params))?;
            let gated = self.ask(question, METHOD.into(), None, None);
            let Ok(permit) = self.inner.decide(gated).await else {
                continue;
            };
            let planned = Plan::of(permit.obligations()).is_ok();
            match self.inner.authority.redeem(permit) {
                Ok(redeemed) if planned => {
                    decisions.push(redeemed.decision().clone());
                    left.push(uri);
                }
                Ok(redeemed) => self.not_executed(redeemed.decision().clone(), "obligation").await,
                Err((_, decision)) => self.not_executed(decision, "lapsed").await,
            }
        }
        edit::set(filter, "resourceSubscriptions", left);
        Ok(decisions)
    }
}
