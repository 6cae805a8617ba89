//! One form for each number and date.

/// A short text on the stack.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Short {
    bytes: [u8; CAPACITY],
    len: usize,
}

const CAPACITY: usize = 96;

/// Most digits of a number, and most zeros that are written out around them.
const DIGITS_MAX: usize = 40;

impl Short {
    /// Nothing yet.
    pub(crate) const fn new() -> Self {
        Self { bytes: [0; CAPACITY], len: 0 }
    }

    /// What was written.
    pub(crate) fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..self.len).unwrap_or_default()
    }

    /// Adds a byte; beyond the capacity nothing happens, which no form reaches.
    pub(crate) fn push(&mut self, byte: u8) {
        if let Some(slot) = self.bytes.get_mut(self.len) {
            *slot = byte;
            self.len += 1;
        }
    }

    fn extend(&mut self, bytes: &[u8]) {
        let end = self.len + bytes.len();
        if let Some(place) = self.bytes.get_mut(self.len..end) {
            place.copy_from_slice(bytes);
            self.len = end;
        }
    }

    fn digits(&mut self, number: u64, width: usize) {
        let two = |number: u64| [b'0' + (number / 10 % 10) as u8, b'0' + (number % 10) as u8];
        match width {
            2 if number < 100 => return self.extend(&two(number)),
            4 if number < 10_000 => {
                self.extend(&two(number / 100));
                return self.extend(&two(number));
            }
            _ => {}
        }
        let mut digits = [b'0'; 20];
        let (mut rest, mut from) = (number, 20);
        for slot in digits.iter_mut().rev() {
            if rest == 0 && 20 - from >= width {
                break;
            }
            *slot = b'0' + (rest % 10) as u8;
            rest /= 10;
            from -= 1;
        }
        self.extend(digits.get(from..).unwrap_or_default());
    }
}

/// The form of an integer: what [`number`] makes of its digits.
pub(crate) fn integer(value: i64) -> Short {
    let mut short = Short::new();
    if value < 0 {
        short.push(b'-');
    }
    short.digits(value.unsigned_abs(), 1);
    short
}

/// The one form of a number in lower case: `10`, `10.0`, `1e1`, `+10`, `1,0` are no different,
/// nor are `1,234.5` and `1.234,5`. A comma before exactly three digits groups thousands. With a
/// leading zero, or more than 40 digits, it is no number but a name.
pub(crate) fn number(text: &[u8]) -> Option<Short> {
    let (negative, unsigned) = match text.split_first()? {
        (b'-', rest) => (true, rest),
        (b'+', rest) => (false, rest),
        _ => (false, text),
    };
    let ends = unsigned.first()?.is_ascii_digit() && unsigned.last()?.is_ascii_digit();
    if !ends || text.len() > CAPACITY {
        return None;
    }
    let (mantissa, exponent) = match unsigned.iter().position(|byte| *byte == b'e') {
        Some(at) => (unsigned.get(..at)?, exponent(unsigned.get(at + 1..)?)?),
        None => (unsigned, 0),
    };
    let (whole, decimals) = split(mantissa)?;
    if whole.len() > 1 && whole.first() == Some(&b'0') {
        return None;
    }
    let mut digits = Short::new();
    let all = whole.iter().chain(decimals).filter(|byte| byte.is_ascii_digit());
    all.skip_while(|digit| **digit == b'0').for_each(|digit| digits.push(*digit));
    let significant =
        digits.as_bytes().iter().rposition(|digit| *digit != b'0').map_or(0, |at| at + 1);
    let dropped = i64::try_from(digits.len - significant).ok()?;
    digits.len = significant;
    if significant > DIGITS_MAX {
        return None;
    }
    let power = exponent - i64::try_from(decimals.len()).ok()? + dropped;
    Some(written(negative, digits.as_bytes(), power))
}

/// Whether a text is a number that is its own form: digits with no zero in front, or a decimal
/// point between such and digits with no zero at the end.
pub(crate) fn is_plain_number(text: &[u8]) -> bool {
    if text.len() > DIGITS_MAX || !matches!(text.first(), Some(b'1'..=b'9')) {
        return false;
    }
    let whole = text.iter().take_while(|byte| byte.is_ascii_digit()).count();
    match text.get(whole..).unwrap_or_default() {
        [] => true,
        [b'.', decimals @ .., b'1'..=b'9'] => decimals.iter().all(u8::is_ascii_digit),
        _ => false,
    }
}

/// Whether a text is a date that is its own form: `2022-01-31`.
pub(crate) fn is_plain_date(text: &[u8]) -> bool {
    let [y @ b'1'..=b'9', rest @ ..] = text else { return false };
    let [a, b, c, b'-', m, n, b'-', d, e] = rest else { return false };
    let all = [y, a, b, c, m, n, d, e];
    all.iter().all(|digit| digit.is_ascii_digit())
        && matches!((m, n), (b'0', b'1'..=b'9') | (b'1', b'0'..=b'2'))
        && matches!((d, e), (b'0', b'1'..=b'9') | (b'1' | b'2', _) | (b'3', b'0' | b'1'))
}

/// The digits times ten to that power.
fn written(negative: bool, digits: &[u8], power: i64) -> Short {
    let mut short = Short::new();
    if digits.is_empty() {
        short.push(b'0');
        return short;
    }
    if negative {
        short.push(b'-');
    }
    let before = power + digits.len() as i64;
    let most = DIGITS_MAX as i64;
    if power >= 0 && before <= most {
        short.extend(digits);
        (0..power).for_each(|_| short.push(b'0'));
    } else if power < 0 && before > 0 {
        let (whole, decimals) = digits.split_at_checked(before as usize).unwrap_or((digits, &[]));
        short.extend(whole);
        short.push(b'.');
        short.extend(decimals);
    } else if power < 0 && before > -most {
        short.extend(b"0.");
        (before..0).for_each(|_| short.push(b'0'));
        short.extend(digits);
    } else {
        short.extend(digits);
        short.push(b'e');
        if power < 0 {
            short.push(b'-');
        }
        short.digits(power.unsigned_abs(), 1);
    }
    short
}

fn exponent(text: &[u8]) -> Option<i64> {
    let digits = text.strip_prefix(b"+").or(text.strip_prefix(b"-")).unwrap_or(text);
    if digits.is_empty() || digits.len() > 9 || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let value = digits.iter().fold(0, |sum, digit| sum * 10 + i64::from(digit - b'0'));
    Some(if text.first() == Some(&b'-') { -value } else { value })
}

/// Digits before and after the decimal sign; groups are still in the first part.
fn split(mantissa: &[u8]) -> Option<(&[u8], &[u8])> {
    let mut marks = mantissa.iter().enumerate().filter(|(_, byte)| !byte.is_ascii_digit());
    let Some((at, mark)) = marks.next_back() else {
        return Some((mantissa, &[]));
    };
    if !matches!(mark, b'.' | b',') || !mantissa.last()?.is_ascii_digit() {
        return None;
    }
    let (whole, decimals) = (mantissa.get(..at)?, mantissa.get(at + 1..)?);
    let grouped = whole.iter().find(|byte| !byte.is_ascii_digit());
    match grouped {
        // One kind of mark: groups where there are several, or one comma before three digits.
        Some(group) if group == mark => groups(mantissa, *mark).then_some((mantissa, &[])),
        Some(group) => groups(whole, *group).then_some((whole, decimals)),
        None if *mark == b',' && groups(mantissa, b',') => Some((mantissa, &[])),
        None => Some((whole, decimals)),
    }
}

/// Whether these are up to three digits, then groups of three, with a mark between them that parts
/// groups of digits somewhere.
fn groups(text: &[u8], mark: u8) -> bool {
    if !b" .,'_".contains(&mark) {
        return false;
    }
    let mut parts = text.split(|byte| *byte == mark);
    let first = parts.next().unwrap_or_default();
    (1..=3).contains(&first.len())
        && first.iter().all(u8::is_ascii_digit)
        && first.first() != Some(&b'0')
        && parts.all(|part| part.len() == 3 && part.iter().all(u8::is_ascii_digit))
}

/// The one form of a date, with the time where there is one that is not midnight: `2022-01-01`,
/// `2022/1/1`, `01.01.2022`, `1 January 2022`, `Jan 1st, 2022`, `2022-01-01T00:00:00Z`. Of forms
/// with slashes that begin with the day or the month, only those that say which.
pub(crate) fn date(text: &[u8]) -> Option<Short> {
    // Eight bytes hold `2022-1-1`; thirty-five a date in words with a time.
    let begins = text.first().is_some_and(u8::is_ascii_digit);
    if !(8..=40).contains(&text.len()) || !ends_as_date(text) || !begins && !begins_with_month(text)
    {
        return None;
    }
    let Day { year, month, day, rest } =
        iso(text).or_else(|| in_words(text)).or_else(|| by_parts(text))?;
    if !(1..=12).contains(&month) || !(1..=31).contains(&day) || !(1000..=9999).contains(&year) {
        return None;
    }
    let mut short = Short::new();
    short.digits(year, 4);
    short.push(b'-');
    short.digits(month, 2);
    short.push(b'-');
    short.digits(day, 2);
    time(rest, &mut short)?;
    Some(short)
}

/// Whether a day or a time may end so: most names of files do not.
fn ends_as_date(text: &[u8]) -> bool {
    !matches!(text.last(), Some(b'a'..=b's' | b'u'..=b'y')) || text.ends_with(b"utc")
}

/// Whether a text of several words may begin with a month.
fn begins_with_month(text: &[u8]) -> bool {
    let first = text.trim_ascii_start().first();
    first
        .is_some_and(|first| matches!(first, b'j' | b'f' | b'm' | b'a' | b's' | b'o' | b'n' | b'd'))
        && text.contains(&b' ')
}

/// A day, and what follows it in the text.
struct Day<'a> {
    year: u64,
    month: u64,
    day: u64,
    rest: &'a [u8],
}

fn iso(text: &[u8]) -> Option<Day<'_>> {
    let (year, rest) = digits(text, 4)?;
    let (mark, rest) = rest.split_first()?;
    if text.get(4) != Some(mark) || !matches!(mark, b'-' | b'/' | b'.') {
        return None;
    }
    let (month, rest) = digits(rest, 2)?;
    let rest = rest.strip_prefix(std::slice::from_ref(mark))?;
    let (day, rest) = digits(rest, 2)?;
    Some(Day { year, month, day, rest })
}

/// `31.12.2022`; `31/12/2022` and `12/31/2022` where a number above twelve says which is which.
fn by_parts(text: &[u8]) -> Option<Day<'_>> {
    let (first, rest) = digits(text, 2)?;
    let (mark, rest) = rest.split_first()?;
    let (second, rest) = digits(rest, 2)?;
    let rest = rest.strip_prefix(std::slice::from_ref(mark))?;
    let (year, rest) = digits(rest, 4)?;
    match mark {
        b'.' => Some(Day { year, month: second, day: first, rest }),
        b'/' | b'-' if first > 12 || first == second => {
            Some(Day { year, month: second, day: first, rest })
        }
        b'/' | b'-' if second > 12 => Some(Day { year, month: first, day: second, rest }),
        _ => None,
    }
}

fn in_words(text: &[u8]) -> Option<Day<'_>> {
    if !text.contains(&b' ') {
        return None;
    }
    let (first, rest) = word(text);
    let (second, rest) = word(rest);
    let (third, rest) = word(rest);
    let (month, day) = match (month(first), month(second)) {
        (Some(month), _) => (month, ordinal(second)?),
        (_, Some(month)) => (month, ordinal(first)?),
        _ => return None,
    };
    let (year, after) = digits(third, 4)?;
    (after.is_empty() && year >= 1000).then_some(Day { year, month, day, rest })
}

/// The next word without commas and full stops around it, and the rest.
fn word(text: &[u8]) -> (&[u8], &[u8]) {
    let text = text.trim_ascii_start();
    let end = text.iter().position(|byte| *byte == b' ').unwrap_or(text.len());
    let (word, rest) = text.split_at_checked(end).unwrap_or((text, &[]));
    let end = word.iter().rposition(|byte| !matches!(byte, b',' | b'.')).map_or(0, |at| at + 1);
    (word.get(..end).unwrap_or_default(), rest)
}

fn ordinal(word: &[u8]) -> Option<u64> {
    let (day, rest) = digits(word, 2)?;
    matches!(rest, b"" | b"st" | b"nd" | b"rd" | b"th").then_some(day)
}

/// The number of a month, by its English name or the first three letters of it.
pub(crate) fn month(word: &[u8]) -> Option<u64> {
    Some(match word {
        b"january" | b"jan" => 1,
        b"february" | b"feb" => 2,
        b"march" | b"mar" => 3,
        b"april" | b"apr" => 4,
        b"may" => 5,
        b"june" | b"jun" => 6,
        b"july" | b"jul" => 7,
        b"august" | b"aug" => 8,
        b"september" | b"sep" | b"sept" => 9,
        b"october" | b"oct" => 10,
        b"november" | b"nov" => 11,
        b"december" | b"dec" => 12,
        _ => return None,
    })
}

/// One to that many digits, at least two of which where that many are four.
fn digits(text: &[u8], most: usize) -> Option<(u64, &[u8])> {
    let count = text.iter().take(most).take_while(|byte| byte.is_ascii_digit()).count();
    if count == 0 || (most == 4 && count < 4) {
        return None;
    }
    let (digits, rest) = text.split_at_checked(count)?;
    Some((digits.iter().fold(0, |sum, digit| sum * 10 + u64::from(digit - b'0')), rest))
}

/// What comes after a date: nothing, or a time, of which midnight is nothing.
fn time(text: &[u8], short: &mut Short) -> Option<()> {
    let text = text.trim_ascii_start();
    let text = text.strip_prefix(b"t").unwrap_or(text);
    if text.is_empty() {
        return Some(());
    }
    let (hour, rest) = digits(text, 2)?;
    let (minute, rest) = digits(rest.strip_prefix(b":")?, 2)?;
    let (second, rest) = match rest.strip_prefix(b":") {
        Some(rest) => digits(rest, 2)?,
        None => (0, rest),
    };
    let (fraction, rest) = match rest.strip_prefix(b".") {
        Some(rest) => {
            let end = rest.iter().position(|byte| !byte.is_ascii_digit()).unwrap_or(rest.len());
            let (fraction, rest) = rest.split_at_checked(end)?;
            let end = fraction.iter().rposition(|digit| *digit != b'0').map_or(0, |at| at + 1);
            (fraction.get(..end)?, rest)
        }
        None => (&[][..], rest),
    };
    if hour > 24 || minute > 59 || second > 60 || fraction.len() > 9 {
        return None;
    }
    let zone = match rest {
        b"" | b"z" | b" utc" | b"+00:00" | b"-00:00" | b"+0000" => &[][..],
        [b'+' | b'-', offset @ ..]
            if offset.len() <= 5 && offset.iter().all(|b| b.is_ascii_digit() || *b == b':') =>
        {
            rest
        }
        _ => return None,
    };
    if (hour, minute, second) != (0, 0, 0) || !fraction.is_empty() || !zone.is_empty() {
        short.push(b't');
        for (mark, part) in [(b':', hour), (b':', minute), (b'.', second)] {
            short.digits(part, 2);
            short.push(mark);
        }
        short.extend(fraction);
        short.extend(zone);
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn show(short: Option<Short>) -> String {
        short.map_or("none".into(), |s| String::from_utf8(s.as_bytes().to_vec()).unwrap())
    }

    #[test]
    fn equal_numbers_have_one_form() {
        for (text, form) in [
            ("10", "10"),
            ("10.0", "10"),
            ("1e1", "10"),
            ("+10", "10"),
            ("-0.0", "0"),
            ("98.70", "98.7"),
            ("98,70", "98.7"),
            ("1,234.50", "1234.5"),
            ("1.234,50", "1234.5"),
            ("1,000", "1000"),
            ("1.000", "1"),
            ("1,000,000", "1000000"),
            ("1.5e-3", "0.0015"),
            ("-12e2", "-1200"),
            ("1e400", "1e400"),
            ("1e-400", "1e-400"),
            ("0", "0"),
            ("007", "none"),
            ("1.2.3", "none"),
            ("1,00,00", "none"),
            ("1.", "none"),
            ("e5", "none"),
            ("", "none"),
            ("1e", "none"),
            ("2022-01-01", "none"),
        ] {
            assert_eq!(show(number(text.as_bytes())), form, "{text}");
        }
        assert_eq!(show(Some(integer(i64::MIN))), show(number(b"-9223372036854775808")));
        assert_eq!(show(Some(integer(-1200))), "-1200");
    }

    proptest::proptest! {
        #[test]
        fn a_plain_number_is_its_own_form(text in "[0-9]{0,45}(\\.[0-9]{0,4})?[.,e]?[0-9]?") {
            if is_plain_number(text.as_bytes()) {
                proptest::prop_assert_eq!(show(number(text.as_bytes())), text);
            }
        }
    }

    proptest::proptest! {
        #[test]
        fn a_plain_date_is_its_own_form(text in "[0-9]{4}-[0-3][0-9]-[0-3][0-9][ 0-9]?") {
            let is_same = date(text.as_bytes()).is_some_and(|form| form.as_bytes() == text.as_bytes());
            proptest::prop_assert_eq!(is_plain_date(text.as_bytes()), is_same, "{}", text);
            proptest::prop_assert!(!is_same || number(text.as_bytes()).is_none());
        }
    }

    #[test]
    fn equal_dates_have_one_form() {
        for (text, form) in [
            ("2022-01-01", "2022-01-01"),
            ("2022-01-01t00:00:00z", "2022-01-01"),
            ("2022-01-01 00:00", "2022-01-01"),
            ("2022/1/1", "2022-01-01"),
            ("1 january 2022", "2022-01-01"),
            ("january 1st, 2022", "2022-01-01"),
            ("jan. 1 2022", "2022-01-01"),
            ("01.02.2022", "2022-02-01"),
            ("31/12/2022", "2022-12-31"),
            ("12/31/2022", "2022-12-31"),
            ("01/02/2022", "none"),
            ("2022-01-01t10:30:00.500z", "2022-01-01t10:30:00.5"),
            ("2022-01-01 10:30", "2022-01-01t10:30:00."),
            ("2022-01-01t10:30:00+02:00", "2022-01-01t10:30:00.+02:00"),
            ("2022-13-01", "none"),
            ("20220101", "none"),
            ("1 may 22", "none"),
        ] {
            assert_eq!(show(date(text.as_bytes())), form, "{text}");
        }
    }
}
