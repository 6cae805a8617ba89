//! Times, as people read them.

use safeconduct_model::Timestamp;

/// Day and minute, in UTC.
pub(super) fn minute(at: Timestamp) -> String {
    let text = at.to_string();
    let (day, time) = text.split_once('T').unwrap_or((&text, ""));
    format!("{day} {} UTC", time.get(..5).unwrap_or_default())
}

/// How long from now, or how long ago.
pub(super) fn from_now(at: Timestamp, now: Timestamp) -> String {
    let ms = at.as_millis().saturating_sub(now.as_millis());
    if ms.unsigned_abs() < 5000 {
        return "just now".to_owned();
    }
    let span = span(ms.unsigned_abs() / 1000);
    if ms >= 0 { format!("in {span}") } else { format!("{span} ago") }
}

/// A span of seconds, in the largest unit that says enough.
pub(super) fn span(seconds: u64) -> String {
    let (count, unit) = match seconds {
        0..=89 => (seconds, "second"),
        90..=5399 => ((seconds + 30) / 60, "minute"),
        5400..=129_599 => ((seconds + 1800) / 3600, "hour"),
        _ => ((seconds + 43_200) / 86_400, "day"),
    };
    format!("{count} {unit}{}", if count == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_told_in_words() {
        let now = Timestamp::parse("2026-11-22T13:39:49Z").unwrap();
        assert_eq!(minute(now), "2026-11-22 13:39 UTC");
        assert_eq!(from_now(now.plus_ms(-400), now), "just now");
        assert_eq!(from_now(now.plus_ms(12 * 60_000), now), "in 12 minutes");
        assert_eq!(from_now(now.plus_ms(-3 * 86_400_000), now), "3 days ago");
        assert_eq!((span(1), span(89)), ("1 second".into(), "89 seconds".into()));
        assert_eq!((span(90), span(7200)), ("2 minutes".into(), "2 hours".into()));
    }
}
