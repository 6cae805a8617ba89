//! When a campaign begins again: days of the calendar, in UTC.

use safeconduct_model::Timestamp;

/// Milliseconds of a day.
const DAY_MS: i64 = 86_400_000;

/// Most days or months between two starts.
pub const EVERY_MAX: u32 = 3660;

/// From one day on, every so many days or months.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Recurrence {
    /// The first start: a midnight in UTC.
    pub from: Timestamp,
    /// How far apart.
    pub every: Every,
}

/// How far apart two starts are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Every {
    /// So many days: 1 to [`EVERY_MAX`].
    Days(u32),
    /// So many months, on the day of the first start; where a month is too short, on its last
    /// day. 1 to [`EVERY_MAX`].
    Months(u32),
}

impl Recurrence {
    /// The day in that text, `2026-01-31`; `None` where there is no such day.
    pub fn day(text: &str) -> Option<Timestamp> {
        Timestamp::parse(&format!("{text}T00:00:00Z"))
    }

    /// The last start that is not after that moment; `None` before the first.
    pub fn latest(&self, at: Timestamp) -> Option<Timestamp> {
        if at < self.from {
            return None;
        }
        let mut number = self.about(at);
        // The day within a month can make the guess one too high or too low.
        while number > 0 && self.start(number).is_none_or(|start| start > at) {
            number -= 1;
        }
        while self.start(number + 1).is_some_and(|start| start <= at) {
            number += 1;
        }
        self.start(number)
    }

    /// The first start after that moment; `None` beyond the year 9999.
    pub fn next(&self, at: Timestamp) -> Option<Timestamp> {
        if at < self.from {
            return Some(self.from);
        }
        let mut number = self.about(at).saturating_sub(1);
        loop {
            let start = self.start(number)?;
            if start > at {
                return Some(start);
            }
            number += 1;
        }
    }

    /// About which start that moment belongs to, counted from 0.
    fn about(&self, at: Timestamp) -> i64 {
        match self.every {
            Every::Days(days) => at.ms_since(self.from) / DAY_MS / i64::from(days.max(1)),
            Every::Months(months) => {
                let month = |at| date(at).map_or(0, |(year, month, _)| year * 12 + month - 1);
                (month(at) - month(self.from)) / i64::from(months.max(1))
            }
        }
    }

    /// The start of that number, counted from 0.
    fn start(&self, number: i64) -> Option<Timestamp> {
        match self.every {
            Every::Days(days) => {
                let start = self.from.plus_ms(number * i64::from(days.max(1)) * DAY_MS);
                date(start).map(|_| start)
            }
            Every::Months(months) => {
                let (year, month, day) = date(self.from)?;
                let month = year * 12 + month - 1 + number * i64::from(months.max(1));
                let (year, month) = (month.div_euclid(12), month.rem_euclid(12) + 1);
                let on = |day: i64| Self::day(&format!("{year:04}-{month:02}-{day:02}"));
                (1..=day).rev().find_map(on)
            }
        }
    }
}

/// Year, month and day in UTC; `None` beyond the year 9999.
fn date(at: Timestamp) -> Option<(i64, i64, i64)> {
    let text = at.to_ascii()?;
    let mut parts = text.get(..10)?.split(|byte| *byte == b'-').map(|part| {
        part.iter().fold(0, |number, digit| number * 10 + i64::from(digit.saturating_sub(b'0')))
    });
    Some((parts.next()?, parts.next()?, parts.next()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn day(text: &str) -> Timestamp {
        Recurrence::day(text).unwrap()
    }

    #[test]
    fn a_month_that_is_too_short_starts_on_its_last_day_and_does_not_shift_the_next() {
        let monthly = Recurrence { from: day("2027-10-31"), every: Every::Months(1) };
        let mut at = day("2027-10-30");
        let mut starts = Vec::new();
        for _ in 0..7 {
            at = monthly.next(at).unwrap();
            starts.push(at.to_string().chars().take(10).collect::<String>());
        }
        let wanted = [
            "2027-10-31",
            "2027-11-30",
            "2027-12-31",
            "2028-01-31",
            "2028-02-29",
            "2028-03-31",
            "2028-04-30",
        ];
        assert_eq!(starts, wanted);
        assert_eq!(monthly.latest(day("2028-03-30")), Some(day("2028-02-29")));
        assert_eq!(monthly.latest(day("2028-02-28")), Some(day("2028-01-31")));
        assert_eq!(monthly.latest(day("2027-10-30")), None);
        let quarterly = Recurrence { from: day("2026-11-30"), every: Every::Months(3) };
        assert_eq!(quarterly.next(day("2026-11-30")), Some(day("2027-02-28")));
        assert_eq!(quarterly.next(day("2027-02-28")), Some(day("2027-05-30")));
    }

    #[test]
    fn days_are_counted_in_utc_over_the_end_of_a_year() {
        let fortnightly = Recurrence { from: day("2026-12-20"), every: Every::Days(14) };
        assert_eq!(fortnightly.next(day("2026-12-20")), Some(day("2027-01-03")));
        let before = day("2027-01-03").plus_ms(-1);
        assert_eq!(fortnightly.latest(before), Some(day("2026-12-20")));
        assert_eq!(fortnightly.latest(day("2027-01-03")), Some(day("2027-01-03")));
        assert_eq!(Recurrence::day("2027-02-29"), None);
    }

    #[test]
    fn latest_and_next_agree_on_every_day() {
        for every in [Every::Days(1), Every::Days(45), Every::Months(1), Every::Months(5)] {
            let recurrence = Recurrence { from: day("2024-01-31"), every };
            for number in 0..1200 {
                let at = day("2024-01-31").plus_ms(number * DAY_MS + 7);
                let (latest, next) = (recurrence.latest(at).unwrap(), recurrence.next(at).unwrap());
                assert!(latest <= at && at < next, "{every:?} {at}");
                assert_eq!(recurrence.next(latest), Some(next), "{every:?} {at}");
            }
        }
    }
}
