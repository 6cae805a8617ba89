//! Counters and gauges for Prometheus. Labels are words of small, fixed vocabularies: never an
//! identity, a resource or anything else that a caller can make up.

use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;
use safeconduct_model::{Decision, Reason, Timestamp};
use safeconduct_service::Watch;

/// By which edge a decision was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Asked {
    /// The AuthZEN endpoints.
    Authzen,
    /// The MCP gateway.
    Gateway,
    /// The administration API: only what it refuses.
    Administration,
    /// What is decided of tasks themselves: that one begins, and what it may lease.
    Tasks,
}

impl Asked {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Authzen => "authzen",
            Self::Gateway => "gateway",
            Self::Administration => "administration",
            Self::Tasks => "tasks",
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Decided {
    decision: &'static str,
    pep: &'static str,
    /// The code of the first reason.
    rule_class: &'static str,
}

/// What became of what was to go out.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct SentOut {
    /// `notices`, `events`.
    pub(crate) what: &'static str,
    /// `delivered`, `failed_tries`, `given_up`, `dropped`, `waiting`.
    pub(crate) state: &'static str,
}

/// What became of security event tokens.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct StreamTokens {
    /// The stream's name in the configuration.
    pub(crate) stream: String,
    /// `taken`, `repeated`, `passed_over`, or why it was refused.
    pub(crate) state: &'static str,
}

/// The process's metrics. Cheap to share, and cheap to count in.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    decisions: Family<Decided, Counter>,
    durations: Histogram,
    append_failures: Counter,
    unauthenticated: Counter,
    reloaded_at: Gauge,
    reloads_refused: Counter,
    pub(crate) ledger_ready: Gauge,
    pub(crate) policies: Gauge,
    pub(crate) sessions: Gauge,
    pub(crate) outcomes_pending: Gauge,
    pub(crate) records_read: Gauge,
    /// Subjects of signals; signals taken and dropped; records that detectors missed.
    pub(crate) signals: [Gauge; 4],
    pub(crate) sent_out: Family<SentOut, Gauge>,
    pub(crate) stream_tokens: Family<StreamTokens, Gauge>,
}

/// Upper ends of the buckets of a decision's duration, in seconds.
const BUCKETS: [f64; 12] =
    [0.000_05, 0.000_1, 0.000_2, 0.000_5, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.2, 1.0];

impl Default for Metrics {
    fn default() -> Self {
        let mut registry = Registry::with_prefix("safeconduct");
        let (decisions, append_failures) = (Family::default(), Counter::default());
        let (reloads_refused, reloaded_at) = (Counter::default(), Gauge::default());
        let unauthenticated = Counter::default();
        let durations = Histogram::new(BUCKETS);
        let signal_gauges: [Gauge; 4] = std::array::from_fn(|_| Gauge::default());
        let gauges: [Gauge; 5] = std::array::from_fn(|_| Gauge::default());
        registry.register("decisions", "Decisions, recorded or not", Family::clone(&decisions));
        registry.register(
            "decision_duration_seconds",
            "From the parsed question to the durable record",
            durations.clone(),
        );
        registry.register(
            "log_append_failures",
            "Decisions that were denied because they could not be recorded",
            append_failures.clone(),
        );
        registry.register(
            "administration_unauthenticated",
            "Calls of the administration API that proved nobody, none of them recorded",
            unauthenticated.clone(),
        );
        registry.register(
            "policy_last_reload_success_timestamp_seconds",
            "When the policy set in force was loaded",
            reloaded_at.clone(),
        );
        registry.register(
            "policy_reloads_refused",
            "Policy sets that were refused",
            reloads_refused.clone(),
        );
        let [ledger_ready, policies, sessions, outcomes_pending, records_read] = gauges;
        for (name, help, gauge) in [
            ("ledger_ready", "1 while the ledger takes records", &ledger_ready),
            ("policies", "Policies in force", &policies),
            ("sessions", "Sessions in memory", &sessions),
            ("outcomes_pending", "Permits that wait for their outcome", &outcomes_pending),
            ("read_model_records", "Records that the read model has read", &records_read),
        ] {
            registry.register(name, help, gauge.clone());
        }
        let of_signals = [
            ("signal_subjects", "Subjects of whom signals are known"),
            ("signals_taken", "Signals that were recorded since the start"),
            ("signals_dropped", "Signals that found no room since the start"),
            ("detector_records_missed", "Records that came too fast for the detectors"),
        ];
        for ((name, help), gauge) in of_signals.into_iter().zip(&signal_gauges) {
            registry.register(name, help, gauge.clone());
        }
        let (sent_out, stream_tokens) = (Family::default(), Family::default());
        registry.register(
            "sent_out",
            "Messages and events for others, since the server started",
            Family::clone(&sent_out),
        );
        registry.register(
            "stream_tokens",
            "Security event tokens that came, since the server started",
            Family::clone(&stream_tokens),
        );
        Self {
            sent_out,
            stream_tokens,
            registry,
            decisions,
            durations,
            append_failures,
            unauthenticated,
            reloaded_at,
            reloads_refused,
            ledger_ready,
            policies,
            sessions,
            outcomes_pending,
            records_read,
            signals: signal_gauges,
        }
    }
}

impl Metrics {
    /// Counts a decision.
    pub fn decided(&self, asked: Asked, decision: Decision, reasons: &[Reason], took: Duration) {
        self.count(asked, decision, reasons);
        self.durations.observe(took.as_secs_f64());
    }

    fn count(&self, asked: Asked, decision: Decision, reasons: &[Reason]) {
        let first = reasons.first();
        self.decisions
            .get_or_create(&Decided {
                decision: decision.as_str(),
                pep: asked.as_str(),
                rule_class: first.map_or("none", Reason::code),
            })
            .inc();
        if matches!(first, Some(Reason::NotRecorded(_))) {
            self.append_failures.inc();
        }
    }

    /// Counts a call of the administration API that proved nobody.
    pub(crate) fn unauthenticated(&self) {
        self.unauthenticated.inc();
    }

    /// Notes that a policy set came into force.
    pub fn policies_loaded(&self, at: Timestamp) {
        self.reloaded_at.set(at.as_millis() / 1000);
    }

    /// Counts a policy set that was refused.
    pub fn policies_refused(&self) {
        self.reloads_refused.inc();
    }

    /// The text that Prometheus reads (OpenMetrics 1.0).
    pub(crate) fn text(&self) -> String {
        let mut text = String::with_capacity(4096);
        // Writing to a string cannot fail; were it ever to, the text ends early and is no
        // OpenMetrics text, since its `# EOF` is missing.
        let _ = encode(&mut text, &self.registry);
        text
    }
}

/// Counts what is decided of tasks themselves, by whichever edge.
impl Watch for Metrics {
    fn ended(&self) {}

    fn decided(&self, decision: Decision, reasons: &[Reason]) {
        self.count(Asked::Tasks, decision, reasons);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_show_under_their_documented_names() {
        let metrics = Metrics::default();
        let took = Duration::from_micros(70);
        let refused = [Reason::NotRecorded("disk full".into())];
        metrics.decided(Asked::Authzen, Decision::Deny, &refused, took);
        metrics.decided(
            Asked::Gateway,
            Decision::Deny,
            &[Reason::NoPermit { resource: None }],
            took,
        );
        metrics.policies_loaded(Timestamp::from_millis(61_000));
        let text = metrics.text();
        for line in [
            "safeconduct_decisions_total{decision=\"deny\",pep=\"authzen\",rule_class=\"not_recorded\"} 1",
            "safeconduct_decisions_total{decision=\"deny\",pep=\"gateway\",rule_class=\"no_permit\"} 1",
            "safeconduct_decision_duration_seconds_count 2",
            "safeconduct_log_append_failures_total 1",
            "safeconduct_policy_last_reload_success_timestamp_seconds 61",
        ] {
            assert!(text.contains(line), "{line} is not in\n{text}");
        }
        assert!(text.ends_with("# EOF\n"));
    }
}
