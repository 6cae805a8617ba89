//! The envelope: what may be done, with constraints whose texts may hold parameters.

use std::sync::Arc;

use safeconduct_model::{
    Absent, Allowance, ArgumentRule, Constraint, OtherArguments, RULES_MAX, ResourceRule, Term,
    Value, is_in_domain, is_under,
};

use super::form::{AllowanceForm, OtherArgumentsWord, ResourceRuleForm};
use super::term::{Parameters, Slip, Sort};
use crate::document::{Diagnostic, Node};

/// Every constraint, in the order in which an argument's rules are kept.
const CONSTRAINTS: [&str; 7] =
    ["equals", "one_of", "at_most", "at_least", "under", "domain", "longest_bytes"];

/// What was written, and where: values are read from the nodes, where numbers are exact.
#[derive(Clone, Copy)]
pub(super) struct Source<'a> {
    /// The file, as messages name it.
    pub(super) file: &'a str,
    pub(super) root: &'a Node,
}

impl Source<'_> {
    /// A problem at the value of that JSON Pointer, or as near to it as the document goes.
    pub(super) fn problem(&self, pointer: &str, message: impl Into<String>) -> Diagnostic {
        Diagnostic::new(self.file, self.root.nearest(pointer).place, pointer, message)
    }
}

/// Reads the allowances of one document: those at `/envelope`.
pub(super) struct EnvelopeReader<'a> {
    pub(super) source: Source<'a>,
    pub(super) forms: &'a [AllowanceForm],
    pub(super) parameters: Parameters<'a>,
    pub(super) problems: Vec<Diagnostic>,
}

impl EnvelopeReader<'_> {
    pub(super) fn all(&mut self) -> Vec<Allowance<Term>> {
        let forms = self.forms.iter().enumerate();
        forms.map(|(index, form)| self.allowance(&format!("/envelope/{index}"), form)).collect()
    }

    fn allowance(&mut self, pointer: &str, form: &AllowanceForm) -> Allowance<Term> {
        let resources = form.resources.iter().enumerate().map(|(index, resource)| {
            self.resource(&format!("{pointer}/resources/{index}"), resource)
        });
        let resources: Vec<_> = resources.collect();
        let mut arguments = Vec::new();
        for (argument, form) in &form.arguments {
            let token = argument.replace('~', "~0").replace('/', "~1");
            let constraints = self.argument(&format!("{pointer}/arguments/{token}"));
            let absent = if form.optional { Absent::Allowed } else { Absent::Refused };
            let argument: Arc<str> = argument.as_str().into();
            arguments.extend(constraints.into_iter().map(|constraint| ArgumentRule {
                pointer: Arc::clone(&argument),
                constraint,
                absent,
            }));
        }
        if resources.len() + arguments.len() > RULES_MAX {
            self.report(pointer, format!("this has more than {RULES_MAX} rules"), None);
        }
        Allowance {
            action: form.action.0.clone(),
            resources,
            arguments,
            others: match form.other_arguments {
                OtherArgumentsWord::Refused => OtherArguments::Refused,
                OtherArgumentsWord::Allowed => OtherArguments::Allowed,
            },
        }
    }

    fn resource(&mut self, pointer: &str, form: &ResourceRuleForm) -> ResourceRule<Term> {
        let id = form.id.as_ref().and_then(|_| {
            let pointer = format!("{pointer}/id");
            let mut found =
                self.constraints(&pointer, |parameters, value| parameters.id_term(value));
            if found.len() > 1 {
                self.report(&pointer, "an id is held against one constraint only".into(), None);
            }
            if found.is_empty() && self.node(&pointer).entries().is_empty() {
                let help = "leave `id` out where any will do";
                self.report(&pointer, "nothing is said of the id".into(), Some(help.into()));
            }
            found.pop()
        });
        ResourceRule { ty: form.ty.0.clone(), id }
    }

    pub(super) fn argument(&mut self, pointer: &str) -> Vec<Constraint<Term>> {
        let said = |node: &Node| CONSTRAINTS.iter().any(|keyword| node.get(keyword).is_some());
        if !said(self.node(pointer)) {
            let words = crate::field::listed(&CONSTRAINTS);
            let help = format!("write one of {words}");
            self.report(pointer, "nothing is said of this argument".into(), Some(help));
        }
        self.constraints(pointer, |parameters, value| parameters.term(value))
    }

    /// The constraints that stand at a pointer; what does not fit is reported and left out.
    fn constraints(
        &mut self,
        pointer: &str,
        term: fn(&Parameters<'_>, &Value) -> Result<Term, Slip>,
    ) -> Vec<Constraint<Term>> {
        let mut found = Vec::new();
        for keyword in CONSTRAINTS {
            let Some(node) = self.node(pointer).get(keyword) else {
                continue;
            };
            let read = |node: &Node| term(&self.parameters, &node.to_value());
            let constraint = match keyword {
                "longest_bytes" => Ok(Constraint::LongestBytes(bytes(node))),
                "one_of" => {
                    let terms: Result<Vec<_>, _> = node.items().iter().map(read).collect();
                    terms.map(Constraint::OneOf)
                }
                _ => read(node).and_then(|term| self.single(keyword, term)),
            };
            match constraint {
                Ok(constraint) => found.push(constraint),
                Err(slip) => {
                    self.report(&format!("{pointer}/{keyword}"), slip.message, slip.help);
                }
            }
        }
        found
    }

    /// A constraint of one term, where that can ever be kept.
    fn single(&self, keyword: &str, term: Term) -> Result<Constraint<Term>, Slip> {
        let sort = self.parameters.sort(&term);
        let wanted = match keyword {
            "at_most" | "at_least" => Sort::Number,
            "under" | "domain" => Sort::Text,
            _ => sort,
        };
        if sort != wanted {
            let message = format!("this is {}, but must be {}", sort.as_str(), wanted.as_str());
            return Err(Slip { message, help: None });
        }
        let never = |message: &str| Slip { message: message.into(), help: None };
        let literal = match &term {
            Term::Literal(value) => value.as_str(),
            _ => None,
        };
        match (keyword, literal) {
            ("under", Some(folder)) if !is_folder(folder) => Err(never(
                "nothing lies under this: a folder has no `.`, `..`, `\\` or empty segment, nor one of \
                 them percent-encoded",
            )),
            ("domain", Some(domain)) if !is_domain(domain) => {
                Err(never("nothing lies in this: a domain is a host name, such as `example.org`"))
            }
            ("at_most", _) => Ok(Constraint::AtMost(term)),
            ("at_least", _) => Ok(Constraint::AtLeast(term)),
            ("under", _) => Ok(Constraint::Under(term)),
            ("domain", _) => Ok(Constraint::Domain(term)),
            _ => Ok(Constraint::Equals(term)),
        }
    }

    fn node(&self, pointer: &str) -> &Node {
        self.source.root.nearest(pointer)
    }

    fn report(&mut self, pointer: &str, message: String, help: Option<String>) {
        let problem = self.source.problem(pointer, message);
        self.problems.push(Diagnostic { help, ..problem });
    }
}

/// The schema has held it between 1 and its most.
fn bytes(node: &Node) -> u64 {
    node.to_value().as_integer().and_then(|n| u64::try_from(n).ok()).unwrap_or(0)
}

fn is_folder(text: &str) -> bool {
    text == "/" || is_under(text.strip_suffix('/').unwrap_or(text), text)
}

fn is_domain(text: &str) -> bool {
    let fits = |c: char| c.is_ascii_alphanumeric() || "-.".contains(c);
    text.chars().all(fits) && is_in_domain(text, text)
}
