//! A signed webhook, from bytes to what it stops.

use std::sync::PoisonError;

use safeconduct_credential::webhook::{WebhookError, WebhookHeaders};
use safeconduct_risk::Source;
use safeconduct_wire::signals::SignalReport;
use thiserror::Error;

use super::memory::Seen;
use super::{Received, Streams};
use crate::TakeSignalError;

/// Why a webhook was not taken.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum WebhookFault {
    /// The sender's fault: there is no such webhook, or its signature does not hold.
    #[error("no webhook of that name, or its signature does not hold: {0}")]
    Unproved(WebhookError),
    /// The sender's fault: its body is no report.
    #[error("{0}")]
    Body(String),
    /// The sender's fault: it may not stop anyone.
    #[error("this webhook may not send signals of kind `{0}`: set `may_revoke` if that is meant")]
    MayNotRevoke(&'static str),
    /// Nobody's fault: too many come.
    #[error("too many signals wait already; try again later")]
    Busy,
    /// Our fault: it could not be kept, so it must come again.
    #[error("the signals could not be kept: {0}")]
    NotKept(TakeSignalError),
}

impl WebhookFault {
    /// There is no such webhook: nothing that comes for it can be signed.
    pub const fn unknown() -> Self {
        Self::Unproved(WebhookError::Signature)
    }
}

impl Streams {
    /// Whether there is a webhook of that name: what comes for another need not be read.
    pub fn has_webhook(&self, name: &str) -> bool {
        self.webhooks.contains_key(name)
    }

    /// Takes the message of a webhook of that name. One whose id was taken before is acknowledged
    /// and changes nothing.
    ///
    /// # Errors
    /// [`WebhookFault`] says whose fault it is.
    pub async fn webhook(
        &self,
        name: &str,
        headers: &WebhookHeaders,
        body: &[u8],
    ) -> Result<Received, WebhookFault> {
        let now = self.service.now();
        let webhook = self.webhooks.get(name).ok_or_else(WebhookFault::unknown)?;
        let checked = webhook.key.check(headers, body, now, webhook.tolerance_s);
        let proof = checked.map_err(WebhookFault::Unproved)?;
        let memory = || webhook.memory.lock().unwrap_or_else(PoisonError::into_inner);
        let sent = proof.replay_until.plus_ms(-i64::from(webhook.tolerance_s) * 1000 - 1);
        match memory().look(&proof.id, sent) {
            Seen::New => {}
            Seen::Before => return Ok(Received::Before),
            Seen::Perhaps => return Err(WebhookFault::Busy),
        }
        let report = SignalReport::parse(body);
        let report = report.map_err(|error| WebhookFault::Body(error.to_string()))?;
        let source = Source::Webhook(name.into());
        let signals = report.into_signals(&source, &proof.id, webhook.confidence, now);
        let signals = signals.map_err(|problems| {
            let first = problems.first().map(ToString::to_string);
            WebhookFault::Body(first.unwrap_or_default())
        })?;
        if let Some(one) = signals.iter().find(|one| one.kind.is_revoking() && !webhook.may_revoke)
        {
            return Err(WebhookFault::MayNotRevoke(one.kind.as_str()));
        }
        let count = signals.len();
        match self.service.take_signals(signals, None).await {
            Ok(_) => {}
            Err(TakeSignalError::Busy) => return Err(WebhookFault::Busy),
            Err(error @ (TakeSignalError::Signal(_) | TakeSignalError::Future { .. })) => {
                return Err(WebhookFault::Body(error.to_string()));
            }
            Err(error) => return Err(WebhookFault::NotKept(error)),
        }
        memory().put(&proof.id, now);
        Ok(Received::Taken { signals: count })
    }
}
