//! A file of secrets, encrypted with age: a YAML map from names to texts.

use std::collections::BTreeMap;
use std::io::Read;
use std::path::Path;

use age::{Decryptor, IdentityFile};
use safeconduct_wire::document::{Content, Entry, Node, YamlLimits, parse_yaml};
use zeroize::Zeroizing;

use super::Fetched;
use crate::file;

/// Longest age file, in bytes.
pub const AGE_FILE_BYTES_MAX: u64 = 1024 * 1024;

/// Most nodes of the YAML within.
const NODES_MAX: usize = 20_000;

/// One secret of the file; otherwise what is wrong, without any word of what the file says.
pub(super) fn fetch(path: &Path, identity: &Path, name: &str) -> Result<Fetched, String> {
    let root = opened(path, identity)?;
    let Some(value) = root.get(name) else { return Ok(Fetched::Absent) };
    Ok(Fetched::Found(text(path, name, value)?))
}

/// All secrets of the file, as [`fetch`] gives one.
pub(super) fn all(
    path: &Path,
    identity: &Path,
) -> Result<BTreeMap<String, Zeroizing<String>>, String> {
    let root = opened(path, identity)?;
    let Content::Map(entries) = &root.content else { return Ok(BTreeMap::new()) };
    let secret = |entry: &Entry| Ok((entry.key.to_string(), text(path, &entry.key, &entry.value)?));
    entries.iter().map(secret).collect()
}

/// What the file holds: a map.
fn opened(path: &Path, identity: &Path) -> Result<Node, String> {
    let text = decrypt(path, identity)?;
    let limits = YamlLimits { bytes: text.len(), nodes: NODES_MAX };
    // What the parser says may quote the text, so only the place of it is passed on.
    let root = parse_yaml("", &text, limits).map_err(|problems| {
        let (line, column) = problems.first().map_or((0, 0), |p| (p.line, p.column));
        format!("what `{}` holds is no YAML, at {line}:{column}", path.display())
    })?;
    match root.content {
        Content::Map(_) => Ok(root),
        _ => Err(format!("what `{}` holds is no map from names to texts", path.display())),
    }
}

fn text(path: &Path, name: &str, value: &Node) -> Result<Zeroizing<String>, String> {
    match &value.content {
        Content::Text(text) => Ok(Zeroizing::new(text.to_string())),
        _ => Err(format!(
            "secret `{name}` in `{}` is no text (write it in quotes), at {}:{}",
            path.display(),
            value.place.line,
            value.place.column,
        )),
    }
}

fn decrypt(path: &Path, identity: &Path) -> Result<Zeroizing<String>, String> {
    let key = file::read_secret(identity)?;
    let no_identity = || format!("`{}` holds no age identity", identity.display());
    let identities = IdentityFile::from_buffer(key.as_slice())
        .map_err(|_| no_identity())?
        .into_identities()
        .map_err(|_| no_identity())?;
    if identities.is_empty() {
        return Err(no_identity());
    }
    let sealed = file::read(path, AGE_FILE_BYTES_MAX)?;
    let shut = |_| format!("`{}` does not open with `{}`", path.display(), identity.display());
    let decryptor = Decryptor::new_buffered(sealed.as_slice()).map_err(shut)?;
    let identities = identities.iter().map(|identity| &**identity as &dyn age::Identity);
    let mut reader = decryptor.decrypt(identities).map_err(shut)?;
    // What is sealed is never shorter than what is in it: no growing, which would leave copies.
    let mut text = Zeroizing::new(String::with_capacity(sealed.len()));
    reader
        .read_to_string(&mut text)
        .map_err(|_| format!("`{}` is damaged, or holds no UTF-8", path.display()))?;
    Ok(text)
}
