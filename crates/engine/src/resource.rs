//! From arguments to resources, as the catalogue maps them.

use std::collections::BTreeMap;
use std::sync::Arc;

use safeconduct_model::{
    ANCESTORS_MAX, ActionEntry, Entity, EntityId, EntityRef, EntityType, Place, Reason,
    ResourceForm, ResourceMapping, Value,
};
use url::Url;

use crate::Vocabulary;

/// The resources that the arguments name, in the order of the mappings.
///
/// # Errors
/// An argument is missing, is no text, or cannot be read in its form.
pub(crate) fn mapped(
    entry: &ActionEntry,
    input: &Value,
    vocabulary: &Vocabulary,
) -> Result<Vec<Entity>, Vec<Reason>> {
    let mut resources = Vec::with_capacity(entry.resources.len().max(1));
    for mapping in &entry.resources {
        for place in input.places(&mapping.argument) {
            let value = match place {
                Place::Found(value) => value,
                Place::Nothing if mapping.optional => continue,
                Place::Nothing => return Err(vec![not_mapped(mapping, "is missing")]),
                // What the server makes of it would be touched unseen.
                Place::OtherForm(value) => {
                    let problem = format!("cannot be reached: on the way is {}", value.kind());
                    return Err(vec![not_mapped(mapping, &problem)]);
                }
            };
            let text = value.as_str().ok_or_else(|| {
                vec![not_mapped(mapping, &format!("is {}, not a string", value.kind()))]
            })?;
            let resource = read(mapping, text, vocabulary)
                .map_err(|problem| vec![not_mapped(mapping, &problem)])?;
            resources.extend(resource);
        }
    }
    Ok(resources)
}

/// What an action touched, with all that follows from its name alone; `None` where the catalogue
/// maps none of its type there, or in forms that disagree.
pub fn placed(entry: &ActionEntry, uid: &EntityRef, vocabulary: &Vocabulary) -> Option<Entity> {
    let server = entry.server.as_ref().map(|server| server.as_str());
    // A server belongs to nothing.
    if uid.ty == *vocabulary.server() && Some(uid.id.as_str()) == server {
        return Some(Entity::bare(uid.clone()));
    }
    let of_type = entry.resources.iter().filter(|mapping| mapping.ty == uid.ty);
    let mut read = of_type.map(|mapping| read(mapping, uid.id.as_str(), vocabulary).ok()?);
    let first = read.next()??;
    (first.uid == *uid && read.all(|other| other.as_ref() == Some(&first))).then_some(first)
}

fn not_mapped(mapping: &ResourceMapping, problem: &str) -> Reason {
    Reason::ResourceNotMapped { pointer: mapping.argument.as_str().into(), problem: problem.into() }
}

/// What a text names; `None` where that is nothing beside the server.
fn read(
    mapping: &ResourceMapping,
    text: &str,
    vocabulary: &Vocabulary,
) -> Result<Option<Entity>, String> {
    let entity = match &mapping.form {
        ResourceForm::Text => Entity::bare(reference(&mapping.ty, text)?),
        ResourceForm::Path { root } => path(&mapping.ty, text, root.as_deref())?,
        ResourceForm::Url => url(&mapping.ty, text, vocabulary)?,
        ResourceForm::Uri => match leading_out(text) {
            Some(text) => url(&mapping.ty, text, vocabulary)?,
            None => return Ok(None),
        },
    };
    Ok(Some(entity))
}

/// Schemes of URLs that are asked of another host, whoever asks.
const NETWORK_SCHEMES: [&str; 5] = ["http", "https", "ws", "wss", "ftp"];

/// The part of a URI that leads over the network: all of it, or what a scheme of the server's own
/// is put before (`fetch:https://…`).
fn leading_out(uri: &str) -> Option<&str> {
    let leads = |text: &&str| text.split_once(':').is_some_and(|(scheme, _)| is_network(scheme));
    let inner = || uri.split_once(':').map(|(_, rest)| rest.trim_start_matches('/'));
    Some(uri).filter(leads).or_else(|| inner().filter(leads))
}

/// Whether a scheme is one of [`NETWORK_SCHEMES`], by itself or below another (`git+https`), as
/// readers of URLs take it: space and control characters aside.
fn is_network(scheme: &str) -> bool {
    let base = scheme.rsplit('+').next().unwrap_or_default();
    let odd = |c: &char| !c.is_whitespace() && !c.is_control();
    let read: String = base.chars().filter(odd).take(6).collect();
    NETWORK_SCHEMES.iter().any(|known| known.eq_ignore_ascii_case(&read))
}

fn reference(ty: &EntityType, id: &str) -> Result<EntityRef, String> {
    let id = EntityId::new(id).map_err(|error| error.to_string())?;
    Ok(EntityRef { ty: ty.clone(), id })
}

/// A file path: lexically normal, with every folder above it as an ancestor, so that
/// `resource in Path::"/cases/4711"` ends at a folder's border and nowhere else.
fn path(ty: &EntityType, text: &str, root: Option<&str>) -> Result<Entity, String> {
    refuse_rewritten(text)?;
    let absolute = match (text.starts_with('/'), root) {
        (true, _) => text.to_owned(),
        (false, Some(root)) => format!("{root}/{text}"),
        (false, None) => return Err("is a relative path, and the catalogue gives no root".into()),
    };
    let mut segments = Vec::new();
    for segment in absolute.split('/') {
        match segment {
            "" | "." => {}
            ".." => return Err("holds `..`".into()),
            _ => segments.push(segment),
        }
    }
    if segments.len() > ANCESTORS_MAX {
        return Err(format!("is more than {ANCESTORS_MAX} folders deep"));
    }
    let mut ancestors = vec![reference(ty, "/")?];
    let mut normal = String::with_capacity(absolute.len());
    for (index, segment) in segments.iter().enumerate() {
        normal.push('/');
        normal.push_str(segment);
        if index + 1 < segments.len() {
            ancestors.push(reference(ty, &normal)?);
        }
    }
    if segments.is_empty() {
        ancestors.clear();
        normal.push('/');
    }
    let attributes = BTreeMap::from([(Arc::from("path"), Value::from(normal.as_str()))]);
    Ok(Entity { uid: reference(ty, &normal)?, attributes, ancestors })
}

/// Refuses what a server may rewrite before it opens a path, so that what is decided is what is
/// opened: home folders, other separators, schemes, space at the ends.
fn refuse_rewritten(text: &str) -> Result<(), String> {
    let problem = match text {
        _ if text.starts_with('~') => "starts with `~`, which a server may take for a home folder",
        _ if text.contains('\\') => "holds a backslash, which a server may take for a separator",
        _ if text.trim() != text => "begins or ends with white space",
        _ if text.get(..5).is_some_and(|head| head.eq_ignore_ascii_case("file:")) => {
            "is a `file:` URL, not a path"
        }
        _ => return Ok(()),
    };
    Err(problem.into())
}

/// A URL as the WHATWG standard reads it, so that what is decided is what will be fetched.
fn url(ty: &EntityType, text: &str, vocabulary: &Vocabulary) -> Result<Entity, String> {
    // Other readers of URLs take these for other hosts than the WHATWG standard does.
    if text.contains('\\') || text.contains(|c: char| c.is_whitespace() || c.is_control()) {
        return Err("holds a backslash, white space or a control character".into());
    }
    let url = Url::parse(text).map_err(|error| format!("is no URL: {error}"))?;
    let authority = text.split_once("//").map_or("", |(_, rest)| rest);
    if authority.split(['/', '?', '#']).next().is_some_and(|authority| authority.contains('@')) {
        return Err("holds a user name or password".into());
    }
    let host = url.host_str().filter(|host| !host.is_empty()).ok_or("is a URL without a host")?;
    let host = host.trim_end_matches('.').to_ascii_lowercase();
    let mut attributes = BTreeMap::from([
        (Arc::from("scheme"), Value::from(url.scheme())),
        (Arc::from("host"), Value::from(host.as_str())),
        (Arc::from("path"), Value::from(url.path())),
    ]);
    if let Some(port) = url.port_or_known_default() {
        attributes.insert(Arc::from("port"), Value::from(i64::from(port)));
    }
    let mut ancestors = vec![reference(vocabulary.host(), &host)?];
    // A numeric address has no domains above it.
    if matches!(url.host(), Some(url::Host::Domain(_))) {
        let mut rest = host.as_str();
        while let Some((_, parent)) = rest.split_once('.') {
            ancestors.push(reference(vocabulary.host(), parent)?);
            rest = parent;
        }
    }
    Ok(Entity { uid: reference(ty, url.as_str())?, attributes, ancestors })
}

#[cfg(test)]
mod tests;
