//! What a task may do at most: actions, with constraints on what they touch and on their
//! arguments, within a budget and a time. Everything here is a closed set, so that "narrower
//! than" is decided and never guessed.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::{ActionName, Entity, EntityType, Place, TargetName, Tier, Timestamp, Value};

/// Most allowances of one envelope.
pub const ALLOWANCES_MAX: usize = 64;

/// Most rules of one allowance, resources and arguments together.
pub const RULES_MAX: usize = 64;

/// Most values that a rule lists.
pub const CHOICES_MAX: usize = 256;

/// Most different resources that a budget counts: what a session remembers one by one.
pub const DISTINCT_RESOURCES_MAX: usize = 4096;

/// Most levels of delegation under a task that nobody delegated.
pub const DEPTH_MAX: u8 = 8;

/// What one value must be. `L` is what it is compared with: a value in a task's authority, a
/// term in an intent, which becomes a value once the parameters are known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Constraint<L> {
    /// Equal to this.
    Equals(L),
    /// Equal to one of these; at most [`CHOICES_MAX`].
    OneOf(Vec<L>),
    /// A number not above this one.
    AtMost(L),
    /// A number not below this one.
    AtLeast(L),
    /// A path that is this folder or lies in it, segment by segment; a path with `..` or an
    /// empty segment never is.
    Under(L),
    /// A mail address or URL whose host is this domain or a subdomain of it.
    Domain(L),
    /// A text of at most so many bytes.
    LongestBytes(u64),
}

/// What an argument must be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ArgumentRule<L> {
    /// Where it stands: a JSON Pointer (RFC 6901); the token `*` stands for each element.
    pub pointer: Arc<str>,
    /// What it must be.
    pub constraint: Constraint<L>,
    /// What holds where nothing stands there.
    pub absent: Absent,
}

/// What holds where an argument is not there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Absent {
    /// The rule is broken: what the server would fill in is unknown.
    Refused,
    /// The rule is kept.
    Allowed,
}

/// One kind of resource that may be touched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResourceRule<L> {
    /// Its type, in full.
    pub ty: EntityType,
    /// What its id must be; `None` is any.
    pub id: Option<Constraint<L>>,
}

/// What holds for arguments that no rule names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OtherArguments {
    /// They may be there.
    Allowed,
    /// They may not.
    Refused,
}

/// One action that may be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Allowance<L> {
    /// The action.
    pub action: ActionName,
    /// What it may touch: each resource must fit one of these. Empty is any.
    pub resources: Vec<ResourceRule<L>>,
    /// What its arguments must be: all of these hold.
    pub arguments: Vec<ArgumentRule<L>>,
    /// What holds for the others.
    pub others: OtherArguments,
}

/// How much may be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Budget {
    /// Permitted calls in all.
    pub calls: u64,
    /// Permitted calls of single actions.
    pub calls_of: BTreeMap<ActionName, u64>,
    /// What may be spent in all.
    pub spend: Option<Spend>,
    /// Different resources; at most [`DISTINCT_RESOURCES_MAX`].
    pub distinct_resources: Option<u64>,
    /// Bytes of the arguments of actions that send, write or execute, in canonical form.
    pub bytes_out: Option<u64>,
}

/// What may be spent, and where the amounts stand.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Spend {
    /// The most in all.
    pub limit: Amount,
    /// For each action that spends, where its amount stands: a JSON Pointer. An amount that is
    /// absent or cannot be counted is refused.
    pub amounts: BTreeMap<ActionName, Arc<str>>,
}

/// An amount without a currency, in ten-thousandths: what Cedar's decimals hold. Never negative.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Amount(pub u64);

impl Amount {
    /// Of a number that is not negative and has at most four decimal places.
    pub fn of(value: &Value) -> Option<Self> {
        let text = match value {
            Value::Integer(n) => {
                return u64::try_from(*n).ok()?.checked_mul(10_000).map(Self);
            }
            Value::Number(number) => number.as_str(),
            _ => return None,
        };
        Self::parse(text)
    }

    /// Of a text of digits with at most four decimal places.
    pub fn parse(text: &str) -> Option<Self> {
        let (whole, decimals) = text.split_once('.').unwrap_or((text, "0"));
        let digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
        let decimals = decimals.trim_end_matches('0');
        if !digits(whole) || decimals.len() > 4 || !decimals.bytes().all(|b| b.is_ascii_digit()) {
            return None;
        }
        let whole = whole.parse::<u64>().ok()?.checked_mul(10_000)?;
        let part = format!("{decimals:0<4}").parse::<u64>().ok()?;
        whole.checked_add(part).map(Self)
    }
}

impl std::fmt::Display for Amount {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match (self.0 / 10_000, self.0 % 10_000) {
            (whole, 0) => write!(f, "{whole}"),
            (whole, part) => write!(f, "{whole}.{}", format!("{part:04}").trim_end_matches('0')),
        }
    }
}

/// What a task may do at most. It never changes while the task lives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Authority {
    /// What may be done; what is not named may not.
    pub allowances: Vec<Allowance<Value>>,
    /// How much of it.
    pub budget: Budget,
    /// The highest tier that needs nobody's approval.
    pub tier_max: Tier,
    /// When it ends.
    pub deadline: Timestamp,
    /// How many levels of delegation may still follow.
    pub depth_left: u8,
    /// What it may get leases of: grants by target, as the configuration names them.
    pub credentials: BTreeMap<TargetName, BTreeSet<Arc<str>>>,
}

impl<L> Constraint<L> {
    /// The same constraint over other terms.
    ///
    /// # Errors
    /// The first error of `change`.
    pub fn try_map<M, E>(
        &self,
        mut change: impl FnMut(&L) -> Result<M, E>,
    ) -> Result<Constraint<M>, E> {
        Ok(match self {
            Self::Equals(to) => Constraint::Equals(change(to)?),
            Self::OneOf(choices) => {
                Constraint::OneOf(choices.iter().map(change).collect::<Result<_, _>>()?)
            }
            Self::AtMost(most) => Constraint::AtMost(change(most)?),
            Self::AtLeast(least) => Constraint::AtLeast(change(least)?),
            Self::Under(folder) => Constraint::Under(change(folder)?),
            Self::Domain(domain) => Constraint::Domain(change(domain)?),
            Self::LongestBytes(bytes) => Constraint::LongestBytes(*bytes),
        })
    }

    /// The word for it in intents and records.
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Equals(_) => "equals",
            Self::OneOf(_) => "one_of",
            Self::AtMost(_) => "at_most",
            Self::AtLeast(_) => "at_least",
            Self::Under(_) => "under",
            Self::Domain(_) => "domain",
            Self::LongestBytes(_) => "longest_bytes",
        }
    }
}

impl<L> Allowance<L> {
    /// The same allowance over other terms.
    ///
    /// # Errors
    /// The first error of `change`.
    pub fn try_map<M, E>(
        &self,
        mut change: impl FnMut(&L) -> Result<M, E>,
    ) -> Result<Allowance<M>, E> {
        let mut resources = Vec::with_capacity(self.resources.len());
        for rule in &self.resources {
            let id = rule.id.as_ref().map(|id| id.try_map(&mut change)).transpose()?;
            resources.push(ResourceRule { ty: rule.ty.clone(), id });
        }
        let mut arguments = Vec::with_capacity(self.arguments.len());
        for rule in &self.arguments {
            arguments.push(ArgumentRule {
                pointer: Arc::clone(&rule.pointer),
                constraint: rule.constraint.try_map(&mut change)?,
                absent: rule.absent,
            });
        }
        Ok(Allowance { action: self.action.clone(), resources, arguments, others: self.others })
    }
}

impl Constraint<Value> {
    /// Whether a value fits. What cannot be compared does not.
    pub fn admits(&self, value: &Value) -> bool {
        match self {
            Self::Equals(to) => same(value, to),
            Self::OneOf(choices) => choices.iter().any(|choice| same(value, choice)),
            Self::AtMost(most) => {
                matches!(value.compare(most), Some(Ordering::Less | Ordering::Equal))
            }
            Self::AtLeast(least) => {
                matches!(value.compare(least), Some(Ordering::Greater | Ordering::Equal))
            }
            Self::Under(folder) => match (value.as_str(), folder.as_str()) {
                (Some(path), Some(folder)) => is_under(path, folder),
                _ => false,
            },
            Self::Domain(domain) => match (value.as_str(), domain.as_str()) {
                (Some(address), Some(domain)) => {
                    host_of(address).is_some_and(|host| is_in_domain(host, domain))
                }
                _ => false,
            },
            Self::LongestBytes(bytes) => {
                value.as_str().is_some_and(|text| text.len() as u64 <= *bytes)
            }
        }
    }
}

impl ArgumentRule<Value> {
    /// Whether the arguments keep the rule, at each place that it is about: an element in which
    /// something is missing has it absent, whatever the others have.
    pub fn admits(&self, input: &Value) -> bool {
        input.each_place(&self.pointer, |place| match place {
            Place::Found(value) => self.constraint.admits(value),
            Place::Nothing => self.absent == Absent::Allowed,
            // Whoever reads it may take it for what the rule is about.
            Place::OtherForm(_) => false,
        })
    }
}

impl ResourceRule<Value> {
    /// Whether a resource fits.
    pub fn admits(&self, resource: &Entity) -> bool {
        let id = || Value::String(resource.uid.id.shared());
        resource.uid.ty == self.ty
            && self.id.as_ref().is_none_or(|constraint| constraint.admits(&id()))
    }
}

/// Whether two values are equal, numbers by what they are worth.
pub fn same(a: &Value, b: &Value) -> bool {
    a == b || a.compare(b) == Some(Ordering::Equal)
}

/// Whether a path is the folder or lies in it. Both are taken as they stand: `/` separates
/// segments, and a path that holds `.`, `..`, an empty segment, a backslash or a NUL is under
/// nothing. Neither is one that would hold them once percent-encoding is taken off it, as some
/// readers do: `%2e`, `%2f`, `%5c`, `%00`, and `%25`, which is how it is put on twice.
pub fn is_under(path: &str, folder: &str) -> bool {
    let folder = match folder {
        "/" => return path.starts_with('/') && (path == "/" || is_plain(path)),
        folder => folder.strip_suffix('/').unwrap_or(folder),
    };
    // The segments of the folder are then segments of the path: what holds of these, holds of it.
    !folder.is_empty()
        && path.strip_prefix(folder).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        && is_plain(path)
}

/// Whether a path is read by everybody as it stands.
fn is_plain(path: &str) -> bool {
    let segments = path.strip_prefix('/').unwrap_or(path).as_bytes();
    let escapes = segments.iter().fold(false, |any, b| any | matches!(b, b'\\' | 0 | b'%'));
    let may_deceive = || path.contains(['\\', '\0']) || path.split('%').skip(1).any(deceives);
    segments.split(|b| *b == b'/').all(|segment| !matches!(segment, b"" | b"." | b".."))
        && !(escapes && may_deceive())
}

/// Whether what follows a `%` stands for a character that a path is taken apart by.
fn deceives(rest: &str) -> bool {
    let code = rest.get(..2).unwrap_or_default();
    ["2e", "2f", "5c", "00", "25"].iter().any(|encoded| code.eq_ignore_ascii_case(encoded))
}

/// Whether a host is the domain or a subdomain of it; letters compare without case.
pub fn is_in_domain(host: &str, domain: &str) -> bool {
    let (host, domain) = (host.to_ascii_lowercase(), domain.to_ascii_lowercase());
    let named = |name: &str| !name.is_empty() && !name.starts_with('.') && !name.ends_with('.');
    named(&host)
        && named(&domain)
        && (host == domain || host.strip_suffix(&domain).is_some_and(|head| head.ends_with('.')))
}

/// The host of a mail address (`a@b.example`) or of an `http` or `https` URL. A text that could
/// be read in two ways has none.
pub fn host_of(address: &str) -> Option<&str> {
    let printable = |c: char| c.is_ascii_graphic() && !"\\\"<>,;()[]".contains(c);
    if !address.chars().all(printable) {
        return None;
    }
    let host = match address.split_once("://") {
        Some(("http" | "https", rest)) => {
            let authority = rest.split(['/', '?', '#']).next()?;
            // A name and password before the host is where such addresses deceive.
            let host = (!authority.contains('@')).then_some(authority)?;
            match host.split_once(':') {
                Some((host, port)) if port.bytes().all(|b| b.is_ascii_digit()) => host,
                Some(_) => return None,
                None => host,
            }
        }
        Some(_) => return None,
        None => {
            let (local, host) = address.split_once('@')?;
            (!local.is_empty()).then_some(host)?
        }
    };
    let fits = |c: char| c.is_ascii_alphanumeric() || "-.".contains(c);
    (!host.is_empty() && host.chars().all(fits)).then_some(host)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Number;

    fn number(text: &str) -> Value {
        Value::Number(Number::parse(text).unwrap())
    }

    #[test]
    fn numbers_compare_by_their_worth() {
        let most = Constraint::AtMost(Value::Integer(100));
        assert!(most.admits(&Value::Integer(100)) && most.admits(&number("99.99")));
        assert!(most.admits(&number("1e2")) && most.admits(&number("-1e300")));
        assert!(!most.admits(&number("100.000000000000000000001")));
        assert!(!most.admits(&number("1e400")) && !most.admits(&Value::from("1")));
        assert!(Constraint::Equals(Value::Integer(1)).admits(&number("1.0")));
        assert!(Constraint::AtLeast(number("-0.5")).admits(&number("-0.0")));
    }

    #[test]
    fn a_folder_holds_its_own_segments_only() {
        assert!(is_under("cases/1042", "cases/1042") && is_under("cases/1042/a.md", "cases/1042"));
        assert!(is_under("cases/1042/a", "cases/1042/"));
        for outside in [
            "cases/10421",
            "cases",
            "cases/1042/../9",
            "cases//1042",
            "cases/1042/./a",
            "cases/1042/",
            "cases/1042\\..\\9",
            "/cases/1042",
            "",
            "cases/1042/%2e%2e/9",
            "cases/1042/.%2E/9",
            "cases/1042/..%2f9",
            "cases/1042/a%2F..",
            "cases/1042/a%5cb",
            "cases/1042/a%5Cb",
            "cases/1042/a%00",
            "cases/1042/%252e%252e/9",
        ] {
            assert!(!is_under(outside, "cases/1042"), "{outside}");
        }
        assert!(is_under("cases/1042/100%", "cases/1042"));
        assert!(is_under("cases/1042/a%20b", "cases/1042"));
        assert!(!is_under("/a/%2e%2e", "/") && !is_under("a%2fb/c", "a%2fb"));
        assert!(is_under("/a", "/") && is_under("/", "/") && !is_under("a", "/"));
    }

    #[test]
    fn a_domain_holds_its_own_hosts_only() {
        let domain = Constraint::Domain(Value::from("bank.example"));
        for inside in ["a@bank.example", "https://Bank.Example/x", "http://eu.bank.example:8080"] {
            assert!(domain.admits(&Value::from(inside)), "{inside}");
        }
        for outside in [
            "a@evilbank.example",
            "a@bank.example.evil",
            "https://bank.example@evil",
            "bank.example",
            "https://evil/?bank.example",
            "a@b@bank.example",
            "a@bank.example,b@evil",
            "https://evil\\.bank.example",
            "https://bank.example:x",
            "ftp://bank.example",
            "a@",
            "@bank.example",
            "\u{430}@bank.example",
            "https://.bank.example",
        ] {
            assert!(!domain.admits(&Value::from(outside)), "{outside}");
        }
    }

    #[test]
    fn an_absent_argument_breaks_a_rule_unless_it_may_be_absent() {
        let mut rule = ArgumentRule {
            pointer: "/to/*".into(),
            constraint: Constraint::Equals(Value::from("a")),
            absent: Absent::Refused,
        };
        let to = |value: Value| Value::object([("to", value)]);
        assert!(rule.admits(&to(vec![Value::from("a")].into())));
        assert!(!rule.admits(&to(vec![Value::from("a"), Value::from("b")].into())));
        assert!(!rule.admits(&to(vec![].into())) && !rule.admits(&Value::object::<&str>([])));
        rule.absent = Absent::Allowed;
        assert!(rule.admits(&to(vec![].into())) && rule.admits(&Value::object::<&str>([])));
        // A text where a list is due is not absent.
        assert!(!rule.admits(&to(Value::from("b"))));
        assert!(!rule.admits(&to(vec![Value::from("b")].into())));
    }

    #[test]
    fn a_rule_holds_for_each_element() {
        let rule = |pointer: &str, absent| ArgumentRule {
            pointer: pointer.into(),
            constraint: Constraint::Domain(Value::from("bank")),
            absent,
        };
        let object = |name: &str, value: Value| Value::object([(name, value)]);
        let messages = |items: Vec<Value>| object("messages", items.into());
        let to = |value: Value| object("to", value);
        let (ok, evil) = (|| Value::from("a@bank"), || Value::from("x@evil"));
        let none = || Value::object::<&str>([]);

        let each = rule("/messages/*/to", Absent::Refused);
        assert!(each.admits(&messages(vec![to(ok()), to(ok())])));
        assert!(!each.admits(&messages(vec![to(ok()), none()])));
        assert!(!each.admits(&messages(vec![to(ok()), evil()])));
        let optional = rule("/messages/*/to", Absent::Allowed);
        assert!(optional.admits(&messages(vec![to(ok()), none()])));
        assert!(!optional.admits(&messages(vec![none(), to(evil())])));
        assert!(!optional.admits(&messages(vec![none(), evil()])));
        assert!(!optional.admits(&messages(vec![none(), Value::Null])));

        for absent in [Absent::Refused, Absent::Allowed] {
            let deep = rule("/messages/*/to/*", absent);
            assert!(deep.admits(&messages(vec![to(vec![ok()].into())])));
            assert!(!deep.admits(&messages(vec![to(vec![ok()].into()), to(evil())])));
            assert!(!deep.admits(&messages(vec![to(vec![ok()].into()), to(ok())])));
            let inner = rule("/options/to", absent);
            assert!(inner.admits(&object("options", to(ok()))));
            for other in [evil(), Value::Null, Value::from(1), vec![evil()].into()] {
                assert!(!inner.admits(&object("options", other)));
            }
        }
        assert!(rule("/options/to", Absent::Allowed).admits(&object("options", none())));
    }

    #[test]
    fn amounts_are_exact() {
        assert_eq!(Amount::of(&Value::Integer(3)), Some(Amount(30_000)));
        assert_eq!(Amount::of(&number("3.1415")), Some(Amount(31_415)));
        assert_eq!(Amount::of(&number("3.50000")), Some(Amount(35_000)));
        assert_eq!(Amount::of(&number("3.14159")), None);
        assert_eq!(Amount::of(&number("1e3")), None);
        assert_eq!(Amount::of(&Value::Integer(-1)), None);
        assert_eq!(Amount::of(&Value::from("3")), None);
        assert_eq!(
            (Amount(35_000).to_string(), Amount(1).to_string()),
            ("3.5".into(), "0.0001".into())
        );
    }
}
