//! The tools of a conversation: listed before anything rests on them, and again when they
//! change or grow old. What is seen is reported before it is used.

use std::collections::HashMap;
use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};
use std::time::Instant;

use safeconduct_model::{ActionName, Value};
use safeconduct_service::{Conversation, Extent};
use safeconduct_wire::catalogue::GREETING;
use thiserror::Error;

use super::LinkError;
use super::connection::{Connection, Live, Patience};
use crate::action::method_action;
use crate::authority::{Authority, DefinitionsError};
use crate::message::{Answer, Fault, METHOD_NOT_FOUND};
use crate::passage::Passage;
use crate::related::Related;
use crate::revision::Era;
use crate::{edit, hearing, listing, translate};

/// The tools as the upstream described them.
#[derive(Debug)]
pub(crate) struct Listing {
    at: Instant,
    /// Input schemas by tool name.
    pub(crate) schemas: HashMap<String, Value>,
}

/// Why the tools could not be listed.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub(crate) enum ListError {
    #[error("the server's tools could not be listed: {0}")]
    Link(#[from] LinkError),
    #[error("the server did not list its tools: {}", .0.message)]
    Refused(Fault),
    #[error("the server lists too many tools")]
    TooMany,
    #[error(transparent)]
    Definitions(#[from] DefinitionsError),
}

impl Connection {
    /// The tools of this conversation, listed now where that was not done or is too long ago.
    /// What is seen is reported before this returns.
    pub(crate) async fn listing<A: Authority>(
        &self,
        live: &Live,
        authority: &A,
    ) -> Result<Arc<Listing>, ListError> {
        if let Some(listing) = self.fresh(live) {
            return Ok(listing);
        }
        let _turn = live.listing_turn.lock().await;
        if let Some(listing) = self.fresh(live) {
            return Ok(listing);
        }
        self.initialized().await;
        self.stale.store(false, Ordering::Relaxed);
        let listing = self.list(live).await?;
        let mut named = listing::definitions(&self.config.name, &listing);
        named.extend(self.greeting(hearing::of_greeting(&live.greeted)));
        let (server, shown) = (&self.config.name, live.conversation());
        authority.definitions_seen(server, &shown, Extent::Whole, named).await?;
        Ok(live.set_listing(&listing))
    }

    fn fresh(&self, live: &Live) -> Option<Arc<Listing>> {
        let listing = live.listing()?;
        let fresh =
            !self.stale.load(Ordering::Relaxed) && listing.at.elapsed() < self.limits.listing_age;
        fresh.then_some(listing)
    }

    /// All pages of the tools.
    pub(crate) async fn list(&self, live: &Live) -> Result<Vec<Value>, ListError> {
        let related = Arc::new(Related::new(None, None));
        let (mut pages, mut tools, mut cursor) = (Vec::new(), 0, None);
        loop {
            let mut params = cursor.map(|cursor| Value::object([("cursor", cursor)]));
            if live.revision.era() == Era::Modern {
                translate::to_modern_params(&mut params, edit::empty());
            }
            let passage = Passage::ungated(live.revision, "tools/list", params);
            let passage = passage.ok_or_else(|| LinkError::NotSent("it has no lists".into()))?;
            let call = self.call(live, passage, &related, Patience::Bounded);
            let page = match call.await?.answer {
                Answer::Result(page) => page,
                // A server without tools need not know the method.
                Answer::Fault(fault) if fault.code == METHOD_NOT_FOUND => return Ok(pages),
                Answer::Fault(fault) => return Err(ListError::Refused(fault)),
            };
            tools += page.member("tools").and_then(Value::as_array).map_or(0, <[_]>::len);
            cursor = listing::next_cursor(&page);
            pages.push(page);
            if tools > listing::TOOLS_MAX || pages.len() > listing::PAGES_MAX {
                return Err(ListError::TooMany);
            }
            if cursor.is_none() {
                return Ok(pages);
            }
        }
    }

    /// Takes in a page that a client asked for; the only page is a whole listing.
    pub(crate) async fn page_seen<A: Authority>(
        &self,
        live: &Live,
        authority: &A,
        params: Option<&Value>,
        page: &Value,
    ) -> Result<(), DefinitionsError> {
        let mut named = listing::definitions(&self.config.name, std::slice::from_ref(page));
        let whole = params.and_then(|params| params.member("cursor")).is_none()
            && listing::next_cursor(page).is_none();
        if whole {
            self.stale.store(false, Ordering::Relaxed);
        }
        if whole {
            named.extend(self.greeting(hearing::of_greeting(&live.greeted)));
        }
        let extent = if whole { Extent::Whole } else { Extent::Part };
        let shown = live.conversation();
        authority.definitions_seen(&self.config.name, &shown, extent, named).await?;
        if whole {
            live.set_listing(std::slice::from_ref(page));
        }
        Ok(())
    }
}

impl Connection {
    /// Takes in how the server has greeted.
    pub(crate) async fn greeting_seen<A: Authority>(
        &self,
        live: &Live,
        authority: &A,
        definition: Value,
    ) -> Result<(), DefinitionsError> {
        let named = self.greeting(Some(definition)).into_iter().collect();
        let shown = live.conversation();
        authority.definitions_seen(&self.config.name, &shown, Extent::Part, named).await
    }

    /// A greeting under the name that the catalogue has for it.
    fn greeting(&self, definition: Option<Value>) -> Option<(ActionName, Value)> {
        Some((method_action(&self.config.name, GREETING)?, definition?))
    }
}

/// What a conversation has shown of its tools, as the decision point knows it by.
#[derive(Debug)]
pub(super) struct Shown {
    conversation: Arc<Conversation>,
    at: Instant,
}

impl Default for Shown {
    fn default() -> Self {
        Self { conversation: Arc::default(), at: Instant::now() }
    }
}

impl Connection {
    /// Lets go of what was shown too long ago for a call to rest on it: a quiet conversation must
    /// not hold a tool in quarantine that has been pinned again since. Whoever comes back lists
    /// the tools first.
    pub(crate) fn forget_shown(&self) {
        let slot = self.slot();
        let Some(live) = slot.as_ref() else {
            return;
        };
        let mut shown = live.shown.lock().unwrap_or_else(PoisonError::into_inner);
        // Twice, so that a call that is being decided on still has it.
        if live.link.is_closed() || shown.at.elapsed() > self.limits.listing_age * 2 {
            *shown = Shown::default();
        }
    }
}

impl Live {
    /// The conversation, about to show something.
    fn conversation(&self) -> Arc<Conversation> {
        let mut shown = self.shown.lock().unwrap_or_else(PoisonError::into_inner);
        shown.at = Instant::now();
        Arc::clone(&shown.conversation)
    }

    pub(super) fn listing(&self) -> Option<Arc<Listing>> {
        self.listing.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn set_listing(&self, pages: &[Value]) -> Arc<Listing> {
        let tools = pages.iter().filter_map(|page| page.member("tools")?.as_array()).flatten();
        let schemas = tools.filter_map(|tool| {
            let name = tool.member("name")?.as_str()?.to_owned();
            Some((name, tool.member("inputSchema").cloned().unwrap_or_default()))
        });
        let listing = Arc::new(Listing { at: Instant::now(), schemas: schemas.collect() });
        *self.listing.lock().unwrap_or_else(PoisonError::into_inner) = Some(Arc::clone(&listing));
        listing
    }
}
