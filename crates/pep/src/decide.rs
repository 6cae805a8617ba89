//! Asking for a permit.

use std::future::Future;
use std::sync::Arc;

use safeconduct_model::{IdentityId, Reason, RecordId, Requestable};
use safeconduct_service::{Check, ObserveError, Read, Report, Ruling, Service};

use crate::{Lapsed, Permit, Redeemed};

/// Something that can be decided: it says itself what is asked, so that a permit for it can
/// never rest on another question.
pub trait Asks {
    /// The question.
    fn check(&self) -> Check;
}

/// A Deny, as an enforcement point hands it on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// The decision's id; `None` where it could not be recorded.
    pub decision: Option<RecordId>,
    /// Why.
    pub reasons: Vec<Reason>,
    /// Whether and how it may be asked for.
    pub requestable: Option<Requestable>,
}

impl Refusal {
    /// The refusal that a ruling is which does not go ahead.
    pub fn of(ruling: Ruling) -> Self {
        let outcome = ruling.outcome;
        Self {
            decision: Some(outcome.record.id),
            reasons: outcome.reasons,
            requestable: outcome.requestable,
        }
    }

    /// What an agent is told: what stands in the way, by rule, whether it can be asked for, and
    /// not to retry unchanged. Never policy text.
    pub fn message_for_agent(&self, what: &str) -> String {
        let mut text = format!("Denied: {what}.\n");
        for reason in &self.reasons {
            let rule = reason.policy().map(|policy| format!(" [rule `{}`]", policy.id));
            text.push_str(&format!("- {}{}\n", reason.message(), rule.unwrap_or_default()));
        }
        match &self.requestable {
            Some(_) => text.push_str(
                "A person may approve exactly this call; ask the user to request access.\n",
            ),
            None => text.push_str("It cannot be requested; do something else that is permitted.\n"),
        }
        match &self.decision {
            Some(decision) => text.push_str(&format!("Decision {decision}. ")),
            None => text.push_str("The decision could not be recorded. "),
        }
        text.push_str("Do not retry unchanged.");
        text
    }
}

/// A decision point, in this process or elsewhere.
pub trait Decide: Send + Sync + 'static {
    /// Decides what the cargo asks. A permit comes only after its record is durable.
    fn decide<T: Asks + Send>(
        &self,
        cargo: T,
    ) -> impl Future<Output = Result<Permit<T>, (Refusal, T)>> + Send;

    /// Uses a permit up, where it still holds.
    ///
    /// # Errors
    /// [`Lapsed`], and the decision whose outcome is then `not_executed`.
    fn redeem<T: Send>(&self, permit: Permit<T>) -> Result<Redeemed<T>, (Lapsed, RecordId)>;

    /// Says what an agent is about to read of a permitted call before its outcome is known. The
    /// outcome's report says it again.
    fn reads(&self, decision: &RecordId, by: &IdentityId, read: &Read);

    /// Reports what happened.
    fn observe(&self, report: Report) -> impl Future<Output = Result<(), ObserveError>> + Send;
}

/// The decision point of this process.
#[derive(Clone)]
pub struct InProcess(Arc<Service>);

impl InProcess {
    /// Decides through that service.
    pub const fn new(service: Arc<Service>) -> Self {
        Self(service)
    }

    /// The service.
    pub const fn service(&self) -> &Arc<Service> {
        &self.0
    }
}

impl Decide for InProcess {
    async fn decide<T: Asks + Send>(&self, cargo: T) -> Result<Permit<T>, (Refusal, T)> {
        match self.0.check(cargo.check()).await {
            Ok(recorded) if recorded.value().goes_ahead() => Ok(Permit::new(cargo, recorded)),
            Ok(recorded) => Err((Refusal::of(recorded.into_value()), cargo)),
            Err(unrecorded) => {
                let reasons = vec![unrecorded.reason];
                Err((Refusal { decision: None, reasons, requestable: None }, cargo))
            }
        }
    }

    fn redeem<T: Send>(&self, permit: Permit<T>) -> Result<Redeemed<T>, (Lapsed, RecordId)> {
        permit.redeem(&self.0)
    }

    fn reads(&self, decision: &RecordId, by: &IdentityId, read: &Read) {
        self.0.reads(decision, by, read);
    }

    async fn observe(&self, report: Report) -> Result<(), ObserveError> {
        self.0.observe(report).await
    }
}
