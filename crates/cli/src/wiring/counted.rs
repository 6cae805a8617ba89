//! The decision point of this process as the gateway sees it, with what it decides counted.

use std::future::Future;
use std::sync::{Arc, OnceLock};
use std::time::Instant;

use safeconduct_api::{Asked, Metrics};
use safeconduct_gateway::{Authority, Begun, DefinitionsError};
use safeconduct_model::{
    ActionName, Authentication, Decision, Digest, IdentityId, Intent, Intents, RecordId,
    ServerName, TaskId, Value,
};
use safeconduct_pep::{Asks, Decide, InProcess, Lapsed, Permit, Redeemed, Refusal};
use safeconduct_service::{
    AccessAsked, AccessState, AccessSummary, AskAccess, AskAccessError, BeginError, Check,
    ClientRequest, Conversation, EndError, Ending, Extent, HearError, NotAuthenticated,
    ObserveError, Outcome, Read, Report, Said, Undertaking, Watch,
};

/// Decides in this process, and counts.
#[derive(Clone)]
pub(crate) struct Counted {
    inner: InProcess,
    metrics: Arc<OnceLock<Arc<Metrics>>>,
}

impl Counted {
    /// Counts once [`Counted::count_in`] has said where.
    pub(crate) fn new(inner: InProcess) -> Self {
        Self { inner, metrics: Arc::default() }
    }

    /// Says where to count. The first word holds.
    pub(crate) fn count_in(&self, metrics: &Arc<Metrics>) {
        self.metrics.get_or_init(|| Arc::clone(metrics));
    }
}

impl Decide for Counted {
    async fn decide<T: Asks + Send>(&self, cargo: T) -> Result<Permit<T>, (Refusal, T)> {
        let begun = Instant::now();
        let decided = self.inner.decide(cargo).await;
        if let Some(metrics) = self.metrics.get() {
            let (decision, reasons) = match &decided {
                Ok(permit) => (permit.answer(), permit.reasons()),
                Err((refusal, _)) => (Decision::Deny, refusal.reasons.as_slice()),
            };
            metrics.decided(Asked::Gateway, decision, reasons, begun.elapsed());
        }
        decided
    }

    fn redeem<T: Send>(&self, permit: Permit<T>) -> Result<Redeemed<T>, (Lapsed, RecordId)> {
        self.inner.redeem(permit)
    }

    fn reads(&self, decision: &RecordId, by: &IdentityId, read: &Read) {
        self.inner.reads(decision, by, read);
    }

    fn observe(&self, report: Report) -> impl Future<Output = Result<(), ObserveError>> + Send {
        self.inner.observe(report)
    }
}

impl Authority for Counted {
    fn authenticate(
        &self,
        request: &ClientRequest<'_>,
    ) -> impl Future<Output = Result<Authentication, NotAuthenticated>> + Send {
        self.inner.authenticate(request)
    }

    fn dpop_nonce(&self) -> Option<String> {
        self.inner.dpop_nonce()
    }

    fn stands(&self, authentication: &Authentication) -> bool {
        self.inner.stands(authentication)
    }

    fn enter_task(&self, proof: Authentication, handle: &str) -> Option<Authentication> {
        self.inner.enter_task(proof, handle)
    }

    fn within_attached_task(
        &self,
        proof: Authentication,
        conversation: Option<&Digest>,
    ) -> Authentication {
        self.inner.within_attached_task(proof, conversation)
    }

    fn watch(&self, watch: &Arc<dyn Watch>) {
        self.inner.watch(watch);
    }

    fn intents(&self) -> Arc<Intents> {
        self.inner.intents()
    }

    fn may_undertake(&self, proof: &Authentication, intent: &Intent) -> bool {
        self.inner.may_undertake(proof, intent)
    }

    fn begin_task(
        &self,
        undertaking: Undertaking,
    ) -> impl Future<Output = Result<Begun, BeginError>> + Send {
        self.inner.begin_task(undertaking)
    }

    fn end_task(
        &self,
        task: &TaskId,
        ending: Ending,
    ) -> impl Future<Output = Result<usize, EndError>> + Send {
        self.inner.end_task(task, ending)
    }

    fn may_ask_people(&self) -> bool {
        self.inner.may_ask_people()
    }

    fn request_access(
        &self,
        ask: AskAccess,
    ) -> impl Future<Output = Result<AccessAsked, AskAccessError>> + Send {
        self.inner.request_access(ask)
    }

    fn access(&self, request: &RecordId) -> Option<AccessSummary> {
        self.inner.access(request)
    }

    fn access_changed(
        &self,
        request: &RecordId,
        seen: AccessState,
    ) -> impl Future<Output = Option<AccessState>> + Send {
        self.inner.access_changed(request, seen)
    }

    fn weigh(&self, check: Check) -> Outcome {
        self.inner.weigh(check)
    }

    fn may_see(&self, authentication: &Authentication, action: &ActionName) -> bool {
        self.inner.may_see(authentication, action)
    }

    fn recall_due(&self, by: &Authentication) -> bool {
        self.inner.recall_due(by)
    }

    fn recall(&self, by: &Authentication) {
        self.inner.recall(by);
    }

    fn hears(&self, said: Said) -> Result<(), HearError> {
        self.inner.hears(said)
    }

    fn is_approved(&self, action: &ActionName, tool: &Value) -> bool {
        self.inner.is_approved(action, tool)
    }

    fn definitions_seen(
        &self,
        server: &ServerName,
        conversation: &Conversation,
        extent: Extent,
        tools: Vec<(ActionName, Value)>,
    ) -> impl Future<Output = Result<(), DefinitionsError>> + Send {
        self.inner.definitions_seen(server, conversation, extent, tools)
    }
}
