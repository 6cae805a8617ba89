//! Security event tokens of our own: signed by the keys of the token service.

use safeconduct_model::Value;
use thiserror::Error;

use crate::Service;

/// Why nothing was signed.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum SignEventError {
    /// The configuration's fault: there is no token service, so there are no keys.
    #[error("there is no token service here, and so no key")]
    Closed,
    /// Our fault.
    #[error("the event could not be signed: {0}")]
    Sign(String),
}

impl Service {
    /// Signs the claims of a security event token. What signs now is published where the keys of
    /// the token service are; sign anew whatever is sent again later.
    ///
    /// # Errors
    /// [`SignEventError`].
    pub fn sign_security_event(&self, claims: &Value) -> Result<String, SignEventError> {
        let desk = self.desk().ok_or(SignEventError::Closed)?;
        let signing = desk.signing();
        let signer = signing.ring.signer(desk.settings.algorithm, self.clock.now());
        let signer = signer.ok_or_else(|| SignEventError::Sign("no key signs now".to_owned()))?;
        let signed = signer.sign("secevent+jwt", claims);
        signed.map_err(|error| SignEventError::Sign(error.to_string()))
    }
}
