//! The pages on which people sign in and answer: their OpenID provider is a trust record of the
//! directory, and their requests are the decision point's.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use safeconduct_directory::{CLIENT_SECRET_BYTES_MAX, RelyingParty};
use safeconduct_pages::{
    Endpoints, Grant, Lifetime, OfService, Pages, Provider, ProviderError, Settings,
};
use safeconduct_service::{Awaited, Service};
use safeconduct_wire::config::{Config, SignIn};

use crate::exit::{CommandError, failed, not_valid};
use crate::wiring::prover::{Trust, Trusted};

/// The pages of a configuration that has any.
///
/// # Errors
/// The client's secret cannot be read, or the settings do not fit.
pub(crate) fn pages(
    config: &Config,
    service: &Arc<Service>,
    trust: &Arc<Trust>,
) -> Result<Option<Pages>, CommandError> {
    let Some(sign_in) = &config.sign_in else { return Ok(None) };
    let secret = sign_in.client_secret_file.as_deref().map(secret).transpose()?;
    let provider = TrustedProvider {
        trust: Arc::clone(trust),
        sign_in: sign_in.clone(),
        secret,
        party: Mutex::default(),
    };
    let settings = Settings {
        base_url: sign_in.base_url.clone(),
        trust: sign_in.trust.clone(),
        client_id: sign_in.client_id.clone(),
        lifetime: Lifetime {
            idle_ms: i64::from(sign_in.idle_s) * 1000,
            longest_ms: i64::from(sign_in.longest_s) * 1000,
        },
    };
    let requests = Arc::new(OfService(Arc::clone(service)));
    Pages::new(Arc::clone(service), Arc::new(provider), requests, settings)
        .map(Some)
        .map_err(|error| not_valid(format!("sign_in: {error}")))
}

/// The secret in a file: its one line.
fn secret(file: &Path) -> Result<String, CommandError> {
    let shown = file.display().to_string();
    let text = std::fs::read_to_string(file).map_err(|error| failed(&shown, error))?;
    let secret = text.trim_end_matches(['\n', '\r']);
    let fits = (1..=CLIENT_SECRET_BYTES_MAX).contains(&secret.len());
    if !fits || secret.chars().any(char::is_control) {
        let limit = CLIENT_SECRET_BYTES_MAX;
        return Err(not_valid(format!(
            "{shown}: a client's secret is one line of 1 to {limit} bytes"
        )));
    }
    Ok(secret.to_owned())
}

/// The OpenID provider of a trust record, as it is in force at each moment.
struct TrustedProvider {
    trust: Arc<Trust>,
    sign_in: SignIn,
    secret: Option<String>,
    party: Mutex<Option<(Arc<Trusted>, Arc<RelyingParty>)>>,
}

impl TrustedProvider {
    fn party(&self) -> Result<Arc<RelyingParty>, ProviderError> {
        let current = self.trust.current();
        let mut known = self.party.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((trusted, party)) = &*known
            && Arc::ptr_eq(trusted, &current)
        {
            return Ok(Arc::clone(party));
        }
        let SignIn { trust, client_id, .. } = &self.sign_in;
        let party = current.directory().relying_party(trust, client_id, self.secret.clone());
        let gone = || ProviderError(format!("trust record `{trust}` for people is gone"));
        let party = Arc::new(party.ok_or_else(gone)?);
        *known = Some((current, Arc::clone(&party)));
        Ok(party)
    }
}

impl Provider for TrustedProvider {
    fn endpoints(&self) -> Awaited<'_, Result<Endpoints, ProviderError>> {
        Awaited::of(async move {
            let says = self.party()?.provider().await;
            let says = says.map_err(|error| ProviderError(error.to_string()))?;
            Ok(Endpoints {
                issuer: says.issuer.as_str().into(),
                authorization: says.authorization_endpoint.as_str().into(),
                names_itself: says.names_itself,
            })
        })
    }

    fn redeem<'a>(&'a self, grant: Grant<'a>) -> Awaited<'a, Result<String, ProviderError>> {
        Awaited::of(async move {
            let Grant { code, verifier, redirect_uri } = grant;
            let redeemed = self.party()?.redeem(code, verifier, redirect_uri).await;
            redeemed.map_err(|error| ProviderError(error.to_string()))
        })
    }
}
