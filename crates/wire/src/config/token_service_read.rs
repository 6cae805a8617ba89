//! The token service, read.

use std::path::Path;

use super::targets::is_local;
use super::token_service::{TokenClient, TokenResource, TokenService};
use super::token_service_form::{TokenClientForm, TokenServiceForm};
use crate::document::{Diagnostic, Document};

/// Longest life of a token, in seconds.
const TTL_S_MAX: u32 = 300;

/// Shortest time between two keys, in seconds.
const ROTATE_EVERY_S_MIN: u32 = 3600;

/// The token service of a file.
pub(super) fn token_service<T>(
    document: &Document<T>,
    form: TokenServiceForm,
    folder: &Path,
    problems: &mut Vec<Diagnostic>,
) -> TokenService {
    let mut problem = |pointer: &str, message: &str, help: &str| {
        let pointer = format!("/token_service{pointer}");
        problems.push(document.problem(&pointer, message).with_help(help));
    };
    let issuer = form.issuer.trim_end_matches('/').to_owned();
    if !is_issuer(&form.issuer) {
        let message = "the issuer is no address without path that tokens may travel to";
        problem("/issuer", message, "write `https://HOST`; `http://` is for this very machine");
    }
    let (ttl_s, rotate_every_s) = (form.ttl.0.seconds, form.rotate_every.0.seconds);
    if ttl_s == 0 || ttl_s > TTL_S_MAX {
        problem("/ttl", "a token lasts for at most five minutes", "write, for example, `ttl: 5m`");
    }
    if rotate_every_s < ROTATE_EVERY_S_MIN {
        problem("/rotate_every", "keys change at most once an hour", "write, for example, `30d`");
    }
    for resource in form.resources.keys() {
        if !is_resource(resource) {
            let message = format!("`{resource}` is no absolute URI without a fragment");
            let help = "write the address of what takes the tokens, such as `https://crm.example`";
            problem("/resources", &message, help);
        }
    }
    let mut clients = std::collections::BTreeMap::new();
    for (name, client) in form.clients {
        let TokenClientForm { keys_file, keys, certificates, intent } = client;
        let pointer = format!("/clients/{}", escaped(name.0.as_str()));
        if keys_file.is_some() && keys.is_some() {
            problem(&pointer, "the client has two sets of keys", "leave one out");
        }
        let keyless = keys_file.is_none() && keys.is_none() && certificates.is_empty();
        if keyless && intent.is_none() {
            let help = "write `keys_file:`, `keys:`, `certificates:` or `intent:`, or leave it out";
            problem(&pointer, "nothing is said of the client", help);
        }
        let keys = keys.map(|keys| crate::json::from_serde(&keys));
        let keys_file = keys_file.map(|file| super::read::join(folder, &file));
        let intent = intent.map(|intent| intent.0);
        clients.insert(name.0, TokenClient { keys_file, keys, certificates, intent });
    }
    let resources = form.resources.into_iter().map(|(name, form)| {
        let servers = form.servers.map(|all| all.into_iter().map(|server| server.0).collect());
        let readers = form.readers.into_iter().map(|reader| reader.0).collect();
        let (signing, binding) = (form.signing, form.binding);
        (name, TokenResource { servers, readers, signing, binding })
    });
    TokenService {
        issuer,
        ttl_s,
        signing: form.signing,
        dpop_nonce: form.dpop_nonce,
        rotate_every_s,
        clients,
        resources: resources.collect(),
    }
}

/// A JSON Pointer's token (RFC 6901 section 3).
fn escaped(name: &str) -> String {
    name.replace('~', "~0").replace('/', "~1")
}

/// Scheme, host and perhaps a port. It is compared byte for byte, so there is no slash at its end.
fn is_issuer(text: &str) -> bool {
    let Some((scheme, authority)) = text.split_once("://") else { return false };
    let (host, port) = match authority.rsplit_once(':') {
        Some((host, port)) if !port.contains(']') => (host, Some(port)),
        _ => (authority, None),
    };
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "-.[]:".contains(c);
    let fits = !host.is_empty()
        && host.chars().all(plain)
        && port.is_none_or(|port| port.parse::<u16>().is_ok());
    fits && (scheme == "https" || (scheme == "http" && is_local(host)))
}

fn is_resource(text: &str) -> bool {
    let scheme = text.split_once(':').map(|(scheme, _)| scheme);
    let named = scheme.is_some_and(|scheme| {
        scheme.starts_with(|c: char| c.is_ascii_alphabetic())
            && scheme.chars().all(|c| c.is_ascii_alphanumeric() || "+-.".contains(c))
    });
    named && text.len() <= 2048 && text.chars().all(|c| c.is_ascii_graphic() && c != '#')
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use crate::config::parse;

    fn read(service: &str) -> Result<(), Vec<String>> {
        let text = format!("version: 1\ntoken_service: {service}\n");
        let read = parse("safeconduct.yaml", &text, Path::new("/etc"));
        read.map(drop).map_err(|all| all.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn a_token_service_is_read() {
        let text = "version: 1
token_service:
  issuer: http://127.0.0.1:7411
  ttl: 2m
  clients:
    case-agent: { keys_file: case-agent.jwks }
    other: { keys: { keys: [{ kty: OKP, crv: Ed25519, x: abc }] } }
  resources:
    https://crm.example: { servers: [crm], readers: [crm-api], signing: EdDSA, binding: needed }
    http://127.0.0.1:7411/mcp/crm: { servers: [crm] }
";
        let config = parse("safeconduct.yaml", text, Path::new("/etc")).unwrap();
        let service = config.token_service.unwrap();
        assert_eq!((service.ttl_s, service.resources.len()), (120, 2));
        let keys_file = service.clients.values().find_map(|client| client.keys_file.clone());
        assert_eq!(keys_file.as_deref(), Some(Path::new("/etc/case-agent.jwks")));
    }

    #[test]
    fn what_does_not_fit_is_said() {
        let good = "resources: { 'https://a': {} }";
        assert_eq!(read(&format!("{{ issuer: 'https://a.example', {good} }}")), Ok(()));
        for bad in [
            "issuer: 'http://a.example'",
            "issuer: 'https://a.example/'",
            "issuer: 'https://a.example/path'",
            "issuer: 'https://A.example'",
            "issuer: 'https://a@b.example'",
            "issuer: 'https://a.example', ttl: 6m",
            "issuer: 'https://a.example', rotate_every: 1m",
            "issuer: 'https://a.example', clients: { a: {} }",
            "issuer: 'https://a.example', signing: HS256",
        ] {
            assert!(read(&format!("{{ {bad}, {good} }}")).is_err(), "{bad}");
        }
        for resources in ["{}", "{ 'https://a#b': {} }", "{ 'a b': {} }", "{ crm: {} }"] {
            let text = format!("{{ issuer: 'https://a.example', resources: {resources} }}");
            assert!(read(&text).is_err(), "{resources}");
        }
    }
}
