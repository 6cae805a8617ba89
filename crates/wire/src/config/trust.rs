//! Trust records: whose word counts for who somebody is, and how far. What the words mean for a
//! token is crate `directory`'s to say; here they are only read.

use std::collections::{BTreeMap, BTreeSet};

use safeconduct_model::IdentityId;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::document::Written;

/// An issuer of credentials that is believed, and how far.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TrustForm {
    /// What kind of issuer it is.
    pub kind: TrustKind,
    /// SPIFFE: the trust domain, such as `prod.example.org`.
    #[schemars(length(min = 1, max = 255))]
    pub trust_domain: Option<String>,
    /// SPIFFE: where the trust domain's bundle comes from.
    pub bundle: Option<BundleForm>,
    /// SPIFFE: which paths are believed, segment by segment: `*` stands for one segment, `**` at
    /// the end for one or more. Left out, every path of the domain.
    #[serde(default)]
    #[schemars(length(max = 256), inner(length(min = 2, max = 2048)))]
    pub paths: BTreeSet<String>,
    /// All others: the issuer, exactly as it stands in tokens.
    #[schemars(extend("format" = "http-url"))]
    pub issuer: Option<String>,
    /// All others: where the issuer's keys come from. Left out, by OpenID discovery at the issuer.
    pub keys: Option<KeysForm>,
    /// The algorithms that the issuer signs with. The token has no say in it.
    #[serde(default)]
    #[schemars(length(max = 16))]
    pub algorithms: BTreeSet<AlgorithmWord>,
    /// Kinds of token that are taken, by the header's `typ`, such as `at+jwt`. Left out, `JWT` or
    /// nothing said.
    #[serde(default)]
    #[schemars(length(max = 8), inner(length(min = 1, max = 64)))]
    pub types: BTreeSet<String>,
    /// Names of this server that tokens must be meant for.
    #[serde(default)]
    #[schemars(length(max = 32), inner(length(min = 1, max = 512)))]
    pub audiences: BTreeSet<String>,
    /// Whether a token may be meant for others too. Left out, `alone` for SPIFFE and GitHub
    /// Actions, `contains` for all others.
    pub audience: Option<AudienceWord>,
    /// Claims that every token must have, with the value or one of the values given. A name that
    /// begins with `/` is a JSON Pointer.
    #[serde(default)]
    #[schemars(extend("maxProperties" = 64))]
    pub required_claims: BTreeMap<String, OneOrMore>,
    /// Which claims make which identity. Where there are any, every other token is refused.
    /// Needed for Kubernetes and GitHub Actions; left out elsewhere, the identity is the SPIFFE ID
    /// or `issuer|subject`.
    #[serde(default)]
    #[schemars(length(max = 10_000))]
    pub identities: Vec<BindingForm>,
    /// Longest life of a token, in seconds.
    #[serde(default = "token_lifetime_max_s")]
    #[schemars(range(min = 1, max = 86_400))]
    pub token_lifetime_max_s: u32,
    /// How far the issuer's clock may be from ours, in seconds.
    #[serde(default = "clock_skew_s")]
    #[schemars(range(max = 30))]
    pub clock_skew_s: u32,
    /// How much a proof of this issuer is worth.
    pub assurance: AssuranceWord,
    /// Whether a token of this issuer may name the user that an agent acts for.
    #[serde(default)]
    pub may_speak_for_users: bool,
    /// How keys are fetched.
    #[serde(default)]
    pub fetch: FetchForm,
}

/// A kind of issuer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum TrustKind {
    /// A SPIFFE trust domain: JWT-SVIDs and X.509-SVIDs.
    Spiffe,
    /// An OpenID or OAuth issuer of tokens for programs.
    Oidc,
    /// A Kubernetes cluster's issuer of service account tokens.
    Kubernetes,
    /// GitHub Actions.
    GithubActions,
    /// An OpenID provider for people.
    People,
}

/// Where a trust domain's bundle comes from: one of the four.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct BundleForm {
    /// A file with a SPIFFE bundle, read again every `refresh_s`.
    #[schemars(length(min = 1))]
    pub file: Option<String>,
    /// A bundle endpoint whose certificate the web's authorities vouch for (`https_web`).
    #[schemars(extend("format" = "http-url"))]
    pub https_web: Option<String>,
    /// A bundle endpoint that proves itself by an SVID (`https_spiffe`).
    pub https_spiffe: Option<HttpsSpiffeForm>,
    /// The socket of a SPIFFE Workload API: `unix:///run/spire/agent.sock`.
    #[schemars(length(min = 1))]
    pub workload_api: Option<String>,
}

/// A bundle endpoint that proves itself by an SVID.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct HttpsSpiffeForm {
    /// Its address.
    #[schemars(extend("format" = "http-url"))]
    pub url: String,
    /// Its SPIFFE ID.
    #[schemars(length(min = 1, max = 2048))]
    pub endpoint_id: String,
    /// A file with the bundle to begin with.
    #[schemars(length(min = 1))]
    pub initial_bundle: String,
}

/// Where an issuer's keys come from: one of the two.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct KeysForm {
    /// The address of a JWK Set.
    #[schemars(extend("format" = "http-url"))]
    pub url: Option<String>,
    /// A file with a JWK Set, read again every `refresh_s`.
    #[schemars(length(min = 1))]
    pub file: Option<String>,
}

/// How keys are fetched.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct FetchForm {
    /// Networks that are not public and may be fetched from all the same: `10.20.0.0/16`.
    #[schemars(length(max = 64))]
    pub private_networks: BTreeSet<String>,
    /// Whether `http:` to this very machine is accepted. For trials only.
    pub http_on_loopback: bool,
    /// Every so many seconds keys are fetched again.
    #[schemars(range(min = 5, max = 86_400))]
    pub refresh_s: u32,
    /// After so many seconds without a successful fetch, keys count no more.
    #[schemars(range(min = 5, max = 604_800))]
    pub stale_s: u32,
    /// A token with an unknown key id makes keys be fetched at most once in so many seconds.
    #[schemars(range(min = 1, max = 3600))]
    pub unknown_key_s: u32,
}

impl Default for FetchForm {
    fn default() -> Self {
        Self {
            private_networks: BTreeSet::new(),
            http_on_loopback: false,
            refresh_s: 300,
            stale_s: 3600,
            unknown_key_s: 30,
        }
    }
}

/// Claims that make an identity: all of those that are given must fit.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct BindingForm {
    /// The identity.
    pub identity: Written<IdentityId>,
    /// Claims, with the value or one of the values given. A name that begins with `/` is a JSON
    /// Pointer.
    #[serde(default)]
    #[schemars(extend("maxProperties" = 64))]
    pub claims: BTreeMap<String, OneOrMore>,
    /// A service account of Kubernetes.
    pub kubernetes: Option<KubernetesForm>,
    /// A workflow of GitHub Actions.
    pub github_actions: Option<GithubActionsForm>,
}

/// A service account of Kubernetes. Its uid is needed: its name can be taken again by another.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct KubernetesForm {
    /// Its namespace.
    #[schemars(length(min = 1, max = 253))]
    pub namespace: String,
    /// Its name.
    #[schemars(length(min = 1, max = 253))]
    pub service_account: String,
    /// Its uid.
    #[schemars(length(min = 1, max = 253))]
    pub uid: String,
    /// The one pod, where only that one is meant.
    #[schemars(length(min = 1, max = 253))]
    pub pod_uid: Option<String>,
}

/// A workflow of GitHub Actions. The numbers are needed: names can be taken again by others.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct GithubActionsForm {
    /// The repository's number, as text.
    #[schemars(length(min = 1, max = 32))]
    pub repository_id: String,
    /// The owner's number, as text.
    #[schemars(length(min = 1, max = 32))]
    pub repository_owner_id: String,
    /// The branch or tag: `refs/heads/main`.
    #[serde(rename = "ref")]
    pub git_ref: Option<String>,
    /// The deployment environment.
    pub environment: Option<String>,
    /// The reusable workflow: `owner/repo/.github/workflows/x.yml@refs/heads/main`.
    pub job_workflow_ref: Option<String>,
    /// The events that may start it; left out, every one but `pull_request_target`, which runs
    /// strangers' pull requests with the repository's rights.
    #[serde(default)]
    #[schemars(length(max = 32))]
    pub event_names: BTreeSet<String>,
}

/// One text, or several of which one must be it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(untagged)]
pub enum OneOrMore {
    /// This one.
    One(String),
    /// One of these.
    AnyOf(BTreeSet<String>),
}

impl OneOrMore {
    /// Whether the text is it, or one of them.
    pub fn contains(&self, text: &str) -> bool {
        match self {
            Self::One(one) => one == text,
            Self::AnyOf(several) => several.contains(text),
        }
    }
}

/// How many audiences a token may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum AudienceWord {
    /// One of them is ours.
    Contains,
    /// There is one, and it is ours.
    Alone,
}

/// How much a proof is worth.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum AssuranceWord {
    /// A secret that can be copied.
    Low,
    /// Bound to a machine or a channel.
    Substantial,
    /// Bound to hardware or an attested workload.
    High,
}

macro_rules! algorithms {
    ($($name:ident = $word:literal, $doc:literal;)*) => {
        /// A signature algorithm, by its registered name.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize, Serialize, JsonSchema)]
        pub enum AlgorithmWord {
            $(#[doc = $doc] #[serde(rename = $word)] $name,)*
        }

        impl AlgorithmWord {
            /// The registered name.
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$name => $word,)*
                }
            }
        }
    };
}

algorithms! {
    Rs256 = "RS256", "RSA with SHA-256.";
    Rs384 = "RS384", "RSA with SHA-384.";
    Rs512 = "RS512", "RSA with SHA-512.";
    Ps256 = "PS256", "RSA-PSS with SHA-256.";
    Ps384 = "PS384", "RSA-PSS with SHA-384.";
    Ps512 = "PS512", "RSA-PSS with SHA-512.";
    Es256 = "ES256", "ECDSA on P-256.";
    Es384 = "ES384", "ECDSA on P-384.";
    Es512 = "ES512", "ECDSA on P-521.";
    EdDsa = "EdDSA", "Ed25519, by its older name.";
    Ed25519 = "Ed25519", "Ed25519.";
}

const fn token_lifetime_max_s() -> u32 {
    3600
}

const fn clock_skew_s() -> u32 {
    10
}
