//! The configuration with everything that it names: policies, schema, catalogue, definitions,
//! intents.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use safeconduct_model::{
    ActionName, Catalogue, Digest, IdentityKind, Intents, Obligation, PolicyRef, ServerName,
};
use safeconduct_policy::{
    Diagnostic, Loaded, Naming, Policies, Severity, SourceFile, Sources, ToolDefinition,
};
use safeconduct_service::{RuleSet, RuleTexts, Vocabulary};
use safeconduct_wire::catalogue;
use safeconduct_wire::config::{self, Config};

use crate::exit::{CommandError, failed, invalid, not_valid};
use crate::problem::Problem;
use crate::wiring::prover::Trusted;
use crate::wiring::{intents, kept};

/// A configuration, and what it names, loaded and checked.
pub(crate) struct Project {
    /// The file.
    pub(crate) file: PathBuf,
    /// The configuration.
    pub(crate) config: Config,
    /// The policies, schema, catalogue and intents.
    pub(crate) rules: Rules,
}

/// Policies, schema, catalogue and intents: what can be loaded again while a server runs.
pub(crate) struct Rules {
    /// What the policy set is made of.
    pub(crate) sources: Sources,
    /// The policy set.
    pub(crate) policies: Arc<Policies>,
    /// The catalogue, its resource types as the schema names them.
    pub(crate) catalogue: Arc<Catalogue>,
    /// The digest of the catalogue and of the approved definitions.
    pub(crate) catalogue_digest: Digest,
    /// What may be undertaken, held against this catalogue and schema.
    pub(crate) intents: Arc<Intents>,
    /// The names of the shipped types.
    pub(crate) vocabulary: Arc<Vocabulary>,
    /// What all of it is made of, as it is kept.
    pub(crate) texts: RuleTexts,
    /// What is odd, yet loads.
    pub(crate) warnings: Vec<Problem>,
}

impl Project {
    /// Reads a configuration file and everything that it names.
    ///
    /// # Errors
    /// [`CommandError::Invalid`] with every problem that was found.
    pub(crate) fn load(file: &Path) -> Result<Self, CommandError> {
        let config = read_config(file)?;
        let rules = Rules::load(&config, None)?;
        Ok(Self { file: file.to_owned(), config, rules })
    }
}

/// Reads a configuration file alone.
///
/// # Errors
/// [`CommandError::Invalid`] with every problem of the file.
pub(crate) fn read_config(file: &Path) -> Result<Config, CommandError> {
    let name = file.display().to_string();
    let text = fs::read_to_string(file).map_err(|error| {
        CommandError::Failed(format!(
            "`{name}` cannot be read: {error}; name another with --config, or run `safeconduct init`"
        ))
    })?;
    let absolute = std::path::absolute(file).map_err(|error| failed(&name, error))?;
    let folder = absolute.parent().unwrap_or(Path::new("/"));
    let config = config::parse(&name, &text, folder).map_err(invalid)?;
    let orphans = config.identities.iter().filter(|identity| {
        let owned = identity.owner.is_some() && identity.fallback_owner.is_some();
        identity.kind != IdentityKind::User && !owned
    });
    let mut problems: Vec<Problem> = orphans
        .map(|identity| {
            let kind = identity.kind.as_str();
            let id = &identity.id;
            format!("{name}: identity `{id}` of kind {kind} needs `owner` and `fallback_owner`")
                .into()
        })
        .collect();
    if let Err(CommandError::Invalid(found)) = Trusted::of(&config, folder, None) {
        problems.extend(found.iter().map(|problem| format!("{name}: {problem}").into()));
    }
    if problems.is_empty() { Ok(config) } else { Err(invalid(problems)) }
}

impl Rules {
    /// Reads policies, schema, catalogue and intents. Files that have not changed since `previous` are
    /// not validated again.
    ///
    /// # Errors
    /// [`CommandError::Invalid`] with every problem that was found.
    pub(crate) fn load(config: &Config, previous: Option<&Policies>) -> Result<Self, CommandError> {
        Self::of(Texts::read(config)?, config, previous)
    }

    /// The same with other files in the policy folder, by their paths.
    ///
    /// # Errors
    /// [`CommandError::Invalid`] with every problem that was found.
    pub(crate) fn with_policies(
        config: &Config,
        files: &BTreeMap<String, String>,
        previous: Option<&Policies>,
    ) -> Result<Self, CommandError> {
        let ending = |end: &'static str| {
            let those = files.iter().filter(move |(name, _)| name.ends_with(end));
            those.map(|(name, text)| SourceFile::new(name.as_str(), text.as_str()))
        };
        let own = ending(".cedar").chain(ending(".rego")).collect();
        let texts = Texts {
            policies: beside_the_shipped(own, &config.policies)?,
            schemas: ending(".cedarschema").collect(),
            ..Texts::read(config)?
        };
        Self::of(texts, config, previous)
    }

    /// The files of the policy folder that these rules were loaded from.
    pub(crate) fn policy_files(&self, config: &Config) -> BTreeMap<String, String> {
        let shipped = match config.policies.baseline {
            true => safeconduct_policy::baseline(),
            false => Vec::new(),
        };
        let all = self.sources.policies.iter().chain(&self.sources.schemas);
        let own = all.filter(|file| shipped.iter().all(|pack| pack.name != file.name));
        own.map(|file| (file.name.to_string(), file.text.to_string())).collect()
    }

    fn of(
        texts: Texts,
        config: &Config,
        previous: Option<&Policies>,
    ) -> Result<Self, CommandError> {
        let merged = texts.catalogue(&config.catalogue)?;
        let sources = texts.sources(config, &merged)?;
        let Loaded { policies, warnings } = match previous {
            Some(previous) => safeconduct_policy::load_reusing(&sources, previous),
            None => safeconduct_policy::load(&sources),
        }
        .map_err(|error| invalid(within(&config.policies.folder, error.diagnostics)))?;
        let vocabulary = Vocabulary::new(&config.policies.namespace)
            .map_err(|error| failed("policies.namespace", error))?;
        let catalogue = resolve(merged, &policies)?;
        let unknown = unknown_declassifiers(&policies, &catalogue);
        if !unknown.is_empty() {
            return Err(invalid(within(&config.policies.folder, unknown)));
        }
        let intents = intents::texts(config)?;
        let made = (&catalogue, &policies, &*sources.definitions);
        let undertaken = intents::load(config, &intents, made)?;
        let odd = undertaken.warnings.into_iter();
        Ok(Self {
            warnings: within(&config.policies.folder, warnings).chain(odd).collect(),
            intents: Arc::new(undertaken.intents),
            catalogue: Arc::new(catalogue),
            catalogue_digest: texts.digest(),
            policies: Arc::new(policies),
            vocabulary: Arc::new(vocabulary),
            texts: RuleTexts {
                policies: kept::of_policies(&sources),
                catalogue: kept::of_catalogue(&texts.catalogue, &texts.tools),
                intents: kept::of_intents(
                    &intents::folder_name(config),
                    &intents,
                    &intents::targets(config),
                ),
            },
            sources,
        })
    }
}

impl Rules {
    /// What a server decides by.
    pub(crate) fn in_force(&self) -> RuleSet {
        RuleSet {
            policies: Arc::clone(&self.policies),
            catalogue: Arc::clone(&self.catalogue),
            catalogue_digest: self.catalogue_digest,
            vocabulary: Arc::clone(&self.vocabulary),
            intents: Some(Arc::clone(&self.intents)),
            texts: self.texts.clone(),
            asked_by: None,
        }
    }
}

/// Obligations `declassify:NAME` with a name that no file of the catalogue has: nothing would be
/// lowered by it.
fn unknown_declassifiers(policies: &Policies, catalogue: &Catalogue) -> Vec<Diagnostic> {
    let mut unknown = Vec::new();
    for info in policies.iter() {
        let names = info.obligations.iter().filter_map(Obligation::declassifier);
        for name in names.filter(|name| !catalogue.declassifiers.contains_key(*name)) {
            let PolicyRef { id, span, .. } = &*info.reference;
            let known: Vec<&str> = catalogue.declassifiers.keys().map(AsRef::as_ref).collect();
            let help = match known.is_empty() {
                true => "declare it in the catalogue, under `declassifiers`".to_owned(),
                false => format!("the catalogue has {}", known.join(", ")),
            };
            unknown.push(Diagnostic {
                severity: Severity::Error,
                file: Arc::clone(&span.file),
                line: span.line,
                column: span.column,
                end_line: span.end_line,
                text: format!("declassify:{name}"),
                message: format!("policy `{id}` asks for the unknown declassifier `{name}`"),
                help: Some(help),
            });
        }
    }
    unknown
}

/// Problems of the files of a folder.
pub(super) fn within<P: Into<Problem>>(
    folder: &Path,
    problems: impl IntoIterator<Item = P>,
) -> impl Iterator<Item = Problem> {
    problems.into_iter().map(move |problem| problem.into().within(folder))
}

/// The texts of all files, as they lie in their folders.
struct Texts {
    policies: Vec<SourceFile>,
    schemas: Vec<SourceFile>,
    catalogue: Vec<SourceFile>,
    tools: Vec<SourceFile>,
}

impl Texts {
    fn read(config: &Config) -> Result<Self, CommandError> {
        Ok(Self {
            policies: policies(&config.policies)?,
            schemas: files(&config.policies.folder, ".cedarschema")?,
            catalogue: files(&config.catalogue, ".yaml")?,
            tools: files(&config.catalogue, ".tools.json")?,
        })
    }

    fn catalogue(&self, folder: &Path) -> Result<Catalogue, CommandError> {
        let mut problems = Vec::new();
        let mut parsed = Vec::new();
        for file in &self.catalogue {
            match catalogue::parse(&file.name, &file.text) {
                Ok(file) => parsed.push(file),
                Err(found) => problems.extend(found),
            }
        }
        if !problems.is_empty() {
            return Err(invalid(within(folder, problems)));
        }
        catalogue::merge(parsed).map_err(|problems| invalid(within(folder, problems)))
    }

    fn sources(&self, config: &Config, merged: &Catalogue) -> Result<Sources, CommandError> {
        let definitions = self.definitions(&config.catalogue, merged)?;
        let tools: BTreeSet<ActionName> = definitions.iter().filter_map(action_of).collect();
        let other = merged.actions.values().filter(|entry| !tools.contains(&entry.name));
        let mut servers: BTreeSet<ServerName> = config.upstreams.keys().cloned().collect();
        servers.extend(merged.actions.values().filter_map(|entry| entry.server.clone()));
        Ok(Sources {
            policies: self.policies.clone(),
            schemas: self.schemas.clone(),
            actions: other.map(|entry| (entry.name.clone(), entry.server.clone())).collect(),
            definitions,
            servers: servers.into_iter().collect(),
            naming: Naming {
                namespace: config.policies.namespace.clone(),
                action_id: config.policies.action_id.clone(),
            },
        })
    }

    /// The approved definitions of the tools that the catalogue lists.
    fn definitions(
        &self,
        folder: &Path,
        merged: &Catalogue,
    ) -> Result<Vec<ToolDefinition>, CommandError> {
        let mut definitions = Vec::new();
        let mut problems: Vec<Problem> = Vec::new();
        for file in &self.tools {
            let Some(server) = server_of(&file.name) else {
                let problem = format!("{}: its name is not SERVER.tools.json", file.name);
                problems.push(problem.into());
                continue;
            };
            let tools = match catalogue::parse_tools(&file.name, file.text.as_bytes()) {
                Ok(tools) => tools,
                Err(found) => {
                    problems.extend(within(folder, found));
                    continue;
                }
            };
            for definition in tools {
                let Some(tool) = catalogue::tool_name(&definition).map(str::to_owned) else {
                    continue;
                };
                let made = ToolDefinition { server: server.clone(), tool, definition };
                if action_of(&made).is_some_and(|name| merged.entry(&name).is_some()) {
                    definitions.push(made);
                }
            }
        }
        if problems.is_empty() { Ok(definitions) } else { Err(invalid(problems)) }
    }

    fn digest(&self) -> Digest {
        kept::catalogue_digest(&self.catalogue, &self.tools)
    }
}

/// The files of a policy folder, by their paths: what proposals change.
///
/// # Errors
/// One cannot be read.
pub(crate) fn policy_folder(config: &Config) -> Result<BTreeMap<String, String>, CommandError> {
    let own = config::Policies { baseline: false, ..config.policies.clone() };
    let schemas = files(&config.policies.folder, ".cedarschema")?;
    let all = policies(&own)?.into_iter().chain(schemas);
    Ok(all.map(|file| (file.name.to_string(), file.text.to_string())).collect())
}

/// The policy files of a folder, of both languages, and the shipped pack where it is wanted. OPA's
/// own tests are no policies.
fn policies(from: &config::Policies) -> Result<Vec<SourceFile>, CommandError> {
    let mut found = files(&from.folder, ".cedar")?;
    let rego = files(&from.folder, ".rego")?;
    found.extend(rego.into_iter().filter(|file| !file.name.ends_with("_test.rego")));
    beside_the_shipped(found, from)
}

/// The files of a folder with the shipped pack, where that is wanted.
fn beside_the_shipped(
    mut found: Vec<SourceFile>,
    from: &config::Policies,
) -> Result<Vec<SourceFile>, CommandError> {
    let shipped = if from.baseline { safeconduct_policy::baseline() } else { Vec::new() };
    let copy = |pack: &SourceFile| found.iter().any(|own| own.name == pack.name);
    if let Some(copied) = shipped.iter().find(|pack| copy(pack)) {
        return Err(not_valid(format!(
            "`{}` is a copy of a file that `policies.baseline: true` brings along: remove the copy, \
             or set `policies.baseline: false`",
            from.folder.join(&*copied.name).display()
        )));
    }
    found.extend(shipped);
    Ok(found)
}

/// The action of a tool: `{server}.{tool}`, whatever policies call it.
pub(crate) fn action_of(tool: &ToolDefinition) -> Option<ActionName> {
    ActionName::new(format!("{}.{}", tool.server, tool.tool)).ok()
}

fn server_of(file: &str) -> Option<ServerName> {
    let name = file.rsplit('/').next()?.strip_suffix(".tools.json")?;
    ServerName::new(name).ok()
}

/// Names each resource type as the schema does.
pub(super) fn resolve(
    mut catalogue: Catalogue,
    policies: &Policies,
) -> Result<Catalogue, CommandError> {
    let mut problems = Vec::new();
    for entry in catalogue.actions.values_mut() {
        for mapping in &mut entry.resources {
            match policies.resolve_type(mapping.ty.as_str()) {
                Some(ty) => mapping.ty = ty,
                None => problems.push(format!(
                    "catalogue: action `{}` maps `{}` to the type `{}`, which no schema declares",
                    entry.name, mapping.argument, mapping.ty
                )),
            }
        }
    }
    if problems.is_empty() { Ok(catalogue) } else { Err(invalid(problems)) }
}

/// The files of a folder whose names end so, sorted, with their texts. Folders below it are
/// read too, save `tests` and `testdata`.
pub(super) fn files(folder: &Path, end: &str) -> Result<Vec<SourceFile>, CommandError> {
    let mut found = Vec::new();
    walk(folder, folder, end, &mut found)?;
    found.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(found)
}

fn walk(
    root: &Path,
    folder: &Path,
    end: &str,
    found: &mut Vec<SourceFile>,
) -> Result<(), CommandError> {
    let unreadable = |path: &Path, error: std::io::Error| {
        not_valid(format!("`{}` cannot be read: {error}", path.display()))
    };
    for entry in fs::read_dir(folder).map_err(|error| unreadable(folder, error))? {
        let path = entry.map_err(|error| unreadable(folder, error))?.path();
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        if name.starts_with('.') {
            continue;
        }
        if path.is_dir() {
            if name != "tests" && name != "testdata" {
                walk(root, &path, end, found)?;
            }
        } else if name.ends_with(end) {
            let text = fs::read_to_string(&path).map_err(|error| unreadable(&path, error))?;
            let relative = path.strip_prefix(root).unwrap_or(&path).display().to_string();
            found.push(SourceFile::new(relative, text));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const RULE: &str = "@id(\"own\") permit (principal, action, resource);";

    fn project(policies: &str, copy: Option<&str>) -> Result<Project, CommandError> {
        let folder = tempfile::tempdir().unwrap();
        for name in ["policies/baseline", "catalogue"] {
            fs::create_dir_all(folder.path().join(name)).unwrap();
        }
        fs::write(folder.path().join("policies/own.cedar"), RULE).unwrap();
        if let Some(copy) = copy {
            fs::write(folder.path().join("policies").join(copy), "").unwrap();
        }
        let file = folder.path().join("safeconduct.yaml");
        fs::write(&file, format!("version: 1\npolicies: {policies}\n")).unwrap();
        Project::load(&file)
    }

    #[test]
    fn the_shipped_pack_is_in_force_where_the_configuration_says_so() {
        let without = project("{ baseline: false }", None).unwrap().rules.policies;
        // In any namespace.
        for naming in ["", ", namespace: Acme"] {
            let with = project(&format!("{{ baseline: true{naming} }}"), None).unwrap();
            let with = with.rules.policies;
            let ids = |policies: &Policies| -> BTreeSet<String> {
                policies.iter().map(|info| info.reference.id.to_string()).collect()
            };
            assert_eq!(ids(&without), BTreeSet::from(["own".to_owned()]));
            assert!(
                ids(&with).contains("own") && ids(&with).contains("baseline.untrusted.address")
            );
            assert_eq!(with.len(), without.len() + 14);
            assert_ne!(with.digest(), without.digest());
        }
    }

    #[test]
    fn a_copy_beside_the_shipped_pack_is_refused_by_name() {
        let Err(CommandError::Invalid(problems)) =
            project("{ baseline: true }", Some("baseline/untrusted.cedar"))
        else {
            panic!("it is refused")
        };
        assert_eq!(problems.len(), 1);
        assert!(problems[0].to_string().contains("baseline/untrusted.cedar"), "{}", problems[0]);
        assert!(project("{ baseline: true }", Some("baseline/mine.cedar")).is_ok());
        assert!(project("{}", Some("baseline/untrusted.cedar")).is_ok());
    }
}
