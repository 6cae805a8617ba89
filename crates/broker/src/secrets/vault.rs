//! OpenBao and Vault: a KV secrets engine of version 2, over HTTP.

use std::time::Duration;

use reqwest::{Client, Response, StatusCode, redirect};
use safeconduct_model::TargetName;
use safeconduct_service::{Prospect, TargetFault};
use safeconduct_wire::config::VaultStore;
use safeconduct_wire::json;
use zeroize::Zeroizing;

use super::Fetched;
use crate::{file, tls};

/// Longest answer, in bytes.
pub const VAULT_ANSWER_BYTES_MAX: usize = 1024 * 1024;

/// Deepest answer.
const DEPTH_MAX: usize = 32;

pub(super) struct Vault {
    store: VaultStore,
    client: Client,
}

impl Vault {
    pub(super) fn new(store: VaultStore, limit: Duration) -> Result<Self, String> {
        let config = tls::client(store.ca_file.as_deref())?;
        let client = Client::builder()
            // The token goes to the address of the configuration and nowhere else.
            .redirect(redirect::Policy::none())
            .no_proxy()
            .timeout(limit)
            .tls_backend_preconfigured(config)
            .build()
            .map_err(|error| error.without_url().to_string())?;
        Ok(Self { store, client })
    }

    pub(super) async fn fetch(
        &self,
        target: &TargetName,
        name: &str,
    ) -> Result<Fetched, TargetFault> {
        let setup = |problem| TargetFault::Setup { target: target.clone(), problem };
        let token = file::read_line(&self.store.token_file).map_err(setup)?;
        let mut token = reqwest::header::HeaderValue::from_str(&token)
            .map_err(|_| setup("the token is not one that HTTP can carry".into()))?;
        token.set_sensitive(true);
        let mut request = self.client.get(self.url(name)).header("X-Vault-Token", token);
        if let Some(namespace) = &self.store.namespace {
            request = request.header("X-Vault-Namespace", namespace);
        }
        let unreachable = |error: reqwest::Error| {
            let problem = chain(&error.without_url());
            TargetFault::Unreachable { target: target.clone(), problem }
        };
        let answer = request.send().await.map_err(unreachable)?;
        let status = answer.status();
        if status == StatusCode::NOT_FOUND {
            return Ok(Fetched::Absent);
        }
        if status != StatusCode::OK {
            let passing = status.is_server_error()
                || [StatusCode::TOO_MANY_REQUESTS, StatusCode::REQUEST_TIMEOUT].contains(&status);
            return Err(TargetFault::Refused {
                target: target.clone(),
                step: "to read a secret",
                problem: format!("status {}", status.as_u16()),
                prospect: if passing { Prospect::Passing } else { Prospect::Lasting },
            });
        }
        let body = body(answer).await.map_err(unreachable)?;
        let found = body.and_then(|body| self.field(&body));
        found.ok_or_else(|| {
            setup(format!("secret `{name}` has no text in field `{}`", self.store.field))
        })
    }

    /// Every part of it was held against a small alphabet when the configuration was read.
    fn url(&self, name: &str) -> String {
        let path = self.store.path.replace("{name}", name);
        format!("{}/v1/{}/data/{path}", self.store.url, self.store.mount)
    }

    fn field(&self, body: &[u8]) -> Option<Fetched> {
        let limits = json::Limits { bytes: VAULT_ANSWER_BYTES_MAX, depth: DEPTH_MAX };
        let answer = json::parse_within(body, limits).ok()?;
        let fields = answer.member("data")?.member("data")?;
        let text = fields.member(&self.store.field)?.as_str()?;
        Some(Fetched::Found(Zeroizing::new(text.to_owned())))
    }
}

/// The bytes of an answer; `None` where there are too many.
async fn body(mut answer: Response) -> Result<Option<Zeroizing<Vec<u8>>>, reqwest::Error> {
    let mut body = Zeroizing::new(Vec::new());
    while let Some(chunk) = answer.chunk().await? {
        if body.len() + chunk.len() > VAULT_ANSWER_BYTES_MAX {
            return Ok(None);
        }
        body.extend_from_slice(&chunk);
    }
    Ok(Some(body))
}

/// An error with what caused it.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}
