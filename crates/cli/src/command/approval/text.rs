//! Access requests in words: everything that whoever answers must see, and nothing in it that a
//! terminal would act on or that looks like something else.

use std::fmt::Write as _;

use serde_json::Value;

use crate::story::text as at;

/// A text with everything made visible that a terminal would act on or not show.
pub(super) fn plain(text: &str) -> String {
    let hidden = |c: char| {
        c.is_control()
            || matches!(u32::from(c), 0xAD | 0x200B..=0x200F | 0x202A..=0x202E | 0x2060..=0x206F | 0xFEFF | 0xE0000..=0xE007F)
    };
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match hidden(c) {
            true => {
                let _ = write!(out, "⟨U+{:04X}⟩", u32::from(c));
            }
            false => out.push(c),
        }
    }
    out
}

/// Whether it is answered with a passkey.
pub(super) fn takes_a_passkey(request: &Value) -> bool {
    at(request, "/assurance") == "high"
}

/// What is said where people find no page.
pub(super) const NO_PAGES: &str =
    "the server has no pages: set `sign_in:` in its configuration (docs/approvals.md)";

/// The page on which people answer it.
pub(super) fn page(request: &Value) -> Option<&str> {
    request.get("link").and_then(Value::as_str)
}

/// The same behind a sentence, where there is one.
pub(super) fn on_page(request: &Value) -> String {
    page(request).map_or_else(String::new, |page| format!(": {}", plain(page)))
}

/// What answers must be proved with.
pub(super) fn proof(request: &Value) -> &'static str {
    if takes_a_passkey(request) { "passkey" } else { "token" }
}

/// Whether [`request`] shows every value of it, from beginning to end.
pub(super) fn is_all_shown(request: &Value) -> bool {
    let count = |value: &Value, name: &str| value.get(name).and_then(Value::as_u64).unwrap_or(0);
    let Some(asked) = request.get("asked") else { return true };
    let mut leaves = each(asked, "/shown").chain(each(asked, "/shown_beside"));
    count(asked, "more") == 0 && leaves.all(|leaf| count(leaf, "left_out") == 0)
}

/// How far an approval reaches, as it was typed.
pub(super) fn extent(extent: &Value) -> String {
    let uses = extent.get("uses").and_then(Value::as_u64).unwrap_or_default();
    let most = extent.get("at_most").and_then(Value::as_object);
    let most = most.into_iter().flatten();
    let most = most.map(|(pointer, most)| format!("{} at most {most}", plain(pointer)));
    let within = extent.get("within").and_then(Value::as_object).into_iter().flatten();
    let within = within.map(|(pointer, bound)| format!("{} {}", plain(pointer), bounded(bound)));
    let any = extent.get("resources").map(|_| "any resource of the same type".to_owned());
    let bounds: Vec<String> = most.chain(within).chain(any).collect();
    let bounds = if bounds.is_empty() { String::new() } else { format!(", {}", bounds.join(", ")) };
    match at(extent, "/scope") {
        "task" => format!("{uses} times in its task{bounds}"),
        "until" => format!("{uses} times until {}{bounds}", at(extent, "/until")),
        "edited" => format!("once{bounds}"),
        _ => "once, exactly as shown".to_owned(),
    }
}

/// What an argument may be, in words.
fn bounded(bound: &Value) -> String {
    let said = |name: &str| bound.get(name).map(|value| plain(&value.to_string()).to_string());
    let words = [
        ("one_of", "is one of what was asked for and"),
        ("under", "lies in"),
        ("domain", "is of the domain"),
        ("longest_bytes", "is any text with at most so many bytes:"),
    ];
    let found = words.iter().find_map(|(name, words)| Some(format!("{words} {}", said(name)?)));
    found.unwrap_or_default()
}

/// One answer.
pub(super) fn answer(answer: &Value) -> String {
    let word = if at(answer, "/answer") == "refuse" { "refused" } else { "approved" };
    let mut line = format!("{word} by {}", plain(at(answer, "/by")));
    for (pointer, before) in
        [("/standing_in_for", " for "), ("/term", " as "), ("/method", " with ")]
    {
        if let Some(said) = answer.pointer(pointer).and_then(Value::as_str) {
            let _ = write!(line, "{before}{}", plain(said));
        }
    }
    if let Some(reason) = answer.pointer("/reason").and_then(Value::as_str) {
        let _ = write!(line, ": {}", plain(reason));
    }
    line
}

/// A request in full.
pub(super) fn request(request: &Value) -> String {
    let mut out = Lines::default();
    let of = |pointer: &str| plain(at(request, pointer));
    let state = match at(request, "/state") {
        "pending" => format!("pending; if nobody answers, {}", of("/if_unanswered")),
        _ => of("/state"),
    };
    out.line(&of("/id"), &state);
    who(request, &mut out);
    out.line("action", &of("/action"));
    for resource in each(request, "/resources") {
        let (ty, id) = (plain(at(resource, "/type")), plain(at(resource, "/id")));
        out.line("resource", &format!("{ty}::\"{id}\""));
    }
    what(request, &mut out);
    evidence(request, &mut out);
    answers(request, &mut out);
    out.line("digest", &of("/digest"));
    out.line("page", &page(request).map_or_else(|| NO_PAGES.to_owned(), plain));
    out.0
}

fn who(request: &Value, out: &mut Lines) {
    let of = |pointer: &str| plain(at(request, pointer));
    let mut agent = of("/agent");
    for (pointer, before) in
        [("/on_behalf_of", ", for "), ("/intent", ", under "), ("/task", ", in ")]
    {
        if let Some(said) = request.pointer(pointer).and_then(Value::as_str) {
            let _ = write!(agent, "{before}{}", plain(said));
        }
    }
    out.line("agent", &agent);
    let above: Vec<String> =
        each(request, "/actors").skip(1).filter_map(Value::as_str).map(plain).collect();
    if !above.is_empty() {
        out.line("delegated by", &above.join(", by "));
    }
    if of("/asked_by") != of("/agent") {
        out.line("asked by", &of("/asked_by"));
    }
    out.line("asked at", &of("/opened_at"));
}

fn what(request: &Value, out: &mut Lines) {
    let Some(asked) = request.get("asked") else {
        return out.line("arguments", "erased: it can only be refused");
    };
    out.line("tier", &plain(at(asked, "/tier")));
    if let Some(because) = asked.get("justification") {
        out.line("because", "(the words of who asks; nobody has checked them)");
        let words = each(because, "/lines").filter_map(Value::as_str);
        words.for_each(|line| out.below(&format!("| {}", plain(line))));
    }
    out.line("arguments", if asked.pointer("/shown/0").is_none() { "none" } else { "" });
    each(asked, "/shown").for_each(|one| leaf(one, out));
    if asked.get("asserted").is_some() {
        out.line("beside them", "(what the enforcement point says)");
        each(asked, "/shown_beside").for_each(|one| leaf(one, out));
    }
    let more = asked.get("more").and_then(Value::as_u64).unwrap_or_default();
    if more > 0 {
        out.line("", &format!("and {more} more that are not shown: see -o json"));
    }
}

fn leaf(leaf: &Value, out: &mut Lines) {
    let pointer = plain(at(leaf, "/pointer"));
    let marks: Vec<&str> = each(leaf, "/marks").filter_map(Value::as_str).collect();
    let marks = match marks.is_empty() {
        true => String::new(),
        false => format!("  <- look twice: {}", marks.join(", ").replace('_', " ")),
    };
    let lines: Vec<String> = each(leaf, "/lines").filter_map(Value::as_str).map(plain).collect();
    let name = if pointer.is_empty() { "(all)".to_owned() } else { pointer };
    match lines.as_slice() {
        [line] => out.below(&format!("{name} = {line}{marks}")),
        lines => {
            out.below(&format!("{name} ={marks}"));
            lines.iter().for_each(|line| out.below(&format!("  | {line}")));
        }
    }
    let left_out = leaf.get("left_out").and_then(Value::as_u64).unwrap_or_default();
    if left_out > 0 {
        out.below(&format!("  | ({left_out} characters in the middle are not shown)"));
    }
}

fn evidence(request: &Value, out: &mut Lines) {
    let Some(evidence) = request.get("evidence") else { return };
    let of = |pointer: &str| plain(at(evidence, pointer));
    out.line("denied by", &of("/denied_by"));
    for reason in each(evidence, "/reasons") {
        let policy = plain(at(reason, "/policy"));
        let name = if policy.is_empty() { plain(at(reason, "/code")) } else { policy };
        out.below(&format!("{name}: {}", plain(at(reason, "/message"))));
    }
    let mut origins = each(evidence, "/flow").peekable();
    if origins.peek().is_some() {
        out.line("came from", "");
        origins.for_each(|flow| out.below(&origin(flow)));
    }
    let number = |pointer: &str| evidence.pointer(pointer).and_then(Value::as_u64).unwrap_or(0);
    let (now, then) = (number("/risk/score"), number("/risk_then"));
    out.line(
        "risk",
        &format!("{now} of 100 now ({}), {then} when it was denied", of("/risk/level")),
    );
    for part in each(evidence, "/risk/parts") {
        let points = part.get("points").and_then(Value::as_u64).unwrap_or(0);
        let detail = plain(at(part, "/detail"));
        out.below(&format!("{points} {} {detail}", plain(at(part, "/kind"))));
    }
    let (approved, refused) = (number("/earlier/approved"), number("/earlier/refused"));
    let unanswered = number("/earlier/unanswered");
    let earlier = format!("{approved} approved, {refused} refused, {unanswered} not answered");
    out.line("like it before", &earlier);
    let own = at(request, "/id");
    let group: Vec<String> = each(evidence, "/group")
        .filter_map(Value::as_str)
        .filter(|id| *id != own)
        .map(plain)
        .collect();
    if !group.is_empty() {
        out.line("like it now", &group.join(", "));
    }
}

fn origin(flow: &Value) -> String {
    let seen: Vec<String> = each(flow, "/origins").filter_map(Value::as_str).map(plain).collect();
    let seen = match seen.is_empty() {
        true => "the agent itself".to_owned(),
        false => seen.join(", "),
    };
    let sources: Vec<String> =
        each(flow, "/sources").filter_map(Value::as_str).map(plain).collect();
    let sources = match sources.is_empty() {
        true => String::new(),
        false => format!(" ({})", sources.join(", ")),
    };
    format!("{} = {seen}, {}{sources}", plain(at(flow, "/pointer")), plain(at(flow, "/integrity")))
}

fn answers(request: &Value, out: &mut Lines) {
    let of = |pointer: &str| plain(at(request, pointer));
    let quorum = request.get("quorum").and_then(Value::as_u64).unwrap_or(1);
    let proof = match takes_a_passkey(request) {
        true => "with a passkey",
        false => "with any proof",
    };
    out.line("approvers", &format!("{}; {quorum} must approve, {proof}", of("/approvers")));
    for one in each(request, "/answers") {
        out.below(&answer(one));
    }
    if let Some(approval) = request.get("approval") {
        let left = approval.get("uses_left").and_then(Value::as_u64).unwrap_or(0);
        let (scope, until) = (plain(at(approval, "/scope")), plain(at(approval, "/until")));
        out.line("approval", &format!("{scope}, {left} left until {until}"));
    }
    if let Some(reach) = request.get("reaches") {
        reaches(reach, out);
    }
    let may = request.get("may_answer") == Some(&Value::Bool(true));
    out.line("you", &if may { "may answer".to_owned() } else { of("/may_not_because") });
}

/// How far a yes reaches: what others must say too, and what is taken back or not.
fn reaches(reach: &Value, out: &mut Lines) {
    let uses = reach.get("uses").and_then(Value::as_u64).unwrap_or(0);
    let until = match at(reach, "/until") {
        "" => String::new(),
        until => format!(" until {}", plain(until)),
    };
    let times = crate::output::counted(usize::try_from(uses).unwrap_or(usize::MAX), "use", "uses");
    out.line("approved so far", &format!("{}, {times}{until}", plain(at(reach, "/scope"))));
    for resource in each(reach, "/resources") {
        let ty = plain(at(resource, "/type"));
        match resource.get("id") {
            Some(id) => bound(&ty, id, out),
            None => out.below(&format!("{ty}: any")),
        }
    }
    for argument in each(reach, "/arguments") {
        let pointer = plain(at(argument, "/pointer"));
        let name = if pointer.is_empty() { "(all)" } else { &pointer };
        bound(name, argument, out);
    }
}

/// What a value must be, in the words in which it was said.
fn bound(name: &str, bound: &Value, out: &mut Lines) {
    let rule = match at(bound, "/rule") {
        "equals" => "=".to_owned(),
        rule => plain(rule).replace('_', " "),
    };
    let several = each(bound, "/shown").count() > 1;
    for one in each(bound, "/shown") {
        let marks: Vec<&str> = each(one, "/marks").filter_map(Value::as_str).collect();
        let marks = match marks.is_empty() {
            true => String::new(),
            false => format!("  <- look twice: {}", marks.join(", ").replace('_', " ")),
        };
        let inner = match several {
            true => format!(" {}:", plain(at(one, "/pointer"))),
            false => String::new(),
        };
        let lines: Vec<String> = each(one, "/lines").filter_map(Value::as_str).map(plain).collect();
        out.below(&format!("{name} {rule}{inner} {}{marks}", lines.join("⏎")));
    }
}

fn each<'v>(value: &'v Value, pointer: &str) -> impl Iterator<Item = &'v Value> {
    value.pointer(pointer).and_then(Value::as_array).into_iter().flatten()
}

/// Names in one column, what they are in the other.
#[derive(Default)]
struct Lines(String);

impl Lines {
    fn line(&mut self, name: &str, text: &str) {
        let line = format!("{name:15} {text}");
        self.0.push_str(line.trim_end());
        self.0.push('\n');
    }

    fn below(&mut self, text: &str) {
        let _ = writeln!(self.0, "  {text}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn nothing_reaches_a_terminal_that_it_would_act_on() {
        assert_eq!(plain("a\u{1b}[2Jb\u{202e}c\nd"), "a⟨U+001B⟩[2Jb⟨U+202E⟩c⟨U+000A⟩d");
        let shown = request(&json!({
            "id": "req_1", "state": "pending", "agent": "a\u{7}b", "asked_by": "a\u{7}b",
            "asked": { "tier": "low", "shown": [
                { "pointer": "/to", "lines": ["\u{1b}]0;x"], "marks": ["looks_latin"] },
            ]},
        }));
        assert!(!shown.contains(|c: char| c.is_control() && c != '\n'), "{shown:?}");
        assert!(shown.contains("look twice: looks latin"), "{shown}");
    }

    #[test]
    fn what_is_not_all_shown_is_known() {
        let asked = |more: u64, left_out: u64, beside: u64| {
            is_all_shown(&json!({ "asked": { "more": more,
                "shown": [{ "pointer": "/a", "lines": ["x"], "left_out": left_out }],
                "shown_beside": [{ "pointer": "/b", "lines": ["y"], "left_out": beside }] } }))
        };
        assert!(asked(0, 0, 0));
        assert!(!asked(1, 0, 0) && !asked(0, 1, 0) && !asked(0, 0, 1));
    }

    #[test]
    fn how_far_a_yes_reaches_is_shown_bound_by_bound() {
        let leaf = |line: &str| json!([{ "pointer": "", "lines": [line], "marks": [] }]);
        let shown = request(&json!({
            "id": "req_1", "state": "pending", "asked": { "tier": "low", "shown": [] },
            "reaches": { "scope": "until", "uses": 3, "until": "2027-01-01T00:00:00.000Z",
                "resources": [
                    { "type": "Server" },
                    { "type": "File", "id": { "rule": "equals", "shown": leaf("a") } },
                ],
                "arguments": [
                    { "pointer": "/to", "rule": "domain", "shown": leaf("corp.example\u{1b}") },
                    { "pointer": "/n", "rule": "one_of", "shown": [
                        { "pointer": "/0", "lines": ["1"] }, { "pointer": "/1", "lines": ["2"] } ] },
                ] },
        }));
        for line in [
            "approved so far until, 3 uses until 2027-01-01T00:00:00.000Z",
            "  Server: any",
            "  File = a",
            "  /to domain corp.example⟨U+001B⟩",
            "  /n one of /0: 1",
            "  /n one of /1: 2",
        ] {
            assert!(shown.lines().any(|shown| shown == line), "{line}\n{shown}");
        }
    }

    #[test]
    fn what_was_erased_is_said() {
        assert!(request(&json!({ "id": "req_1" })).contains("erased"));
    }
}
