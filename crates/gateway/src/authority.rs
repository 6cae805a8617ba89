//! What the gateway asks of the decision point.

use std::future::Future;

use safeconduct_model::{ActionName, Authentication, ServerName, Value};
use safeconduct_pep::{Decide, InProcess};
use safeconduct_service::{Conversation, Extent, definition_digest};
use safeconduct_wire::catalogue::definition_digest_input;
use thiserror::Error;

/// The live definitions could not be taken in, so nothing may rest on them.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("the live tool definitions could not be taken in: {0}")]
pub struct DefinitionsError(pub String);

/// The decision point, as the gateway sees it.
pub trait Authority: Decide {
    /// Who presents that bearer token; `None` where it proves nothing.
    fn authenticate(&self, bearer: &str) -> Option<Authentication>;

    /// Whether a credential still stands.
    fn stands(&self, authentication: &Authentication) -> bool;

    /// Whether policies could permit that identity the action at all: what lists may show.
    fn may_see(&self, authentication: &Authentication, action: &ActionName) -> bool;

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
    fn authenticate(&self, bearer: &str) -> Option<Authentication> {
        self.service().authenticate(bearer).ok()
    }

    fn stands(&self, authentication: &Authentication) -> bool {
        let service = self.service();
        service.stands(authentication, service.now())
    }

    fn may_see(&self, authentication: &Authentication, action: &ActionName) -> bool {
        self.service().may_see(authentication, action)
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
