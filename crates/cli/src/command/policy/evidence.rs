//! Where arguments came from, for people and for programs.

use safeconduct_model::{ArgumentRole, Confidentiality, Label};
use safeconduct_session::flow::{LeafOrigin, Origins, Place, Provenance};
use serde_json::{Value as Json, json};

use crate::story;

/// One line for each argument that something is known of, or that decides something; then what
/// they carry out.
pub(super) fn lines(origins: &Origins) -> Vec<String> {
    let mut lines: Vec<String> = told(origins).map(|leaf| story::plain(&line(leaf))).collect();
    let carries = &origins.carries;
    if carries.confidentiality > Confidentiality::Public || !carries.categories.is_empty() {
        let categories: String = carries.categories.iter().map(|one| format!(" {one}")).collect();
        let covered = match carries.coverage {
            0 => String::new(),
            permille => format!(", {}% of a source", permille.div_ceil(10)),
        };
        let level = carries.confidentiality.as_str();
        lines.push(format!("carries      {level}{categories}{covered}"));
    }
    lines
}

/// The same for programs.
pub(super) fn document(origins: &Origins) -> Json {
    let arguments = told(origins).map(|leaf| {
        json!({
            "pointer": &*leaf.pointer,
            "of": of(leaf),
            "role": leaf.role.as_str(),
            "seen": leaf.seen.iter().map(Provenance::as_str).collect::<Vec<_>>(),
            "label": label(&leaf.label),
            "sources": leaf.evidence.iter().map(AsRef::<str>::as_ref).collect::<Vec<_>>(),
        })
    });
    json!({
        "arguments": arguments.collect::<Vec<_>>(),
        "carries": {
            "confidentiality": origins.carries.confidentiality.as_str(),
            "categories": origins.carries.categories.iter().map(|c| c.as_str()).collect::<Vec<_>>(),
            "permille_of_a_source": origins.carries.coverage,
        },
    })
}

fn told(origins: &Origins) -> impl Iterator<Item = &LeafOrigin> {
    origins
        .leaves
        .iter()
        .filter(|leaf| leaf.role != ArgumentRole::Content || !leaf.is(Provenance::Unseen))
}

const fn of(leaf: &LeafOrigin) -> &'static str {
    match leaf.place {
        Place::Value => "value",
        Place::Name => "name",
    }
}

fn line(leaf: &LeafOrigin) -> String {
    let seen: Vec<&str> = leaf.seen.iter().map(Provenance::as_str).collect();
    let name = match leaf.place {
        Place::Value => "",
        Place::Name => ", its name",
    };
    let mut line = format!(
        "flow         {} ({}{name}): {}",
        if leaf.pointer.is_empty() { "the rest" } else { &leaf.pointer },
        leaf.role.as_str(),
        seen.join(", "),
    );
    if !leaf.evidence.is_empty() {
        let sources: Vec<&str> = leaf.evidence.iter().map(AsRef::as_ref).collect();
        line += &format!(" in {}", sources.join(", "));
    }
    if leaf.label != Label::LEAST {
        let Label { integrity, confidentiality, categories } = &leaf.label;
        line += &format!("; {} {}", integrity.as_str(), confidentiality.as_str());
        line.extend(categories.iter().map(|category| format!(" {category}")));
    }
    line
}

fn label(label: &Label) -> Json {
    json!({
        "integrity": label.integrity.as_str(),
        "confidentiality": label.confidentiality.as_str(),
        "categories": label.categories.iter().map(|one| one.as_str()).collect::<Vec<_>>(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use safeconduct_model::Value;
    use safeconduct_session::flow::Flow;

    #[test]
    fn a_pointer_says_nothing_to_a_terminal() {
        let uses = [safeconduct_model::ArgumentUse {
            argument: "/to".into(),
            role: ArgumentRole::Address,
        }];
        let odd = Value::object([("a\u{1b}[2J\n\u{202e}b", Value::from("x"))]);
        let arguments = Value::object([("to", odd)]);
        let lines = lines(&Flow::keyed([7; 16]).look_up(&arguments, &uses));
        assert!(
            lines.iter().any(|line| line.contains("/to/a\\u{1b}[2J\\u{a}\\u{202e}b")),
            "{lines:?}"
        );
        assert!(!lines.concat().contains(['\u{1b}', '\n', '\u{202e}']), "{lines:?}");
    }
}
