//! The tools of an upstream without a gateway around it: for an import into the catalogue.

use std::sync::{Arc, Weak};
use std::time::Instant;

use safeconduct_model::Value;
use thiserror::Error;

use crate::Revision;
use crate::backend::own_initialize;
use crate::config::{Limits, UpstreamConfig};
use crate::gateway::SHUTDOWN;
use crate::hearing;
use crate::message::{Answer, Fault, METHOD_NOT_FOUND, Message};
use crate::related::Related;
use crate::revision::Era;
use crate::upstream::{
    Connection, Greeting, Inbound, LinkError, ListError, OpenError, Unasked, Wiring,
};

/// Why the tools of an upstream could not be listed.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ListToolsError {
    /// The upstream is at fault, or how it is reached: it could not be talked to.
    #[error("no conversation with the server: {0}")]
    Open(String),
    /// The upstream is at fault: it gave no list.
    #[error("{0}")]
    List(String),
}

/// The tools of an upstream, as it describes them, in its order: one conversation, for an import
/// into the catalogue. Nothing is decided and nothing is recorded.
///
/// # Errors
/// [`ListToolsError`] where the upstream cannot be talked to or gives no list.
pub async fn list_tools(
    config: &UpstreamConfig,
    limits: &Limits,
) -> Result<Vec<Value>, ListToolsError> {
    Ok(describe_server(config, limits).await?.tools)
}

/// What a server says of itself.
#[derive(Debug, Clone, PartialEq)]
pub struct Described {
    /// Its tools, as it describes them, in its order.
    pub tools: Vec<Value>,
    /// What agents read of its greeting: its `instructions`, and whatever else is no word of the
    /// protocol; `None` where there is nothing to read.
    pub greeting: Option<Value>,
}

/// The tools of an upstream and its greeting: one conversation, for an import into the catalogue.
/// Nothing is decided and nothing is recorded.
///
/// # Errors
/// [`ListToolsError`] where the upstream cannot be talked to or gives no list.
pub async fn describe_server(
    config: &UpstreamConfig,
    limits: &Limits,
) -> Result<Described, ListToolsError> {
    let open = |error: OpenError| ListToolsError::Open(error.to_string());
    let limits = &config.limits(limits);
    let wiring = Wiring::new(limits, None);
    let connection = |greeting| {
        let (config, limits) = (Arc::new(config.clone()), Arc::new(limits.clone()));
        Arc::new_cyclic(|weak: &Weak<Connection>| {
            let inbound = Arc::new(Refusing(Unasked::new(weak.clone())));
            Connection::new(config, limits, wiring.clone(), greeting, None, inbound)
        })
    };
    let begun = Instant::now();
    let mut talking = connection(match config.revision.map(Revision::era) {
        Some(Era::Modern) => Greeting::Modern,
        Some(Era::Legacy) | None => Greeting::Legacy(own_initialize()),
    });
    let live = match talking.live().await {
        Ok(live) => live,
        Err(OpenError::Refused(_) | OpenError::Link(LinkError::Refused(_)))
            if config.revision.is_none() =>
        {
            talking = connection(Greeting::Modern);
            talking.live().await.map_err(open)?
        }
        Err(error) => return Err(open(error)),
    };
    talking.initialized().await;
    let pages = talking.list(&live).await;
    talking.close();
    let greeting = hearing::said_in_greeting(&live.greeted);
    drop(live);
    wiring.tasks.close();
    let _ = tokio::time::timeout(SHUTDOWN, wiring.tasks.wait()).await;
    tracing::debug!(server = %config.name, took = ?begun.elapsed(), "tools listed");
    let pages = pages.map_err(|error: ListError| ListToolsError::List(error.to_string()))?;
    let tools = pages.iter().filter_map(|page| page.member("tools")?.as_array()).flatten();
    Ok(Described { tools: tools.cloned().collect(), greeting })
}

/// Answers whatever a server asks with a refusal.
struct Refusing(Unasked);

impl Inbound for Refusing {
    fn receive(&self, message: Message, _: Option<&Arc<Related>>) {
        if let Message::Request(request) = message {
            let fault = Fault::new(METHOD_NOT_FOUND, "nobody is there to answer");
            self.0.answer(request, Answer::Fault(fault));
        }
    }
}
