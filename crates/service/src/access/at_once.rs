//! Use-case: decide a call, and ask people at once where that is denied for what they may set
//! aside.

use safeconduct_approval::AskError;
use safeconduct_model::{ActionEntry, Depth, Tier};

use super::{AccessHappened, AccessMade, AccessSummary, Beginning, Found, Wish, WishOf};
use crate::{Check, Recorded, Ruling, Service, Unrecorded};

/// What became of asking people at once: the request that was made or stood already, or why nobody
/// is asked.
#[derive(Debug, Clone, PartialEq)]
pub enum AskedAtOnce {
    /// Where the request stands.
    Asked(Box<AccessSummary>),
    /// Nobody is asked.
    Not(Box<AskError>),
}

/// A decision, with what became of asking people.
#[derive(Debug)]
pub struct CheckedOrAsked {
    /// What was decided.
    pub ruling: Recorded<Ruling>,
    /// What became of asking; `None` where nobody can be asked.
    pub asked: Option<AskedAtOnce>,
}

impl Service {
    /// Whether anything could be denied that people may set aside: what lists of tools may show.
    pub fn may_ask_people(&self) -> bool {
        let world = self.world();
        let tiers = &self.settings.tiers;
        let needs = |tier: Tier| tiers.rule(tier).is_some_and(|rule| rule.needs != Depth::Policy);
        let by_tier = |entry: &ActionEntry| {
            let raised = entry.raises.iter().map(|raise| raise.to);
            raised.chain([entry.tier]).any(needs)
        };
        world.policies().iter().any(|policy| policy.requestable.is_some())
            || world.catalogue().actions.values().any(by_tier)
    }

    /// Decides a call as [`Service::check`] does. Where it is denied, and not only observed, for
    /// what people may set aside, the request is recorded together with that Deny. Who tries the
    /// same again is given the same request.
    ///
    /// # Errors
    /// [`Unrecorded`] where no record could be made durable: a Deny.
    pub async fn check_or_ask(&self, check: Check) -> Result<CheckedOrAsked, Unrecorded> {
        self.check_or_ask_of(check, None).await
    }

    /// The same of the action by which a task begins.
    pub(crate) async fn check_or_ask_of(
        &self,
        check: Check,
        beginning: Option<Beginning>,
    ) -> Result<CheckedOrAsked, Unrecorded> {
        let mut wish = Wish { justification: None, of: WishOf::Actor, beginning, found: None };
        let queued = self.begin_wishing(check, Some(&mut wish))?;
        let ruling = self.recorded(queued).await?;
        let asked = match wish.found {
            Some(Found::Asked { request, made, .. }) => {
                if made == AccessMade::Now {
                    self.tell_of_access(&request, AccessHappened::Asked);
                }
                self.access_summary(&request).map(|asked| AskedAtOnce::Asked(Box::new(asked)))
            }
            Some(Found::Refused(error)) => Some(AskedAtOnce::Not(Box::new(error))),
            Some(Found::NotNeeded | Found::NotRequestable) | None => None,
        };
        Ok(CheckedOrAsked { ruling, asked })
    }
}
