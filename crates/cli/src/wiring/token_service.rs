//! The token service, as the configuration has it.

use std::collections::BTreeSet;
use std::fs;
use std::sync::Arc;
use std::time::Duration;

use safeconduct_gateway::ProtectedResource;
use safeconduct_service::{
    Algorithm, Binding, CLIENT_ALGORITHMS, ClientCertificatesTaken, DpopNonce, KeySet, KeyUse,
    ProtectedBy, RegisteredClient, Service, TASK_SCOPE, Thumbprint, TokenServiceSettings,
};
use safeconduct_store::TokenKeyFolder;
use safeconduct_wire::config::{
    BindingWord, ClientCertificatesWord, Config, NonceWord, SigningWord, TokenClient, TokenService,
};
use safeconduct_wire::json;
use tokio_util::sync::CancellationToken;

use crate::exit::{CommandError, failed, not_valid};

/// How often it is looked whether keys are due.
const TEND_EVERY: Duration = Duration::from_secs(60);

/// Opens the token service of a configuration, where it has one.
///
/// # Errors
/// A client's keys cannot be read, or our own cannot be made.
pub(crate) fn open(service: &Service, config: &Config) -> Result<(), CommandError> {
    let Some(wanted) = &config.token_service else { return Ok(()) };
    let keys = Arc::new(TokenKeyFolder::new(&config.keys));
    let opened = service.open_token_service(settings(wanted, config)?, keys);
    opened.map_err(|error| failed("token_service", error))
}

/// The gateway as a resource that takes the tokens of this service: what its clients are told of
/// it (RFC 9728); `None` where there is no token service.
///
/// # Errors
/// The issuer is no public address.
pub(crate) fn gateway_resource(config: &Config) -> Result<Option<ProtectedResource>, CommandError> {
    let Some(wanted) = &config.token_service else { return Ok(None) };
    let algorithms = CLIENT_ALGORITHMS.iter().map(|algorithm| algorithm.as_str().to_owned());
    let resource = ProtectedResource::new(
        &wanted.issuer,
        vec![wanted.issuer.clone()],
        vec![TASK_SCOPE.to_owned()],
        algorithms.collect(),
    );
    let resource = resource.map_err(|error| failed("token_service", error))?;
    Ok(Some(match certificates(config) {
        ClientCertificatesTaken::Yes => resource.taking_certificates(),
        ClientCertificatesTaken::No => resource,
    }))
}

/// The names by which clients reach the server: what is configured, and the issuer's.
pub(crate) fn hosts(config: &Config) -> BTreeSet<String> {
    let issuer = config.token_service.as_ref().map(|service| service.issuer.as_str());
    let authority = issuer.and_then(|issuer| issuer.split_once("://")).map(|(_, host)| host);
    let host = authority.map(|host| match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|b| b.is_ascii_digit()) => name,
        _ => host,
    });
    config.hosts.iter().cloned().chain(host.map(str::to_owned)).collect()
}

fn certificates(config: &Config) -> ClientCertificatesTaken {
    match config.tls.as_ref().map(|tls| tls.client_certificates) {
        Some(ClientCertificatesWord::Accepted | ClientCertificatesWord::Required) => {
            ClientCertificatesTaken::Yes
        }
        Some(ClientCertificatesWord::None) | None => ClientCertificatesTaken::No,
    }
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

fn settings(wanted: &TokenService, config: &Config) -> Result<TokenServiceSettings, CommandError> {
    let clients = wanted.clients.iter().map(|(name, client)| {
        let read = registered(client);
        let read =
            read.map_err(|problem| not_valid(format!("token_service: client `{name}`: {problem}")));
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
    // What the gateway says of itself must be what tokens can be had for.
    let of_gateway = config.upstreams.keys().map(|server| {
        let servers = Some(BTreeSet::from([server.clone()]));
        let protected = ProtectedBy { servers, ..ProtectedBy::default() };
        (Arc::from(format!("{}/mcp/{server}", wanted.issuer)), protected)
    });
    Ok(TokenServiceSettings {
        issuer: Arc::from(wanted.issuer.as_str()),
        ttl_s: wanted.ttl_s,
        algorithm: algorithm(wanted.signing),
        dpop_nonce: match wanted.dpop_nonce {
            NonceWord::Needed => DpopNonce::Needed,
            NonceWord::Everywhere => DpopNonce::Everywhere,
            NonceWord::NotNeeded => DpopNonce::NotNeeded,
        },
        client_certificates: certificates(config),
        rotate_every_s: wanted.rotate_every_s,
        clients: clients.collect::<Result<_, CommandError>>()?,
        // What is configured holds before what follows.
        resources: of_gateway.chain(resources).collect(),
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
    let certificates = certificates.collect::<Result<_, _>>()?;
    Ok(RegisteredClient { keys: set, certificates, intent: client.intent.clone() })
}
