//! Registration entries of a SPIRE server, as `spire-server entry show -output json` writes them.
//! Several entries can give one workload its identity; they are one identity here.

use std::collections::HashMap;

use foldhash::fast::RandomState;
use safeconduct_model::{IdentityId, IdentityKind};
use serde::Deserialize;

use super::row::{FieldFault, identity, short};
use super::{ImportFault, Rows, Said, Unsaid, pieces};

#[derive(Deserialize)]
struct Entry {
    #[serde(default)]
    id: String,
    spiffe_id: SpiffeId,
    #[serde(default)]
    hint: String,
}

#[derive(Deserialize)]
struct SpiffeId {
    trust_domain: String,
    path: String,
}

pub(super) fn read(text: &str, unsaid: &Unsaid) -> Result<Rows, ImportFault> {
    let mut rows = Rows::default();
    let mut known: HashMap<IdentityId, (), RandomState> = HashMap::default();
    for piece in pieces::of(text, &["entries"])? {
        let row = of_entry(piece.json, unsaid);
        if let Ok((id, _)) = &row
            && known.insert(id.clone(), ()).is_some()
        {
            rows.others += 1;
            continue;
        }
        rows.take(piece.line, row);
    }
    Ok(rows)
}

fn of_entry(json: &str, unsaid: &Unsaid) -> Result<(IdentityId, Said), FieldFault> {
    let entry: Entry = serde_json::from_str(json)
        .map_err(|error| FieldFault::new("entry", format!("is no entry: {error}")))?;
    let SpiffeId { trust_domain, path } = entry.spiffe_id;
    let domain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "-._".contains(c);
    if trust_domain.is_empty() || !trust_domain.chars().all(domain) {
        return Err(FieldFault::new("spiffe_id.trust_domain", "is no trust domain"));
    }
    let segment = |segment: &str| {
        let fits = |c: char| c.is_ascii_alphanumeric() || "-._".contains(c);
        !matches!(segment, "" | "." | "..") && segment.chars().all(fits)
    };
    let segments = path.strip_prefix('/').map(|path| path.split('/').all(segment));
    if segments != Some(true) {
        return Err(FieldFault::new("spiffe_id.path", "is no path of a workload"));
    }
    let id = identity("spiffe_id", &format!("spiffe://{trust_domain}{path}"))?;
    let said = Said {
        external_id: some("id", &entry.id)?.map(Into::into),
        display_name: some("hint", &entry.hint)?.map(Into::into),
        ..Said::default()
    };
    Ok((id, unsaid.complete(said, Some(IdentityKind::Workload))))
}

/// What a text says, where it says anything.
fn some<'t>(field: &str, text: &'t str) -> Result<Option<&'t str>, FieldFault> {
    Ok(Some(short(field, text)?).filter(|text| !text.is_empty()))
}
