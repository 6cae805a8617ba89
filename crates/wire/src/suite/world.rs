//! A suite's own world.

use std::path::Path;

use serde_json::Value as Json;

use super::form::{SuiteForm, WorldForm};
use super::plain::World;
use crate::catalogue;
use crate::document::{Diagnostic, Document};
use crate::identity::IdentityForm;
use crate::intent;
use crate::json::from_serde;

/// The world of a form; problems go to `problems`.
pub(super) fn world(
    document: &Document<SuiteForm>,
    form: &WorldForm,
    folder: &Path,
    problems: &mut Vec<Diagnostic>,
) -> World {
    let mut catalogue = Vec::with_capacity(form.catalogue.len());
    for (index, form) in form.catalogue.iter().enumerate() {
        let part = Document {
            file: document.file.clone(),
            content: form.clone(),
            root: document.root.nearest(&format!("/world/catalogue/{index}")).clone(),
        };
        match catalogue::read_document(&part) {
            Ok(file) => catalogue.push(file),
            Err(found) => problems.extend(found),
        }
    }
    let mut intents = Vec::with_capacity(form.intents.len());
    for (index, form) in form.intents.iter().enumerate() {
        let part = Document {
            file: document.file.clone(),
            content: form.clone(),
            root: document.root.nearest(&format!("/world/intents/{index}")).clone(),
        };
        match intent::read_document(part) {
            Ok(file) => intents.push(file),
            Err(found) => problems.extend(found),
        }
    }
    World {
        folder: form.folder.as_ref().map(|path| folder.join(path).components().collect()),
        identities: form.identities.iter().cloned().map(IdentityForm::into_model).collect(),
        session_calls: form.sessions.as_ref().map(|sessions| sessions.calls),
        tiers: form.tiers.as_ref().map(crate::config::TiersForm::to_model),
        namespace: form.namespace.clone(),
        action_id: form.action_id.clone(),
        policies: form.policies.clone(),
        schema: form.schema.clone(),
        catalogue,
        intents,
        tools: form
            .tools
            .iter()
            .map(|(server, tools)| {
                let tools = tools.iter().map(|tool| from_serde(&Json::Object(tool.clone())));
                (server.0.clone(), tools.collect())
            })
            .collect(),
    }
}
