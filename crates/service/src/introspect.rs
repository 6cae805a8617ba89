//! Use-cases: what is to be known of an access token (RFC 7662), and taking one back (RFC 7009).

use std::sync::Arc;

use safeconduct_credential::token::{AccessToken, Fault, FaultCode, Form};
use safeconduct_model::{Body, Record, Value};

use crate::access_tokens::Desk;
use crate::client_proof::{Client, refused};
use crate::mint::{not_recorded, unavailable};
use crate::{ClientCertificatesTaken, ClientRequest, DpopNonce, Entry, Proposal, Service};

/// How registered tokens and handles of tasks begin: they are taken back elsewhere.
const OTHERS: [&str; 2] = ["sc_", "sct_"];

impl Service {
    /// The answer of introspection (RFC 7662 section 2.2). A token that is not alive, and one
    /// that is not for the caller to know of, are `{"active": false}` and nothing else.
    ///
    /// # Errors
    /// [`Fault`]: nobody proved who asks, or the request is malformed.
    pub async fn introspect(
        &self,
        request: &ClientRequest<'_>,
        form: &Form,
    ) -> Result<Value, Fault> {
        let (desk, client) = self.caller(request, form).await?;
        let text = form.one("token").ok_or_else(missing)?;
        let now = self.clock.now();
        let active = self.own_token(&desk, text, now).ok().filter(|token| {
            may_read(&desk, &client, token) && self.still_stands(token, now).is_ok()
        });
        let inactive = || Value::object([("active", Value::Bool(false))]);
        Ok(active.map_or_else(inactive, |token| token.introspection()))
    }

    /// Takes a token back (RFC 7009). One that is not known, or not alive any more, is as good as
    /// taken back.
    ///
    /// # Errors
    /// [`Fault`]: the token is another client's, or of a kind that is not taken back here.
    pub async fn withdraw(&self, request: &ClientRequest<'_>, form: &Form) -> Result<(), Fault> {
        let (desk, client) = self.caller(request, form).await?;
        let text = form.one("token").ok_or_else(missing)?;
        if OTHERS.iter().any(|mark| text.starts_with(mark)) {
            let says = "only access tokens are taken back here";
            return Err(Fault::new(FaultCode::UnsupportedTokenType, says));
        }
        let now = self.clock.now();
        let Ok(token) = self.own_token(&desk, text, now) else { return Ok(()) };
        if token.client != client.proof.identity && !may_read(&desk, &client, &token) {
            let says = "the token is another client's";
            return Err(Fault::new(FaultCode::UnauthorizedClient, says));
        }
        if !self.access.is_alive(&token.id, now) {
            return Ok(());
        }
        let record = Record {
            id: self.ids.record("rec"),
            at: now,
            trace: None,
            parent: None,
            body: Body::TokenWithdrawn {
                token: token.id.clone(),
                by: client.proof.identity.clone(),
            },
        };
        let leaf = safeconduct_ledger::encode(&record).map_err(|error| not_recorded(&error))?;
        let entries = vec![Entry { leaf, attachment: None }];
        // Not alive from before its record on: a record that fails leaves it so.
        self.access.withdrawn(&token.id, now);
        let proposal = Proposal { entries, reads: Vec::new(), writes: Vec::new() };
        let ticket = self.ledger.submit(proposal).map_err(|error| not_recorded(&error))?;
        self.ledger.durable(ticket).await.map_err(|error| not_recorded(&error))?;
        self.tell();
        Ok(())
    }

    async fn caller(
        &self,
        request: &ClientRequest<'_>,
        form: &Form,
    ) -> Result<(Arc<Desk>, Client), Fault> {
        let desk = self.desk().ok_or_else(|| unavailable("the token service is closed"))?;
        let client = self.client(&desk, request, form, None).await?;
        let client = client.ok_or_else(|| refused("the client did not prove who it is"))?;
        Ok((desk, client))
    }

    /// The metadata of the token service (RFC 8414); `None` where it is closed. It says what is
    /// true: there is no authorization endpoint, so there are no response types and no code
    /// challenges.
    pub fn authorization_server_metadata(&self) -> Option<Value> {
        let desk = self.desk()?;
        let issuer = &desk.settings.issuer;
        let at = |path: &str| Value::from(format!("{issuer}{path}"));
        let list =
            |words: &[&str]| Value::Array(words.iter().map(|word| Value::from(*word)).collect());
        let algorithms: Vec<_> = crate::CLIENT_ALGORITHMS.iter().map(|a| a.as_str()).collect();
        let certificates = desk.settings.client_certificates == ClientCertificatesTaken::Yes;
        let mut methods = vec!["client_secret_basic", "private_key_jwt", SPIFFE_JWT];
        let pinned = |client: &crate::RegisteredClient| !client.certificates.is_empty();
        if certificates {
            methods.push(SPIFFE_X509);
        }
        if certificates && desk.settings.clients.values().any(pinned) {
            methods.push("self_signed_tls_client_auth");
        }
        Some(Value::object([
            ("issuer", Value::String(Arc::clone(issuer))),
            ("token_endpoint", at(TOKEN_PATH)),
            ("jwks_uri", at(JWKS_PATH)),
            ("introspection_endpoint", at(INTROSPECTION_PATH)),
            ("revocation_endpoint", at(REVOCATION_PATH)),
            ("response_types_supported", list(&[])),
            (
                "grant_types_supported",
                list(&[
                    safeconduct_credential::token::TOKEN_EXCHANGE,
                    safeconduct_credential::token::JWT_BEARER,
                    safeconduct_credential::token::CLIENT_CREDENTIALS,
                ]),
            ),
            ("token_endpoint_auth_methods_supported", list(&methods)),
            ("token_endpoint_auth_signing_alg_values_supported", list(&algorithms)),
            ("introspection_endpoint_auth_methods_supported", list(&methods)),
            ("introspection_endpoint_auth_signing_alg_values_supported", list(&algorithms)),
            ("revocation_endpoint_auth_methods_supported", list(&methods)),
            ("revocation_endpoint_auth_signing_alg_values_supported", list(&algorithms)),
            (
                "authorization_details_types_supported",
                list(&[
                    safeconduct_credential::token::ACTION_DETAIL,
                    safeconduct_credential::token::TASK_DETAIL,
                ]),
            ),
            ("dpop_signing_alg_values_supported", list(&algorithms)),
            ("scopes_supported", list(&[safeconduct_credential::token::TASK_SCOPE])),
            ("tls_client_certificate_bound_access_tokens", Value::Bool(certificates)),
        ]))
    }

    /// The keys that our tokens are checked with, as a JWK Set; `None` where the service is
    /// closed.
    pub fn token_jwks(&self) -> Option<Value> {
        Some(self.desk()?.signing().published.jwks())
    }

    /// A nonce for the next DPoP proof at the token endpoint, where one is needed.
    pub fn dpop_nonce(&self) -> Option<String> {
        let desk = self.desk()?;
        let needed = desk.settings.dpop_nonce != DpopNonce::NotNeeded;
        needed.then(|| desk.nonce.now(self.clock.now()))
    }

    /// A nonce for the next DPoP proof that comes with an access token, where one is needed.
    pub fn resource_dpop_nonce(&self) -> Option<String> {
        let desk = self.desk()?;
        let needed = desk.settings.dpop_nonce == DpopNonce::Everywhere;
        needed.then(|| desk.nonce.now(self.clock.now()))
    }
}

/// Client authentication by a JWT-SVID as the assertion (OAuth SPIFFE client authentication).
const SPIFFE_JWT: &str = "spiffe_jwt";

/// The same by an X.509-SVID in TLS.
const SPIFFE_X509: &str = "spiffe_x509";

/// Where tokens are issued.
pub const TOKEN_PATH: &str = "/oauth/token";
/// Where the keys are.
pub const JWKS_PATH: &str = "/oauth/jwks";
/// Where tokens are introspected.
pub const INTROSPECTION_PATH: &str = "/oauth/introspect";
/// Where tokens are taken back.
pub const REVOCATION_PATH: &str = "/oauth/revoke";

/// Whether a token is for a resource that the caller serves.
fn may_read(desk: &Desk, client: &Client, token: &AccessToken) -> bool {
    let resource = desk.settings.resources.get(&token.audience);
    resource.is_some_and(|resource| resource.readers.contains(&client.proof.identity))
}

fn missing() -> Fault {
    Fault::new(FaultCode::InvalidRequest, "`token` is missing")
}
