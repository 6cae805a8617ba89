//! Arguments, each with where it came from, and with everything made visible that deceives.

use maud::{Markup, html};
use safeconduct_approval::{Mark, ShownValue, shown, shown_text};

use safeconduct_model::Value;

use crate::requests::{Origin, Trust};

/// A text in one line, with everything made visible.
pub(super) fn text(text: &str) -> Markup {
    shown_line(&shown_text(text))
}

/// The same of one that was made visible already.
pub(super) fn shown_line(shown: &ShownValue) -> Markup {
    html! {
        span.text { (shown.lines.join("⏎")) }
        (marks(shown))
    }
}

/// Arguments, each with where it came from.
pub(super) fn arguments(arguments: &Value, origins: &[Origin]) -> Markup {
    let all = shown(arguments);
    let none = matches!(arguments, Value::Object(members) if members.is_empty());
    html! {
        @if none {
            p.note { "No arguments." }
        } @else {
            dl.arguments { @for value in &all.values { (argument(value, origins)) } }
        }
        @if all.values.iter().any(|value| value.left_out > 0) {
            p.warning { "A text is too long to be shown from beginning to end, so it can only be \
                         refused here." }
        }
        @if all.more > 0 {
            p.warning { "And " (all.more) " more values that are not shown, so it can only be \
                         refused here." }
        }
    }
}

fn argument(value: &ShownValue, origins: &[Origin]) -> Markup {
    // Pointers are shown with marks, and an odd name must not lose where its value came from.
    let written = |pointer: &str| shown_text(pointer).lines.join("⟨U+000A⟩");
    let origin = origins.iter().find(|origin| written(&origin.pointer) == value.pointer);
    html! {
        div.argument {
            dt {
                code { (name(&value.pointer)) }
                @if let Some(origin) = origin { span.role { (origin.role.as_str()) } }
            }
            dd {
                pre { @for (index, line) in value.lines.iter().enumerate() {
                    @if index > 0 { "\n" }
                    (line)
                } }
                (marks(value))
                @if value.bytes > 120 { p.note { (value.bytes) " bytes" } }
                @if let Some(origin) = origin { (trust(origin)) }
            }
        }
    }
}

fn trust(origin: &Origin) -> Markup {
    let (class, word) = match origin.trust {
        Trust::Trusted => ("origin trusted", "Trusted"),
        Trust::Untrusted => ("origin untrusted", "Untrusted"),
        Trust::Unseen => ("origin unseen", "Seen nowhere"),
    };
    html! { p class=(class) { strong { (word) } " – " (origin.words) } }
}

fn marks(value: &ShownValue) -> Markup {
    html! {
        @if !value.marks.is_empty() {
            ul.marks { @for mark in &value.marks { li { (Mark::message(*mark)) } } }
        }
    }
}

/// The pointer without its first slash, for people who have never seen one.
pub(super) fn name(pointer: &str) -> &str {
    match pointer.strip_prefix('/') {
        Some(name) if !name.is_empty() => name,
        _ => "value",
    }
}
