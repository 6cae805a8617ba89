//! The HTTP API from the command line's side: every online command is a thin skin on it.

use std::path::{Path, PathBuf};

use reqwest::{Method, StatusCode};
use serde_json::Value;
use zeroize::Zeroizing;

use crate::args::{Remote, Shared};
use crate::exit::{CommandError, failed, not_valid};
use crate::wiring::bootstrap::ADMIN_TOKEN_FILE;
use crate::wiring::project;
use crate::wiring::server::scheme;

/// Longest answer that is read, in bytes.
const ANSWER_BYTES_MAX: usize = 64 * 1024 * 1024;

/// A server and the token for it.
pub(crate) struct Client {
    url: String,
    token: Option<String>,
    /// The handle of the task that requests are made in.
    task: Option<String>,
    http: reqwest::Client,
}

impl Client {
    /// The server and token that the flags, the environment or the configuration name.
    ///
    /// # Errors
    /// A file that is named cannot be read.
    pub(crate) fn new(shared: &Shared, remote: &Remote) -> Result<Self, CommandError> {
        let config = project::read_config(&shared.config);
        let url = match (&remote.url, &config) {
            (Some(url), _) => url.trim_end_matches('/').to_owned(),
            (None, Ok(config)) => format!("{}://{}", scheme(config), config.listen),
            (None, Err(error)) => {
                return Err(CommandError::Failed(format!(
                    "no server is named: set --url or SAFECONDUCT_URL ({error})"
                )));
            }
        };
        let by_default = config.ok().map(|config| config.keys.join(ADMIN_TOKEN_FILE));
        let token = token(remote, by_default)?;
        let mut http = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none());
        if let (Some(certificate), Some(key)) = (&remote.client_certificate, &remote.client_key) {
            http = http.identity(identity(certificate, key)?);
        }
        let http = http.build().map_err(|error| failed("http client", error))?;
        Ok(Self { url, token, task: None, http })
    }

    /// The same, within the task of that handle.
    #[must_use]
    pub(crate) fn within(self, task: Option<String>) -> Self {
        Self { task, ..self }
    }

    /// One request; the answer's JSON, or null where it has no body.
    ///
    /// # Errors
    /// The server cannot be reached, wants a token, or refuses.
    pub(crate) async fn call(
        &self,
        method: Method,
        path: &str,
        query: &[(&str, String)],
        body: Option<&Value>,
    ) -> Result<Value, CommandError> {
        let answer = self.send(method, path, query, body).await?;
        let bytes = limited(answer).await?;
        if bytes.is_empty() {
            return Ok(Value::Null);
        }
        serde_json::from_slice(&bytes).map_err(|error| failed("the server's answer", error))
    }

    /// One request; the answer once its head is there.
    ///
    /// # Errors
    /// The server cannot be reached, wants a token, or refuses.
    pub(crate) async fn send(
        &self,
        method: Method,
        path: &str,
        query: &[(&str, String)],
        body: Option<&Value>,
    ) -> Result<reqwest::Response, CommandError> {
        let mut url = reqwest::Url::parse(&format!("{}{path}", self.url))
            .map_err(|error| failed(&self.url, error))?;
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        let mut request = self.http.request(method, url);
        if let Some(token) = &self.token {
            request = request.bearer_auth(token);
        }
        if let Some(task) = &self.task {
            request = request.header("Safeconduct-Task", task);
        }
        if let Some(body) = body {
            request = request
                .header(reqwest::header::CONTENT_TYPE, "application/json")
                .body(body.to_string());
        }
        let answer = request.send().await.map_err(|error| {
            failed(&format!("`{}` cannot be reached; is the server running?", self.url), error)
        })?;
        self.accepted(answer).await
    }

    /// Sends a file; the answer's JSON, also where it says what of the file is wrong (422).
    ///
    /// # Errors
    /// The server cannot be reached, wants a token, or refuses.
    pub(crate) async fn upload(
        &self,
        path: &str,
        query: &[(&str, String)],
        file: Vec<u8>,
    ) -> Result<Value, CommandError> {
        let mut url = reqwest::Url::parse(&format!("{}{path}", self.url))
            .map_err(|error| failed(&self.url, error))?;
        url.query_pairs_mut().extend_pairs(query);
        let mut request = self.http.post(url).body(file);
        if let Some(token) = &self.token {
            request = request.bearer_auth(token);
        }
        let answer = request.send().await.map_err(|error| {
            failed(&format!("`{}` cannot be reached; is the server running?", self.url), error)
        })?;
        let answer = match answer.status() {
            StatusCode::UNPROCESSABLE_ENTITY => answer,
            _ => self.accepted(answer).await?,
        };
        let bytes = limited(answer).await?;
        serde_json::from_slice(&bytes).map_err(|error| failed("the server's answer", error))
    }

    async fn accepted(&self, answer: reqwest::Response) -> Result<reqwest::Response, CommandError> {
        let status = answer.status();
        if status.is_success() {
            return Ok(answer);
        }
        let bytes = limited(answer).await?;
        let problem = serde_json::from_slice::<Value>(&bytes).ok();
        let detail = problem.as_ref().and_then(|problem| {
            problem.get("detail").or_else(|| problem.get("title")).and_then(Value::as_str)
        });
        let detail = detail.map_or_else(|| status.to_string(), str::to_owned);
        let code = problem.as_ref().and_then(|problem| problem.get("code")).and_then(Value::as_str);
        match status {
            // Signing in as another is of no use where this was decided about.
            StatusCode::FORBIDDEN if code.is_some_and(|code| code != "forbidden") => {
                let why = problem.as_ref().map(why).unwrap_or_default();
                Err(CommandError::Denied(format!("{detail}{why}")))
            }
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
                let hint = if self.token.is_none() {
                    "; set SAFECONDUCT_TOKEN or SAFECONDUCT_TOKEN_FILE"
                } else {
                    ""
                };
                Err(CommandError::SignIn(format!("{detail}{hint}")))
            }
            _ => Err(CommandError::Failed(detail)),
        }
    }
}

/// The reasons and the decision of a problem, where it has them, each on a line.
fn why(problem: &Value) -> String {
    let text = |value: &Value, name: &str| {
        value.get(name).and_then(Value::as_str).unwrap_or_default().to_owned()
    };
    let reasons = problem.get("reasons").and_then(Value::as_array);
    let mut lines: Vec<String> = reasons
        .into_iter()
        .flatten()
        .map(|reason| format!("\n  {}: {}", text(reason, "code"), text(reason, "message")))
        .collect();
    let decision = text(problem, "decision_id");
    if !decision.is_empty() {
        lines.push(format!("\n  decision {decision}"));
    }
    lines.concat()
}

/// What the client shows in TLS where the server asks for it.
fn identity(certificate: &Path, key: &Path) -> Result<reqwest::Identity, CommandError> {
    let read = |file: &Path| {
        let bytes = std::fs::read(file).map(Zeroizing::new);
        bytes.map_err(|error| failed(&file.display().to_string(), error))
    };
    let (certificates, key) = (read(certificate)?, read(key)?);
    let pem = Zeroizing::new([key.as_slice(), b"\n", certificates.as_slice()].concat());
    // What the library says of a key that does not fit is shown to nobody.
    reqwest::Identity::from_pem(&pem).map_err(|_| {
        let certificate = certificate.display();
        not_valid(format!("`{certificate}` and its key are no PEM that fits"))
    })
}

/// The token from the environment, the named file, or the administrator's file.
fn token(remote: &Remote, by_default: Option<PathBuf>) -> Result<Option<String>, CommandError> {
    if let Some(file) = &remote.token_file {
        let text = std::fs::read_to_string(file)
            .map_err(|error| failed(&file.display().to_string(), error))?;
        return Ok(Some(text.trim().to_owned()));
    }
    if let Ok(token) = std::env::var("SAFECONDUCT_TOKEN") {
        return Ok(Some(token.trim().to_owned()));
    }
    let text = by_default.and_then(|file| std::fs::read_to_string(file).ok());
    Ok(text.map(|text| text.trim().to_owned()))
}

async fn limited(mut answer: reqwest::Response) -> Result<Vec<u8>, CommandError> {
    let mut bytes = Vec::new();
    while let Some(chunk) =
        answer.chunk().await.map_err(|error| failed("the server's answer", error))?
    {
        if bytes.len() + chunk.len() > ANSWER_BYTES_MAX {
            return Err(CommandError::Failed(format!(
                "the server's answer is longer than {ANSWER_BYTES_MAX} bytes"
            )));
        }
        bytes.extend_from_slice(&chunk);
    }
    Ok(bytes)
}
