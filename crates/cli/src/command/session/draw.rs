//! Sessions as pictures: Graphviz and Mermaid.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::graph::{Flow, Graph, Source, Step};

/// For Graphviz.
pub(super) fn dot(graph: &Graph) -> String {
    let mut text = String::from("digraph session {\n  rankdir=LR;\n  node [shape=box];\n");
    let name = format!("{}/{}", graph.session.identity, graph.session.scope);
    let _ = writeln!(text, "  label={};", quoted(&[name]));
    if takes_from_task(graph) {
        text.push_str("  task [shape=ellipse];\n");
    }
    for (step, number) in graph.steps.iter().zip(1_usize..) {
        let style = match kind(step) {
            Kind::Denied => ", color=red, style=dashed",
            Kind::Untrusted => ", style=filled, fillcolor=lightsalmon",
            Kind::Plain => "",
        };
        let _ = writeln!(text, "  s{number} [label={}{style}];", quoted(&lines(step, number)));
    }
    for (from, to) in order(graph) {
        let _ = writeln!(text, "  s{from} -> s{to} [style=dotted, color=gray];");
    }
    for ((from, to), edge) in edges(graph) {
        let colour = if edge.untrusted { ", color=red" } else { "" };
        let _ = writeln!(text, "  {from} -> s{to} [label={}{colour}];", quoted(&edge.pointers));
    }
    text + "}\n"
}

/// For Mermaid.
pub(super) fn mermaid(graph: &Graph) -> String {
    let mut text = String::from("flowchart LR\n");
    if takes_from_task(graph) {
        text.push_str("  task([task])\n");
    }
    for (step, number) in graph.steps.iter().zip(1_usize..) {
        let class = match kind(step) {
            Kind::Denied => ":::denied",
            Kind::Untrusted => ":::untrusted",
            Kind::Plain => "",
        };
        let _ = writeln!(text, "  s{number}[\"{}\"]{class}", escaped(&lines(step, number)));
    }
    for (from, to) in order(graph) {
        let _ = writeln!(text, "  s{from} -.- s{to}");
    }
    for ((from, to), edge) in edges(graph) {
        let arrow = if edge.untrusted { "==>" } else { "-->" };
        let _ = writeln!(text, "  {from} {arrow}|\"{}\"| s{to}", escaped(&edge.pointers));
    }
    text + "  classDef denied stroke:#c00,stroke-dasharray:4\n  classDef untrusted fill:#fdb\n"
}

enum Kind {
    Denied,
    /// Something untrusted was read.
    Untrusted,
    Plain,
}

fn kind(step: &Step) -> Kind {
    let read = step.outcome.as_ref().and_then(|outcome| outcome.read.as_ref());
    match (step.permitted, read.is_some_and(|read| read.untrusted)) {
        (false, _) => Kind::Denied,
        (true, true) => Kind::Untrusted,
        (true, false) => Kind::Plain,
    }
}

/// What stands in a decision's box.
fn lines(step: &Step, number: usize) -> Vec<String> {
    let word = if step.permitted { "permit" } else { "deny" };
    let mut lines = vec![format!("{number} {}", step.action)];
    lines.extend(step.resources.iter().cloned());
    lines.push(format!("{word} [{}]", step.rules.join(", ")));
    let read = step.outcome.as_ref().and_then(|outcome| outcome.read.as_ref());
    lines.extend(read.map(|read| format!("read {}", read.words())));
    lines
}

/// Everything that flowed from one place into a decision.
#[derive(Default)]
struct Edge {
    pointers: Vec<String>,
    untrusted: bool,
}

fn edges(graph: &Graph) -> BTreeMap<(String, usize), Edge> {
    let mut edges: BTreeMap<(String, usize), Edge> = BTreeMap::new();
    for (step, number) in graph.steps.iter().zip(1_usize..) {
        for flow in &step.flows {
            let mut draw = |from: String, untrusted: bool| {
                let edge = edges.entry((from, number)).or_default();
                edge.pointers.push(format!("{} ({})", flow.pointer, flow.role));
                edge.untrusted |= untrusted;
            };
            for source in &flow.sources {
                if let Source::Step(from) = source {
                    draw(format!("s{from}"), from_untrusted(flow));
                }
            }
            if from_task(flow) {
                draw("task".to_owned(), false);
            }
        }
    }
    edges
}

/// Each decision with the next one.
fn order(graph: &Graph) -> impl Iterator<Item = (usize, usize)> {
    (1..graph.steps.len()).map(|number| (number, number + 1))
}

fn takes_from_task(graph: &Graph) -> bool {
    graph.steps.iter().flat_map(|step| &step.flows).any(from_task)
}

fn from_task(flow: &Flow) -> bool {
    flow.origins.iter().any(|origin| origin == "task")
}

fn from_untrusted(flow: &Flow) -> bool {
    flow.origins.iter().any(|origin| origin == "untrusted")
}

/// Lines as a text of Graphviz.
fn quoted(lines: &[String]) -> String {
    let lines: Vec<String> =
        lines.iter().map(|line| line.replace('\\', "\\\\").replace('"', "\\\"")).collect();
    format!("\"{}\"", lines.join("\\n"))
}

/// Lines as a text of Mermaid. It looks for directives (`%%{…}%%`), styles and formulas (`$$`) before
/// it knows what is quoted, so whatever is neither letter nor digit is written as a code, save what
/// means nothing to it.
fn escaped(lines: &[String]) -> String {
    let one = |line: &String| {
        let mut text = String::new();
        for c in line.chars() {
            if c.is_alphanumeric() || matches!(c, ' ' | '/' | '.' | ',' | '_' | '-' | '(' | ')') {
                text.push(c);
            } else {
                let _ = write!(text, "#{};", u32::from(c));
            }
        }
        text
    };
    lines.iter().map(one).collect::<Vec<_>>().join("<br/>")
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::super::gather::{Gathered, Key};
    use super::super::text;
    use super::*;
    use crate::story::Placed;

    fn graph() -> Graph {
        let label =
            |integrity: &str| json!({"integrity": integrity, "confidentiality": "internal"});
        let record =
            |id: &str, kind: &str, body: Value| json!({"id": id, "kind": kind, "body": body});
        let decision = |id: &str, word: &str, flow: Value| {
            let body = json!({"decision": word, "action": "desk.send",
                "resources": [{"type": "N::Path", "id": "a\"<b>\u{1b}[2J|"}], "flow": flow,
                "reasons": [{"code": "policy", "policy": {"id": "rule"}}]});
            record(id, "decision", body)
        };
        let flow = json!([{"pointer": "/to", "role": "address", "label": label("untrusted"),
            "origins": ["task", "untrusted"], "sources": ["d1", "gone"]}]);
        let records = [
            decision("d1", "permit", json!([])),
            record(
                "o1",
                "outcome",
                json!({"decision": "d1", "execution": "succeeded",
                "label": label("untrusted"), "declassified": "person"}),
            ),
            decision("d2", "deny", flow),
        ];
        let records = records.into_iter().zip(0..);
        let records = records.map(|(record, sequence)| Placed { sequence, record }).collect();
        let key = Key { identity: "a".into(), scope: "task_1".into() };
        Graph::of(&Gathered { key, records, more: false })
    }

    #[test]
    fn a_picture_says_what_flowed_where_and_obeys_nobody() {
        let graph = graph();
        let dot = dot(&graph);
        assert!(dot.contains(r#"s1 -> s2 [label="/to (address)", color=red];"#), "{dot}");
        assert!(dot.contains(r#"task -> s2 [label="/to (address)"];"#), "{dot}");
        assert!(dot.contains(r#"Path a\"<b>\\u{1b}[2J|"#) && !dot.contains('\u{1b}'), "{dot}");
        let mermaid = mermaid(&graph);
        assert!(mermaid.contains("s1 ==>|\"/to (address)\"| s2"), "{mermaid}");
        assert!(mermaid.contains("a#34;#60;b#62;") && !mermaid.contains("<b>"), "{mermaid}");
    }

    #[test]
    fn no_name_is_a_directive_of_mermaid() {
        for name in [
            "%%{a:",
            "}%%",
            "%%{init: {'themeCSS': '.node rect { fill: green }'}}%%",
            "%% a comment",
            "$$x$$",
            "style: x",
            "\u{fb02}\u{b0}\u{b0}60\u{b6}\u{df}",
        ] {
            let text = escaped(&[name.to_owned()]);
            let kept = |c: char| {
                c.is_alphanumeric() || matches!(c, '#' | ';' | ' ' | '/' | '.' | ',' | '_' | '-')
            };
            assert!(text.chars().all(kept), "{text}");
        }
        assert_eq!(escaped(&["%{'".to_owned()]), "#37;#123;#39;");
    }

    #[test]
    fn the_words_say_the_same() {
        let text = text::graph(&graph());
        for line in [
            "session of a/task_1: 2 decisions, 1 denied; it has read what is untrusted internal\n",
            "succeeded, read what is untrusted internal, declassified by person; the session is now \
             untrusted internal\n",
            "/to (address) <- task and untrusted: step 1, gone  (untrusted internal)\n",
        ] {
            assert!(text.contains(line), "{text}");
        }
        let document = text::document(&graph());
        assert_eq!(document["steps"][1]["flow"][0]["sources"][0], json!({"step": 1}));
    }
}
