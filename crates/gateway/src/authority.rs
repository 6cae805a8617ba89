//! What the gateway asks of the decision point.

use std::future::Future;
use std::sync::Arc;

use safeconduct_model::{
    ActionName, Authentication, Digest, Intents, Mandate, RecordId, ServerName, Task, TaskId, Value,
};
use safeconduct_pep::{Decide, InProcess};
use safeconduct_service::{
    AccessAsked, AccessState, AccessSummary, AskAccess, AskAccessError, BEARER_BYTES_MAX,
    BeginError, Check, ClientRequest, Conversation, EndError, Ending, Extent, HearError,
    NotAuthenticated, Outcome, Said, Undertaking, Watch, definition_digest, token_digest,
};
use safeconduct_wire::catalogue::definition_digest_input;
use thiserror::Error;

/// The live definitions could not be taken in, so nothing may rest on them.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("the live tool definitions could not be taken in: {0}")]
pub struct DefinitionsError(pub String);

/// A task that has just begun.
#[derive(Debug, Clone)]
pub struct Begun {
    /// The task.
    pub task: Arc<Task>,
    /// What may be done in it; `None` where it has ended since.
    pub mandate: Option<Arc<Mandate>>,
}

/// The decision point, as the gateway sees it.
pub trait Authority: Decide {
    /// Who calls: by the request's one credential with the proof of possession that it needs, or,
    /// where it has none, by the client's certificates.
    fn authenticate(
        &self,
        request: &ClientRequest<'_>,
    ) -> impl Future<Output = Result<Authentication, NotAuthenticated>> + Send;

    /// A nonce for the client's next DPoP proof, where one is needed.
    fn dpop_nonce(&self) -> Option<String>;

    /// Whether a credential still stands.
    fn stands(&self, authentication: &Authentication) -> bool;

    /// A proof of that caller in the task of that handle; `None` where they have none: whether it
    /// is another's or nobody's is not told.
    fn enter_task(&self, proof: Authentication, handle: &str) -> Option<Authentication>;

    /// A proof of that caller in the task that its session is attached to, where it is: within a
    /// conversation in that conversation's own, and in no other.
    fn within_attached_task(
        &self,
        proof: Authentication,
        conversation: Option<&Digest>,
    ) -> Authentication;

    /// Tells `watch` from now on whenever something has ended, for as long as it lives.
    fn watch(&self, watch: &Arc<dyn Watch>);

    /// Every intent of the project.
    fn intents(&self) -> Arc<Intents>;

    /// Whether that caller is among those who may undertake an intent: what lists may show.
    fn may_undertake(&self, proof: &Authentication, intent: &safeconduct_model::Intent) -> bool;

    /// Begins a task.
    fn begin_task(
        &self,
        undertaking: Undertaking,
    ) -> impl Future<Output = Result<Begun, BeginError>> + Send;

    /// Ends a task with everything under it; gives how many that were.
    fn end_task(
        &self,
        task: &TaskId,
        ending: Ending,
    ) -> impl Future<Output = Result<usize, EndError>> + Send;

    /// Whether anything could be denied that people may set aside: what lists of tools may show.
    fn may_ask_people(&self) -> bool;

    /// Asks people for a call that is denied.
    fn request_access(
        &self,
        ask: AskAccess,
    ) -> impl Future<Output = Result<AccessAsked, AskAccessError>> + Send;

    /// An access request, whosever it is.
    fn access(&self, request: &RecordId) -> Option<AccessSummary>;

    /// Waits until an access request no longer stands so; at once where it does not.
    fn access_changed(
        &self,
        request: &RecordId,
        seen: AccessState,
    ) -> impl Future<Output = Option<AccessState>> + Send;

    /// What would be decided, without deciding it: for probes.
    fn weigh(&self, check: Check) -> Outcome;

    /// Whether policies could permit that identity the action at all: what lists may show.
    fn may_see(&self, authentication: &Authentication, action: &ActionName) -> bool;

    /// Whether a decision for that caller reads back what their session has read, from the disk.
    fn recall_due(&self, by: &Authentication) -> bool;

    /// Reads it back. Waits for the disk.
    fn recall(&self, by: &Authentication);

    /// Takes in what a server says by itself, before the agent reads it.
    ///
    /// # Errors
    /// [`HearError`]: it must not go on.
    fn hears(&self, said: Said) -> Result<(), HearError>;

    /// Whether a tool is described as it was approved.
    fn is_approved(&self, action: &ActionName, tool: &Value) -> bool;

    /// Takes in what a server's tools look like in one conversation. Those that differ from their
    /// pin are quarantined before this returns.
    fn definitions_seen(
        &self,
        server: &ServerName,
        conversation: &Conversation,
        extent: Extent,
        tools: Vec<(ActionName, Value)>,
    ) -> impl Future<Output = Result<(), DefinitionsError>> + Send;
}

impl Authority for InProcess {
    async fn authenticate(
        &self,
        request: &ClientRequest<'_>,
    ) -> Result<Authentication, NotAuthenticated> {
        self.service().authenticate_caller(request).await
    }

    fn dpop_nonce(&self) -> Option<String> {
        self.service().resource_dpop_nonce()
    }

    fn stands(&self, authentication: &Authentication) -> bool {
        let service = self.service();
        service.stands(authentication, service.now())
    }

    fn enter_task(&self, proof: Authentication, handle: &str) -> Option<Authentication> {
        let fits = handle.len() <= BEARER_BYTES_MAX;
        // A handle is kept as tokens are: by its digest alone.
        fits.then(|| self.service().enter_task(proof, &token_digest(handle)).ok())?
    }

    fn within_attached_task(
        &self,
        proof: Authentication,
        conversation: Option<&Digest>,
    ) -> Authentication {
        self.service().within_attached_task(proof, conversation)
    }

    fn watch(&self, watch: &Arc<dyn Watch>) {
        self.service().watch(watch);
    }

    fn intents(&self) -> Arc<Intents> {
        Arc::clone(self.service().world().intents())
    }

    fn may_undertake(&self, proof: &Authentication, intent: &safeconduct_model::Intent) -> bool {
        let world = self.service().world();
        world.identity(&proof.identity).is_some_and(|who| intent.undertakers.include(who))
    }

    async fn begin_task(&self, undertaking: Undertaking) -> Result<Begun, BeginError> {
        let task = self.service().begin_task(undertaking).await?;
        let mandate = self.service().mandate(&task.id);
        Ok(Begun { task, mandate })
    }

    async fn end_task(&self, task: &TaskId, ending: Ending) -> Result<usize, EndError> {
        Ok(self.service().end_task(task, ending).await?.len())
    }

    fn may_ask_people(&self) -> bool {
        self.service().may_ask_people()
    }

    fn request_access(
        &self,
        ask: AskAccess,
    ) -> impl Future<Output = Result<AccessAsked, AskAccessError>> + Send {
        self.service().request_access(ask)
    }

    fn access(&self, request: &RecordId) -> Option<AccessSummary> {
        self.service().access_summary(request)
    }

    fn access_changed(
        &self,
        request: &RecordId,
        seen: AccessState,
    ) -> impl Future<Output = Option<AccessState>> + Send {
        self.service().wait_for_access(request, seen)
    }

    fn weigh(&self, check: Check) -> Outcome {
        self.service().weigh_check(check)
    }

    fn may_see(&self, authentication: &Authentication, action: &ActionName) -> bool {
        self.service().may_see(authentication, action)
    }

    fn recall_due(&self, by: &Authentication) -> bool {
        self.service().recall_due(by)
    }

    fn recall(&self, by: &Authentication) {
        self.service().recall_for(by);
    }

    fn hears(&self, said: Said) -> Result<(), HearError> {
        self.service().hears(said)
    }

    fn is_approved(&self, action: &ActionName, tool: &Value) -> bool {
        let world = self.service().world();
        let pinned = world.catalogue().entry(action).and_then(|entry| entry.definition);
        pinned.is_some_and(|pin| pin == definition_digest(&definition_digest_input(tool)))
    }

    async fn definitions_seen(
        &self,
        server: &ServerName,
        conversation: &Conversation,
        extent: Extent,
        tools: Vec<(ActionName, Value)>,
    ) -> Result<(), DefinitionsError> {
        let digests = tools
            .into_iter()
            .map(|(action, tool)| (action, definition_digest(&definition_digest_input(&tool))))
            .collect();
        let seen = self.service().definitions_seen(server, conversation, extent, digests).await;
        seen.map_err(|error| DefinitionsError(error.to_string()))
    }
}
