//! Clients of an authorization server: client metadata as in RFC 7591, in a list. Exports of
//! servers that write `clientId` and `name` are read too.

use safeconduct_model::{IdentityId, IdentityKind, IdentityStatus};
use serde::Deserialize;

use super::row::{FieldFault, identity, short};
use super::{ImportFault, Rows, Said, Unsaid, pieces};

#[derive(Deserialize)]
struct Client {
    #[serde(alias = "clientId")]
    client_id: String,
    #[serde(alias = "name")]
    client_name: Option<String>,
    owner: Option<String>,
    /// Whether it may be used; said by some servers.
    enabled: Option<bool>,
}

pub(super) fn read(text: &str, unsaid: &Unsaid) -> Result<Rows, ImportFault> {
    let mut rows = Rows::default();
    for piece in pieces::of(text, &["clients", "items", "resources"])? {
        rows.take(piece.line, of_client(piece.json, unsaid));
    }
    Ok(rows)
}

fn of_client(json: &str, unsaid: &Unsaid) -> Result<(IdentityId, Said), FieldFault> {
    // What a client proves itself with is not looked at, and what is wrong is said without it.
    let client: Client = serde_json::from_str(json).map_err(|error| {
        let problem = match error.classify() {
            serde_json::error::Category::Data => {
                "is no client: a member that is needed is missing, twice, or of another type"
            }
            _ => "is no JSON",
        };
        FieldFault::new("client", problem)
    })?;
    let name = short("client_id", &client.client_id)?;
    let id = match &unsaid.issuer {
        Some(issuer) if !name.is_empty() => identity("client_id", &format!("{issuer}|{name}"))?,
        _ => identity("client_id", name)?,
    };
    let text = |field: &str, text: &Option<String>| -> Result<Option<String>, FieldFault> {
        let text = text.as_deref().map(|text| short(field, text)).transpose()?;
        Ok(text.filter(|text| !text.is_empty()).map(str::to_owned))
    };
    let owner = text("owner", &client.owner)?;
    let said = Said {
        external_id: Some(name.into()),
        display_name: text("client_name", &client.client_name)?.map(Into::into),
        owner: owner.map(|owner| identity("owner", &owner)).transpose()?,
        status: (client.enabled == Some(false)).then_some(IdentityStatus::Suspended),
        ..Said::default()
    };
    Ok((id, unsaid.complete(said, Some(IdentityKind::ServiceAccount))))
}
