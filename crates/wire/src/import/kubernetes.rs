//! Service accounts of Kubernetes, from manifests: several documents, of which those of kind
//! `ServiceAccount` count, alone or in a list.
//!
//! Who is accountable stands in annotations: `safeconduct/owner`, `safeconduct/fallback-owner`,
//! `safeconduct/sponsor`, `safeconduct/environment`, `safeconduct/kind`.

use safeconduct_model::{IdentityId, IdentityKind};

use super::row::{FieldFault, identity, short, word};
use super::{IMPORT_BYTES_MAX, ImportFault, Rows, Said, Unsaid};
use crate::document::{Content, Node, YamlLimits, parse_yaml_stream};

/// Most values of a file.
const NODES_MAX: usize = 8_000_000;

pub(super) fn read(text: &str, unsaid: &Unsaid) -> Result<Rows, ImportFault> {
    let limits = YamlLimits { bytes: IMPORT_BYTES_MAX, nodes: NODES_MAX };
    let documents = parse_yaml_stream("", text, limits).map_err(|problems| {
        let first = problems.first();
        let line = first.map_or(1, |problem| u64::from(problem.line.max(1)));
        let problem = first.map(|problem| problem.message.clone()).unwrap_or_default();
        ImportFault { line, problem }
    })?;
    let mut rows = Rows::default();
    for document in &documents {
        let text = |name: &str| document.get(name).and_then(Node::text);
        match (text("kind"), document.get("items")) {
            (Some("List" | "ServiceAccountList"), Some(items)) => {
                let of_list = text("kind") == Some("ServiceAccountList");
                items.items().iter().for_each(|item| take(&mut rows, item, of_list, unsaid));
            }
            _ => take(&mut rows, document, false, unsaid),
        }
    }
    Ok(rows)
}

/// The items of a list of one kind need not say their kind.
fn take(rows: &mut Rows, manifest: &Node, of_list: bool, unsaid: &Unsaid) {
    let kind = manifest.get("kind").and_then(Node::text);
    let is = kind == Some("ServiceAccount") || (kind.is_none() && of_list);
    match (is, &manifest.content) {
        (true, _) => rows.take(u64::from(manifest.place.line), of_account(manifest, unsaid)),
        // A document without anything in it.
        (false, Content::Null) => {}
        (false, _) => rows.others += 1,
    }
}

fn of_account(manifest: &Node, unsaid: &Unsaid) -> Result<(IdentityId, Said), FieldFault> {
    let nothing = Node { place: manifest.place, content: Content::Null };
    let metadata = manifest.get("metadata").unwrap_or(&nothing);
    let part = |field: &str| {
        let text = metadata.get(field).and_then(Node::text);
        let field = format!("metadata.{field}");
        let text = text.ok_or_else(|| FieldFault::new(&field, "is missing, or no text"))?;
        // DNS names (RFC 1123), as Kubernetes has them.
        let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "-.".contains(c);
        match !text.is_empty() && text.len() <= 253 && text.chars().all(fits) {
            true => Ok(text),
            false => Err(FieldFault::new(&field, "is no name of Kubernetes")),
        }
    };
    let (namespace, name) = (part("namespace")?, part("name")?);
    let id = identity("metadata.name", &format!("system:serviceaccount:{namespace}:{name}"))?;
    let said = |node: &Node, field: &str, name: &str| match node.get(field).map(|n| &n.content) {
        None | Some(Content::Null) => Ok(None),
        Some(Content::Text(text)) => {
            Ok(Some(short(name, text)?.to_owned()).filter(|t| !t.is_empty()))
        }
        Some(_) => Err(FieldFault::new(name, "is no text")),
    };
    let annotations = metadata.get("annotations").unwrap_or(&nothing);
    let annotation = |word: &str| {
        let name = format!("safeconduct/{word}");
        said(annotations, &name, &name)
    };
    let person = |name: &str| -> Result<Option<IdentityId>, FieldFault> {
        let text = annotation(name)?;
        text.map(|text| identity(&format!("safeconduct/{name}"), &text)).transpose()
    };
    let kind = annotation("kind")?.map(|kind| {
        let words = IdentityKind::ALL.map(IdentityKind::as_str);
        word("safeconduct/kind", &kind, &words, IdentityKind::parse)
    });
    let said = Said {
        kind: kind.transpose()?,
        owner: person("owner")?,
        fallback_owner: person("fallback-owner")?,
        sponsor: person("sponsor")?,
        environment: annotation("environment")?,
        external_id: said(metadata, "uid", "metadata.uid")?.map(Into::into),
        display_name: Some(format!("{namespace}/{name}").into()),
        ..Said::default()
    };
    Ok((id, unsaid.complete(said, Some(IdentityKind::ServiceAccount))))
}
