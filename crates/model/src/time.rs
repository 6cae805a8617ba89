//! Points in time: given as arguments, never read from a clock here.

use std::fmt;

/// A point in time: milliseconds since 1970-01-01T00:00:00Z, leap seconds not counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Timestamp(i64);

impl Timestamp {
    /// From milliseconds since the epoch.
    pub const fn from_millis(millis: i64) -> Self {
        Self(millis)
    }

    /// Milliseconds since the epoch.
    pub const fn as_millis(self) -> i64 {
        self.0
    }

    /// Later by so many milliseconds; at the end of the range it stays there.
    #[must_use]
    pub const fn plus_ms(self, millis: i64) -> Self {
        Self(self.0.saturating_add(millis))
    }

    /// Milliseconds from `earlier` to this one; 0 where the clock stepped back.
    pub const fn ms_since(self, earlier: Self) -> i64 {
        let span = self.0.saturating_sub(earlier.0);
        if span < 0 { 0 } else { span }
    }

    /// Parses what [`Timestamp`] prints: RFC 3339 in UTC (`Z`), with 0 to 3 digits of a second's
    /// fraction. Anything else is `None`.
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.strip_suffix('Z')?;
        let (date, time) = text.split_once('T')?;
        let mut date = date.split('-').map(digits);
        let (year, month, day) = (date.next()??, date.next()??, date.next()??);
        let (clock, fraction) = time.split_once('.').unwrap_or((time, ""));
        let mut clock = clock.split(':').map(digits);
        let (hour, minute, second) = (clock.next()??, clock.next()??, clock.next()??);
        let millis = match fraction.len() {
            0 => 0,
            1..=3 => digits(fraction)? * [100, 10, 1].get(fraction.len() - 1)?,
            _ => return None,
        };
        let fits = (1..=12).contains(&month)
            && (1..=31).contains(&day)
            && hour < 24
            && minute < 60
            && second < 60
            && year < 10_000;
        if !fits {
            return None;
        }
        let parsed = Self(
            days_from_civil(year, month, day) * 86_400_000
                + hour * 3_600_000
                + minute * 60_000
                + second * 1000
                + millis,
        );
        // A day that its month does not have comes out as another day: refuse it.
        (civil_from_days(parsed.0.div_euclid(86_400_000)) == (year, month, day)).then_some(parsed)
    }
}

fn digits(text: &str) -> Option<i64> {
    let fits = !text.is_empty() && text.len() <= 4 && text.bytes().all(|b| b.is_ascii_digit());
    fits.then(|| text.parse().ok())?
}

impl Timestamp {
    /// What is printed of it, as ASCII; `None` where its year has not four digits.
    pub fn to_ascii(self) -> Option<[u8; 24]> {
        let (days, ms) = (self.0.div_euclid(86_400_000), self.0.rem_euclid(86_400_000));
        let (year, month, day) = civil_from_days(days);
        if !(0..10_000).contains(&year) {
            return None;
        }
        // INVARIANT: a remainder by ten fits a byte.
        let digit = |n: i64, place: i64| b'0' + (n / place % 10) as u8;
        let two = |n: i64| [digit(n, 10), digit(n, 1)];
        let ([y0, y1], [y2, y3]) = (two(year / 100), two(year));
        let ([mo0, mo1], [d0, d1]) = (two(month), two(day));
        let ([h0, h1], [mi0, mi1]) = (two(ms / 3_600_000), two(ms / 60_000 % 60));
        let ([s0, s1], [f0, f1, f2]) =
            (two(ms / 1000 % 60), [digit(ms, 100), digit(ms, 10), digit(ms, 1)]);
        Some([
            y0, y1, y2, y3, b'-', mo0, mo1, b'-', d0, d1, b'T', h0, h1, b':', mi0, mi1, b':', s0,
            s1, b'.', f0, f1, f2, b'Z',
        ])
    }
}

/// RFC 3339 in UTC with milliseconds: `2026-11-22T03:43:04.120Z`.
impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ascii = self.to_ascii();
        if let Some(text) = ascii.as_ref().and_then(|ascii| std::str::from_utf8(ascii).ok()) {
            return f.write_str(text);
        }
        let (days, ms) = (self.0.div_euclid(86_400_000), self.0.rem_euclid(86_400_000));
        let (year, month, day) = civil_from_days(days);
        let (h, m, s) = (ms / 3_600_000, ms / 60_000 % 60, ms / 1000 % 60);
        write!(f, "{year:04}-{month:02}-{day:02}T{h:02}:{m:02}:{s:02}.{:03}Z", ms % 1000)
    }
}

/// Days since the epoch to year, month, day in the proleptic Gregorian calendar; years run from
/// March inside, so that a leap day is the last day of a year.
fn civil_from_days(days: i64) -> (i64, i64, i64) {
    let shifted = days + 719_468;
    let era = shifted.div_euclid(146_097);
    let day_of_era = shifted.rem_euclid(146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    (year_of_era + era * 400 + i64::from(month <= 2), month, day)
}

fn days_from_civil(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let shifted_month = if month > 2 { month - 3 } else { month + 9 };
    let day_of_year = (153 * shifted_month + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era * 146_097 + day_of_era - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn prints_rfc_3339() {
        assert_eq!(Timestamp::from_millis(0).to_string(), "1970-01-01T00:00:00.000Z");
        assert_eq!(
            Timestamp::from_millis(1_709_210_096_789).to_string(),
            "2024-02-29T12:34:56.789Z"
        );
        assert_eq!(Timestamp::from_millis(-1).to_string(), "1969-12-31T23:59:59.999Z");
        let last = Timestamp::from_millis(253_402_300_799_999);
        assert_eq!(last.to_string(), "9999-12-31T23:59:59.999Z");
        assert_eq!(last.plus_ms(1).to_string(), "10000-01-01T00:00:00.000Z");
        assert_eq!(last.plus_ms(1).to_ascii(), None);
    }

    #[test]
    fn refuses_what_it_would_not_print() {
        for text in ["2023-02-29T00:00:00Z", "2024-01-01", "2024-01-01T00:00:00+01:00", "x"] {
            assert_eq!(Timestamp::parse(text), None, "{text}");
        }
    }

    #[test]
    fn a_clock_that_steps_back_gives_no_negative_span() {
        assert_eq!(Timestamp::from_millis(5).ms_since(Timestamp::from_millis(9)), 0);
    }

    proptest! {
        #[test]
        fn parse_reads_what_display_prints(ms in 0_i64..253_402_300_799_999) {
            let t = Timestamp::from_millis(ms);
            prop_assert_eq!(Timestamp::parse(&t.to_string()), Some(t));
        }
    }
}
