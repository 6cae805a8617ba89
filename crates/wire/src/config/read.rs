//! A configuration file, read.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use safeconduct_model::{Identity, ServerName};

use super::form::{ConfigForm, HeaderForm, UpstreamForm};
use super::plain::{Config, HeaderValue, Policies, Transport, Upstream};
use super::{findings, notify, risk, sign_in, signals_read, targets_read, token_service_read};
use crate::document::{self, Diagnostic, Document, YamlLimits, closest};

/// Reads a configuration. `file` is how messages name it; `folder` is where its relative paths
/// start.
///
/// # Errors
/// Every problem that was found: the author of the file is at fault.
pub fn parse(file: &str, text: &str, folder: &Path) -> Result<Config, Vec<Diagnostic>> {
    let limits = YamlLimits { bytes: 16 * 1024 * 1024, nodes: 4_000_000 };
    let mut document = document::read::<ConfigForm>(file, text, limits)?;
    let mut problems = Vec::new();
    let listen = document.content.listen.parse().map_err(|_| {
        problems.push(document.problem("/listen", "this is no address with port"));
    });
    let form = std::mem::take(&mut document.content.upstreams);
    let upstream_names: BTreeSet<_> = form.keys().map(|name| name.0.clone()).collect();
    let mut upstreams = BTreeMap::new();
    for (name, form) in form {
        match upstream(&document, &name.0, form, folder) {
            Ok(upstream) => drop(upstreams.insert(name.0, upstream)),
            Err(problem) => problems.push(*problem),
        }
    }
    let targets = std::mem::take(&mut document.content.targets);
    let known = |name: &ServerName| upstream_names.contains(name);
    let targets = targets_read::targets(&document, targets, folder, known, &mut problems);
    let token_service = document
        .content
        .token_service
        .take()
        .map(|form| token_service_read::token_service(&document, form, folder, &mut problems));
    let sign_in = document.content.sign_in.take();
    let sign_in = sign_in.map(|form| {
        sign_in::sign_in(&document, form, &document.content.trust, folder, &mut problems)
    });
    let signals = std::mem::take(&mut document.content.signals);
    let of_tokens = token_service.as_ref();
    let signals = signals_read::signals(&document, signals, of_tokens, folder, &mut problems);
    let notify = std::mem::take(&mut document.content.notify);
    let notify = notify::notify(&document, notify, folder, &mut problems);
    let identities = std::mem::take(&mut document.content.identities);
    let identities: Vec<Identity> =
        identities.into_iter().map(crate::identity::IdentityForm::into_model).collect();
    problems.extend(identity_problems(&document, &identities));
    problems.extend(risk::problems(&document));
    problems.extend(findings::problems(&document));
    problems.sort_by_key(|problem| (problem.line, problem.column));
    let form = document.content;
    match listen {
        Ok(listen) if problems.is_empty() => Ok(Config {
            listen,
            tls: form.tls.map(|tls| tls.into_plain(folder)),
            data: join(folder, &form.data),
            keys: join(folder, &form.keys),
            policies: Policies {
                folder: join(folder, &form.policies.folder),
                baseline: form.policies.baseline,
                changes: form.policies.changes,
                namespace: form.policies.namespace,
                action_id: form.policies.action_id,
            },
            catalogue: join(folder, &form.catalogue.folder),
            intents: form.intents.map(|intents| join(folder, &intents.folder)),
            upstreams,
            targets,
            identities,
            trust: form.trust,
            token_service,
            sign_in,
            signals,
            notify,
            risk: form.risk,
            tiers: form.tiers.to_model(),
            approvals: form.approvals,
            findings: form.findings,
            proxies: form.proxies,
            session_calls: form.sessions.calls,
            hosts: form.allow.hosts,
            origins: form.allow.origins,
            otlp_endpoint: form.telemetry.otlp_endpoint,
            dev_identity: form.dev.identity.map(|id| id.0),
            message_bytes: size(form.limits.message_bytes),
            queue: size(form.limits.queue),
        }),
        _ => Err(problems),
    }
}

/// A path of the file, from the file's folder, without `.` in it.
pub(super) fn join(folder: &Path, path: &str) -> std::path::PathBuf {
    folder.join(path).components().collect()
}

fn size(n: u64) -> usize {
    usize::try_from(n).unwrap_or(usize::MAX)
}

fn upstream(
    document: &Document<ConfigForm>,
    name: &ServerName,
    form: UpstreamForm,
    folder: &Path,
) -> Result<Upstream, Box<Diagnostic>> {
    let transport = match (form.stdio, form.http) {
        (Some(stdio), None) => Transport::Stdio {
            command: stdio.command,
            args: stdio.args,
            env: stdio.env,
            pass_env: stdio.pass_env,
            cwd: stdio.cwd.map_or_else(|| folder.to_owned(), |cwd| join(folder, &cwd)),
        },
        (None, Some(http)) => Transport::Http {
            url: http.url,
            headers: http
                .headers
                .into_iter()
                .map(|(name, value)| match value {
                    HeaderForm::Given(text) => (name, HeaderValue::Given(text)),
                    HeaderForm::Environment(form) => (name, HeaderValue::Environment(form.env)),
                })
                .collect(),
        },
        (both, _) => {
            let how = if both.is_some() { "both ways" } else { "no way" };
            let message = format!("upstream `{name}` names {how} to be reached");
            let problem = document.problem(&format!("/upstreams/{name}"), message);
            return Err(Box::new(problem.with_help("write either `stdio:` or `http:`")));
        }
    };
    Ok(Upstream {
        transport,
        mode: form.mode.0,
        revision: form.revision,
        timeout_s: form.timeout_s,
        result_bytes_max: size(form.result_bytes_max),
        approvals: form.approvals,
    })
}

fn identity_problems(document: &Document<ConfigForm>, identities: &[Identity]) -> Vec<Diagnostic> {
    let mut problems = Vec::new();
    let mut first = BTreeMap::new();
    for (index, identity) in identities.iter().enumerate() {
        let pointer = format!("/identities/{index}/id");
        if let Some(earlier) = first.insert(&identity.id, index) {
            let line = document.root.nearest(&format!("/identities/{earlier}/id")).place.line;
            let message = format!("identity `{}` is here twice", identity.id);
            let problem = document.problem(&pointer, message);
            problems.push(problem.with_help(format!("the first is in line {line}")));
        }
    }
    if let Some(dev) = &document.content.dev.identity
        && !identities.iter().any(|identity| identity.id == dev.0)
    {
        let message = format!("no identity of this file is called `{dev}`");
        let problem = document.problem("/dev/identity", message);
        let meant = closest(dev.0.as_str(), identities.iter().map(|i| i.id.as_str()));
        problems.push(match meant {
            Some(meant) => problem.with_help(format!("did you mean `{meant}`?")),
            None => problem.with_help("list it under `identities`"),
        });
    }
    problems
}
