//! Trust records: whose word counts, for what, and how a token of theirs names an identity.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use safeconduct_credential::jose::{Algorithm, AudienceRule, ClockSkew, Expect, OtherMembers, Typ};
use safeconduct_model::{Assurance, IdentityId, Value};
use safeconduct_wire::config::{
    AssuranceWord, AudienceWord, BindingForm, BundleForm, GithubActionsForm, KubernetesForm,
    OneOrMore, TrustForm, TrustKind,
};
use url::Url;

use crate::cache::Schedule;
use crate::fetch::FetchRules;
use crate::source::{BundleSource, KeySource};
use crate::spiffe::{PathPattern, SpiffeId, TrustDomain};

/// Algorithms that a JWT-SVID may have (JWT-SVID section 2.1): no EdDSA.
const SVID_ALGORITHMS: [Algorithm; 9] = [
    Algorithm::Rs256,
    Algorithm::Rs384,
    Algorithm::Rs512,
    Algorithm::Es256,
    Algorithm::Es384,
    Algorithm::Es512,
    Algorithm::Ps256,
    Algorithm::Ps384,
    Algorithm::Ps512,
];

/// What is wrong with a trust record: the author of the configuration is at fault.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("trust record `{record}`: `{field}` {problem}")]
pub struct TrustError {
    /// The record's name.
    pub record: String,
    /// The field.
    pub field: &'static str,
    /// What is wrong with it.
    pub problem: String,
}

/// An issuer that is believed, and how far. Made from the configuration, and checked then.
#[derive(Debug, Clone)]
pub struct TrustRecord {
    pub(crate) name: String,
    pub(crate) kind: TrustKind,
    pub(crate) issuer: Issuer,
    pub(crate) expect: Expect,
    pub(crate) required: Vec<(String, Wanted)>,
    pub(crate) bindings: Vec<Binding>,
    pub(crate) assurance: Assurance,
    pub(crate) may_speak_for_users: bool,
    pub(crate) rules: FetchRules,
    pub(crate) schedule: Schedule,
}

#[derive(Debug, Clone)]
pub(crate) enum Issuer {
    TrustDomain { trust_domain: TrustDomain, source: BundleSource, paths: Vec<PathPattern> },
    Url { issuer: String, source: KeySource },
}

impl Issuer {
    /// As proofs and signals name it.
    pub(crate) fn name(&self) -> String {
        match self {
            Self::TrustDomain { trust_domain, .. } => format!("spiffe://{trust_domain}"),
            Self::Url { issuer, .. } => issuer.clone(),
        }
    }
}

/// Claims that make an identity.
#[derive(Debug, Clone)]
pub(crate) struct Binding {
    pub(crate) identity: IdentityId,
    pub(crate) claims: Vec<(String, Wanted)>,
}

/// What a claim must be.
#[derive(Debug, Clone)]
pub(crate) enum Wanted {
    /// This, or one of these.
    Is(OneOrMore),
    /// There, and anything but this.
    IsNot(&'static str),
}

impl Wanted {
    pub(crate) fn fits(&self, claims: &Value, name: &str) -> bool {
        let claim = if name.starts_with('/') { claims.pointer(name) } else { claims.member(name) };
        let text = match claim {
            Some(Value::String(text)) => text.to_string(),
            Some(Value::Integer(number)) => number.to_string(),
            Some(Value::Bool(truth)) => truth.to_string(),
            _ => return false,
        };
        match self {
            Self::Is(wanted) => wanted.contains(&text),
            Self::IsNot(other) => text != *other,
        }
    }
}

impl TrustRecord {
    /// Reads a record of the configuration. `folder` is where its relative paths start.
    ///
    /// # Errors
    /// [`TrustError`] names the first field that does not fit.
    pub fn new(name: &str, form: &TrustForm, folder: &Path) -> Result<Self, TrustError> {
        Reader { form, folder }.record(name).map_err(|Fault(field, problem)| TrustError {
            record: name.to_owned(),
            field,
            problem,
        })
    }

    /// Its name in the configuration.
    pub fn name(&self) -> &str {
        &self.name
    }
}

/// A field, and what is wrong with it.
struct Fault(&'static str, String);

struct Reader<'a> {
    form: &'a TrustForm,
    folder: &'a Path,
}

impl Reader<'_> {
    fn record(&self, name: &str) -> Result<TrustRecord, Fault> {
        let form = self.form;
        if form.fetch.stale_s < form.fetch.refresh_s {
            return Err(fault("fetch.stale_s", "is shorter than `refresh_s`"));
        }
        let issuer = self.issuer()?;
        let seconds = |s: u32| Duration::from_secs(s.into());
        let required = form.required_claims.iter();
        Ok(TrustRecord {
            expect: self.expect(&issuer)?,
            bindings: self.bindings()?,
            rules: self.rules()?,
            name: name.to_owned(),
            kind: form.kind,
            issuer,
            required: required
                .map(|(claim, one)| (claim.clone(), Wanted::Is(one.clone())))
                .collect(),
            assurance: match form.assurance {
                AssuranceWord::Low => Assurance::Low,
                AssuranceWord::Substantial => Assurance::Substantial,
                AssuranceWord::High => Assurance::High,
            },
            may_speak_for_users: form.may_speak_for_users,
            schedule: Schedule {
                refresh: seconds(form.fetch.refresh_s),
                stale: seconds(form.fetch.stale_s),
                unknown: seconds(form.fetch.unknown_key_s),
            },
        })
    }

    fn path(&self, path: &str) -> PathBuf {
        self.folder.join(path)
    }

    fn issuer(&self) -> Result<Issuer, Fault> {
        let form = self.form;
        if form.kind == TrustKind::Spiffe {
            if form.issuer.is_some() || form.keys.is_some() {
                return Err(fault(
                    "issuer",
                    "and `keys` are not for SPIFFE: its bundle has the keys",
                ));
            }
            let name = form.trust_domain.as_deref().ok_or_else(|| missing("trust_domain"))?;
            let trust_domain =
                TrustDomain::parse(name).map_err(|e| fault("trust_domain", &e.to_string()))?;
            let paths = form.paths.iter().map(|path| PathPattern::parse(path));
            let paths: Result<_, _> = paths.collect();
            let bundle = form.bundle.as_ref().ok_or_else(|| missing("bundle"))?;
            return Ok(Issuer::TrustDomain {
                trust_domain,
                source: self.bundle(bundle)?,
                paths: paths.map_err(|e| fault("paths", &format!("are not patterns: {e}")))?,
            });
        }
        if form.trust_domain.is_some() || form.bundle.is_some() || !form.paths.is_empty() {
            return Err(fault("trust_domain", "`bundle` and `paths` are for SPIFFE only"));
        }
        let issuer = form.issuer.clone().ok_or_else(|| missing("issuer"))?;
        let named = Url::parse(&issuer).is_ok_and(|url| {
            url.host().is_some() && url.query().is_none() && url.fragment().is_none()
        });
        if !named || issuer.contains('|') {
            return Err(fault("issuer", "is no URL of an issuer"));
        }
        let source = match form.keys.as_ref().map(|keys| (&keys.url, &keys.file)) {
            None => KeySource::Discovery,
            Some((Some(url), None)) => KeySource::Url(url.clone()),
            Some((None, Some(file))) => KeySource::File(self.path(file)),
            Some(_) => return Err(fault("keys", "must name a `url` or a `file`, one of them")),
        };
        Ok(Issuer::Url { issuer, source })
    }

    fn bundle(&self, bundle: &BundleForm) -> Result<BundleSource, Fault> {
        match (&bundle.file, &bundle.https_web, &bundle.https_spiffe, &bundle.workload_api) {
            (Some(file), None, None, None) => Ok(BundleSource::File(self.path(file))),
            (None, Some(url), None, None) => Ok(BundleSource::HttpsWeb(url.clone())),
            (None, None, Some(form), None) => {
                let endpoint = SpiffeId::parse_workload(&form.endpoint_id)
                    .map_err(|e| fault("bundle.https_spiffe.endpoint_id", &e.to_string()))?;
                let initial = self.path(&form.initial_bundle);
                Ok(BundleSource::HttpsSpiffe { url: form.url.clone(), endpoint, initial })
            }
            (None, None, None, Some(socket)) => Ok(BundleSource::WorkloadApi(socket.clone())),
            _ => Err(fault(
                "bundle",
                "must name `file`, `https_web`, `https_spiffe` or `workload_api`, one of them",
            )),
        }
    }

    fn expect(&self, issuer: &Issuer) -> Result<Expect, Fault> {
        let form = self.form;
        let algorithms: Vec<Algorithm> =
            form.algorithms.iter().filter_map(|word| Algorithm::parse(word.as_str())).collect();
        if algorithms.is_empty() {
            return Err(missing("algorithms"));
        }
        if form.audiences.is_empty() {
            return Err(missing("audiences"));
        }
        if form.token_lifetime_max_s < form.clock_skew_s {
            return Err(fault("clock_skew_s", "is longer than a token may live"));
        }
        let skew = ClockSkew::seconds(form.clock_skew_s);
        let spiffe = form.kind == TrustKind::Spiffe;
        if spiffe && !algorithms.iter().all(|algorithm| SVID_ALGORITHMS.contains(algorithm)) {
            return Err(fault("algorithms", "has one that JWT-SVIDs never have"));
        }
        let github = form.kind == TrustKind::GithubActions;
        // The default audience is the owner's URL, which every repository of the owner gets.
        if github
            && form.audiences.iter().any(|audience| audience.starts_with("https://github.com/"))
        {
            return Err(fault(
                "audiences",
                "must be your own: the default is shared by all of an owner's repositories",
            ));
        }
        let typ = match (spiffe, form.types.is_empty()) {
            (true, true) => Typ::one_of_or_absent(["JWT", "JOSE"]),
            (true, false) => return Err(fault("types", "are fixed for SPIFFE")),
            (false, true) => Typ::one_of_or_absent(["JWT"]),
            (false, false) => Typ::one_of(&form.types),
        };
        let mut expect = Expect::new(algorithms, typ, form.audiences.iter().cloned());
        expect.skew = skew.ok_or_else(|| fault("clock_skew_s", "is at most 30"))?;
        expect.lifetime_max_s = form.token_lifetime_max_s;
        expect.audience_rule = match form.audience {
            Some(AudienceWord::Alone) => AudienceRule::Alone,
            Some(AudienceWord::Contains) => AudienceRule::Contains,
            None if spiffe || github => AudienceRule::Alone,
            None => AudienceRule::Contains,
        };
        match issuer {
            Issuer::TrustDomain { .. } => {
                // JWT-SVID section 3: `sub`, `aud` and `exp` are all that must be there, and the
                // header has nothing beside `alg`, `kid` and `typ`.
                expect.other_members = OtherMembers::Refused;
                expect.required = BTreeSet::from(["sub".to_owned()]);
            }
            Issuer::Url { issuer, .. } => expect.issuer = Some(issuer.clone()),
        }
        Ok(expect)
    }

    fn bindings(&self) -> Result<Vec<Binding>, Fault> {
        let form = self.form;
        let pinned = matches!(form.kind, TrustKind::Kubernetes | TrustKind::GithubActions);
        if pinned && form.identities.is_empty() {
            return Err(fault("identities", "must say which claims make which identity"));
        }
        form.identities.iter().map(|one| self.binding(one)).collect()
    }

    fn binding(&self, form: &BindingForm) -> Result<Binding, Fault> {
        let own = form.claims.iter();
        let mut claims: Vec<_> =
            own.map(|(claim, one)| (claim.clone(), Wanted::Is(one.clone()))).collect();
        match (self.form.kind, &form.kubernetes, &form.github_actions) {
            (TrustKind::Kubernetes, Some(account), None) => claims.extend(service_account(account)),
            (TrustKind::GithubActions, None, Some(workflow)) => {
                let number = |text: &str| text.bytes().all(|b| b.is_ascii_digit());
                if !number(&workflow.repository_id) || !number(&workflow.repository_owner_id) {
                    return Err(fault(
                        "identities",
                        "name a repository or owner by something else than its number",
                    ));
                }
                claims.extend(workflow_of(workflow));
            }
            (TrustKind::Kubernetes, ..) => {
                return Err(fault(
                    "identities",
                    "need `kubernetes` with the service account's `uid`",
                ));
            }
            (TrustKind::GithubActions, ..) => {
                return Err(fault(
                    "identities",
                    "need `github_actions` with the numbers of repository and owner",
                ));
            }
            (_, None, None) => {}
            _ => return Err(fault("identities", "have a mapping of another kind of issuer")),
        }
        if claims.is_empty() {
            return Err(fault("identities", "have one without claims, which every token would be"));
        }
        Ok(Binding { identity: form.identity.0.clone(), claims })
    }

    fn rules(&self) -> Result<FetchRules, Fault> {
        let form = &self.form.fetch;
        let rules = FetchRules::of(&form.private_networks, form.http_on_loopback);
        rules.map_err(|problem| fault("fetch.private_networks", &problem))
    }
}

/// The claims of a projected service account token. The name stands in `sub` too, and both must
/// agree; the uid is what cannot be taken again by another.
fn service_account(form: &KubernetesForm) -> Vec<(String, Wanted)> {
    let KubernetesForm { namespace, service_account, uid, pod_uid } = form;
    let is = |text: &str| Wanted::Is(OneOrMore::One(text.to_owned()));
    let mut claims = vec![
        ("sub".to_owned(), is(&format!("system:serviceaccount:{namespace}:{service_account}"))),
        ("/kubernetes.io/namespace".to_owned(), is(namespace)),
        ("/kubernetes.io/serviceaccount/name".to_owned(), is(service_account)),
        ("/kubernetes.io/serviceaccount/uid".to_owned(), is(uid)),
    ];
    claims.extend(pod_uid.iter().map(|uid| ("/kubernetes.io/pod/uid".to_owned(), is(uid))));
    claims
}

/// The claims of a workflow's token. `sub` is not among them: its form can be changed by the
/// owner, so that it may say less than it seems to.
fn workflow_of(form: &GithubActionsForm) -> Vec<(String, Wanted)> {
    let is = |text: &str| Wanted::Is(OneOrMore::One(text.to_owned()));
    let events = match form.event_names.is_empty() {
        true => Wanted::IsNot("pull_request_target"),
        false => Wanted::Is(OneOrMore::AnyOf(form.event_names.clone())),
    };
    let optional = [
        ("ref", &form.git_ref),
        ("environment", &form.environment),
        ("job_workflow_ref", &form.job_workflow_ref),
    ];
    let mut claims = vec![
        ("repository_id".to_owned(), is(&form.repository_id)),
        ("repository_owner_id".to_owned(), is(&form.repository_owner_id)),
        ("event_name".to_owned(), events),
    ];
    claims.extend(
        optional
            .into_iter()
            .filter_map(|(claim, text)| text.as_ref().map(|text| (claim.to_owned(), is(text)))),
    );
    claims
}

fn fault(field: &'static str, problem: &str) -> Fault {
    Fault(field, problem.to_owned())
}

fn missing(field: &'static str) -> Fault {
    fault(field, "is missing")
}
