//! The two calls by which this server is a client of an OpenID provider: what the provider says
//! of itself, and what it gives for a code. What it gives is not believed here:
//! [`crate::Directory::prove`] says whom an ID token makes.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use safeconduct_model::Value;
use safeconduct_wire::config::TrustKind;
use safeconduct_wire::json::{self, Limits};
use tokio::sync::Mutex;
use url::form_urlencoded;

use crate::directory::Directory;
use crate::fetch::{
    Authority, BODY_BYTES_MAX, FETCH_MS, FetchError, FetchRules, Outgoing, Redirects, Verb, fetch,
    send,
};
use crate::trust::Issuer;

/// For how long what the provider says of itself is believed.
const KEPT: Duration = Duration::from_secs(300);

/// For how long a provider that did not answer is not asked again: strangers can make us ask.
const KEPT_WITHOUT: Duration = Duration::from_secs(5);

/// Longest secret of a client, in bytes.
pub const CLIENT_SECRET_BYTES_MAX: usize = 4096;

/// What came of asking a provider.
struct Asked(Result<Arc<ProviderSays>, RelyingPartyError>);

/// A client of one OpenID provider.
pub struct RelyingParty {
    issuer: String,
    rules: FetchRules,
    client_id: String,
    client_secret: Option<String>,
    known: Mutex<Option<(Instant, Asked)>>,
}

/// Nothing of the secret.
impl fmt::Debug for RelyingParty {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RelyingParty")
            .field("issuer", &self.issuer)
            .field("client_id", &self.client_id)
            .finish_non_exhaustive()
    }
}

/// What a provider says of itself (OpenID Connect Discovery 1.0, section 3).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProviderSays {
    /// Who it is, exactly.
    pub issuer: String,
    /// Where people sign in.
    pub authorization_endpoint: String,
    /// Where codes are redeemed.
    pub token_endpoint: String,
    /// Whether each of its answers names it (RFC 9207, section 3).
    pub names_itself: bool,
    /// How clients that have a secret show it.
    shows_secret: ShowsSecret,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum ShowsSecret {
    Basic,
    Post,
}

/// Why a provider gave nothing. It shows no code and no secret.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RelyingPartyError {
    /// The provider's fault, or the network's.
    #[error(transparent)]
    Fetch(#[from] FetchError),
    /// The code was used, is too old, or is not this client's.
    #[error("the provider refuses the code with status {status}: `{error}`")]
    Refused {
        /// The status.
        status: u16,
        /// Its word for it.
        error: String,
    },
    /// The provider's fault: its words cannot be read.
    #[error("what the provider says is no acceptable JSON")]
    Json,
    /// The provider's fault, or the configuration's.
    #[error("the discovery document is that of another issuer than `{expected}`")]
    OtherIssuer {
        /// Whom we asked.
        expected: String,
    },
    /// The provider's fault.
    #[error("the provider does not say its `{0}`")]
    Missing(&'static str),
    /// The provider's fault: something that cannot do without.
    #[error("the provider does not take {0}")]
    Unsupported(&'static str),
}

impl Directory {
    /// This server as a client of the provider of that trust record; `None` where there is no such
    /// record for people.
    pub fn relying_party(
        &self,
        trust: &str,
        client_id: &str,
        client_secret: Option<String>,
    ) -> Option<RelyingParty> {
        let record = self.record(trust).filter(|record| record.kind == TrustKind::People)?;
        let Issuer::Url { issuer, .. } = &record.issuer else { return None };
        Some(RelyingParty {
            issuer: issuer.clone(),
            rules: record.rules.clone(),
            client_id: client_id.to_owned(),
            client_secret,
            known: Mutex::new(None),
        })
    }
}

impl RelyingParty {
    /// What the provider says of itself, asked again every five minutes.
    ///
    /// # Errors
    /// [`RelyingPartyError`] says what is missing.
    pub async fn provider(&self) -> Result<Arc<ProviderSays>, RelyingPartyError> {
        // Held while it is fetched: who comes meanwhile waits for the same answer.
        let mut known = self.known.lock().await;
        if let Some((at, Asked(said))) = &*known {
            let kept = if said.is_ok() { KEPT } else { KEPT_WITHOUT };
            if at.elapsed() < kept {
                return said.clone();
            }
        }
        let base = self.issuer.trim_end_matches('/');
        let url = format!("{base}/.well-known/openid-configuration");
        let said = match fetch(&url, &self.rules, Redirects::Refused, &Authority::Web).await {
            Ok(document) => ProviderSays::read(&self.issuer, &document).map(Arc::new),
            Err(error) => Err(error.into()),
        };
        *known = Some((Instant::now(), Asked(said.clone())));
        said
    }

    /// Redeems a code: the ID token that the provider gives for it.
    ///
    /// # Errors
    /// [`RelyingPartyError`] says why it gave none.
    pub async fn redeem(
        &self,
        code: &str,
        verifier: &str,
        redirect_uri: &str,
    ) -> Result<String, RelyingPartyError> {
        let says = self.provider().await?;
        let (form, authorization) = self.asks(&says, code, verifier, redirect_uri);
        let media = "application/x-www-form-urlencoded".to_owned();
        let mut headers = vec![("content-type", media), ("accept", "application/json".to_owned())];
        headers.extend(authorization.map(|authorization| ("authorization", authorization)));
        let outgoing = Outgoing {
            verb: Verb::Post,
            url: says.token_endpoint.clone(),
            headers,
            body: form.into_bytes(),
            answer_bytes_max: BODY_BYTES_MAX,
            within: Duration::from_millis(FETCH_MS),
        };
        let answered = send(outgoing, &self.rules, &Authority::Web).await?;
        let answer = read(&answered.body);
        if answered.status != 200 {
            // RFC 6749, section 5.2: a short word of a fixed alphabet.
            let error = answer.ok().and_then(|a| Some(a.member("error")?.as_str()?.to_owned()));
            let fits = |c: &char| c.is_ascii_alphanumeric() || "_-".contains(*c);
            let error = error.unwrap_or_default().chars().filter(fits).take(64).collect();
            return Err(RelyingPartyError::Refused { status: answered.status, error });
        }
        let answer = answer?;
        let token = answer.member("id_token").and_then(Value::as_str);
        token.map(str::to_owned).ok_or(RelyingPartyError::Missing("id_token"))
    }

    /// The form that redeems a code, and the header that shows the client's secret, where it is
    /// shown so.
    fn asks(
        &self,
        says: &ProviderSays,
        code: &str,
        verifier: &str,
        redirect_uri: &str,
    ) -> (String, Option<String>) {
        let mut form = form_urlencoded::Serializer::new(String::new());
        form.append_pair("grant_type", "authorization_code")
            .append_pair("code", code)
            .append_pair("code_verifier", verifier)
            .append_pair("redirect_uri", redirect_uri);
        let mut authorization = None;
        match (&self.client_secret, says.shows_secret) {
            (Some(secret), ShowsSecret::Basic) => {
                // RFC 6749, section 2.3.1: both are encoded as in a form, then joined.
                let part = |text: &str| {
                    form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>()
                };
                let both = format!("{}:{}", part(&self.client_id), part(secret));
                authorization = Some(format!("Basic {}", BASE64_STANDARD.encode(both)));
            }
            (Some(secret), ShowsSecret::Post) => {
                form.append_pair("client_id", &self.client_id).append_pair("client_secret", secret);
            }
            (None, _) => {
                form.append_pair("client_id", &self.client_id);
            }
        }
        (form.finish(), authorization)
    }
}

impl ProviderSays {
    fn read(issuer: &str, document: &[u8]) -> Result<Self, RelyingPartyError> {
        let document = read(document)?;
        let text = |name: &'static str| {
            let text = document.member(name).and_then(Value::as_str);
            text.map(str::to_owned).ok_or(RelyingPartyError::Missing(name))
        };
        // Where nothing is said, the specification says what then holds.
        let takes = |name: &str, wanted: &str, unsaid: bool| {
            let said = document.member(name).and_then(Value::as_array);
            said.map_or(unsaid, |said| said.iter().any(|one| one.as_str() == Some(wanted)))
        };
        if text("issuer")? != issuer {
            return Err(RelyingPartyError::OtherIssuer { expected: issuer.to_owned() });
        }
        if !takes("response_types_supported", "code", true) {
            return Err(RelyingPartyError::Unsupported("the authorization code flow"));
        }
        if !takes("code_challenge_methods_supported", "S256", true) {
            return Err(RelyingPartyError::Unsupported("PKCE with S256"));
        }
        let methods = "token_endpoint_auth_methods_supported";
        let basic = takes(methods, "client_secret_basic", true);
        Ok(Self {
            issuer: issuer.to_owned(),
            authorization_endpoint: text("authorization_endpoint")?,
            token_endpoint: text("token_endpoint")?,
            names_itself: document.member("authorization_response_iss_parameter_supported")
                == Some(&Value::Bool(true)),
            shows_secret: if basic { ShowsSecret::Basic } else { ShowsSecret::Post },
        })
    }
}

fn read(bytes: &[u8]) -> Result<Value, RelyingPartyError> {
    let limits = Limits { bytes: BODY_BYTES_MAX, depth: 16 };
    json::parse_within(bytes, limits).map_err(|_| RelyingPartyError::Json)
}

#[cfg(test)]
mod tests {
    use super::*;

    const DOCUMENT: &str = r#"{"issuer":"https://id.example",
        "authorization_endpoint":"https://id.example/a","token_endpoint":"https://id.example/t",
        "response_types_supported":["code"],"code_challenge_methods_supported":["S256"],
        "token_endpoint_auth_methods_supported":["client_secret_post"],
        "authorization_response_iss_parameter_supported":true}"#;

    fn says(document: &str) -> Result<ProviderSays, RelyingPartyError> {
        ProviderSays::read("https://id.example", document.as_bytes())
    }

    #[test]
    fn a_provider_is_taken_at_its_word_where_that_is_enough() {
        let read = says(DOCUMENT).unwrap();
        assert!(read.names_itself);
        assert_eq!(read.shows_secret, ShowsSecret::Post);
        let least = r#"{"issuer":"https://id.example","authorization_endpoint":"a",
            "token_endpoint":"t"}"#;
        let read = says(least).unwrap();
        assert_eq!((read.names_itself, read.shows_secret), (false, ShowsSecret::Basic));
        for (from, to) in [
            ("\"https://id.example\"", "\"https://id.example/\""),
            ("[\"code\"]", "[\"id_token\"]"),
            ("[\"S256\"]", "[\"plain\"]"),
            ("authorization_endpoint", "authorisation_endpoint"),
            ("\"issuer\"", "\"token_endpoint\":\"x\",\"issuer\""),
        ] {
            assert!(says(&DOCUMENT.replacen(from, to, 1)).is_err(), "{to}");
        }
    }
}
