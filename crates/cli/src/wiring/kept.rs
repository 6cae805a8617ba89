//! What rules are made of, as it is kept beside the records by which they came into force, and
//! read again to say what was permitted at some time.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use safeconduct_model::{ActionName, Catalogue, Digest, Intents, ServerName, Value};
use safeconduct_policy::{Naming, Policies, SourceFile, Sources, ToolDefinition};
use safeconduct_service::definition_digest;
use safeconduct_wire::{catalogue, json};
use serde::{Deserialize, Serialize};

use crate::exit::{CommandError, failed};
use crate::wiring::intents;
use crate::wiring::project::resolve;

/// The version of the forms below.
const VERSION: u32 = 1;

#[derive(Serialize, Deserialize)]
struct File {
    name: Arc<str>,
    text: Arc<str>,
}

#[derive(Serialize, Deserialize)]
struct Tool {
    server: String,
    tool: String,
    /// Canonical JSON as a text: its numbers are exact.
    definition: String,
}

#[derive(Serialize, Deserialize)]
struct PoliciesForm {
    v: u32,
    namespace: String,
    action_id: String,
    policies: Vec<File>,
    schemas: Vec<File>,
    servers: Vec<String>,
    /// Actions that are no tools, with their servers.
    actions: Vec<(String, Option<String>)>,
    tools: Vec<Tool>,
}

#[derive(Serialize, Deserialize)]
struct CatalogueForm {
    v: u32,
    catalogue: Vec<File>,
    tools: Vec<File>,
}

#[derive(Serialize, Deserialize)]
struct IntentsForm {
    v: u32,
    /// The folder's name, with which problems name files.
    folder: String,
    files: Vec<File>,
    /// What may be asked of each target.
    targets: BTreeMap<String, Vec<String>>,
}

fn files(all: &[SourceFile]) -> Vec<File> {
    let file =
        |file: &SourceFile| File { name: Arc::clone(&file.name), text: Arc::clone(&file.text) };
    all.iter().map(file).collect()
}

fn sources(all: Vec<File>) -> Vec<SourceFile> {
    all.into_iter().map(|file| SourceFile { name: file.name, text: file.text }).collect()
}

/// Texts and numbers are always JSON, so that there is always something to keep.
fn bytes(form: &impl Serialize) -> Option<Arc<[u8]>> {
    serde_json::to_vec(form).ok().map(Arc::from)
}

/// What a policy set is made of.
pub(crate) fn of_policies(sources: &Sources) -> Option<Arc<[u8]>> {
    let tools = sources.definitions.iter().map(|made| Tool {
        server: made.server.to_string(),
        tool: made.tool.clone(),
        definition: json::to_text(&made.definition),
    });
    let action = |(action, server): &(ActionName, Option<ServerName>)| {
        (action.to_string(), server.as_ref().map(ToString::to_string))
    };
    bytes(&PoliciesForm {
        v: VERSION,
        namespace: sources.naming.namespace.clone(),
        action_id: sources.naming.action_id.clone(),
        policies: files(&sources.policies),
        schemas: files(&sources.schemas),
        servers: sources.servers.iter().map(ToString::to_string).collect(),
        actions: sources.actions.iter().map(action).collect(),
        tools: tools.collect(),
    })
}

/// What a catalogue is made of.
pub(crate) fn of_catalogue(catalogue: &[SourceFile], tools: &[SourceFile]) -> Option<Arc<[u8]>> {
    bytes(&CatalogueForm { v: VERSION, catalogue: files(catalogue), tools: files(tools) })
}

/// What intents are made of.
pub(crate) fn of_intents(
    folder: &str,
    texts: &[SourceFile],
    targets: &BTreeMap<String, Vec<String>>,
) -> Option<Arc<[u8]>> {
    let (folder, targets) = (folder.to_owned(), targets.clone());
    bytes(&IntentsForm { v: VERSION, folder, files: files(texts), targets })
}

/// Policies, catalogue and intents as they once were in force.
pub(crate) struct Kept {
    /// The policy set.
    pub(crate) policies: Arc<Policies>,
    /// The namespace of its shipped types.
    pub(crate) namespace: String,
    /// What was known of each action.
    pub(crate) catalogue: Arc<Catalogue>,
    /// The digest of the catalogue and of the approved definitions.
    pub(crate) catalogue_digest: Digest,
    /// What could be undertaken.
    pub(crate) intents: Arc<Intents>,
}

/// Digests of the sets that were in force, with what they are made of.
pub(crate) struct KeptTexts<'a> {
    /// Of the policies.
    pub(crate) policies: (Digest, &'a [u8]),
    /// Of the catalogue.
    pub(crate) catalogue: (Digest, &'a [u8]),
    /// Of the intents, where there were any.
    pub(crate) intents: Option<(Digest, &'a [u8])>,
}

impl Kept {
    /// Loads them again. Each has to come to the digest that is in its record: what lies beside a
    /// record is believed for no other reason.
    ///
    /// # Errors
    /// They do not load any more, or are not what the record says.
    pub(crate) fn load(texts: &KeptTexts<'_>) -> Result<Self, CommandError> {
        let (digest, bytes) = texts.policies;
        let sources = read_policies(bytes)?;
        let namespace = sources.naming.namespace.clone();
        let policies = set_of(digest, &sources, None)?;
        let (digest, bytes) = texts.catalogue;
        let catalogue = catalogue_of(digest, bytes, &policies)?;
        let intents = match texts.intents {
            None => Intents::none(),
            Some((digest, bytes)) => {
                let form: IntentsForm = read("intents", bytes)?;
                once("intents", form.files.iter().map(|file| &file.name))?;
                let texts = self::sources(form.files);
                let made = (&catalogue, &policies, &*sources.definitions);
                let loaded = intents::of_texts(&form.folder, &texts, made, &form.targets);
                let intents = loaded.map_err(|_| changed("intents"))?.intents;
                same("intents", digest, intents.digest)?;
                intents
            }
        };
        let (policies, catalogue) = (Arc::new(policies), Arc::new(catalogue));
        let (catalogue_digest, intents) = (texts.catalogue.0, Arc::new(intents));
        Ok(Self { policies, namespace, catalogue, catalogue_digest, intents })
    }
}

/// A policy set as it once was in force; what did not change is taken from another.
///
/// # Errors
/// It does not load any more, or is not what the record says.
pub(crate) fn policies_of(
    digest: Digest,
    bytes: &[u8],
    other: &Policies,
) -> Result<Policies, CommandError> {
    set_of(digest, &read_policies(bytes)?, Some(other))
}

fn set_of(
    digest: Digest,
    sources: &Sources,
    other: Option<&Policies>,
) -> Result<Policies, CommandError> {
    let loaded = match other {
        Some(other) => safeconduct_policy::load_reusing(sources, other),
        None => safeconduct_policy::load(sources),
    };
    let policies = loaded.map_err(|error| failed("the policies of then", error))?.policies;
    same("policies", digest, policies.digest())?;
    Ok(policies)
}

/// A catalogue as it once was in force, beside those policies.
///
/// # Errors
/// It does not load any more, or is not what the record says.
pub(crate) fn catalogue_of(
    digest: Digest,
    bytes: &[u8],
    policies: &Policies,
) -> Result<Catalogue, CommandError> {
    let form: CatalogueForm = read("catalogue", bytes)?;
    once("catalogue", form.catalogue.iter().chain(&form.tools).map(|file| &file.name))?;
    let (files, tools) = (sources(form.catalogue), sources(form.tools));
    same("catalogue", digest, catalogue_digest(&files, &tools))?;
    resolve(merged(&files)?, policies)
}

fn read_policies(bytes: &[u8]) -> Result<Sources, CommandError> {
    let form: PoliciesForm = read("policies", bytes)?;
    once("policies", form.policies.iter().map(|file| &file.name))?;
    once("schema", form.schemas.iter().map(|file| &file.name))?;
    once("tools", form.tools.iter().map(|tool| (&tool.server, &tool.tool)))?;
    once("actions", form.actions.iter().map(|(action, _)| action))?;
    let name = |error| failed("the policies of then", error);
    let tools = form.tools.into_iter().map(|tool| {
        let definition = json::parse(tool.definition.as_bytes());
        Ok(ToolDefinition {
            server: ServerName::new(tool.server).map_err(name)?,
            tool: tool.tool,
            definition: definition.map_err(|error| failed("the tools of then", error))?,
        })
    });
    let actions = form.actions.into_iter().map(|(action, server)| {
        let server = server.map(ServerName::new).transpose().map_err(name)?;
        Ok((ActionName::new(action).map_err(name)?, server))
    });
    let servers = form.servers.into_iter().map(ServerName::new);
    Ok(Sources {
        policies: sources(form.policies),
        schemas: sources(form.schemas),
        definitions: tools.collect::<Result<_, CommandError>>()?,
        servers: servers.collect::<Result<_, _>>().map_err(name)?,
        naming: Naming { namespace: form.namespace, action_id: form.action_id },
        actions: actions.collect::<Result<_, CommandError>>()?,
    })
}

fn merged(files: &[SourceFile]) -> Result<Catalogue, CommandError> {
    let parsed = files.iter().map(|file| catalogue::parse(&file.name, &file.text));
    let parsed = parsed.collect::<Result<Vec<_>, _>>().map_err(|_| changed("catalogue"))?;
    catalogue::merge(parsed).map_err(|_| changed("catalogue"))
}

/// The digest of a catalogue and of the approved definitions.
pub(crate) fn catalogue_digest(catalogue: &[SourceFile], tools: &[SourceFile]) -> Digest {
    let all = catalogue.iter().chain(tools);
    let members = all.map(|file| (Arc::clone(&file.name), Value::String(Arc::clone(&file.text))));
    definition_digest(&Value::object(members))
}

fn read<'a, T: Deserialize<'a>>(what: &str, bytes: &'a [u8]) -> Result<T, CommandError> {
    let what = format!("what the {what} of then were made of");
    serde_json::from_slice(bytes).map_err(|error| failed(&what, error))
}

/// Refuses names that are there twice: a digest over a map sees the last of them, and whoever reads
/// could take another.
fn once<T: Ord>(what: &str, names: impl Iterator<Item = T>) -> Result<(), CommandError> {
    let mut seen = BTreeSet::new();
    for name in names {
        if !seen.insert(name) {
            return Err(CommandError::Failed(format!(
                "what is kept of the {what} of then names the same thing twice: it was changed"
            )));
        }
    }
    Ok(())
}

fn changed(what: &str) -> CommandError {
    CommandError::Failed(format!(
        "the {what} of then do not load any more: this version reads them in another way"
    ))
}

fn same(what: &str, recorded: Digest, loaded: Digest) -> Result<(), CommandError> {
    if recorded == loaded {
        return Ok(());
    }
    Err(CommandError::Failed(format!(
        "what is kept of the {what} of then comes to {loaded}, and the record says {recorded}: it \
         was changed, or this version reads it in another way"
    )))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sets() -> (Sources, Vec<SourceFile>) {
        let rule = "@id(\"reads\") permit (principal, action, resource);";
        let sources = Sources {
            policies: vec![SourceFile::new("own.cedar", rule)],
            servers: vec![ServerName::new("files").unwrap()],
            actions: vec![(ActionName::new("other.act").unwrap(), None)],
            ..Sources::default()
        };
        (sources, Vec::new())
    }

    #[test]
    fn what_is_kept_comes_to_the_same_digest_and_a_changed_byte_does_not() {
        let (sources, none) = sets();
        let digest = safeconduct_policy::load(&sources).unwrap().policies.digest();
        let (policies, catalogue) =
            (of_policies(&sources).unwrap(), of_catalogue(&none, &none).unwrap());
        let of_catalogue = catalogue_digest(&none, &none);
        let load = |policies: &[u8]| {
            let catalogue = (of_catalogue, &*catalogue);
            Kept::load(&KeptTexts { policies: (digest, policies), catalogue, intents: None })
        };
        assert_eq!(load(&policies).unwrap().policies.digest(), digest);
        let text = String::from_utf8(policies.to_vec()).unwrap();
        let widened = text.replace("reads", "reaps");
        let error = load(widened.as_bytes()).map(drop).unwrap_err();
        assert!(error.to_string().contains("the record says"), "{error}");
        assert!(load(b"{}").is_err());
    }

    #[test]
    fn a_name_that_is_there_twice_is_refused_though_the_digest_would_be_the_same() {
        let (sources, none) = sets();
        let digest = safeconduct_policy::load(&sources).unwrap().policies.digest();
        let policies = of_policies(&sources).unwrap();
        let own = [SourceFile::new("own.yaml", "server: files\n")];
        let other = SourceFile::new("own.yaml", "server: other\n");
        let recorded = catalogue_digest(&own, &none);
        let twice = [other.clone(), own[0].clone()];
        assert_eq!(catalogue_digest(&twice, &none), recorded, "the last one wins");
        let forged = of_catalogue(&twice, &none).unwrap();
        let as_tools = of_catalogue(&[other], &own).unwrap();
        let load = |policies: &[u8], catalogue: &[u8]| {
            let (policies, catalogue) = ((digest, policies), (recorded, catalogue));
            let loaded = Kept::load(&KeptTexts { policies, catalogue, intents: None });
            loaded.map(drop).unwrap_err().to_string()
        };
        for catalogue in [&forged, &as_tools] {
            let error = load(&policies, catalogue);
            assert!(error.contains("catalogue of then names the same thing twice"), "{error}");
        }
        let tool = |text: &str| ToolDefinition {
            server: ServerName::new("files").unwrap(),
            tool: "read".to_owned(),
            definition: json::parse(text.as_bytes()).unwrap(),
        };
        let tools = vec![tool(r#"{"name":"read"}"#), tool(r#"{"name":"read","x":1}"#)];
        let schema = SourceFile::new("own.cedarschema", "");
        let catalogue = of_catalogue(&own, &none).unwrap();
        for (forged, what) in [
            (Sources { definitions: tools, ..sources.clone() }, "tools"),
            (Sources { schemas: vec![schema.clone(), schema], ..sources.clone() }, "schema"),
        ] {
            let error = load(&of_policies(&forged).unwrap(), &catalogue);
            assert!(error.contains(&format!("{what} of then names")), "{error}");
        }
    }
}
