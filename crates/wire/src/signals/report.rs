//! What someone reports of another, in our own form: the body of a webhook.

use safeconduct_model::signal::{
    About, Confidence, DETAIL_BYTES_MAX, Kind, Severity, Signal, Source,
};
use safeconduct_model::{IdentityId, SessionKey, TaskId, Timestamp};
use schemars::JsonSchema;
use serde::Deserialize;

use crate::admin::SessionForm;
use crate::document::{Diagnostic, FormError, Place, Written, read_json};

/// Most signals in one report.
pub const REPORTED_MAX: usize = 64;

/// Signals, as somebody outside reports them.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SignalReport {
    /// The signals.
    #[schemars(length(min = 1, max = 64))]
    pub signals: Vec<ReportedSignal>,
}

/// One signal.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ReportedSignal {
    /// About whom.
    pub about: AboutForm,
    /// What was seen: `reported`, `session_revoked`, `account_disabled`, `risk_level` …
    #[serde(default = "reported")]
    #[schemars(length(min = 1, max = 64))]
    pub kind: String,
    /// How bad it is: `info`, `low`, `moderate`, `high` or `critical`.
    #[schemars(length(min = 1, max = 16))]
    pub severity: String,
    /// How sure the one who reports it is, in percent.
    #[serde(default = "certain")]
    #[schemars(range(min = 0, max = 100))]
    pub confidence: u8,
    /// What it is about more exactly.
    #[serde(default)]
    #[schemars(length(max = 256))]
    pub topic: String,
    /// For people: what was seen. No secrets, no values.
    #[serde(default)]
    #[schemars(length(max = 512))]
    pub detail: String,
    /// When it was seen; now, where nothing is said or it lies ahead.
    pub observed_at: Option<Written<Timestamp>>,
    /// From when on it counts for nothing; by its kind, where nothing is said.
    pub expires_at: Option<Written<Timestamp>>,
}

/// About whom: one of these.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AboutForm {
    /// Someone who acts.
    pub identity: Option<Written<IdentityId>>,
    /// Someone on whose behalf others act.
    pub user: Option<Written<IdentityId>>,
    /// One task.
    pub task: Option<Written<TaskId>>,
    /// One session.
    pub session: Option<SessionForm>,
}

impl SignalReport {
    /// Reads a report, strictly.
    ///
    /// # Errors
    /// [`FormError`] names what does not fit: whoever sent it is at fault.
    pub fn parse(body: &[u8]) -> Result<Self, FormError> {
        read_json(body)
    }

    /// The signals in the model's terms: of that source, under ids that begin with `id`, worth no
    /// more than `confidence_max`.
    ///
    /// # Errors
    /// What does not fit: whoever sent it is at fault.
    pub fn into_signals(
        self,
        source: &Source,
        id: &str,
        confidence_max: Confidence,
        now: Timestamp,
    ) -> Result<Vec<Signal>, Vec<Diagnostic>> {
        let signals = self.signals.into_iter().enumerate().map(|(n, one)| {
            let problem = |field: &str, message: String| {
                let pointer = format!("/signals/{n}/{field}");
                vec![Diagnostic::new("", Place::default(), &pointer, message)]
            };
            let kind = Kind::parse(&one.kind)
                .ok_or_else(|| problem("kind", "this is no kind of signal".into()))?;
            let severity = Severity::parse(&one.severity)
                .ok_or_else(|| problem("severity", "this is no severity".into()))?;
            let about = one.about.into_model().ok_or_else(|| {
                let message = "exactly one of `identity`, `user`, `task` and `session` is needed";
                problem("about", message.into())
            })?;
            let seen = one.observed_at.map_or(now, |at| at.0.min(now));
            let name = if n == 0 { id.to_owned() } else { format!("{id}.{n}") };
            let made = Signal::new(about, kind, severity, source.clone(), name, seen);
            let expires_at = one.expires_at.map_or(made.expires_at, |at| at.0);
            let end = one.detail.floor_char_boundary(DETAIL_BYTES_MAX);
            let signal = Signal {
                confidence: Confidence::percent(one.confidence).min(confidence_max),
                topic: one.topic.into(),
                detail: one.detail.get(..end).unwrap_or_default().into(),
                expires_at,
                ..made
            };
            signal.check().map_err(|error| problem("expires_at", error.to_string()))?;
            Ok(signal)
        });
        signals.collect()
    }
}

impl AboutForm {
    fn into_model(self) -> Option<About> {
        match (self.identity, self.user, self.task, self.session) {
            (Some(id), None, None, None) => Some(About::Identity(id.0)),
            (None, Some(id), None, None) => Some(About::User(id.0)),
            (None, None, Some(task), None) => Some(About::Task(task.0)),
            (None, None, None, Some(form)) => {
                let SessionForm { identity, token } = form;
                Some(About::Session(SessionKey { identity: identity.0, scope: token.0 }))
            }
            _ => None,
        }
    }
}

fn reported() -> String {
    Kind::Reported.as_str().to_owned()
}

const fn certain() -> u8 {
    100
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(body: &str) -> Result<Vec<Signal>, String> {
        let report = SignalReport::parse(body.as_bytes()).map_err(|error| error.to_string())?;
        let source = Source::Webhook("siem".into());
        let now = Timestamp::from_millis(1_790_000_000_000);
        report
            .into_signals(&source, "msg_1", Confidence::percent(80), now)
            .map_err(|all| all.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn a_report_is_read() {
        let signals = read(
            r#"{"signals": [
                {"about": {"identity": "case-agent"}, "severity": "high", "detail": "x"},
                {"about": {"task": "task_1"}, "kind": "session_revoked", "severity": "critical",
                 "confidence": 50, "observed_at": "2999-01-01T00:00:00Z"}
            ]}"#,
        )
        .unwrap();
        assert_eq!((&*signals[0].id, &*signals[1].id), ("msg_1", "msg_1.1"));
        let confidences: Vec<_> = signals.iter().map(|one| one.confidence.as_percent()).collect();
        assert_eq!(confidences, [80, 50]);
        assert_eq!(signals[0].kind, Kind::Reported);
        // One from the future would stay fresh until then.
        assert_eq!(signals[1].observed_at.as_millis(), 1_790_000_000_000);
    }

    #[test]
    fn what_does_not_fit_is_said() {
        for bad in [
            "{}",
            r#"{"signals": []}"#,
            r#"{"signals": [{"about": {}, "severity": "high"}]}"#,
            r#"{"signals": [{"about": {"identity": "a", "user": "b"}, "severity": "high"}]}"#,
            r#"{"signals": [{"about": {"identity": "a"}, "severity": "bad"}]}"#,
            r#"{"signals": [{"about": {"identity": "a"}, "severity": "high", "kind": "x"}]}"#,
            r#"{"signals": [{"about": {"identity": "a"}, "severity": "high", "confidence": 101}]}"#,
            r#"{"signals": [{"about": {"identity": "a"}, "severity": "high", "severity": "low"}]}"#,
            r#"{"signals": [{"about": {"identity": "a"}, "severity": "high", "expires_at": "1970-01-01T00:00:00Z"}]}"#,
        ] {
            assert!(read(bad).is_err(), "{bad}");
        }
    }
}
