//! `safeconduct identity`: who may act, and their tokens.

use reqwest::Method;
use serde_json::{Value, json};

use crate::args::{self, IdentityAdd, Shared, Token};
use crate::client::Client;
use crate::exit::{CommandError, Exit, not_valid};
use crate::output::{self, Format, print, print_line, say};
use crate::wiring::runtime;

mod import;

/// Runs the command.
pub(crate) fn run(shared: &Shared, args: args::Identity) -> Result<Exit, CommandError> {
    runtime()?.block_on(async {
        match args {
            args::Identity::Add(args) => add(shared, args).await,
            args::Identity::Ls { remote } => {
                let client = Client::new(shared, &remote)?;
                let answer = client.call(Method::GET, "/v1/identities", &[], None).await?;
                let columns =
                    ["id", "kind", "status", "owner", "environment", "first_seen", "last_seen"];
                show(shared, &answer, "identities", &columns)
            }
            args::Identity::Import { file, remote } => import::run(shared, &file, &remote).await,
            args::Identity::Token(args) => token(shared, args).await,
        }
    })
}

async fn add(shared: &Shared, args: IdentityAdd) -> Result<Exit, CommandError> {
    let client = Client::new(shared, &args.remote)?;
    let mut body = json!({ "id": args.id, "kind": args.kind, "status": args.status });
    let optional = [
        ("owner", args.owner.map(Value::from)),
        ("fallback_owner", args.fallback_owner.map(Value::from)),
        ("environment", args.environment.map(Value::from)),
        ("groups", (!args.groups.is_empty()).then(|| args.groups.into())),
        ("roles", (!args.roles.is_empty()).then(|| args.roles.into())),
    ];
    if let Some(members) = body.as_object_mut() {
        members.extend(
            optional.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))),
        );
    }
    let path = format!("/v1/identities/{}", segment(&args.id));
    let answer = client.call(Method::PUT, &path, &[], Some(&body)).await?;
    match shared.output {
        Format::Table => print_line(&format!("registered `{}`", args.id))?,
        format => print(&output::document(format, &answer)?)?,
    }
    Ok(Exit::Ok)
}

async fn token(shared: &Shared, args: Token) -> Result<Exit, CommandError> {
    match args {
        Token::Mint { identity, ttl, remote } => {
            let client = Client::new(shared, &remote)?;
            let body = json!({ "identity": identity, "ttl_s": seconds(&ttl)? });
            let answer = client.call(Method::POST, "/v1/tokens", &[], Some(&body)).await?;
            match shared.output {
                Format::Table => {
                    say("this is the only time that the token is shown:");
                    print_line(answer.get("token").and_then(Value::as_str).unwrap_or_default())?;
                }
                format => print(&output::document(format, &answer)?)?,
            }
            Ok(Exit::Ok)
        }
        Token::Ls { identity, remote } => {
            let client = Client::new(shared, &remote)?;
            let query: Vec<_> = identity.into_iter().map(|id| ("identity", id)).collect();
            let answer = client.call(Method::GET, "/v1/tokens", &query, None).await?;
            let columns =
                ["id", "identity", "issued_at", "expires_at", "last_used", "assurance", "revoked"];
            show(shared, &answer, "tokens", &columns)
        }
        Token::Revoke { id, remote } => {
            let client = Client::new(shared, &remote)?;
            let path = format!("/v1/tokens/{}/revoke", segment(&id));
            client.send(Method::POST, &path, &[], None).await?;
            print_line(&format!("revoked `{id}`"))?;
            Ok(Exit::Ok)
        }
    }
}

/// A list from an answer, as columns or as it came.
pub(super) fn show(
    shared: &Shared,
    answer: &Value,
    member: &str,
    columns: &[&str],
) -> Result<Exit, CommandError> {
    if shared.output != Format::Table {
        print(&output::document(shared.output, answer)?)?;
        return Ok(Exit::Ok);
    }
    let items = answer.get(member).and_then(Value::as_array);
    let rows: Vec<Vec<String>> = items
        .into_iter()
        .flatten()
        .map(|item| columns.iter().map(|column| cell(item.get(column))).collect())
        .collect();
    let head: Vec<String> = columns.iter().map(|column| column.to_uppercase()).collect();
    let head: Vec<&str> = head.iter().map(String::as_str).collect();
    print(&output::table(&head, &rows))?;
    Ok(Exit::Ok)
}

fn cell(value: Option<&Value>) -> String {
    match value {
        None | Some(Value::Null) => "-".into(),
        Some(Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
    }
}

/// A text as one segment of a URL's path.
pub(crate) fn segment(text: &str) -> String {
    text.bytes().fold(String::new(), |mut out, byte| {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => {
                out.push(char::from(byte));
            }
            _ => out.push_str(&format!("%{byte:02X}")),
        }
        out
    })
}

/// Seconds of `90d`, `12h`, `30m`, `45s`.
pub(crate) fn seconds(text: &str) -> Result<i64, CommandError> {
    let units = [('d', 86_400), ('h', 3600), ('m', 60), ('s', 1)];
    let parsed = units.iter().find_map(|(unit, seconds)| {
        text.strip_suffix(*unit)?.parse::<i64>().ok()?.checked_mul(*seconds)
    });
    parsed.filter(|seconds| *seconds > 0).ok_or_else(|| {
        not_valid(format!("`{text}` is no span of time: write `90d`, `12h` or `30m`"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_span_has_a_unit() {
        assert_eq!(seconds("90d").unwrap(), 7_776_000);
        assert_eq!(seconds("30m").unwrap(), 1800);
        for text in ["", "5", "d", "-1h", "1w", "99999999999999999d"] {
            assert!(seconds(text).is_err(), "{text}");
        }
    }

    #[test]
    fn an_id_is_one_segment() {
        assert_eq!(segment("spiffe://a/b c"), "spiffe%3A%2F%2Fa%2Fb%20c");
    }
}
