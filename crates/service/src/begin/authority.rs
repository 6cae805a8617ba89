//! What a task may do: what its intent allows, as far as that was asked for, and within its parent.

use std::collections::BTreeMap;
use std::sync::Arc;

use safeconduct_credential::narrows;
use safeconduct_model::{Authority, Intent, Mandate, Timestamp, Value};

use super::{BeginError, Narrowed};

/// The mandate that a task would have, by itself or within a parent of which so much is used:
/// what a test asks without a server.
///
/// # Errors
/// [`BeginError`] where the parameters do not fit, or it would be wider than what it comes from.
pub fn undertaken(
    intent: &Intent,
    said: &BTreeMap<Arc<str>, Value>,
    narrowed: &Narrowed,
    parent: Option<(&Authority, &safeconduct_session::Used)>,
    now: Timestamp,
) -> Result<Mandate, BeginError> {
    let parameters = intent.parameters(said)?;
    let above = parent.map(|(above, _)| above);
    let authority = authority(narrowed, intent, &parameters, above, now)?;
    if let Some((above, used)) = parent {
        narrows(&authority, above, used)?;
    }
    Ok(Mandate { parameters, authority })
}

/// What the task may do: what the intent allows, narrowed as was asked and, in a child, to what
/// can still be within its parent.
pub(super) fn authority(
    asked: &Narrowed,
    intent: &Intent,
    parameters: &BTreeMap<Arc<str>, Value>,
    parent: Option<&Authority>,
    now: Timestamp,
) -> Result<Authority, BeginError> {
    let longest = now.plus_ms(i64::from(intent.longest_s) * 1000);
    let mut whole = intent.authority(parameters, longest)?;
    let seconds = asked.seconds.unwrap_or(intent.longest_s).min(intent.longest_s);
    let mut deadline = now.plus_ms(i64::from(seconds) * 1000);
    let mut depth = asked.depth.unwrap_or(whole.depth_left).min(whole.depth_left);
    if let Some(above) = parent {
        deadline = deadline.min(above.deadline);
        depth = depth.min(above.depth_left.saturating_sub(1));
        whole.tier_max = whole.tier_max.min(above.tier_max);
    }
    let authority = Authority {
        allowances: asked.allowances.clone().unwrap_or_else(|| whole.allowances.clone()),
        budget: asked.budget.clone().unwrap_or_else(|| whole.budget.clone()),
        tier_max: asked.tier_max.unwrap_or(whole.tier_max),
        deadline,
        depth_left: depth,
        credentials: asked.credentials.clone().unwrap_or_else(|| whole.credentials.clone()),
    };
    let Narrowed { allowances, budget, tier_max, credentials, .. } = asked;
    if allowances.is_some() || budget.is_some() || tier_max.is_some() || credentials.is_some() {
        // Against the intent itself, of which nothing is used yet and one level is none.
        let intent = Authority { depth_left: depth.saturating_add(1), ..whole };
        narrows(&authority, &intent, &safeconduct_session::Used::default())?;
    }
    Ok(authority)
}
