//! Where a secret is put.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use safeconduct_model::{ServerName, Value};
use thiserror::Error;
use zeroize::Zeroizing;

/// Longest template, in bytes.
pub const TEMPLATE_BYTES_MAX: usize = 1024;

/// Where a secret goes in a call to an upstream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// A header of the HTTP request.
    Header(Arc<str>),
    /// A parameter of the URL's query.
    Query(Arc<str>),
    /// A variable in the environment of a stdio child, when it is started.
    Env(Arc<str>),
    /// A field of the JSON body: a JSON Pointer (RFC 6901) whose parent is there.
    Json(Arc<str>),
}

/// The configuration's fault: an injection that cannot be meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum InjectionError {
    /// The name cannot be one, or the gateway itself speaks for that header.
    #[error("this is no header that a secret may go into")]
    Header,
    /// The name cannot be one.
    #[error("this is no name of a query parameter: letters, digits, `-`, `_` and `.`")]
    Query,
    /// The name cannot be one, or it would change what program runs.
    #[error("this is no environment variable that a secret may go into")]
    Env,
    /// The pointer is none, or points at the whole body.
    #[error("this is no JSON Pointer to a field: it begins with `/`")]
    Json,
    /// The template has no place for the secret, or several, or does not fit a header.
    #[error(
        "a template holds `{{secret}}` or `{{secret|base64}}` once, is printable ASCII and has at \
         most {TEMPLATE_BYTES_MAX} bytes"
    )]
    Template,
}

/// Why a secret is not put into a call; the call must not be made. Never holds the secret.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum InjectError {
    /// Our fault: the secret is for another upstream.
    #[error("the secret is bound to upstream `{bound}` and does not go to `{asked}`")]
    OtherUpstream {
        /// The upstream that it is for.
        bound: ServerName,
        /// The one that was called.
        asked: ServerName,
    },
    /// The secret's fault: it holds a control character, which could begin another header.
    #[error("the secret holds a character that cannot stand where it goes")]
    Unfit,
    /// The caller's fault: something stands already where the secret goes.
    #[error("the call has a value of its own where the secret goes")]
    Occupied,
    /// The caller's fault: the body has no such place.
    #[error("the body has no place `{0}` for the secret")]
    NoPlace(Arc<str>),
    /// Our fault: the injection goes elsewhere.
    #[error("the secret does not go there")]
    OtherPlace,
}

/// How a secret is put into calls to one upstream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Injection {
    upstream: ServerName,
    place: Place,
    before: Arc<str>,
    form: Form,
    after: Arc<str>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    Plain,
    Base64,
}

/// Headers that the gateway writes itself, or that change where a message goes or ends.
const HEADERS_REFUSED: &[&str] = &[
    "host",
    "content-length",
    "content-type",
    "content-encoding",
    "transfer-encoding",
    "connection",
    "upgrade",
    "te",
    "trailer",
    "keep-alive",
    "proxy-connection",
    "accept",
    "accept-encoding",
    "expect",
    "origin",
    "last-event-id",
];

/// Variables by which a program is made to run something else.
const VARIABLES_REFUSED: &[&str] =
    &["PATH", "HOME", "SHELL", "IFS", "ENV", "BASH_ENV", "NODE_OPTIONS", "PERL5OPT", "RUBYOPT"];

/// How such variables begin.
const VARIABLE_PREFIXES_REFUSED: &[&str] = &["LD_", "DYLD_", "PYTHON", "GIT_"];

impl Injection {
    /// How a secret goes to that upstream: `template` says what stands around it, as in
    /// `Bearer {secret}` or `Basic {secret|base64}`.
    ///
    /// # Errors
    /// [`InjectionError`].
    pub fn new(upstream: ServerName, place: Place, template: &str) -> Result<Self, InjectionError> {
        let fits = match &place {
            Place::Header(name) => header_fits(name).then_some(()).ok_or(InjectionError::Header),
            Place::Query(name) => query_fits(name).then_some(()).ok_or(InjectionError::Query),
            Place::Env(name) => variable_fits(name).then_some(()).ok_or(InjectionError::Env),
            Place::Json(pointer) => pointer_fits(pointer).then_some(()).ok_or(InjectionError::Json),
        };
        fits?;
        let (before, form, after) = template_parts(template).ok_or(InjectionError::Template)?;
        Ok(Self { upstream, place, before: before.into(), form, after: after.into() })
    }

    /// The upstream that it is for.
    pub const fn upstream(&self) -> &ServerName {
        &self.upstream
    }

    /// Where it puts a secret.
    pub const fn place(&self) -> &Place {
        &self.place
    }

    /// The value of the header or variable, for a call to `upstream`.
    ///
    /// # Errors
    /// [`InjectError`]; the call must not be made.
    pub fn value(
        &self,
        upstream: &ServerName,
        secret: &str,
    ) -> Result<Zeroizing<String>, InjectError> {
        if *upstream != self.upstream {
            return Err(InjectError::OtherUpstream {
                bound: self.upstream.clone(),
                asked: upstream.clone(),
            });
        }
        let bytes = self.before.len() + secret.len().saturating_mul(2) + self.after.len() + 4;
        let mut value = Zeroizing::new(String::with_capacity(bytes));
        value.push_str(&self.before);
        match self.form {
            Form::Plain => value.push_str(secret),
            Form::Base64 => STANDARD.encode_string(secret, &mut value),
        }
        value.push_str(&self.after);
        let fits = match self.place {
            // RFC 9110 section 5.5, without what it leaves to the brave (obs-text).
            Place::Header(_) => {
                value.bytes().all(|b| b == b' ' || b.is_ascii_graphic())
                    && value.trim_matches(' ').len() == value.len()
            }
            Place::Env(_) => !value.contains('\0'),
            Place::Query(_) | Place::Json(_) => true,
        };
        if fits && !value.is_empty() { Ok(value) } else { Err(InjectError::Unfit) }
    }

    /// The URL of a call with the secret in its query. A parameter of that name that is there
    /// already is refused: it would be read first, or second, as the server likes.
    ///
    /// # Errors
    /// [`InjectError`]; the call must not be made.
    pub fn url(
        &self,
        upstream: &ServerName,
        url: &str,
        secret: &str,
    ) -> Result<Zeroizing<String>, InjectError> {
        let Place::Query(name) = &self.place else { return Err(InjectError::OtherPlace) };
        let value = self.value(upstream, secret)?;
        let (url, fragment) = url.split_once('#').map_or((url, None), |(u, f)| (u, Some(f)));
        let query = url.split_once('?').map(|(_, query)| query);
        if query.is_some_and(|query| names(query).any(|taken| taken == name.as_bytes())) {
            return Err(InjectError::Occupied);
        }
        let bytes = url.len() + name.len() + value.len() * 3 + 2 + fragment.map_or(0, str::len) + 1;
        let mut whole = Zeroizing::new(String::with_capacity(bytes));
        whole.push_str(url);
        match query {
            None => whole.push('?'),
            Some("") => {}
            Some(_) => whole.push('&'),
        }
        whole.push_str(name);
        whole.push('=');
        for byte in value.bytes() {
            percent_encode(byte, &mut whole);
        }
        if let Some(fragment) = fragment {
            whole.push('#');
            whole.push_str(fragment);
        }
        Ok(whole)
    }

    /// The body of a call with the secret in its field. The object around it must be there, the
    /// field must not. What comes back is not wiped when it is dropped: write it out and let go.
    ///
    /// # Errors
    /// [`InjectError`]; the call must not be made.
    pub fn body(
        &self,
        upstream: &ServerName,
        body: &Value,
        secret: &str,
    ) -> Result<Value, InjectError> {
        let Place::Json(pointer) = &self.place else { return Err(InjectError::OtherPlace) };
        let value = self.value(upstream, secret)?;
        let tokens: Vec<String> = pointer.split('/').skip(1).map(unescape).collect();
        placed(body, &tokens, &value).map_err(|found| match found {
            Found::Nothing => InjectError::NoPlace(Arc::clone(pointer)),
            Found::Something => InjectError::Occupied,
        })
    }
}

enum Found {
    Nothing,
    Something,
}

fn placed(body: &Value, tokens: &[String], value: &str) -> Result<Value, Found> {
    let (Value::Object(members), Some((token, rest))) = (body, tokens.split_first()) else {
        return Err(Found::Nothing);
    };
    let inner = match (members.get(token.as_str()), rest.is_empty()) {
        (Some(_), true) => return Err(Found::Something),
        (None, true) => Value::from(value),
        (Some(inner), false) => placed(inner, rest, value)?,
        (None, false) => return Err(Found::Nothing),
    };
    let mut members = members.clone();
    members.insert(token.as_str().into(), inner);
    Ok(Value::Object(members))
}

fn unescape(token: &str) -> String {
    token.replace("~1", "/").replace("~0", "~")
}

fn template_parts(template: &str) -> Option<(&str, Form, &str)> {
    let printable = template.bytes().all(|b| b == b' ' || b.is_ascii_graphic());
    if template.len() > TEMPLATE_BYTES_MAX || !printable {
        return None;
    }
    let (before, rest) = template.split_once('{')?;
    let (inside, after) = rest.split_once('}')?;
    let form = match inside {
        "secret" => Form::Plain,
        "secret|base64" => Form::Base64,
        _ => return None,
    };
    let plain = |text: &str| !text.contains(['{', '}']);
    (plain(before) && plain(after)).then_some((before, form, after))
}

/// RFC 9110 section 5.6.2: a token.
fn header_fits(name: &str) -> bool {
    let token = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b);
    let lower = name.to_ascii_lowercase();
    (1..=128).contains(&name.len())
        && name.bytes().all(token)
        && !HEADERS_REFUSED.contains(&lower.as_str())
        && !lower.starts_with("mcp-")
        && !lower.starts_with("sec-")
}

fn query_fits(name: &str) -> bool {
    let fits = |b: u8| b.is_ascii_alphanumeric() || b"-_.".contains(&b);
    (1..=128).contains(&name.len()) && name.bytes().all(fits)
}

fn variable_fits(name: &str) -> bool {
    let fits = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
    let upper = name.to_ascii_uppercase();
    (1..=128).contains(&name.len())
        && name.bytes().all(fits)
        && !name.starts_with(|c: char| c.is_ascii_digit())
        && !VARIABLES_REFUSED.contains(&upper.as_str())
        && !VARIABLE_PREFIXES_REFUSED.iter().any(|prefix| upper.starts_with(prefix))
}

fn pointer_fits(pointer: &str) -> bool {
    let mut escapes = pointer.split('~').skip(1);
    pointer.starts_with('/')
        && pointer.len() <= 512
        && escapes.all(|rest| rest.starts_with(['0', '1']))
        && !pointer.chars().any(char::is_control)
}

/// The names of a query's parameters, decoded as servers decode them.
fn names(query: &str) -> impl Iterator<Item = Vec<u8>> {
    query.split(['&', ';']).map(|pair| {
        let name = pair.split_once('=').map_or(pair, |(name, _)| name);
        let view = super::view::View::raw(name.as_bytes());
        view.percent_decoded().map_or_else(|| name.as_bytes().to_vec(), |view| view.bytes)
    })
}

/// RFC 3986 section 2.3: all but the unreserved characters.
fn percent_encode(byte: u8, into: &mut String) {
    if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
        into.push(char::from(byte));
        return;
    }
    into.push('%');
    for digit in [byte >> 4, byte & 15] {
        into.push(char::from_digit(u32::from(digit), 16).unwrap_or('0').to_ascii_uppercase());
    }
}
