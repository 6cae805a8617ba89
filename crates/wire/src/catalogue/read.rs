//! One file of the catalogue, read into entries of the model.

use std::collections::BTreeSet;
use std::sync::Arc;

use safeconduct_model::{
    ActionEntry, ActionName, ArgumentRole, ArgumentUse, CATEGORIES_MAX, Category, Confidentiality,
    Declassifier, Effect, FieldLabel, Integrity, Label, Raise, ResourceForm as ModelForm,
    ResourceMapping, Returns, ServerName,
};

use super::form::{
    ActionForm, AdditionalArguments, CatalogueForm, DeclassifierForm, FieldForm, FormWord,
    ResourceForm,
};
use super::methods::method_resources;
use crate::document::{self, Diagnostic, Document, Place, Written, YamlLimits};
use crate::intent::literal_rules;

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
    /// The ways to lower a label, with the place of each.
    pub declassifiers: Vec<(Declassifier, Place)>,
}

/// What a file says once for all.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Defaults {
    pub(super) label: Label,
    pub(super) accepts: Option<Confidentiality>,
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
            label: Label {
                integrity: form.defaults.integrity.map_or(Integrity::Untrusted, |word| word.0),
                confidentiality: form
                    .defaults
                    .confidentiality
                    .map_or(Confidentiality::Internal, |word| word.0),
                categories: BTreeSet::new(),
            },
            accepts: form.defaults.accepts.map(|word| word.0),
            keep_arguments: keep.arguments,
            keep_result: keep.result,
        },
        entries: Vec::new(),
        declassifiers: Vec::new(),
        problems: Vec::new(),
    };
    let categories = reader.categories("/defaults/categories", &form.defaults.categories);
    reader.defaults.label.categories = categories;
    reader.all();
    if reader.problems.is_empty() {
        let Reader { server, defaults, entries, declassifiers, .. } = reader;
        Ok(CatalogueFile {
            file: document.file.clone(),
            server: server.cloned(),
            defaults,
            entries,
            declassifiers,
        })
    } else {
        Err(reader.problems)
    }
}

/// What arguments decide: as it is said, and those that name a resource are addresses.
pub(super) fn roles(
    said: impl Iterator<Item = ArgumentUse>,
    resources: &[ResourceMapping],
) -> Vec<ArgumentUse> {
    let mut roles: Vec<_> = said.collect();
    for mapping in resources {
        if !roles.iter().any(|role| *role.argument == *mapping.argument) {
            let argument = mapping.argument.as_str().into();
            roles.push(ArgumentUse { argument, role: ArgumentRole::Address });
        }
    }
    roles
}

struct Reader<'a> {
    document: &'a Document<CatalogueForm>,
    server: Option<&'a ServerName>,
    defaults: Defaults,
    entries: Vec<(ActionEntry, Place)>,
    declassifiers: Vec<(Declassifier, Place)>,
    problems: Vec<Diagnostic>,
}

impl Reader<'_> {
    fn all(&mut self) {
        let form = &self.document.content;
        for (name, declassifier) in &form.declassifiers {
            self.declassifier(name, declassifier);
        }
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
        if resources.is_empty() && section == &"methods" {
            resources.extend(method_resources(key));
        }
        let keep = form.keep;
        let returns = self.returns(&pointer, form);
        let sends = form.effect.0 == Effect::Send;
        let accepts = match (form.accepts, self.defaults.accepts) {
            (Some(word), _) => word.0,
            (None, Some(default)) => default,
            (None, None) if sends => Confidentiality::Public,
            // A system that hands such content out may be given such content.
            (None, None) => returns.highest().confidentiality,
        };
        let arguments = form.arguments.iter().map(|argument| ArgumentUse {
            argument: argument.argument.as_str().into(),
            role: argument.role.0,
        });
        let raises = self.raises(&pointer, form);
        let defaults = &self.defaults;
        let entry = ActionEntry {
            name,
            server: self.server.cloned(),
            tier: form.tier.0,
            raises,
            effect: form.effect.0,
            guessed: form.guessed,
            returns,
            accepts,
            arguments: roles(arguments, &resources),
            resources,
            definition: form.definition.as_ref().map(|digest| digest.0),
            additional_arguments: form.additional_arguments == Some(AdditionalArguments::Allow),
            keep_arguments: keep.map_or(defaults.keep_arguments, |keep| keep.arguments),
            keep_result: keep.map_or(defaults.keep_result, |keep| keep.result),
        };
        self.entries.push((entry, place));
    }

    fn raises(&mut self, pointer: &str, form: &ActionForm) -> Vec<Raise> {
        let mut raises = Vec::with_capacity(form.raise.len());
        for (index, raise) in form.raise.iter().enumerate() {
            let pointer = format!("{pointer}/raise/{index}");
            if raise.to.0 <= form.tier.0 {
                let message = "this raises nothing: the action has that tier already";
                self.problems.push(self.document.problem(&format!("{pointer}/to"), message));
            }
            let source = (&*self.document.file, &self.document.root);
            match literal_rules(source, &format!("{pointer}/unless"), &raise.unless) {
                Ok(unless) => raises.push(Raise { to: raise.to.0, unless }),
                Err(found) => self.problems.extend(found),
            }
        }
        raises
    }

    fn returns(&mut self, pointer: &str, form: &ActionForm) -> Returns {
        let of_file = self.defaults.label.clone();
        let default = Label {
            integrity: form.integrity.map_or(of_file.integrity, |word| word.0),
            confidentiality: form.confidentiality.map_or(of_file.confidentiality, |word| word.0),
            categories: match &form.categories {
                Some(own) => self.categories(&format!("{pointer}/categories"), own),
                None => of_file.categories,
            },
        };
        let fields = form.fields.iter().enumerate().map(|(index, field)| FieldLabel {
            pointer: field.field.as_str().into(),
            label: self.field(&format!("{pointer}/fields/{index}"), field, &default),
        });
        Returns { fields: fields.collect(), default }
    }

    fn field(&mut self, pointer: &str, form: &FieldForm, rest: &Label) -> Label {
        Label {
            integrity: form.integrity.map_or(rest.integrity, |word| word.0),
            confidentiality: form.confidentiality.map_or(rest.confidentiality, |word| word.0),
            categories: match &form.categories {
                Some(own) => self.categories(&format!("{pointer}/categories"), own),
                None => rest.categories.clone(),
            },
        }
    }

    fn categories(&mut self, pointer: &str, written: &[Written<Category>]) -> BTreeSet<Category> {
        if written.len() > CATEGORIES_MAX {
            let message = format!("there are more than {CATEGORIES_MAX} categories");
            self.problems.push(self.document.problem(pointer, message));
        }
        written.iter().map(|category| category.0.clone()).take(CATEGORIES_MAX).collect()
    }

    fn declassifier(&mut self, name: &str, form: &DeclassifierForm) {
        let pointer = format!("/declassifiers/{}", name.replace('~', "~0").replace('/', "~1"));
        if !crate::document::is_secret_name(name) {
            let message = format!("`{name}` is no name: letters, digits, `.`, `_` and `-`");
            return self.problems.push(self.document.problem(&pointer, message));
        }
        let categories = self.categories(&format!("{pointer}/drops"), &form.drops);
        let place = self
            .document
            .root
            .get("declassifiers")
            .and_then(|section| section.entry(name))
            .map_or_else(Place::default, |entry| entry.key_place);
        let declassifier = Declassifier {
            name: Arc::from(name),
            requires: form.requires.iter().map(|obligation| obligation.0.clone()).collect(),
            // What it does not speak of stays as it is.
            to: Label {
                integrity: form.integrity.map_or(Integrity::Untrusted, |word| word.0),
                confidentiality: form.confidentiality.map_or(Confidentiality::Secret, |w| w.0),
                categories,
            },
        };
        self.declassifiers.push((declassifier, place));
    }

    fn resource(&mut self, pointer: &str, form: &ResourceForm) -> Option<ResourceMapping> {
        let model = match (form.form, &form.root) {
            (FormWord::Path, root) => ModelForm::Path { root: root.clone() },
            (FormWord::Text, None) => ModelForm::Text,
            (FormWord::Url, None) => ModelForm::Url,
            (FormWord::Uri, None) => ModelForm::Uri,
            (FormWord::Text | FormWord::Url | FormWord::Uri, Some(_)) => {
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
