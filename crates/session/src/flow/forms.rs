//! The fingerprints of one value: as it is written, and in every other way that it may be spelt.
//!
//! What is held against a value is found by all of them. What vouches for it must be more than
//! alike: each way of spelling has a domain of its own, and says how much it means.

use safeconduct_model::ArgumentRole;

use super::canonical::{self, Short};
use super::grouped;
use super::key::{Domain, FlowKey};
use super::swar;

/// Longest value that is read as a number, a date or such, in bytes of its normal form.
const FORM_BYTES_MAX: usize = 96;

/// What two values are to each other that have a fingerprint in common.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sense {
    /// They are written alike, or differ only in what nobody tells apart.
    Same,
    /// They are the same number or day: no two amounts, but perhaps two versions or ids.
    Equal,
    /// They may be the same.
    Like,
}

impl Sense {
    /// Whether the one may stand for the other where it decides that.
    pub(crate) const fn vouches(self, role: ArgumentRole) -> bool {
        match self {
            Self::Same => true,
            Self::Equal => matches!(role, ArgumentRole::Amount | ArgumentRole::Content),
            Self::Like => false,
        }
    }
}

/// One fingerprint of a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Print {
    pub(crate) print: u64,
    pub(crate) sense: Sense,
    /// Whether it is kept of what vouches for other spellings than this one: where it is not there
    /// any more, this value was only repeated.
    pub(crate) shared: bool,
}

impl Print {
    /// Of the value as it is written.
    #[inline]
    pub(crate) const fn same(print: u64) -> Self {
        Self { print, sense: Sense::Same, shared: false }
    }
}

/// What the fingerprints of a value are for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ask {
    /// To be found again: of what vouches for nothing.
    Find,
    /// To vouch too.
    Keep,
    /// To look up what was kept of it, in whatever spelling.
    Look,
}

/// Which forms a value may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Forms {
    /// No digit is in it, so that it is neither a number nor a date nor such.
    Own,
    /// Any.
    Any,
}

impl Forms {
    /// Those that a value may have of which nothing is known.
    pub(crate) fn of(normal: &[u8]) -> Self {
        if swar::has_digit(normal) { Self::Any } else { Self::Own }
    }
}

/// Most fingerprints of one value.
const PRINTS_MAX: usize = 8;

/// The fingerprints of one value, each to be told once.
pub(crate) struct Prints<'k> {
    key: &'k FlowKey,
    ask: Ask,
    all: [Print; PRINTS_MAX],
    len: usize,
    number: bool,
}

impl<'k> Prints<'k> {
    /// Of a value in its normal form.
    #[inline]
    pub(crate) fn of(key: &'k FlowKey, normal: &[u8], has: Forms, ask: Ask) -> Self {
        let mut prints = Self::none(key, ask);
        prints.fill(normal, has);
        prints
    }

    fn fill(&mut self, normal: &[u8], has: Forms) {
        if let Some(address) = web_address(normal) {
            let bare = address.strip_suffix(b"/").unwrap_or(address);
            self.keep(Domain::Web, bare, Sense::Same);
            self.look(Domain::Value, bare, Sense::Like);
            if bare.len() < address.len() {
                self.look(Domain::Value, address, Sense::Like);
            }
            return;
        }
        if has == Forms::Own || normal.len() > FORM_BYTES_MAX {
            self.keep(Domain::Value, normal, Sense::Same);
        } else if self.number_or_date(normal) {
            return;
        } else {
            self.grouped(normal);
        }
        self.without_scheme(normal);
    }

    /// Of a number that is its own form.
    #[inline]
    pub(crate) fn of_plain_number(key: &'k FlowKey, number: &[u8], ask: Ask) -> Self {
        let mut prints = Self::none(key, ask);
        prints.own_number(number);
        prints
    }

    /// Of groups of digits or letters in a text: only what they are together, where they are
    /// something.
    pub(crate) fn of_groups(key: &'k FlowKey, written: &[u8], ask: Ask) -> Self {
        let mut prints = Self::none(key, ask);
        if let Some(telephone) = grouped::telephone(written) {
            if telephone.sure.is_none() {
                prints.vouch(Domain::Value, written, Sense::Same);
            }
            prints.telephone(&telephone);
        } else if let Some(account) = grouped::account(written) {
            prints.account(written, &account);
        }
        prints
    }

    #[inline]
    fn none(key: &'k FlowKey, ask: Ask) -> Self {
        Self { key, ask, all: [Print::same(0); PRINTS_MAX], len: 0, number: false }
    }

    /// Whether it is a number.
    pub(crate) const fn is_number(&self) -> bool {
        self.number
    }

    /// All of them.
    #[inline]
    pub(crate) fn as_slice(&self) -> &[Print] {
        self.all.get(..self.len).unwrap_or_default()
    }

    fn push(&mut self, domain: Domain, bytes: &[u8], sense: Sense, shared: bool) {
        if let Some(slot) = self.all.get_mut(self.len) {
            *slot = Print { print: self.key.print(domain, bytes), sense, shared };
            self.len += 1;
        }
    }

    /// What is kept whatever it is for.
    fn keep(&mut self, domain: Domain, bytes: &[u8], sense: Sense) {
        self.push(domain, bytes, sense, sense != Sense::Same);
    }

    /// What is kept only to vouch.
    fn vouch(&mut self, domain: Domain, bytes: &[u8], sense: Sense) {
        if self.ask != Ask::Find {
            self.push(domain, bytes, sense, false);
        }
    }

    /// What is only looked up.
    fn look(&mut self, domain: Domain, bytes: &[u8], sense: Sense) {
        if self.ask == Ask::Look {
            self.push(domain, bytes, sense, false);
        }
    }

    fn own_number(&mut self, number: &[u8]) {
        self.number = true;
        self.keep(Domain::Value, number, Sense::Same);
        self.look(Domain::Number, number, Sense::Equal);
        self.dialled(number);
    }

    /// Says whether it is one.
    fn number_or_date(&mut self, normal: &[u8]) -> bool {
        if canonical::is_plain_number(normal) {
            self.own_number(normal);
            return true;
        }
        if canonical::is_plain_date(normal) {
            self.keep(Domain::Value, normal, Sense::Same);
            self.look(Domain::Number, normal, Sense::Equal);
            return true;
        }
        let number = canonical::number(normal);
        self.number = number.is_some();
        let Some(form) = number.or_else(|| canonical::date(normal)) else { return false };
        if form.as_bytes() == normal {
            self.keep(Domain::Value, normal, Sense::Same);
            self.look(Domain::Number, normal, Sense::Equal);
            return true;
        }
        let telephone = match grouped::is_plus_and_digits(normal) {
            true => grouped::telephone(normal),
            false => None,
        };
        self.vouch(Domain::Value, normal, Sense::Same);
        // Other spellings of a telephone number are no numbers, and share its digits only.
        self.push(Domain::Number, form.as_bytes(), Sense::Equal, telephone.is_none());
        self.look(Domain::Value, form.as_bytes(), Sense::Equal);
        if let Some(telephone) = telephone {
            self.telephone(&telephone);
        }
        true
    }

    /// What is neither a number nor a date.
    fn grouped(&mut self, normal: &[u8]) {
        if let Some(telephone) = grouped::telephone(normal) {
            self.vouch(Domain::Value, normal, Sense::Same);
            return self.telephone(&telephone);
        }
        let Some(account) = grouped::account(normal) else {
            self.keep(Domain::Value, normal, Sense::Same);
            self.dialled(normal);
            if self.ask == Ask::Look && grouped::is_account(normal) {
                self.look(Domain::Account, normal, Sense::Like);
            }
            return;
        };
        self.account(normal, &account);
    }

    fn account(&mut self, normal: &[u8], account: &grouped::Account) {
        let bare = account.bare.as_bytes();
        if account.spaced {
            self.keep(Domain::Value, bare, Sense::Same);
            self.look(Domain::Account, bare, Sense::Like);
        } else {
            self.vouch(Domain::Value, normal, Sense::Same);
            self.keep(Domain::Account, bare, Sense::Like);
            self.look(Domain::Value, bare, Sense::Like);
        }
    }

    fn telephone(&mut self, telephone: &grouped::Telephone) {
        let digits = telephone.digits.as_bytes();
        if let Some(sure) = telephone.sure {
            self.vouch(Domain::Telephone, sure.as_bytes(), Sense::Same);
        }
        self.keep(Domain::Digits, digits, Sense::Like);
        self.look(Domain::Value, digits, Sense::Like);
        if self.ask == Ask::Look {
            let mut abroad = Short::new();
            b"00".iter().chain(digits).for_each(|digit| abroad.push(*digit));
            self.look(Domain::Value, abroad.as_bytes(), Sense::Like);
        }
    }

    /// Digits alone may be those of a telephone number.
    fn dialled(&mut self, normal: &[u8]) {
        if self.ask == Ask::Look
            && normal.len() >= grouped::TELEPHONE_BYTES_MIN - 1
            && normal.iter().all(u8::is_ascii_digit)
            && let Some(digits) = grouped::dialled(normal)
        {
            self.look(Domain::Digits, digits.as_bytes(), Sense::Like);
            // `49…` and `0049…` are both written.
            let mut abroad = Short::new();
            b"00".iter().chain(digits.as_bytes()).for_each(|digit| abroad.push(*digit));
            let other = if normal.starts_with(b"00") { digits } else { abroad };
            self.look(Domain::Value, other.as_bytes(), Sense::Like);
        }
    }

    /// What has no scheme may have had one elsewhere.
    fn without_scheme(&mut self, normal: &[u8]) {
        if self.ask == Ask::Look && may_be_address(normal) {
            let bare = normal.strip_suffix(b"/").unwrap_or(normal);
            self.look(Domain::Web, bare, Sense::Like);
        }
    }
}

/// Whether it has a dot or a slash, and no space.
fn may_be_address(normal: &[u8]) -> bool {
    !normal.contains(&b' ') && normal.iter().any(|byte| matches!(byte, b'.' | b'/'))
}

/// An address of the web without its scheme, where it has one or needs none to be seen as one.
/// `http` and `https` are not told apart.
fn web_address(normal: &[u8]) -> Option<&[u8]> {
    match normal {
        [b'h', b't', b't', b'p', rest @ ..] => {
            rest.strip_prefix(b"s").unwrap_or(rest).strip_prefix(b"://")
        }
        [b'w', b'w', b'w', b'.', ..] => Some(normal),
        _ => None,
    }
}
