//! What is served here, as RFC 7643, sections 5 to 7, has it told.

use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use http::header::CONTENT_TYPE;
use http::request::Parts;
use safeconduct_wire::scim::{GROUP, USER};
use serde_json::{Value as Json, json};

use super::answer::ScimProblem;
use super::{PAGE_MAX, ROOT, admitted};
use crate::router::Shared;

fn answer(value: &Json) -> Response {
    (StatusCode::OK, [(CONTENT_TYPE, "application/scim+json")], value.to_string()).into_response()
}

pub(super) async fn config(
    State(api): State<Shared>,
    parts: Parts,
) -> Result<Response, ScimProblem> {
    admitted(&api, &parts).await?;
    let no = json!({ "supported": false });
    Ok(answer(&json!({
        "schemas": ["urn:ietf:params:scim:schemas:core:2.0:ServiceProviderConfig"],
        "patch": { "supported": true },
        "bulk": { "supported": false, "maxOperations": 0, "maxPayloadSize": 0 },
        "filter": { "supported": true, "maxResults": PAGE_MAX },
        "changePassword": no,
        "sort": no,
        "etag": { "supported": true },
        "authenticationSchemes": [{
            "type": "oauthbearertoken",
            "name": "Bearer token",
            "description": "A token of a workload or service account that may do `scim.provision`",
            "primary": true,
        }],
        "meta": {
            "resourceType": "ServiceProviderConfig",
            "location": format!("{}{ROOT}/ServiceProviderConfig", api.base_url),
        },
    })))
}

fn list(resources: &[Json]) -> Json {
    json!({
        "schemas": ["urn:ietf:params:scim:api:messages:2.0:ListResponse"],
        "totalResults": resources.len(),
        "itemsPerPage": resources.len(),
        "startIndex": 1,
        "Resources": resources,
    })
}

fn all_types(base_url: &str) -> [Json; 2] {
    [("User", USER, "People"), ("Group", GROUP, "Groups of people")].map(
        |(name, schema, description)| {
            json!({
                "schemas": ["urn:ietf:params:scim:schemas:core:2.0:ResourceType"],
                "id": name,
                "name": name,
                "endpoint": format!("/{name}s"),
                "description": description,
                "schema": schema,
                "meta": {
                    "resourceType": "ResourceType",
                    "location": format!("{base_url}{ROOT}/ResourceTypes/{name}"),
                },
            })
        },
    )
}

pub(super) async fn types(
    State(api): State<Shared>,
    parts: Parts,
) -> Result<Response, ScimProblem> {
    admitted(&api, &parts).await?;
    Ok(answer(&list(&all_types(&api.base_url))))
}

pub(super) async fn one_type(
    State(api): State<Shared>,
    Path(name): Path<String>,
    parts: Parts,
) -> Result<Response, ScimProblem> {
    admitted(&api, &parts).await?;
    let all = all_types(&api.base_url);
    let found = all.iter().find(|one| one["id"] == name.as_str());
    found.map(answer).ok_or(ScimProblem::NotFound)
}

/// Whether and how an attribute is told and changed.
struct Attribute {
    name: &'static str,
    ty: &'static str,
    description: &'static str,
    mutability: &'static str,
    required: bool,
    unique: bool,
    parts: Vec<Json>,
}

impl Attribute {
    fn text(name: &'static str, description: &'static str) -> Self {
        let (ty, mutability) = ("string", "readWrite");
        Self {
            name,
            ty,
            description,
            mutability,
            required: false,
            unique: false,
            parts: Vec::new(),
        }
    }

    fn json(self) -> Json {
        let mut json = json!({
            "name": self.name,
            "type": self.ty,
            "multiValued": self.ty == "complex",
            "description": self.description,
            "required": self.required,
            "mutability": self.mutability,
            "returned": "default",
        });
        if let Some(members) = json.as_object_mut() {
            match self.ty {
                "complex" => drop(members.insert("subAttributes".into(), self.parts.into())),
                "string" => {
                    members.insert("caseExact".into(), (!self.unique).into());
                    let uniqueness = if self.unique { "server" } else { "none" };
                    members.insert("uniqueness".into(), uniqueness.into());
                }
                _ => {}
            }
        }
        json
    }
}

fn all_schemas(base_url: &str) -> [Json; 2] {
    let required = |attribute: Attribute| Attribute { required: true, unique: true, ..attribute };
    let told = |name, description| {
        Attribute { mutability: "readOnly", ..Attribute::text(name, description) }.json()
    };
    let fixed = |name, description| {
        Attribute { mutability: "immutable", ..Attribute::text(name, description) }.json()
    };
    let reference = |mutability: &str, types: Json| {
        json!({
            "name": "$ref", "type": "reference", "referenceTypes": types, "multiValued": false,
            "description": "Where the resource is", "required": false, "caseExact": true,
            "mutability": mutability, "returned": "default", "uniqueness": "none",
        })
    };
    let users = [
        required(Attribute::text("userName", "What the person signs in as")).json(),
        Attribute::text("displayName", "What people call the person").json(),
        Attribute { ty: "boolean", ..Attribute::text("active", "Whether the person may act") }
            .json(),
        Attribute {
            ty: "complex",
            mutability: "readOnly",
            parts: vec![told("value", "The group's id"), told("display", "The group's name")],
            ..Attribute::text("groups", "The groups that the person belongs to")
        }
        .json(),
    ];
    let groups = [
        required(Attribute::text("displayName", "The group's name, as policies know it")).json(),
        Attribute {
            ty: "complex",
            parts: vec![fixed("value", "The person's id"), reference("immutable", json!(["User"]))],
            ..Attribute::text("members", "Who belongs to it")
        }
        .json(),
    ];
    let schema = |id: &str, name: &str, attributes: &[Json]| {
        json!({
            "schemas": ["urn:ietf:params:scim:schemas:core:2.0:Schema"],
            "id": id,
            "name": name,
            "description": name,
            "attributes": attributes,
            "meta": {
                "resourceType": "Schema",
                "location": format!("{base_url}{ROOT}/Schemas/{id}"),
            },
        })
    };
    [schema(USER, "User", &users), schema(GROUP, "Group", &groups)]
}

pub(super) async fn schemas(
    State(api): State<Shared>,
    parts: Parts,
) -> Result<Response, ScimProblem> {
    admitted(&api, &parts).await?;
    Ok(answer(&list(&all_schemas(&api.base_url))))
}

pub(super) async fn schema(
    State(api): State<Shared>,
    Path(name): Path<String>,
    parts: Parts,
) -> Result<Response, ScimProblem> {
    admitted(&api, &parts).await?;
    let all = all_schemas(&api.base_url);
    let found = all.iter().find(|one| one["id"] == name.as_str());
    found.map(answer).ok_or(ScimProblem::NotFound)
}
