//! From when on something is wrong with the estate, in the configuration.

use safeconduct_review::finding::{DAY_MS, Thresholds};
use schemars::JsonSchema;
use serde::Deserialize;

use super::form::ConfigForm;
use crate::document::{Diagnostic, Document, Span, Written};

const DAY_S: u32 = 86_400;

/// Longest window over which the use of rights is looked at: ten years.
const WINDOW_S_MAX: u32 = 3660 * DAY_S;

/// Longest time that anything else lasts: a leap year.
const YEAR_S: u32 = 366 * DAY_S;

/// Longest time between two looks.
const LOOK_S_MAX: u32 = 31 * DAY_S;

/// From when on something is wrong with the estate (docs/reviews.md). What is left out is as it
/// ships.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct FindingsForm {
    /// How long after one look at the estate the next one begins: a minute to 31 days.
    pub look_every: Written<Span>,
    /// How long a right must not have been used, and must have been held, to be unused; and the
    /// window over which is looked what of it was used: a day to ten years.
    pub unused_after: Written<Span>,
    /// How long an identity must not have acted, and must have been registered, to be dormant: a
    /// day to ten years.
    pub dormant_after: Written<Span>,
    /// Longest life of a token; at most 366 days.
    pub token_life: Written<Span>,
    /// For how long a lease may outlive its task while it is taken back; at most a day.
    pub lease_grace: Written<Span>,
    /// For how long something that happened is held against anybody: an hour to 366 days.
    pub recent: Written<Span>,
    /// From how many decisions of one enforcement point about one action on it is said that they
    /// lack something, and from how many answers on that somebody does not read.
    #[schemars(range(min = 1, max = 100_000))]
    pub sample: u32,
    /// Below which median time to an answer nobody has read what they answered; at most an hour.
    pub read_time: Written<Span>,
    /// From how many answers in one go on nobody has read them.
    #[schemars(range(min = 2, max = 100_000))]
    pub batch: u32,
    /// From how many in a hundred answers that are yes on nobody has read them.
    #[schemars(range(min = 50, max = 100))]
    pub yes_percent: u32,
    /// From how many calls within a minute on it is no person who acts.
    #[schemars(range(min = 2, max = 1_000_000))]
    pub calls_a_minute: u32,
    /// From how many different hours of one day (UTC) on it is no person who acts.
    #[schemars(range(min = 2, max = 24))]
    pub hours_a_day: u32,
    /// From how many returns to a credential used before on two use an identity in turns.
    #[schemars(range(min = 1, max = 100_000))]
    pub returns: u32,
}

impl Default for FindingsForm {
    fn default() -> Self {
        let shipped = Thresholds::default();
        let span = |ms: i64| {
            let seconds = u32::try_from(ms / 1000).unwrap_or(u32::MAX);
            Written(Span { seconds })
        };
        let small = |count: u64| u32::try_from(count).unwrap_or(u32::MAX);
        Self {
            look_every: span(DAY_MS),
            unused_after: span(shipped.unused_after_ms),
            dormant_after: span(shipped.dormant_after_ms),
            token_life: span(shipped.token_life_ms),
            lease_grace: span(shipped.lease_grace_ms),
            recent: span(shipped.recent_ms),
            sample: small(shipped.least_sample),
            read_time: span(shipped.read_ms),
            batch: small(shipped.batch),
            yes_percent: small(shipped.yes_percent),
            calls_a_minute: small(shipped.calls_a_minute),
            hours_a_day: shipped.hours_a_day,
            returns: small(shipped.returns),
        }
    }
}

impl FindingsForm {
    /// As the rules of findings have it.
    pub fn to_thresholds(&self) -> Thresholds {
        let ms = |span: &Written<Span>| i64::from(span.0.seconds) * 1000;
        Thresholds {
            unused_after_ms: ms(&self.unused_after),
            dormant_after_ms: ms(&self.dormant_after),
            token_life_ms: ms(&self.token_life),
            lease_grace_ms: ms(&self.lease_grace),
            recent_ms: ms(&self.recent),
            least_sample: self.sample.into(),
            yes_percent: self.yes_percent.into(),
            read_ms: ms(&self.read_time),
            batch: self.batch.into(),
            calls_a_minute: self.calls_a_minute.into(),
            hours_a_day: self.hours_a_day,
            returns: self.returns.into(),
        }
    }
}

/// Times that are too short or too long.
pub(super) fn problems(document: &Document<ConfigForm>) -> Vec<Diagnostic> {
    let form = &document.content.findings;
    let bounds = [
        ("look_every", form.look_every.0, 60, LOOK_S_MAX),
        ("unused_after", form.unused_after.0, DAY_S, WINDOW_S_MAX),
        ("dormant_after", form.dormant_after.0, DAY_S, WINDOW_S_MAX),
        ("token_life", form.token_life.0, 1, YEAR_S),
        ("lease_grace", form.lease_grace.0, 1, DAY_S),
        ("recent", form.recent.0, 3600, YEAR_S),
        ("read_time", form.read_time.0, 1, 3600),
    ];
    let outside =
        bounds.iter().filter(|(_, is, least, most)| !(*least..=*most).contains(&is.seconds));
    outside
        .map(|(name, is, least, most)| {
            let bound = |seconds: u32| written(Span { seconds });
            let (is, least, most) = (written(*is), bound(*least), bound(*most));
            let message = format!("`{is}` is not between `{least}` and `{most}`");
            document.problem(&format!("/findings/{name}"), message)
        })
        .collect()
}

fn written(span: Span) -> String {
    crate::document::Text::written(&span).into_owned()
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::config;

    fn read(text: &str) -> Result<FindingsForm, String> {
        let text = format!("version: 1\n{text}");
        config::parse("s.yaml", &text, Path::new("/etc"))
            .map(|config| config.findings)
            .map_err(|problems| problems.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn what_is_left_out_is_as_it_ships() {
        let form = read("").unwrap();
        assert_eq!(form.to_thresholds(), Thresholds::default());
        assert_eq!(form.look_every, Written(Span { seconds: 86_400 }));
        let form = read(
            "findings:\n  unused_after: 30d\n  dormant_after: 45d\n  token_life: 12h\n  \
             lease_grace: 90s\n  recent: 7d\n  sample: 4\n  read_time: 5s\n  batch: 20\n  \
             yes_percent: 90\n  calls_a_minute: 30\n  hours_a_day: 16\n  returns: 5\n  look_every: 1h",
        );
        let form = form.unwrap();
        let wanted = Thresholds {
            unused_after_ms: 30 * DAY_MS,
            dormant_after_ms: 45 * DAY_MS,
            token_life_ms: DAY_MS / 2,
            lease_grace_ms: 90_000,
            recent_ms: 7 * DAY_MS,
            least_sample: 4,
            yes_percent: 90,
            read_ms: 5_000,
            batch: 20,
            calls_a_minute: 30,
            hours_a_day: 16,
            returns: 5,
        };
        assert_eq!((form.to_thresholds(), form.look_every.0.seconds), (wanted, 3600));
    }

    #[test]
    fn what_does_not_fit_is_named_with_its_place() {
        for (text, says) in [
            ("findings:\n  unused_after: 1h", "s.yaml:3:17: `1h` is not between `1d` and `3660d`"),
            ("findings: { recent: 400d }", "s.yaml:2:21: `400d` is not between `1h` and `366d`"),
            ("findings: { lease_grace: 2d }", "`2d` is not between `1s` and `1d`"),
            ("findings: { read_time: 2h }", "`2h` is not between `1s` and `1h`"),
            ("findings: { look_every: 1s }", "`1s` is not between `1m` and `31d`"),
            ("findings: { batch: 1 }", "s.yaml:2:20: 1 is less than 2"),
            ("findings: { hours_a_day: 25 }", "25 is more than 24"),
            ("findings: { yes_percent: 101 }", "101 is more than 100"),
            ("findings: { unused_after: soon }", "`soon` is no span of time"),
            ("findings: { unused: 9d }", "unknown key `unused`"),
        ] {
            let problems = read(text).unwrap_err();
            assert!(problems.contains(says), "{text}: {problems}");
        }
    }
}
