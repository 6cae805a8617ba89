//! The streams of receivers, kept in a file: what they set, and nothing of what is told.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use safeconduct_model::IdentityId;
use safeconduct_wire::json::{from_serde, to_serde};
use safeconduct_wire::signals::{Delivery, StreamStatus, SubjectId};
use serde::{Deserialize, Serialize};

use super::stream::{Settings, Stream};
use crate::cursor::{CursorError, read_whole, write_whole};

#[derive(Serialize, Deserialize)]
struct Kept {
    version: u32,
    streams: Vec<KeptStream>,
}

#[derive(Serialize, Deserialize)]
struct KeptStream {
    id: String,
    receiver: String,
    audience: String,
    push: Option<KeptPush>,
    requested: Option<BTreeSet<String>>,
    description: Option<String>,
    status: String,
    reason: Option<String>,
    removed: Vec<serde_json::Value>,
}

#[derive(Serialize, Deserialize)]
struct KeptPush {
    endpoint_url: String,
    authorization_header: Option<String>,
}

/// The streams of that file; none where there is no file.
pub(super) fn read(path: &Path) -> Result<Vec<Stream>, CursorError> {
    let Some(bytes) = read_whole(path)? else { return Ok(Vec::new()) };
    let content = || CursorError::Content(path.display().to_string());
    let kept: Kept = serde_json::from_slice(&bytes).map_err(|_| content())?;
    if kept.version != 1 {
        return Err(content());
    }
    kept.streams.into_iter().map(|one| stream(one).ok_or_else(content)).collect()
}

/// Writes all of them.
pub(super) fn write<'a>(
    path: &Path,
    streams: impl IntoIterator<Item = &'a Stream>,
) -> Result<(), CursorError> {
    let kept = Kept { version: 1, streams: streams.into_iter().map(kept).collect() };
    let bytes = serde_json::to_vec_pretty(&kept).map_err(|error| CursorError::Io {
        path: path.display().to_string(),
        error: error.into(),
    })?;
    write_whole(path, &bytes)
}

fn kept(stream: &Stream) -> KeptStream {
    let settings = &stream.settings;
    KeptStream {
        id: stream.id.to_string(),
        receiver: stream.receiver.to_string(),
        audience: stream.audience.to_string(),
        push: match &settings.delivery {
            Delivery::Push { endpoint_url, authorization_header } => Some(KeptPush {
                endpoint_url: endpoint_url.to_string(),
                authorization_header: authorization_header.as_deref().map(str::to_owned),
            }),
            Delivery::Poll { .. } => None,
        },
        requested: settings
            .requested
            .as_ref()
            .map(|all| all.iter().map(ToString::to_string).collect()),
        description: settings.description.as_deref().map(str::to_owned),
        status: settings.status.as_str().to_owned(),
        reason: settings.reason.as_deref().map(str::to_owned),
        removed: settings.removed.iter().map(|one| to_serde(&one.to_value())).collect(),
    }
}

fn stream(kept: KeptStream) -> Option<Stream> {
    let status = match kept.status.as_str() {
        "enabled" => StreamStatus::Enabled,
        "paused" => StreamStatus::Paused,
        "disabled" => StreamStatus::Disabled,
        _ => return None,
    };
    let removed = kept.removed.iter().map(|one| SubjectId::from_value(from_serde(one)).ok());
    let settings = Settings {
        delivery: match kept.push {
            Some(push) => Delivery::Push {
                endpoint_url: push.endpoint_url.into(),
                authorization_header: push.authorization_header.map(Arc::from),
            },
            None => Delivery::Poll { endpoint_url: None },
        },
        requested: kept.requested.map(|all| all.into_iter().map(Arc::from).collect()),
        description: kept.description.map(Arc::from),
        status,
        reason: kept.reason.map(Arc::from),
        removed: removed.collect::<Option<_>>()?,
    };
    let receiver = IdentityId::new(kept.receiver).ok()?;
    Some(Stream::new(kept.id.into(), receiver, kept.audience.into(), settings))
}
