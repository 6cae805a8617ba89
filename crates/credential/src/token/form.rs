//! Forms (`application/x-www-form-urlencoded`), read strictly: one meaning or none.

use std::collections::BTreeMap;
use std::fmt;

use zeroize::Zeroizing;

use super::fault::{Fault, FaultCode};

/// Longest form, in bytes: a few tokens fit.
pub const FORM_BYTES_MAX: usize = 64 * 1024;

/// Most parameters of a form.
const PARAMETERS_MAX: usize = 64;

/// Parameters that may come more than once (RFC 8707 section 2, RFC 8693 section 2.1).
const REPEATABLE: [&str; 2] = ["resource", "audience"];

/// The parameters of a request. `Debug` shows their names only; the values are wiped when this is
/// dropped.
pub struct Form(BTreeMap<String, Vec<Zeroizing<String>>>);

impl Form {
    /// Reads a form. A parameter without a value counts as not sent (RFC 6749 section 3.2).
    ///
    /// # Errors
    /// `invalid_request`: too long, a parameter twice, or bytes that are no escaped UTF-8.
    pub fn parse(bytes: &[u8]) -> Result<Self, Fault> {
        let refuse = |says: &str| Err(Fault::new(FaultCode::InvalidRequest, says));
        if bytes.len() > FORM_BYTES_MAX {
            return refuse("the form is too long");
        }
        let mut form: BTreeMap<String, Vec<Zeroizing<String>>> = BTreeMap::new();
        let mut count = 0;
        for pair in bytes.split(|b| *b == b'&').filter(|pair| !pair.is_empty()) {
            count += 1;
            if count > PARAMETERS_MAX {
                return refuse("the form has too many parameters");
            }
            let at = pair.iter().position(|b| *b == b'=').unwrap_or(pair.len());
            let (name, value) = pair.split_at_checked(at).unwrap_or((pair, &[]));
            let value = value.strip_prefix(b"=").unwrap_or(value);
            let (Some(name), Some(value)) = (unescape(name), unescape(value)) else {
                return refuse("the form is not escaped UTF-8");
            };
            let values = form.entry(name.to_string()).or_default();
            if !values.is_empty() && !REPEATABLE.contains(&name.as_str()) {
                return refuse("a parameter comes more than once");
            }
            values.push(value);
        }
        for values in form.values_mut() {
            values.retain(|value| !value.is_empty());
        }
        Ok(Self(form))
    }

    /// The value of a parameter, where it was sent.
    pub fn one(&self, name: &str) -> Option<&str> {
        self.0.get(name)?.first().map(|value| value.as_str())
    }

    /// All values of a parameter.
    pub fn each<'a>(&'a self, name: &str) -> impl Iterator<Item = &'a str> {
        self.0.get(name).into_iter().flatten().map(|value| value.as_str())
    }
}

impl fmt::Debug for Form {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

/// A name and its secret as `Basic` has them (RFC 6749 section 2.3.1): both escaped as in a form.
/// `None` where the text is nothing of the kind.
pub fn basic_credentials(text: &str) -> Option<(String, Zeroizing<String>)> {
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;
    let decoded = Zeroizing::new(STANDARD.decode(text).ok()?);
    let at = decoded.iter().position(|b| *b == b':')?;
    let (name, secret) = decoded.split_at_checked(at)?;
    let name = unescape(name)?;
    Some((name.to_string(), unescape(secret.strip_prefix(b":")?)?))
}

fn unescape(bytes: &[u8]) -> Option<Zeroizing<String>> {
    let mut plain = Zeroizing::new(Vec::with_capacity(bytes.len()));
    let mut rest = bytes.iter();
    while let Some(byte) = rest.next() {
        plain.push(match byte {
            b'+' => b' ',
            b'%' => {
                let mut digit = || char::from(*rest.next()?).to_digit(16);
                u8::try_from(digit()? * 16 + digit()?).ok()?
            }
            byte => *byte,
        });
    }
    let text = std::str::from_utf8(&plain).ok()?;
    (!text.contains('\0')).then(|| Zeroizing::new(text.to_owned()))
}
