//! The formats of texts: what a type alone cannot say. They appear as `format` in the schemas.

use std::net::{IpAddr, SocketAddr};

use safeconduct_model::{
    ActionName, Amount, Category, Digest, EntityId, EntityType, IdentityId, IntentName, LeaseId,
    Obligation, PolicyId, RecordId, ScheduleName, ServerName, SessionName, SessionScope,
    TargetName, TaskId, Timestamp, TokenId,
};

use safeconduct_review::{Expression, Recurrence, Reviewer};

use super::Span;

/// Holds a text against a format.
pub(super) fn check_format(format: &str, text: &str) -> Result<(), String> {
    let name = |result: Result<(), safeconduct_model::NameError>| match result {
        Ok(()) => Ok(()),
        Err(error) => Err(format!("does not fit: {error}")),
    };
    match format {
        "identity-id" => name(IdentityId::new(text).map(drop)),
        "session-scope" => name(SessionScope::parse(text).map(drop)),
        "lease-id" => name(LeaseId::new(text).map(drop)),
        "task-id" => name(TaskId::new(text).map(drop)),
        "token-id" => name(TokenId::new(text).map(drop)),
        "action-name" => name(ActionName::new(text).map(drop)),
        "policy-id" => name(PolicyId::new(text).map(drop)),
        "record-id" => name(RecordId::new(text).map(drop)),
        "session-name" => name(SessionName::new(text).map(drop)),
        "entity-type" => name(EntityType::new(text).map(drop)),
        "entity-id" => name(EntityId::new(text).map(drop)),
        "server-name" => name(ServerName::new(text).map(drop)),
        "intent-name" => name(IntentName::new(text).map(drop)),
        "target-name" => name(TargetName::new(text).map(drop)),
        "schedule-name" => name(ScheduleName::new(text).map(drop)),
        "secret-name" => fits(
            is_secret_name(text),
            "is no name of a secret or grant: letters, digits, `.`, `_` and `-`, at most 128, \
             and not `.` or `..`",
        ),
        "vault-path" => fits(
            text.split('/').all(is_secret_name),
            "is no path: segments of letters, digits, `.`, `_` and `-`, with `/` between them",
        ),
        "vault-template" => fits(
            text.matches("{name}").count() == 1
                && text.replace("{name}", "name").split('/').all(is_secret_name),
            "is no path that holds `{name}` once: segments of letters, digits, `.`, `_` and `-`",
        ),
        "reviewer" => fits(
            Reviewer::parse(text).is_some(),
            "is no reviewer: `owner`, `fallback_owner`, `manager`, `group:NAME`, `identity:ID` or \
             `expression:TEXT`",
        ),
        "case-expression" => match Expression::new(text) {
            Ok(_) => Ok(()),
            Err(error) => Err(format!("does not fit: {error}")),
        },
        "day" => fits(Recurrence::day(text).is_some(), "is no day, such as `2027-01-31`"),
        "parameter-name" => fits(
            is_parameter_name(text),
            "is no name of a parameter: a letter, then letters, digits and `_`, at most 64",
        ),
        "span" => fits(
            Span::parse(text).is_some(),
            "is no span of time, such as `45s`, `15m`, `2h` or `3d`",
        ),
        "amount" => fits(
            Amount::parse(text).is_some(),
            "is no amount: digits with at most four decimal places, such as `100.00`",
        ),
        "sha256-digest" => fits(
            Digest::parse(text).is_some(),
            "is no digest: `sha256:` and 64 lowercase hexadecimal digits",
        ),
        "category" => fits(
            Category::new(text).is_some(),
            "is no category: a lower-case letter, then those, digits, `_`, `-` and `.`, at most 32",
        ),
        "obligation" => fits(
            !Obligation::parse(text).kind.is_empty(),
            "is no obligation, such as `redact:$.ssn`",
        ),
        "timestamp" => fits(
            Timestamp::parse(text).is_some(),
            "is no point in time in UTC, such as `2026-11-22T03:43:04Z`",
        ),
        "json-pointer" => fits(
            is_pointer(text),
            "is no JSON Pointer: it begins with `/`, `*` stands for each element of a list",
        ),
        "absolute-path" => fits(text.starts_with('/'), "is no absolute path: it begins with `/`"),
        "socket-address" => fits(
            text.parse::<SocketAddr>().is_ok(),
            "is no address with port, such as `127.0.0.1:7411` or `[::1]:7411`",
        ),
        "http-url" => fits(is_http_url(text), "is no URL that begins with `http://` or `https://`"),
        "environment-name" => fits(
            is_environment_name(text),
            "is no name of an environment variable: letters, digits and `_`",
        ),
        "cedar-namespace" => fits(
            text.split("::").all(is_identifier),
            "is no Cedar namespace, such as `Safeconduct` or `My::App`",
        ),
        "action-template" => fits(
            is_action_template(text),
            "is no template of an action: it holds `{tool}`, may hold `{server}`, and no other \
             brace",
        ),
        "host" => fits(is_host(text), "is no host, such as `safeconduct.example.org`"),
        "origin" => fits(
            text.split_once("://").is_some_and(|(scheme, host)| {
                (scheme == "http" || scheme == "https") && is_host(host)
            }),
            "is no origin, such as `https://console.example.org`",
        ),
        "network" => fits(is_network(text), "is no network, such as `10.0.0.0/8` or `fd00::/8`"),
        "header-name" => fits(is_token(text), "is no name of an HTTP header"),
        // Formats of numbers (`uint32`) and those that only editors know.
        _ => Ok(()),
    }
}

fn fits(fits: bool, problem: &str) -> Result<(), String> {
    if fits { Ok(()) } else { Err(problem.to_owned()) }
}

/// RFC 6901 section 3, without the empty pointer.
fn is_pointer(text: &str) -> bool {
    text.starts_with('/')
        && text.split('~').skip(1).all(|rest| rest.starts_with('0') || rest.starts_with('1'))
}

/// An address and the length of its prefix. Bits beyond it are a mistake of whoever wrote it.
fn is_network(text: &str) -> bool {
    let Some((address, bits)) = text.split_once('/') else { return false };
    let (Ok(address), Ok(bits)) = (address.parse::<IpAddr>(), bits.parse::<u32>()) else {
        return false;
    };
    let (number, width) = match address {
        IpAddr::V4(address) => (u128::from(address.to_bits()) << 96, 32),
        IpAddr::V6(address) => (address.to_bits(), 128),
    };
    bits <= width && number.checked_shl(bits).unwrap_or(0) == 0
}

fn is_http_url(text: &str) -> bool {
    let rest = text.strip_prefix("http://").or_else(|| text.strip_prefix("https://"));
    let printable = |c: char| !c.is_control() && !c.is_whitespace();
    rest.is_some_and(|rest| {
        !rest.is_empty() && !rest.starts_with('/') && rest.chars().all(printable)
    })
}

fn is_environment_name(text: &str) -> bool {
    let fits = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
    !text.is_empty() && text.bytes().all(fits) && !text.starts_with(|c: char| c.is_ascii_digit())
}

/// Whether a text can name a secret or a grant.
pub fn is_secret_name(text: &str) -> bool {
    let fits = |b: u8| b.is_ascii_alphanumeric() || b"._-".contains(&b);
    (1..=128).contains(&text.len()) && text.bytes().all(fits) && text != "." && text != ".."
}

fn is_parameter_name(text: &str) -> bool {
    let fits = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
    text.len() <= 64
        && text.starts_with(|c: char| c.is_ascii_alphabetic())
        && text.bytes().all(fits)
}

/// RFC 9110 section 5.6.2.
fn is_token(text: &str) -> bool {
    let fits = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b);
    !text.is_empty() && text.bytes().all(fits)
}

fn is_identifier(text: &str) -> bool {
    is_environment_name(text)
}

fn is_action_template(text: &str) -> bool {
    let left = text.replacen("{tool}", "", 1).replacen("{server}", "", 1);
    text.contains("{tool}") && !left.contains(['{', '}']) && ActionName::new(text).is_ok()
}

/// A host as it stands in a `Host` header: a name or address, with a port or without.
fn is_host(text: &str) -> bool {
    let fits = |b: u8| b.is_ascii_alphanumeric() || b"-._:[]".contains(&b);
    !text.is_empty() && text.bytes().all(fits)
}
