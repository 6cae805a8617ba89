//! Which builtin functions a policy may call: those whose answer follows from their arguments
//! alone, and whose cost is in proportion to them.

/// What is said of a function.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It may be called.
    Allowed,
    /// It may not.
    Refused(Why),
    /// No builtin that is known: a function of the author's.
    Unknown,
}

/// Why a function is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Why {
    /// It reads something beside its arguments.
    Impure,
    /// A small argument can make it cost much.
    Unbounded,
    /// It is not built in here.
    Absent,
}

impl Why {
    pub(super) const fn words(self) -> &'static str {
        match self {
            Self::Impure => {
                "a decision follows from its input alone, and reads no clock, dice, environment or network"
            }
            Self::Unbounded => "a small argument can make it cost more than a decision may",
            Self::Absent => "this engine does not have it",
        }
    }

    pub(super) const fn help(self) -> &'static str {
        match self {
            Self::Impure => "the time of the decision is `input.context.time.now_ns`",
            Self::Unbounded | Self::Absent => "docs/rego.md lists the functions that there are",
        }
    }
}

/// What may be called.
const ALLOWED: [&str; 80] = [
    "__builtin_sets.intersection",
    "__builtin_sets.union",
    "abs",
    "array.concat",
    "array.reverse",
    "array.slice",
    "base64.decode",
    "base64.encode",
    "base64.is_valid",
    "base64url.decode",
    "base64url.encode",
    "base64url.encode_no_pad",
    "bits.and",
    "bits.negate",
    "bits.or",
    "bits.rsh",
    "bits.xor",
    "ceil",
    "concat",
    "contains",
    "count",
    "endswith",
    "floor",
    "format_int",
    "hex.decode",
    "hex.encode",
    "indexof",
    "indexof_n",
    "intersection",
    "is_array",
    "is_boolean",
    "is_null",
    "is_number",
    "is_object",
    "is_set",
    "is_string",
    "json.filter",
    "json.is_valid",
    "json.marshal",
    "json.remove",
    "json.unmarshal",
    "lower",
    "max",
    "min",
    "object.filter",
    "object.get",
    "object.keys",
    "object.remove",
    "object.subset",
    "object.union",
    "object.union_n",
    "regex.find_n",
    "regex.is_valid",
    "regex.match",
    "regex.replace",
    "regex.split",
    "replace",
    "round",
    "semver.compare",
    "semver.is_valid",
    "sort",
    "split",
    "sprintf",
    "startswith",
    "strings.any_prefix_match",
    "strings.any_suffix_match",
    "strings.count",
    "strings.reverse",
    "substring",
    "sum",
    "to_number",
    "trim",
    "trim_left",
    "trim_prefix",
    "trim_right",
    "trim_space",
    "trim_suffix",
    "type_name",
    "union",
    "upper",
];

/// What reads something beside its arguments, or writes somewhere.
const IMPURE: [&str; 11] = [
    "http.send",
    "net.lookup_ip_addr",
    "opa.runtime",
    "print",
    "rand.intn",
    "rego.metadata.chain",
    "rego.metadata.rule",
    "test.sleep",
    "time.now_ns",
    "trace",
    "uuid.rfc4122",
];

/// What can grow without measure.
const UNBOUNDED: [&str; 10] = [
    "bits.lsh",
    "graph.reachable_paths",
    "json.marshal_with_options",
    "net.cidr_expand",
    "numbers.range",
    "numbers.range_step",
    "product",
    "regex.globs_match",
    "strings.render_template",
    "strings.replace_n",
];

/// What the engine has, and its compiler does not: what is looped over is known only later.
const ABSENT: &str = "walk";

/// Names that open the name of a builtin of OPA.
const SPACES: [&str; 22] = [
    "array",
    "base64",
    "base64url",
    "bits",
    "crypto",
    "glob",
    "graph",
    "graphql",
    "hex",
    "http",
    "io",
    "json",
    "net",
    "numbers",
    "object",
    "opa",
    "rand",
    "regex",
    "rego",
    "time",
    "uuid",
    "yaml",
];

/// What is said of a function of that name.
pub(super) fn verdict(name: &str) -> Verdict {
    if IMPURE.contains(&name) || name.starts_with("__builtin_host") {
        return Verdict::Refused(Why::Impure);
    }
    if UNBOUNDED.contains(&name) {
        return Verdict::Refused(Why::Unbounded);
    }
    if name == ABSENT {
        return Verdict::Refused(Why::Absent);
    }
    if ALLOWED.contains(&name) {
        return Verdict::Allowed;
    }
    let space = name.split_once('.').map(|(space, _)| space);
    let known = space.is_some_and(|space| {
        SPACES.contains(&space) || matches!(space, "semver" | "strings" | "units" | "urlquery")
    });
    if known { Verdict::Refused(Why::Absent) } else { Verdict::Unknown }
}

/// What must be written in the policy, since it is gone over for each part of another argument:
/// an input that brought both could cost as much as its square.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Needs {
    /// A short text, as this argument (from 0).
    Text(usize),
    /// One of the arguments, whichever.
    One,
    /// The list that is its argument, not its items.
    List,
}

/// What must be written in the policy of the arguments of a function.
pub(super) fn needs(name: &str) -> Option<Needs> {
    match name {
        "concat" | "sprintf" => Some(Needs::Text(0)),
        "trim" | "trim_left" | "trim_right" | "indexof_n" | "strings.count" => Some(Needs::Text(1)),
        "replace" | "regex.replace" => Some(Needs::Text(2)),
        "object.subset" | "strings.any_prefix_match" | "strings.any_suffix_match" => {
            Some(Needs::One)
        }
        "object.union_n" => Some(Needs::List),
        _ => None,
    }
}

/// Longest text of such an argument, in bytes.
pub(super) const LITERAL_BYTES_MAX: usize = 1024;
/// Longest text that replaces another, in bytes.
pub(super) const REPLACEMENT_BYTES_MAX: usize = 64;
/// Largest width in a format.
const WIDTH_MAX: u32 = 100;

/// Whether a written argument is one that keeps what it makes in measure.
pub(super) fn fits(name: &str, literal: &str) -> bool {
    match name {
        "sprintf" => literal.len() <= LITERAL_BYTES_MAX && widths_fit(literal),
        // The engine fails over the empty text.
        "strings.count" => !literal.is_empty() && literal.len() <= LITERAL_BYTES_MAX,
        "trim" | "trim_left" | "trim_right" | "indexof_n" => literal.len() <= LITERAL_BYTES_MAX,
        _ => literal.len() <= REPLACEMENT_BYTES_MAX,
    }
}

fn widths_fit(format: &str) -> bool {
    format.split('%').skip(1).all(|after| {
        let after = after.strip_prefix('.').unwrap_or(after);
        // Whatever counts as a digit anywhere counts here.
        let digits: String = after.chars().take_while(|c| c.is_numeric()).collect();
        digits.is_empty() || digits.parse::<u32>().is_ok_and(|width| width <= WIDTH_MAX)
    })
}
