//! What a token is bound to: the `cnf` claim (RFC 7800, RFC 8705 section 3.1, RFC 9449 section 6).

use safeconduct_model::Value;

use super::error::JoseError;
use super::key::Thumbprint;

/// What the presenter must hold besides the token. Empty: a bearer token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Confirmation {
    /// The key that must sign DPoP proofs (`jkt`).
    pub jkt: Option<Thumbprint>,
    /// The certificate that the client must use in TLS (`x5t#S256`).
    pub x5t_s256: Option<Thumbprint>,
}

impl Confirmation {
    /// Whether whoever holds the token alone may use it.
    pub const fn is_bearer(&self) -> bool {
        self.jkt.is_none() && self.x5t_s256.is_none()
    }

    /// Whether these proofs of possession are those that the token asks for; where it asks for
    /// none, any will do.
    pub fn is_met_by(&self, jkt: Option<Thumbprint>, x5t_s256: Option<Thumbprint>) -> bool {
        self.jkt.is_none_or(|wanted| jkt == Some(wanted))
            && self.x5t_s256.is_none_or(|wanted| x5t_s256 == Some(wanted))
    }

    /// From the claims. A method that is not known here cannot be checked, so it is an error, not
    /// a bearer token.
    pub(super) fn read(claims: &Value) -> Result<Self, JoseError> {
        const WRONG: JoseError = JoseError::ClaimType {
            name: "cnf",
            wanted: "an object with `jkt` or `x5t#S256` and nothing else",
        };
        let Some(cnf) = claims.member("cnf") else { return Ok(Self::default()) };
        let members = cnf.as_object().filter(|members| !members.is_empty()).ok_or(WRONG)?;
        let mut read = Self::default();
        for (name, value) in members {
            let thumbprint = value.as_str().and_then(Thumbprint::parse).ok_or(WRONG)?;
            match &**name {
                "jkt" => read.jkt = Some(thumbprint),
                "x5t#S256" => read.x5t_s256 = Some(thumbprint),
                _ => return Err(WRONG),
            }
        }
        Ok(read)
    }
}
