//! The token service, as the configuration has it.

use std::fs;
use std::sync::Arc;
use std::time::Duration;

use safeconduct_service::{
    Algorithm, Binding, DpopNonce, KeySet, KeyUse, ProtectedBy, RegisteredClient, Service,
    Thumbprint, TokenServiceSettings,
};
use safeconduct_store::TokenKeyFolder;
use safeconduct_wire::config::{
    BindingWord, Config, NonceWord, SigningWord, TokenClient, TokenService,
};
use safeconduct_wire::json;
use tokio_util::sync::CancellationToken;

use crate::exit::{CommandError, failed};

/// How often it is looked whether keys are due.
const TEND_EVERY: Duration = Duration::from_secs(60);

/// Opens the token service of a configuration, where it has one.
///
/// # Errors
/// A client's keys cannot be read, or our own cannot be made.
pub(crate) fn open(service: &Service, config: &Config) -> Result<(), CommandError> {
    let Some(wanted) = &config.token_service else { return Ok(()) };
    let keys = Arc::new(TokenKeyFolder::new(&config.keys));
    let opened = service.open_token_service(settings(wanted)?, keys);
    opened.map_err(|error| failed("token_service", error))
}

/// Tends the keys until the server stops.
pub(crate) async fn tend(service: Arc<Service>, stop: CancellationToken) {
    let mut every = tokio::time::interval(TEND_EVERY);
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            _ = every.tick() => {}
        }
        let service = Arc::clone(&service);
        let tended = tokio::task::spawn_blocking(move || service.tend_token_keys()).await;
        match tended {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::error!(%error, "the keys of tokens were not tended"),
            Err(error) => tracing::error!(%error, "the keys of tokens were not tended"),
        }
    }
}

fn settings(wanted: &TokenService) -> Result<TokenServiceSettings, CommandError> {
    let clients = wanted.clients.iter().map(|(name, client)| {
        let read = registered(client);
        let read = read.map_err(|problem| {
            CommandError::Invalid(vec![format!("token_service: client `{name}`: {problem}")])
        });
        Ok((name.clone(), read?))
    });
    let resources = wanted.resources.iter().map(|(name, resource)| {
        let protected = ProtectedBy {
            servers: resource.servers.clone(),
            readers: resource.readers.clone(),
            algorithm: resource.signing.map(algorithm),
            binding: match resource.binding {
                BindingWord::AsProved => Binding::AsProved,
                BindingWord::Needed => Binding::Needed,
            },
        };
        (Arc::from(name.as_str()), protected)
    });
    Ok(TokenServiceSettings {
        issuer: Arc::from(wanted.issuer.as_str()),
        ttl_s: wanted.ttl_s,
        algorithm: algorithm(wanted.signing),
        dpop_nonce: match wanted.dpop_nonce {
            NonceWord::Needed => DpopNonce::Needed,
            NonceWord::NotNeeded => DpopNonce::NotNeeded,
        },
        rotate_every_s: wanted.rotate_every_s,
        clients: clients.collect::<Result<_, CommandError>>()?,
        resources: resources.collect(),
    })
}

const fn algorithm(word: SigningWord) -> Algorithm {
    match word {
        SigningWord::Es256 => Algorithm::Es256,
        SigningWord::EdDsa => Algorithm::EdDsa,
    }
}

fn registered(client: &TokenClient) -> Result<RegisteredClient, String> {
    let set = match (&client.keys_file, &client.keys) {
        (Some(file), _) => {
            let bytes = fs::read(file).map_err(|error| format!("`{}`: {error}", file.display()))?;
            KeySet::parse(&bytes, KeyUse::Signature).map_err(|error| error.to_string())?
        }
        (None, Some(keys)) => KeySet::parse(&json::to_bytes(keys), KeyUse::Signature)
            .map_err(|error| error.to_string())?,
        (None, None) => KeySet::default(),
    };
    if let Some((kid, problem)) = set.skipped().first() {
        let kid = kid.as_deref().unwrap_or("without id");
        return Err(format!("its key `{kid}` cannot be used: {problem}"));
    }
    let certificates = client.certificates.iter().map(|text| {
        Thumbprint::parse(text).ok_or_else(|| format!("`{text}` is no SHA-256 in base64url"))
    });
    Ok(RegisteredClient { keys: set, certificates: certificates.collect::<Result<_, _>>()? })
}
