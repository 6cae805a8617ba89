//! Targets, read.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use safeconduct_model::{ServerName, TargetName};

use super::targets::{
    PostgresTarget, Privilege, Privileges, PrivilegesOn, SecretPlace, SecretStore, SecretUse,
    SecretsTarget, Target, TargetKind, Tls, VaultStore, is_local,
};
use super::targets_form::{PostgresForm, PrivilegesForm, SecretUseForm, TargetForm, VaultForm};
use crate::document::{Diagnostic, Document, Written};

/// Longest time that a lease lasts without being renewed, in seconds: one day.
const TTL_S_MAX: u32 = 86_400;

/// What is wrong, as pointer within the target, message and help.
struct Problem(String, String, &'static str);

/// The targets of a file; `known` says which upstreams there are.
pub(super) fn targets<T>(
    document: &Document<T>,
    forms: BTreeMap<Written<TargetName>, TargetForm>,
    folder: &Path,
    known: impl Fn(&ServerName) -> bool,
    problems: &mut Vec<Diagnostic>,
) -> BTreeMap<TargetName, Target> {
    let mut targets = BTreeMap::new();
    for (name, form) in forms {
        match target(form, folder, &known) {
            Ok(target) => drop(targets.insert(name.0, target)),
            Err(Problem(pointer, message, help)) => {
                let pointer = format!("/targets/{}{pointer}", name.0);
                let message = format!("target `{}` {message}", name.0);
                problems.push(document.problem(&pointer, message).with_help(help));
            }
        }
    }
    targets
}

fn target(
    form: TargetForm,
    folder: &Path,
    known: &impl Fn(&ServerName) -> bool,
) -> Result<Target, Problem> {
    let (ttl_s, ttl_max_s) = (form.ttl.0.seconds, form.ttl_max.0.seconds);
    if ttl_s > TTL_S_MAX || ttl_max_s < ttl_s {
        let message = "has a `ttl` of more than a day, or more than its `ttl_max`".into();
        return Err(Problem("/ttl".into(), message, "write, for example, `ttl: 5m`"));
    }
    let path = |path: &str| super::read::join(folder, path);
    let store = match (form.postgres, form.age, form.vault) {
        (Some(postgres), None, None) => {
            if let Some(name) = form.secrets.keys().next() {
                let message = "is a database and has no `secrets`".into();
                return Err(Problem(format!("/secrets/{name}"), message, "take them out"));
            }
            let kind = TargetKind::Postgres(self::postgres(postgres, path)?);
            return Ok(Target { ttl_s, ttl_max_s, timeout_s: form.timeout.0.seconds, kind });
        }
        (None, Some(age), None) => {
            SecretStore::Age { file: path(&age.file), identity_file: path(&age.identity_file) }
        }
        (None, None, Some(form)) => SecretStore::Vault(vault(form, path)?),
        _ => {
            let message = "must be one of a database and two kinds of store".into();
            let help = "write one of `postgres:`, `age:` and `vault:`";
            return Err(Problem(String::new(), message, help));
        }
    };
    let uses = form.secrets.into_iter().map(|(name, form)| {
        let read = secret_use(&name, form, known)?;
        Ok((name, read))
    });
    let uses: BTreeMap<_, _> = uses.collect::<Result<_, _>>()?;
    if uses.is_empty() {
        let message = "has no `secrets`, so nothing of it can be used".into();
        return Err(Problem(String::new(), message, "say under `secrets` where each one goes"));
    }
    let kind = TargetKind::Secrets(SecretsTarget { store, uses });
    Ok(Target { ttl_s, ttl_max_s, timeout_s: form.timeout.0.seconds, kind })
}

fn postgres(form: PostgresForm, path: impl Fn(&str) -> PathBuf) -> Result<PostgresTarget, Problem> {
    if form.tls == Tls::Off && !is_local(&form.host) {
        let message = format!("speaks to `{}` without TLS", form.host);
        let help = "`tls: off` is for a server on this machine: a loopback address or a socket";
        return Err(Problem("/postgres/tls".into(), message, help));
    }
    if form.tls == Tls::Required && form.host.starts_with('/') {
        let message = "has TLS on a socket of this machine".into();
        return Err(Problem("/postgres/tls".into(), message, "write `tls: off`"));
    }
    let grants = form.grants.into_iter().map(|(name, list)| {
        if list.is_empty() {
            let message = format!("has a grant `{name}` without privileges");
            return Err(Problem(format!("/postgres/grants/{name}"), message, "take it out"));
        }
        let list = list.into_iter().enumerate().map(|(index, form)| {
            let pointer = format!("/postgres/grants/{name}/{index}");
            privileges(form).map_err(|(message, help)| Problem(pointer, message, help))
        });
        let list = list.collect::<Result<Vec<_>, _>>()?;
        Ok((name, list))
    });
    Ok(PostgresTarget {
        grants: grants.collect::<Result<_, _>>()?,
        host: form.host,
        port: form.port,
        database: form.database,
        user: form.user,
        password_file: form.password_file.as_deref().map(&path),
        tls: form.tls,
        ca_file: form.ca_file.as_deref().map(&path),
        reassign_owned_to: form.reassign_owned_to,
        connections: form.connections,
    })
}

fn privileges(form: PrivilegesForm) -> Result<Privileges, (String, &'static str)> {
    let tables = form.tables.into_iter().collect::<std::collections::BTreeSet<_>>();
    let on = match (tables.is_empty(), form.columns.is_empty(), form.sequences.is_empty()) {
        (false, true, true) => PrivilegesOn::Tables(tables),
        (false, false, true) => {
            PrivilegesOn::Columns { tables, columns: form.columns.into_iter().collect() }
        }
        (true, true, false) => PrivilegesOn::Sequences(form.sequences.into_iter().collect()),
        _ => {
            let message = "has privileges on nothing, or on two kinds of things".into();
            return Err((message, "write `tables:`, with `columns:` or without, or `sequences:`"));
        }
    };
    let fits = |privilege: Privilege| match on {
        PrivilegesOn::Tables(_) => privilege != Privilege::Usage,
        PrivilegesOn::Columns { .. } => !matches!(privilege, Privilege::Usage | Privilege::Delete),
        PrivilegesOn::Sequences(_) => matches!(privilege, Privilege::Usage | Privilege::Select),
    };
    if !form.privileges.iter().copied().all(fits) {
        let help = "tables have `select`, `insert`, `update` and `delete`, columns all but \
                    `delete`, sequences `usage` and `select`";
        return Err(("has a privilege that does not fit what it is on".into(), help));
    }
    Ok(Privileges { schema: form.schema, on, privileges: form.privileges.into_iter().collect() })
}

fn vault(form: VaultForm, path: impl Fn(&str) -> PathBuf) -> Result<VaultStore, Problem> {
    let url = form.url.trim_end_matches('/');
    let (scheme, rest) = url.split_once("://").unwrap_or(("", url));
    let host = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let problem = |message: String, help| Err(Problem("/vault/url".into(), message, help));
    if rest.contains(['@', '?', '#']) {
        return problem(format!("has more than an address in `{url}`"), "leave the rest out");
    }
    let bare = host.rsplit_once(':').map_or(host, |(bare, port)| {
        if port.bytes().all(|b| b.is_ascii_digit()) { bare } else { host }
    });
    if scheme != "https" && (!is_local(bare) || host.starts_with('/')) {
        let message = format!("speaks to `{host}` without TLS");
        return problem(message, "write `https://`; `http://` is for a server on this machine");
    }
    Ok(VaultStore {
        url: url.to_owned(),
        mount: form.mount,
        path: form.path,
        field: form.field,
        token_file: path(&form.token_file),
        namespace: form.namespace,
        ca_file: form.ca_file.as_deref().map(path),
    })
}

fn secret_use(
    name: &str,
    form: SecretUseForm,
    known: &impl Fn(&ServerName) -> bool,
) -> Result<SecretUse, Problem> {
    let at = |key: &str| format!("/secrets/{name}{key}");
    let upstream = form.upstream.0;
    if !known(&upstream) {
        let message = format!("has a secret for `{upstream}`, which is no upstream");
        return Err(Problem(at("/upstream"), message, "name one of `upstreams`"));
    }
    let place = match (form.header, form.query, form.env, form.json) {
        (Some(name), None, None, None) => SecretPlace::Header(name),
        (None, Some(name), None, None) => SecretPlace::Query(name),
        (None, None, Some(name), None) => SecretPlace::Env(name),
        (None, None, None, Some(pointer)) => SecretPlace::Json(pointer),
        _ => {
            let message = format!("must put secret `{name}` into one place");
            let help = "write one of `header:`, `query:`, `env:` and `json:`";
            return Err(Problem(at(""), message, help));
        }
    };
    Ok(SecretUse { upstream, place, template: form.template })
}
