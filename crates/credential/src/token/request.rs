//! A request for an access token, read from its form.

use std::collections::BTreeSet;
use std::fmt;

use zeroize::Zeroizing;

use super::details::{AskedDetails, read_asked};
use super::fault::{Fault, FaultCode};
use super::form::Form;

/// The grant of RFC 8693.
pub const TOKEN_EXCHANGE: &str = "urn:ietf:params:oauth:grant-type:token-exchange";

/// The grant of RFC 7523.
pub const JWT_BEARER: &str = "urn:ietf:params:oauth:grant-type:jwt-bearer";

/// The grant of RFC 6749 section 4.4.
pub const CLIENT_CREDENTIALS: &str = "client_credentials";

/// The type of a task's handle as a subject token.
pub const TASK_HANDLE_TYPE: &str = "urn:safeconduct:token-type:task-handle";

/// The type of the tokens that are issued.
pub const ACCESS_TOKEN_TYPE: &str = "urn:ietf:params:oauth:token-type:access_token";

/// Other types that a subject token may say that it is of.
const JWT_TYPES: [&str; 2] =
    ["urn:ietf:params:oauth:token-type:id_token", "urn:ietf:params:oauth:token-type:jwt"];

/// Longest resource indicator, in bytes.
const RESOURCE_BYTES_MAX: usize = 2048;

/// Most scopes.
const SCOPES_MAX: usize = 64;

/// A request for an access token. `Debug` shows no token.
#[derive(Debug)]
pub struct TokenRequest {
    /// What it rests on.
    pub grant: Grant,
    /// For which resource.
    pub resource: String,
    /// The scope that is asked.
    pub scope: Option<BTreeSet<String>>,
    /// The details that are asked.
    pub details: AskedDetails,
}

/// What a request rests on.
#[derive(Debug)]
pub enum Grant {
    /// A token exchange (RFC 8693).
    Exchange {
        /// For whom: the subject token.
        subject: SubjectToken,
        /// Who acts, where the request says so beside authenticating the client.
        actor: Option<Opaque>,
    },
    /// An assertion (RFC 7523).
    Assertion(Opaque),
    /// The client itself (RFC 6749 section 4.4): a task that it begins in its own name.
    Client,
}

/// A subject token.
#[derive(Debug)]
pub enum SubjectToken {
    /// The handle of a task.
    TaskHandle(Opaque),
    /// A token of ours or of a trusted issuer.
    Token(Opaque),
}

/// A token or secret in a request: wiped when it is dropped, and never shown.
pub struct Opaque(Zeroizing<String>);

impl Opaque {
    fn new(text: &str) -> Self {
        Self(Zeroizing::new(text.to_owned()))
    }

    /// The text, for the one place that checks it.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Opaque {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Opaque(..)")
    }
}

impl TokenRequest {
    /// Reads a request. What is not recognised is ignored, as RFC 6749 section 3.2 has it: no
    /// such parameter can name a task or a user.
    ///
    /// # Errors
    /// [`Fault`] names the first thing that does not fit.
    pub fn read(form: &Form) -> Result<Self, Fault> {
        let grant = match form.one("grant_type") {
            None => return Err(missing("grant_type")),
            Some(TOKEN_EXCHANGE) => exchange(form)?,
            Some(JWT_BEARER) => {
                let assertion = form.one("assertion").ok_or_else(|| missing("assertion"))?;
                Grant::Assertion(Opaque::new(assertion))
            }
            Some(CLIENT_CREDENTIALS) => Grant::Client,
            Some(_) => {
                let says = "served are token exchange (RFC 8693), JWT bearer (RFC 7523) and \
                            client credentials (RFC 6749)";
                return Err(Fault::new(FaultCode::UnsupportedGrantType, says));
            }
        };
        let resource = resource(form)?;
        let details = match form.one("authorization_details") {
            None => AskedDetails::default(),
            Some(text) => read_asked(text, &resource)?,
        };
        Ok(Self { grant, scope: form.one("scope").map(scope).transpose()?, details, resource })
    }
}

fn exchange(form: &Form) -> Result<Grant, Fault> {
    let subject = form.one("subject_token").ok_or_else(|| missing("subject_token"))?;
    let subject = match form.one("subject_token_type") {
        None => return Err(missing("subject_token_type")),
        Some(TASK_HANDLE_TYPE) => SubjectToken::TaskHandle(Opaque::new(subject)),
        Some(ty) if is_token(ty) => SubjectToken::Token(Opaque::new(subject)),
        Some(_) => return Err(invalid("`subject_token_type` is none that is taken here")),
    };
    let actor = match (form.one("actor_token"), form.one("actor_token_type")) {
        (None, None) => None,
        (Some(actor), Some(ty)) if is_token(ty) => Some(Opaque::new(actor)),
        (Some(_), Some(_)) => {
            return Err(invalid("`actor_token_type` is none that is taken here"));
        }
        _ => return Err(invalid("`actor_token` and `actor_token_type` come together")),
    };
    let issued = form.one("requested_token_type");
    if issued.is_some_and(|ty| ty != ACCESS_TOKEN_TYPE) {
        return Err(invalid("only access tokens are issued"));
    }
    Ok(Grant::Exchange { subject, actor })
}

fn is_token(ty: &str) -> bool {
    ty == ACCESS_TOKEN_TYPE || JWT_TYPES.contains(&ty)
}

/// The one resource that is named, as `resource` or as `audience`.
fn resource(form: &Form) -> Result<String, Fault> {
    let refused = |says: &str| Err(Fault::new(FaultCode::InvalidTarget, says));
    let named: BTreeSet<&str> = form.each("resource").chain(form.each("audience")).collect();
    let mut named = named.into_iter();
    match (named.next(), named.next()) {
        (Some(one), None) if one.len() <= RESOURCE_BYTES_MAX && !one.contains('#') => {
            Ok(one.to_owned())
        }
        (Some(_), None) => refused("the resource is no URI without a fragment"),
        (None, _) => refused("name the resource that the token is for"),
        (Some(_), Some(_)) => refused("a token is for one resource: ask for one each"),
    }
}

/// Scopes (RFC 6749 section 3.3).
fn scope(text: &str) -> Result<BTreeSet<String>, Fault> {
    let fits = |word: &str| {
        !word.is_empty() && word.bytes().all(|b| b.is_ascii_graphic() && b != b'"' && b != b'\\')
    };
    let words: BTreeSet<String> = text.split(' ').map(str::to_owned).collect();
    if words.len() > SCOPES_MAX || !words.iter().all(|word| fits(word)) {
        return Err(Fault::new(FaultCode::InvalidScope, "the scope is malformed"));
    }
    Ok(words)
}

fn missing(name: &str) -> Fault {
    invalid(&format!("`{name}` is missing"))
}

fn invalid(says: &str) -> Fault {
    Fault::new(FaultCode::InvalidRequest, says)
}
