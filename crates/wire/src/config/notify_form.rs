//! The form of `notify:`: who is told when somebody has to answer.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;

use super::signals_form::ReachForm;

/// Who is told when an agent asks for an approval. A message names the request and links to it;
/// it is never the place of the answer.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct NotifyForm {
    /// The address of this server that links begin with: `https://HOST`.
    #[schemars(extend("format" = "http-url"))]
    pub base_url: Option<String>,
    /// Where messages go, by a name of yours.
    #[schemars(extend(
        "propertyNames" = {"type": "string", "format": "server-name"},
        "maxProperties" = 64
    ))]
    pub channels: BTreeMap<String, ChannelForm>,
}

/// Where messages go: one of the three.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ChannelForm {
    /// A signed webhook (Standard Webhooks 1.0).
    pub webhook: Option<WebhookOutForm>,
    /// An incoming webhook of Slack.
    pub slack: Option<SlackForm>,
    /// Mail, by SMTP.
    pub mail: Option<MailForm>,
    /// Whether the arguments of the action are in the message, where they are not secret.
    pub include_arguments: bool,
    /// How often a message is tried before it is given up.
    #[schemars(range(min = 1, max = 32))]
    pub tries: Option<u32>,
    /// How long one try may take, in seconds.
    #[schemars(range(min = 1, max = 60))]
    pub timeout_s: Option<u32>,
    /// Where we may post to, beside the public internet.
    pub fetch: ReachForm,
}

/// A signed webhook.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct WebhookOutForm {
    /// Where it is posted to.
    #[schemars(extend("format" = "http-url"))]
    pub url: String,
    /// The file of the secret that signs: `whsec_` and 24 to 64 bytes in Base64.
    #[schemars(length(min = 1))]
    pub secret_file: String,
}

/// An incoming webhook of Slack.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SlackForm {
    /// The file of its address, which is a secret.
    #[schemars(length(min = 1))]
    pub url_file: String,
}

/// Mail, by SMTP.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MailForm {
    /// The server's name.
    #[schemars(length(min = 1, max = 255))]
    pub host: String,
    /// Its port: 465 speaks TLS from the start, every other after `STARTTLS`.
    #[serde(default = "port")]
    #[schemars(range(min = 1, max = 65_535))]
    pub port: u16,
    /// Whether TLS is needed; `false` is for a server on this machine.
    #[serde(default = "yes")]
    pub tls: bool,
    /// Who we are there; left out, nobody.
    #[schemars(length(min = 1, max = 255))]
    pub user: Option<String>,
    /// The file of the password.
    #[schemars(length(min = 1))]
    pub password_file: Option<String>,
    /// Who writes.
    #[schemars(length(min = 3, max = 320))]
    pub from: String,
    /// Who reads.
    #[schemars(length(min = 1, max = 64), inner(length(min = 3, max = 320)))]
    pub to: Vec<String>,
}

const fn port() -> u16 {
    465
}

const fn yes() -> bool {
    true
}
