//! Where one identity acts from, in all its sessions.

use std::sync::Arc;

use safeconduct_model::{NetworkDigest, SessionKey, Timestamp};

use super::{Finding, Tuning};
use crate::{Kind, Severity};

/// Most networks that are remembered of an identity; the one that was not seen for longest is
/// forgotten first.
pub const PLACES_PER_IDENTITY_MAX: usize = 16;

/// The networks that an identity acted from.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Places(Vec<Place>);

#[derive(Debug, Clone, PartialEq, Eq)]
struct Place {
    network: NetworkDigest,
    session: SessionKey,
    at: Timestamp,
}

impl Places {
    /// Takes in from where a session acts. A network that is new is found where another session
    /// of the identity acted from another one just before: whoever has copied a credential is
    /// somewhere else while its holder goes on. Who works in several places for long is known to
    /// after the first time; one session that moves is for [`super::run`] to find.
    pub(super) fn take(
        &mut self,
        network: NetworkDigest,
        session: &SessionKey,
        at: Timestamp,
        tuning: &Tuning,
        found: &mut Vec<Finding>,
    ) {
        if let Some(known) = self.0.iter_mut().find(|place| place.network == network) {
            known.at = at;
            if known.session != *session {
                known.session = session.clone();
            }
            return;
        }
        let other = self.0.iter().find(|place| {
            place.session != *session && at.ms_since(place.at) < tuning.places_window_ms
        });
        if let Some(other) = other {
            found.push(Finding {
                kind: Kind::TwoPlaces,
                severity: Severity::Moderate,
                confidence: 60,
                topic: Arc::from("sessions"),
                detail: format!(
                    "another session acted from another network {} ms before",
                    at.ms_since(other.at)
                ),
            });
        }
        if self.0.len() >= PLACES_PER_IDENTITY_MAX {
            let oldest = self.0.iter().enumerate().min_by_key(|(_, place)| place.at);
            if let Some((oldest, _)) = oldest {
                self.0.swap_remove(oldest);
            }
        }
        self.0.push(Place { network, session: session.clone(), at });
    }
}
