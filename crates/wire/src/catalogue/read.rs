//! One file of the catalogue, read into entries of the model.

use safeconduct_model::{
    ActionEntry, ActionName, Confidentiality, Integrity, ResourceForm as ModelForm,
    ResourceMapping, ServerName,
};

use super::form::{ActionForm, AdditionalArguments, CatalogueForm, FormWord, ResourceForm};
use crate::document::{self, Diagnostic, Document, Place, YamlLimits};

/// Largest file of a catalogue, in bytes.
pub const CATALOGUE_BYTES_MAX: usize = 1024 * 1024;

/// One file of the catalogue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CatalogueFile {
    /// The file, as it was named.
    pub file: String,
    /// The server that performs its actions.
    pub server: Option<ServerName>,
    /// What holds for methods of the server that no file lists.
    pub(super) defaults: Defaults,
    /// The entries, in the order of their names, with the place of each.
    pub entries: Vec<(ActionEntry, Place)>,
}

/// What a file says once for all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Defaults {
    pub(super) integrity: Integrity,
    pub(super) confidentiality: Confidentiality,
    pub(super) keep_arguments: bool,
    pub(super) keep_result: bool,
}

/// Reads one file of the catalogue; `file` is how messages name it.
///
/// # Errors
/// Every problem that was found: the author of the file is at fault.
pub fn parse(file: &str, text: &str) -> Result<CatalogueFile, Vec<Diagnostic>> {
    let limits = YamlLimits { bytes: CATALOGUE_BYTES_MAX, ..YamlLimits::default() };
    read_document(&document::read::<CatalogueForm>(file, text, limits)?)
}

/// Reads a catalogue that stands in a document, or in a part of one.
pub(crate) fn read_document(
    document: &Document<CatalogueForm>,
) -> Result<CatalogueFile, Vec<Diagnostic>> {
    let form = &document.content;
    let keep = form.defaults.keep.unwrap_or_default();
    let mut reader = Reader {
        document,
        server: form.server.as_ref().map(|server| &server.0),
        defaults: Defaults {
            integrity: form.defaults.integrity.map_or(Integrity::Untrusted, |word| word.0),
            confidentiality: form
                .defaults
                .confidentiality
                .map_or(Confidentiality::Internal, |word| word.0),
            keep_arguments: keep.arguments,
            keep_result: keep.result,
        },
        entries: Vec::new(),
        problems: Vec::new(),
    };
    reader.all();
    if reader.problems.is_empty() {
        let Reader { server, defaults, entries, .. } = reader;
        Ok(CatalogueFile {
            file: document.file.clone(),
            server: server.cloned(),
            defaults,
            entries,
        })
    } else {
        Err(reader.problems)
    }
}

struct Reader<'a> {
    document: &'a Document<CatalogueForm>,
    server: Option<&'a ServerName>,
    defaults: Defaults,
    entries: Vec<(ActionEntry, Place)>,
    problems: Vec<Diagnostic>,
}

impl Reader<'_> {
    fn all(&mut self) {
        let form = &self.document.content;
        for (name, action) in &form.actions {
            self.entry(&["actions", name], self.server.map(|s| format!("{s}.{name}")), action);
        }
        for (name, action) in &form.methods {
            match self.server {
                Some(server) => {
                    self.entry(&["methods", name], Some(format!("{server}/{name}")), action);
                }
                None => {
                    let problem = self.document.problem("/methods", "methods belong to a server");
                    self.problems.push(problem.with_help("name it: `server: NAME`"));
                    return;
                }
            }
        }
    }

    fn entry(&mut self, path: &[&str; 2], full: Option<String>, form: &ActionForm) {
        let [section, key] = path;
        let pointer = format!("/{section}/{}", key.replace('~', "~0").replace('/', "~1"));
        let place = self
            .document
            .root
            .get(section)
            .and_then(|section| section.entry(key))
            .map_or_else(Place::default, |entry| entry.key_place);
        let name = match ActionName::new(full.unwrap_or_else(|| (*key).to_owned())) {
            Ok(name) => name,
            Err(error) => {
                let problem =
                    Diagnostic::new(&self.document.file, place, pointer, error.to_string());
                return self.problems.push(problem);
            }
        };
        let mut resources = Vec::with_capacity(form.resources.len());
        for (index, resource) in form.resources.iter().enumerate() {
            resources.extend(self.resource(&format!("{pointer}/resources/{index}"), resource));
        }
        let keep = form.keep;
        let defaults = self.defaults;
        let entry = ActionEntry {
            name,
            server: self.server.cloned(),
            tier: form.tier.0,
            effect: form.effect.0,
            guessed: form.guessed,
            integrity: form.integrity.map_or(defaults.integrity, |word| word.0),
            confidentiality: form.confidentiality.map_or(defaults.confidentiality, |word| word.0),
            resources,
            definition: form.definition.as_ref().map(|digest| digest.0),
            additional_arguments: form.additional_arguments == Some(AdditionalArguments::Allow),
            keep_arguments: keep.map_or(defaults.keep_arguments, |keep| keep.arguments),
            keep_result: keep.map_or(defaults.keep_result, |keep| keep.result),
        };
        self.entries.push((entry, place));
    }

    fn resource(&mut self, pointer: &str, form: &ResourceForm) -> Option<ResourceMapping> {
        let model = match (form.form, &form.root) {
            (FormWord::Path, root) => ModelForm::Path { root: root.clone() },
            (FormWord::Text, None) => ModelForm::Text,
            (FormWord::Url, None) => ModelForm::Url,
            (FormWord::Text | FormWord::Url, Some(_)) => {
                let message = "only the form `path` has a root";
                let problem = self.document.problem(&format!("{pointer}/root"), message);
                self.problems.push(problem.with_help("write `form: path`, or leave `root` out"));
                return None;
            }
        };
        Some(ResourceMapping {
            argument: form.argument.clone(),
            ty: form.ty.0.clone(),
            form: model,
            optional: form.optional,
        })
    }
}
