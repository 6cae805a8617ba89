//! Telephone and account numbers: digits and letters in groups, whatever parts them.

use super::canonical::Short;

/// Digits of a telephone number, with and without `00` before it.
const DIGITS: std::ops::RangeInclusive<usize> = 7..=17;

/// Fewest bytes of a telephone number: seven digits and a mark.
pub(crate) const TELEPHONE_BYTES_MIN: usize = 8;

const TELEPHONE_BYTES_MAX: usize = 40;

/// What may be a telephone number.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Telephone {
    /// Its digits without leading `00`.
    pub(crate) digits: Short,
    /// The same where it is written so that it is one for sure; with `+` where it begins with that
    /// or with `00`.
    pub(crate) sure: Option<Short>,
}

/// What may be a telephone number: seven to fifteen digits with at least one mark between or
/// before them, and no dotted quad. Numbers and days are none; that is the caller's to see.
pub(crate) fn telephone(text: &[u8]) -> Option<Telephone> {
    if !(TELEPHONE_BYTES_MIN..=TELEPHONE_BYTES_MAX).contains(&text.len()) {
        return None;
    }
    if text.last()?.is_ascii_lowercase() {
        return None;
    }
    let mut all = 0;
    for byte in text {
        match byte {
            b'0'..=b'9' => all += 1,
            b'+' | b' ' | b'(' | b')' | b'-' | b'.' | b'/' => {}
            _ => return None,
        }
    }
    if all == text.len() || is_dotted_quad(text) {
        return None;
    }
    let digits = dialled(text)?;
    let sure = is_sure(text).then(|| {
        let mut sure = Short::new();
        if text.starts_with(b"+") || text.starts_with(b"00") {
            sure.push(b'+');
        }
        digits.as_bytes().iter().for_each(|digit| sure.push(*digit));
        sure
    });
    Some(Telephone { digits, sure })
}

/// The digits of what may be a telephone number, marks or not.
pub(crate) fn dialled(text: &[u8]) -> Option<Short> {
    let digits = || text.iter().filter(|byte| byte.is_ascii_digit());
    let lengths = *DIGITS.start()..=TELEPHONE_BYTES_MAX;
    if !lengths.contains(&text.len()) || !DIGITS.contains(&digits().count()) {
        return None;
    }
    let mut short = Short::new();
    let skip = if text.starts_with(b"00") { 2 } else { 0 };
    digits().skip(skip).for_each(|digit| short.push(*digit));
    (7..=15).contains(&short.as_bytes().len()).then_some(short)
}

/// Whether nothing but a telephone number is written so: it begins with `+`, a bracket or a zero,
/// and has none of the marks that part the digits of amounts, days and ids.
fn is_sure(text: &[u8]) -> bool {
    let of = |marks: &[u8]| {
        let mut rest = text.iter().skip(1);
        rest.all(|byte| byte.is_ascii_digit() || marks.contains(byte))
    };
    let begins = match text.first() {
        Some(b'+' | b'(') => of(b" ()-"),
        Some(b'0') => text.contains(&b' ') && of(b" ()"),
        _ => false,
    };
    begins && text.last().is_some_and(u8::is_ascii_digit)
}

/// Whether it is a plus and digits: that is how telephone numbers are kept, though it is a number.
pub(crate) fn is_plus_and_digits(text: &[u8]) -> bool {
    text.strip_prefix(b"+").is_some_and(|digits| digits.iter().all(u8::is_ascii_digit))
}

/// An address of the net, or a version.
fn is_dotted_quad(text: &[u8]) -> bool {
    let is_part =
        |part: &[u8]| (1..=3).contains(&part.len()) && part.iter().all(u8::is_ascii_digit);
    let mut parts = text.split(|byte| *byte == b'.');
    parts.clone().count() == 4 && parts.all(is_part)
}

/// Bytes of an account number with what stands between its groups.
const ACCOUNT_BYTES: std::ops::RangeInclusive<usize> = 15..=64;

/// What may be an account number that is written in groups.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Account {
    /// Its letters and digits.
    pub(crate) bare: Short,
    /// Whether nothing but spaces stood between them: that is how they are printed.
    pub(crate) spaced: bool,
}

/// An account number that begins as an IBAN does and is written in groups: two letters, two digits,
/// 11 to 30 letters and digits (ISO 13616). The check digits are not checked.
pub(crate) fn account(text: &[u8]) -> Option<Account> {
    let parts = |byte: &u8| matches!(byte, b' ' | b'-' | b'.' | b'/');
    if !text.first()?.is_ascii_lowercase() || !ACCOUNT_BYTES.contains(&text.len()) {
        return None;
    }
    let mut first = text.iter().filter(|byte| !parts(byte)).skip(1);
    if !first.next()?.is_ascii_lowercase() || !first.next()?.is_ascii_digit() {
        return None;
    }
    let mut bare = Short::new();
    let mut spaced = true;
    for byte in text {
        match byte {
            b'a'..=b'z' | b'0'..=b'9' => bare.push(*byte),
            b' ' => {}
            b'-' | b'.' | b'/' => spaced = false,
            _ => return None,
        }
    }
    let grouped = bare.as_bytes().len() < text.len();
    (grouped && is_account(bare.as_bytes())).then_some(Account { bare, spaced })
}

/// Whether these bytes without anything between them have that form.
pub(crate) fn is_account(text: &[u8]) -> bool {
    let [a, b, c, d, rest @ ..] = text else { return false };
    a.is_ascii_lowercase()
        && b.is_ascii_lowercase()
        && c.is_ascii_digit()
        && d.is_ascii_digit()
        && (11..=30).contains(&rest.len())
        && rest.iter().all(u8::is_ascii_alphanumeric)
        && rest.iter().filter(|byte| byte.is_ascii_digit()).count() * 2 > rest.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn show(short: Option<Short>) -> String {
        short.map_or("none".into(), |s| String::from_utf8(s.as_bytes().to_vec()).unwrap())
    }

    #[test]
    fn a_telephone_number_is_sure_where_nothing_else_is_written_so() {
        for (text, digits, sure) in [
            ("+49 (30) 123-4567", "49301234567", "+49301234567"),
            ("0049 30 1234567", "49301234567", "+49301234567"),
            ("030 1234567", "0301234567", "0301234567"),
            ("(212) 555-4567", "2125554567", "2125554567"),
            ("+49301234567", "49301234567", "+49301234567"),
            ("030/1234567", "0301234567", "none"),
            ("030-1234567", "0301234567", "none"),
            ("555-123-4567", "5551234567", "none"),
            ("555 123 4567", "5551234567", "none"),
            ("+49.30.1234567", "49301234567", "none"),
            ("(10000000)", "10000000", "none"),
            ("12345678", "none", "none"),
            ("203.0.113.25", "none", "none"),
            ("12-34", "none", "none"),
        ] {
            let found = telephone(text.as_bytes());
            assert_eq!(show(found.map(|found| found.digits)), digits, "{text}");
            assert_eq!(show(found.and_then(|found| found.sure)), sure, "{text}");
        }
        assert_eq!(show(dialled(b"0049301234567")), "49301234567");
        assert!(is_plus_and_digits(b"+4930") && !is_plus_and_digits(b"+49.30"));
    }

    #[test]
    fn accounts_lose_what_parts_their_groups() {
        for (text, bare, spaced) in [
            ("ch93 0076 2011 6238 5295 7", "ch9300762011623852957", true),
            ("gb33-bukb-2020-1555-5555-55", "gb33bukb20201555555555", false),
            ("gb33 bukb.2020/1555 5555 55", "gb33bukb20201555555555", false),
            ("in 2022 there were 12", "none", false),
            ("us133000000121212121212", "none", false),
        ] {
            let found = account(text.as_bytes());
            assert_eq!(show(found.map(|found| found.bare)), bare, "{text}");
            assert_eq!(found.is_some_and(|found| found.spaced), spaced, "{text}");
        }
        assert!(is_account(b"us133000000121212121212"));
    }
}
