//! The same with sets of texts: slow, unbounded, and plain enough to be believed.

use safeconduct_model::ArgumentRole;

use super::canonical;
use super::normal::{Kept, normalise};

/// What was said whole, and all texts, by trust.
#[derive(Default)]
pub(super) struct Reference {
    trusted: Vec<String>,
    untrusted: Vec<String>,
}

impl Reference {
    pub(super) fn trusted(&mut self, value: &str) {
        self.trusted.push(value.to_owned());
    }

    pub(super) fn untrusted(&mut self, value: &str) {
        self.untrusted.push(value.to_owned());
    }

    /// Whether a trusted result vouches for it as an address, and whether it stood whole in an
    /// untrusted one.
    pub(super) fn seen(&self, value: &str) -> (bool, bool) {
        let vouches = vouches(ArgumentRole::Address);
        let trusted = self.trusted.iter().any(|said| vouches(said, value));
        (trusted, self.untrusted.iter().any(|said| is_like(said, value)))
    }

    /// Whether it, or what it says in another form, stands somewhere in a trusted text.
    pub(super) fn is_said_in_trusted(&self, value: &str) -> bool {
        let squeezed =
            |text: &str| text.chars().filter(|c| c.is_alphanumeric()).collect::<String>();
        let value = normal(value);
        let said = squeezed(&web(&value).unwrap_or(value));
        self.trusted.iter().map(|text| normal(text)).any(|text| {
            let decoded = squeezed(&decoded(&text));
            squeezed(&text).contains(&said) || decoded.contains(&said)
        })
    }

    pub(super) fn knows(&self, value: &str) -> bool {
        self.seen(value).0 || self.is_said_in_trusted(value)
    }
}

fn decoded(text: &str) -> String {
    let mut plain = String::new();
    super::scan::unescape(text, &mut plain);
    plain
}

pub(super) fn normal(value: &str) -> String {
    let mut out = Vec::new();
    normalise(value, &mut out);
    String::from_utf8(out).unwrap()
}

pub(super) fn is_altered(value: &str) -> bool {
    normalise(value, &mut Vec::new()) == Kept::Altered
}

/// Whether the one value vouches for the other where it decides that.
pub(super) fn vouches(role: ArgumentRole) -> impl Fn(&str, &str) -> bool {
    let numbers = matches!(role, ArgumentRole::Amount | ArgumentRole::Content);
    move |said, asked| {
        let (said, asked) = (normal(said), normal(asked));
        let one = |form: &dyn Fn(&str) -> Option<String>| {
            form(&said).is_some_and(|form_of| form(&asked) == Some(form_of))
        };
        said == asked
            || one(&web)
            || one(&|text| account(text, &[' ']))
            || one(&telephone)
            || numbers && one(&number_or_date)
    }
}

/// Whether the one value may be the other.
pub(super) fn is_like(said: &str, asked: &str) -> bool {
    let (one, other) = (normal(said), normal(asked));
    let bare = |text: &str| web(text).unwrap_or_else(|| without_slash(text));
    let both = |form: &dyn Fn(&str) -> Option<String>| {
        form(&one).is_some_and(|form_of| form(&other) == Some(form_of))
    };
    let schemes = [&one, &other].iter().filter(|text| web(text).is_some()).count();
    vouches(ArgumentRole::Amount)(said, asked)
        || schemes == 1 && bare(&one) == bare(&other) && !one.contains(' ') && !other.contains(' ')
        || both(&|text| account(text, &[' ', '-', '.', '/']))
        || both(&digits)
}

fn without_slash(text: &str) -> String {
    text.strip_suffix('/').unwrap_or(text).to_owned()
}

/// A web address without its scheme.
fn web(text: &str) -> Option<String> {
    let scheme = ["http://", "https://"].iter().find_map(|scheme| text.strip_prefix(scheme));
    scheme.or_else(|| text.starts_with("www.").then_some(text)).map(without_slash)
}

fn account(text: &str, marks: &[char]) -> Option<String> {
    let bare: String = text.chars().filter(|c| !marks.contains(c)).collect();
    let all: Vec<char> = bare.chars().collect();
    let begins = |from: usize, is: fn(&char) -> bool| all.iter().skip(from).take(2).all(is);
    let digits = all.iter().skip(4).filter(|c| c.is_ascii_digit()).count();
    let known = (15..=34).contains(&all.len())
        && text.len() <= 64
        && text.starts_with(|c: char| c.is_ascii_lowercase())
        && begins(0, char::is_ascii_lowercase)
        && begins(2, char::is_ascii_digit)
        && all.iter().all(char::is_ascii_alphanumeric)
        && digits * 2 > all.len() - 4;
    known.then_some(bare)
}

pub(super) fn is_number(text: &str) -> bool {
    canonical::number(text.as_bytes()).is_some()
}

fn number_or_date(text: &str) -> Option<String> {
    let form = canonical::number(text.as_bytes()).or_else(|| canonical::date(text.as_bytes()))?;
    Some(String::from_utf8(form.as_bytes().to_vec()).unwrap())
}

/// The digits of what may be a telephone number.
fn digits(text: &str) -> Option<String> {
    let bare = text.chars().all(|c| c.is_ascii_digit());
    let plus = text.strip_prefix('+').is_some_and(|rest| rest.chars().all(|c| c.is_ascii_digit()));
    let quad = text.split('.').filter(|part| (1..=3).contains(&part.len())).count() == 4
        && text.split('.').count() == 4;
    let other = number_or_date(text).is_some() || quad;
    if text.len() > 40 || other && !bare && !plus {
        return None;
    }
    text.chars().all(|c| c.is_ascii_digit() || "+ ()-./".contains(c)).then_some(())?;
    let all: String = text.chars().filter(char::is_ascii_digit).collect();
    let dialled = if text.starts_with("00") { all.get(2..)? } else { &all };
    ((7..=17).contains(&all.len()) && (7..=15).contains(&dialled.len())).then(|| dialled.to_owned())
}

/// A telephone number that is nothing else.
fn telephone(text: &str) -> Option<String> {
    let dialled = digits(text)?;
    let (first, rest) = text.split_at_checked(1)?;
    let marks = match first {
        "+" | "(" => " ()-",
        "0" if text.contains(' ') => " ()",
        _ => return None,
    };
    let only = rest.chars().all(|c| c.is_ascii_digit() || marks.contains(c));
    let sure = only && rest.ends_with(|c: char| c.is_ascii_digit());
    let abroad = if first == "+" || text.starts_with("00") { "+" } else { "" };
    sure.then(|| format!("{abroad}{dialled}"))
}
