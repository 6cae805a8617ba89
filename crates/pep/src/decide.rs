//! Asking for a permit.

use std::future::Future;
use std::sync::Arc;

use safeconduct_model::{IdentityId, Reason, RecordId, Requestable};
use safeconduct_service::{
    AccessState, AccessSummary, AskedAtOnce, Check, CheckedOrAsked, ObserveError, Read, Report,
    Ruling, Service, Unrecorded,
};

use crate::{Lapsed, Permit, Redeemed};

/// Something that can be decided: it says itself what is asked, so that a permit for it can
/// never rest on another question.
pub trait Asks {
    /// The question.
    fn check(&self) -> Check;

    /// What happens where it is denied for what people may set aside.
    fn on_denial(&self) -> OnDenial {
        OnDenial::Tell
    }
}

/// What happens where people may set aside what denies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnDenial {
    /// Whoever asks is told so.
    Tell,
    /// People are asked at once.
    Ask,
}

/// A Deny, as an enforcement point hands it on.
#[derive(Debug, Clone, PartialEq)]
pub struct Refusal {
    /// The decision's id; `None` where it could not be recorded.
    pub decision: Option<RecordId>,
    /// Why.
    pub reasons: Vec<Reason>,
    /// Whether and how it may be asked for.
    pub requestable: Option<Requestable>,
    /// The request that was made of it or stood already, or why nobody is asked; `None` where
    /// nobody was to be.
    pub asked: Option<AskedAtOnce>,
}

impl Refusal {
    /// The refusal that a ruling is which does not go ahead.
    pub fn of(ruling: Ruling) -> Self {
        let outcome = ruling.outcome;
        Self {
            decision: Some(outcome.record.id),
            reasons: outcome.reasons,
            requestable: outcome.requestable,
            asked: None,
        }
    }

    /// The refusal of what could not be recorded.
    pub fn unrecorded(unrecorded: Unrecorded) -> Self {
        let reasons = vec![unrecorded.reason];
        Self { decision: None, reasons, requestable: None, asked: None }
    }

    /// What an agent is told: what stands in the way, by rule, whether it can be asked for or is,
    /// and what to do next. Never policy text, and never an argument.
    pub fn message_for_agent(&self, what: &str, ways: &Ways) -> String {
        let mut text = format!("Denied: {what}.\n");
        for reason in &self.reasons {
            let rule = reason.policy().map(|policy| format!(" [rule `{}`]", policy.id));
            text.push_str(&format!("- {}{}\n", reason.message(), rule.unwrap_or_default()));
        }
        let next = match (&self.requestable, &self.asked) {
            (_, Some(AskedAtOnce::Asked(asked))) => {
                text.push_str(&request_for_agent(asked, ways.page.as_deref()));
                match asked.state {
                    AccessState::Pending => "Do not retry before it is approved.",
                    _ => UNCHANGED,
                }
            }
            (_, Some(AskedAtOnce::Not(error))) => {
                text.push_str(&format!("A person may approve such calls, but {error}.\n"));
                UNCHANGED
            }
            (Some(_), None) => {
                text.push_str(&format!("A person may approve exactly this call; {}.\n", ways.ask));
                UNCHANGED
            }
            (None, None) => {
                text.push_str("It cannot be requested; do something else that is permitted.\n");
                UNCHANGED
            }
        };
        match &self.decision {
            Some(decision) => text.push_str(&format!("Decision {decision}. ")),
            None => text.push_str("The decision could not be recorded. "),
        }
        text.push_str(next);
        text
    }
}

const UNCHANGED: &str = "Do not retry unchanged.";

/// How an agent gets at people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ways {
    /// How it asks for what was denied, where nobody is asked yet: the end of a sentence.
    pub ask: &'static str,
    /// The page on which the request is answered, where there is one.
    pub page: Option<String>,
}

impl Default for Ways {
    fn default() -> Self {
        Self { ask: "ask the user to request access", page: None }
    }
}

/// Where a request stands, who may answer it until when, where, and what to do then.
pub fn request_for_agent(asked: &AccessSummary, page: Option<&str>) -> String {
    let id = &asked.id;
    if asked.state != AccessState::Pending {
        return match asked.state {
            AccessState::Approved => format!(
                "Request {id} was approved, and what else is said here stands in the way.\n"
            ),
            state => format!("Request {id} is {}.\n", state.as_str()),
        };
    }
    let who = asked.open_to.join(" or ");
    let how_many = match asked.quorum {
        1 => String::new(),
        quorum => format!(", {quorum} of them must"),
    };
    let at = page.map(|page| format!(" at {page}")).unwrap_or_default();
    format!(
        "Request {id} is pending: {who} may approve exactly this call{how_many}, until {}{at}. \
         Once it is approved, make the very same call again: it then runs once.\n",
        asked.answer_by
    )
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
        let checked = match cargo.on_denial() {
            OnDenial::Tell => self.0.check(cargo.check()).await.map(|ruling| (ruling, None)),
            OnDenial::Ask => {
                let checked = self.0.check_or_ask(cargo.check()).await;
                checked.map(|CheckedOrAsked { ruling, asked }| (ruling, asked))
            }
        };
        match checked {
            Ok((recorded, _)) if recorded.value().goes_ahead() => Ok(Permit::new(cargo, recorded)),
            Ok((recorded, asked)) => {
                Err((Refusal { asked, ..Refusal::of(recorded.into_value()) }, cargo))
            }
            Err(unrecorded) => Err((Refusal::unrecorded(unrecorded), cargo)),
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
