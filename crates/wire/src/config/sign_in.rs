//! How people sign in to the pages, in the program's terms, and how that is read.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use schemars::JsonSchema;
use serde::Deserialize;

use super::read::join;
use super::trust::{TrustForm, TrustKind};
use crate::document::{Diagnostic, Document, Span, Written};

/// Longest time that a browser stays signed in, in seconds.
const LONGEST_S_MAX: u32 = 24 * 3600;

/// Pages on which people sign in, register passkeys and answer access requests.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SignInForm {
    /// Which record of `trust` is the OpenID provider: one of kind `people`, whose `audiences`
    /// have the client id.
    #[schemars(extend("format" = "server-name"))]
    pub trust: String,
    /// What the provider calls this server. Its redirect address there is
    /// `BASE_URL/sign-in/callback`.
    #[schemars(length(min = 1, max = 512))]
    pub client_id: String,
    /// The file of the client's secret; without it, the client is a public one.
    #[schemars(length(min = 1))]
    pub client_secret_file: Option<String>,
    /// Where browsers reach this server: `https://HOST`, with a port where it is not the usual one;
    /// in trials `http://localhost:PORT`. Passkeys belong to this host, and are lost with its name.
    #[schemars(extend("format" = "http-url"))]
    pub base_url: String,
    /// How long a browser stays signed in without being used.
    #[serde(default = "idle")]
    pub idle: Written<Span>,
    /// How long it stays signed in at all; at most a day.
    #[serde(default = "longest")]
    pub longest: Written<Span>,
}

const fn idle() -> Written<Span> {
    Written(Span { seconds: 1800 })
}

const fn longest() -> Written<Span> {
    Written(Span { seconds: 8 * 3600 })
}

/// How people sign in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignIn {
    /// The trust record of the OpenID provider.
    pub trust: String,
    /// What the provider calls this server.
    pub client_id: String,
    /// The file of the client's secret.
    pub client_secret_file: Option<PathBuf>,
    /// Where browsers reach this server, without slash at its end.
    pub base_url: String,
    /// How long a browser stays signed in unused, in seconds.
    pub idle_s: u32,
    /// How long at all, in seconds.
    pub longest_s: u32,
}

/// The sign-in of a file.
pub(super) fn sign_in<T>(
    document: &Document<T>,
    form: SignInForm,
    trust: &BTreeMap<String, TrustForm>,
    folder: &Path,
    problems: &mut Vec<Diagnostic>,
) -> SignIn {
    let mut problem = |pointer: &str, message: &str, help: &str| {
        let pointer = format!("/sign_in{pointer}");
        problems.push(document.problem(&pointer, message).with_help(help));
    };
    match trust.get(&form.trust) {
        None => problem("/trust", "no record of `trust` has this name", "name one of them"),
        Some(record) if record.kind != TrustKind::People => {
            problem("/trust", "this record is not for people", "name one of kind `people`");
        }
        Some(record) if !record.audiences.contains(&form.client_id) => {
            let help = format!("add it to `trust.{}.audiences`", form.trust);
            problem("/client_id", "the trust record does not take tokens for this client", &help);
        }
        Some(_) => {}
    }
    let base_url = form.base_url.trim_end_matches('/').to_owned();
    if !is_base_url(&base_url) {
        let help = "write `https://HOST`, or `http://localhost:PORT` in trials";
        problem("/base_url", "this is no address under which browsers keep passkeys", help);
    }
    let (idle_s, longest_s) = (form.idle.0.seconds, form.longest.0.seconds);
    if longest_s > LONGEST_S_MAX {
        problem("/longest", "a browser stays signed in for at most a day", "write `8h`");
    }
    if idle_s > longest_s {
        problem("/idle", "this is longer than `longest`", "write a shorter time");
    }
    SignIn {
        trust: form.trust,
        client_id: form.client_id,
        client_secret_file: form.client_secret_file.map(|file| join(folder, &file)),
        base_url,
        idle_s,
        longest_s,
    }
}

/// Scheme, a host by name, and perhaps a port.
fn is_base_url(text: &str) -> bool {
    let Some((scheme, authority)) = text.split_once("://") else { return false };
    let (host, port) = authority.split_once(':').unwrap_or((authority, "1"));
    let named = host.chars().all(|c| c.is_ascii_alphanumeric() || "-.".contains(c))
        && host.chars().any(|c| c.is_ascii_alphabetic());
    let secure = scheme == "https" || scheme == "http" && host == "localhost";
    named && secure && port.parse::<u16>().is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = "
version: 1
trust:
  staff:
    kind: people
    issuer: https://id.example
    algorithms: [RS256]
    audiences: [web]
    assurance: substantial
sign_in:
  trust: staff
  client_id: web
  client_secret_file: ./oidc.secret
  base_url: https://safeconduct.example/
";

    fn parse(text: &str) -> Result<SignIn, String> {
        let parsed = crate::config::parse("c.yaml", text, Path::new("/etc/sc"));
        let first = |problems: Vec<Diagnostic>| problems[0].to_string();
        parsed.map(|config| config.sign_in.unwrap()).map_err(first)
    }

    #[test]
    fn a_sign_in_is_read() {
        let wanted = SignIn {
            trust: "staff".into(),
            client_id: "web".into(),
            client_secret_file: Some("/etc/sc/oidc.secret".into()),
            base_url: "https://safeconduct.example".into(),
            idle_s: 1800,
            longest_s: 28_800,
        };
        assert_eq!(parse(FILE), Ok(wanted));
    }

    #[test]
    fn what_does_not_fit_is_named() {
        for (from, to, says) in [
            ("trust: staff", "trust: stuff", "no record of `trust`"),
            ("kind: people", "kind: oidc", "not for people"),
            ("client_id: web", "client_id: other", "does not take tokens"),
            ("https://safeconduct.example/", "http://safeconduct.example", "no address"),
            ("https://safeconduct.example/", "https://10.0.0.1", "no address"),
            ("https://safeconduct.example/", "https://a.example/x", "no address"),
            ("base_url: ", "longest: 2d\n  base_url: ", "at most a day"),
            ("base_url: ", "idle: 9h\n  base_url: ", "longer than `longest`"),
        ] {
            let problem = parse(&FILE.replacen(from, to, 1)).unwrap_err();
            assert!(problem.contains(says), "{to}: {problem}");
        }
        let local = FILE.replace("https://safeconduct.example/", "http://localhost:7411");
        assert_eq!(parse(&local).unwrap().base_url, "http://localhost:7411");
    }
}
