//! Risk and tiers, in the configuration: forms, and what the rest of the program gets of them.

use std::collections::{BTreeMap, BTreeSet};

use safeconduct_approval::{Terms, TermsError};
use safeconduct_model::signal::Kind;
use safeconduct_model::{Depth, Requestable, TierRule, Tiers};
use schemars::JsonSchema;
use serde::Deserialize;

use super::form::ConfigForm;
use crate::document::{self, Diagnostic, Document, Word, YamlLimits};

/// How signals become risk.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RiskForm {
    /// What finds signals in the ledger itself.
    pub detectors: DetectorsForm,
    /// After how many seconds half of a signal is left, by its kind.
    #[schemars(extend("maxProperties" = 64))]
    pub half_lives: BTreeMap<Word<Kind>, HalfLife>,
}

/// A time in seconds: 1 to 90 days.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct HalfLife(#[schemars(range(min = 1, max = 7_776_000))] pub u32);

/// What finds signals in the ledger itself.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct DetectorsForm {
    /// Whether they look at what is decided.
    pub enabled: bool,
    /// The kinds of signals that are wanted; left out, all.
    #[schemars(length(max = 64))]
    pub only: BTreeSet<Word<Kind>>,
    /// When they speak.
    pub tuning: TuningForm,
}

impl Default for DetectorsForm {
    fn default() -> Self {
        Self { enabled: true, only: BTreeSet::new(), tuning: TuningForm::default() }
    }
}

macro_rules! thresholds {
    ($($(#[$doc:meta])* $name:ident,)*) => {
        /// When detectors speak. What is left out is as it ships; `docs/risk.md` says how.
        #[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, JsonSchema)]
        #[serde(deny_unknown_fields, default)]
        pub struct TuningForm {
            $(
                $(#[$doc])*
                #[schemars(range(min = 1, max = 1_000_000_000))]
                pub $name: Option<u32>,
            )*
        }
    };
}

thresholds! {
    /// Decisions of one session within `burst_window_ms` that are a burst.
    burst_calls,
    /// The window of bursts, in milliseconds.
    burst_window_ms,
    /// Decisions after which an action or class of resources can be unheard of, for one identity
    /// and intent.
    learned_after,
    /// Decisions after which a pair of actions can be.
    pairs_learned_after,
    /// Denials in a row.
    denials,
    /// Different days that must have been seen before an hour can be unusual.
    hours_learned_days,
    /// An hour is unusual where it has fewer than one in so many decisions.
    hour_rarer_than,
    /// Least decisions in an hour that can be an unusual volume.
    volume_calls,
    /// How many times the usual are unusual.
    volume_times,
    /// Hours that must have been seen before.
    volume_learned_hours,
    /// Tasks below one that are a fan-out.
    children,
    /// Within how many milliseconds.
    children_window_ms,
    /// Actions that the baseline of drift must hold.
    drift_learned_after,
    /// The Jensen-Shannon divergence from which on it is drift, in thousandths of a bit.
    drift_millibits,
    /// Within how many milliseconds two networks of one session are two places.
    places_window_ms,
    /// How long a detector that does not count keeps quiet, in milliseconds.
    quiet_ms,
}

/// What actions need beside a policy that permits them, by their tiers.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct TiersForm {
    /// Tier `high`; `fresh_facts` where nothing is said.
    pub high: TierForm,
    /// Tier `critical`; `person` where nothing is said.
    pub critical: TierForm,
    /// How old a proof of who acts may be that counts as fresh, in seconds; an hour where nothing
    /// is said.
    #[schemars(range(min = 1, max = 2_592_000))]
    pub proof_s: Option<u32>,
}

/// What actions of one tier need, and whom to ask.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct TierForm {
    /// `policy`: nothing more. `fresh_facts`: that who acts has lately proved it with more than
    /// a secret that can be copied, or a person. `person`: a person, always.
    pub needs: Option<Word<Depth>>,
    /// Who may approve, as in `@requestable`; `principal.owner` where nothing is said.
    #[schemars(length(min = 1, max = 4096))]
    pub approvers: Option<String>,
    /// How many of them must; 1 where nothing is said.
    #[schemars(range(min = 1, max = 10))]
    pub quorum: Option<u32>,
    /// How long an approval lasts, in seconds; 15 minutes where nothing is said.
    #[schemars(range(min = 1, max = 604_800))]
    pub ttl_s: Option<u32>,
    /// How old the last word may be of the streams of those who vouch for everyone concerned, in
    /// seconds, where facts must be fresh: whose issuer sends no stream here needs a person then.
    /// Where nothing is said, only a stream counts that has fallen silent.
    #[schemars(range(min = 1, max = 2_592_000))]
    pub signals_s: Option<u32>,
}

impl TiersForm {
    /// In the model's terms.
    pub fn to_model(&self) -> Tiers {
        let shipped = Tiers::default();
        Tiers {
            high: self.high.over(shipped.high),
            critical: self.critical.over(shipped.critical),
            proof_s: self.proof_s.unwrap_or(shipped.proof_s),
        }
    }
}

impl TierForm {
    fn over(&self, shipped: TierRule) -> TierRule {
        let Requestable { approvers, quorum, ttl_s } = shipped.terms;
        TierRule {
            needs: self.needs.map_or(shipped.needs, |word| word.0),
            terms: Requestable {
                approvers: self.approvers.as_deref().map_or(approvers, Into::into),
                quorum: self.quorum.unwrap_or(quorum),
                ttl_s: self.ttl_s.unwrap_or(ttl_s),
            },
            signals_s: self.signals_s.or(shipped.signals_s),
        }
    }
}

/// What is wrong with whom tiers say is to be asked: found now, not when somebody first is.
pub(super) fn problems(document: &Document<ConfigForm>) -> Vec<Diagnostic> {
    let Tiers { high, critical, .. } = document.content.tiers.to_model();
    let said = [("high", high), ("critical", critical)].into_iter();
    let wrong = said.filter_map(|(tier, rule)| Some((tier, Terms::read(&rule.terms).err()?)));
    wrong
        .map(|(tier, error)| {
            let member = match error {
                TermsError::Approvers(_) => "approvers",
                TermsError::Quorum(_) => "quorum",
                TermsError::Ttl(_) => "ttl_s",
            };
            document.problem(&format!("/tiers/{tier}/{member}"), error.to_string())
        })
        .collect()
}

/// How people are asked for approvals.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ApprovalsForm {
    /// How often one approver is asked in any hour, at most half of it by one agent; a group of
    /// like requests asks once. 12 where nothing is said.
    #[schemars(range(min = 1, max = 100))]
    pub asked_per_hour: Option<u32>,
    /// For how many seconds a no also answers what is the same or only reworded; a day where
    /// nothing is said.
    #[schemars(range(min = 0, max = 2_592_000))]
    pub refusal_holds_s: Option<u32>,
    /// How long a request waits for answers, in seconds, and no longer than its task lasts; a day
    /// where nothing is said.
    #[schemars(range(min = 1, max = 604_800))]
    pub answer_within_s: Option<u32>,
}

/// Thresholds in a file of their own.
#[derive(Debug, Clone, Copy)]
pub struct TuningDocument;

impl TuningDocument {
    /// Reads such a file; `file` is how messages name it.
    ///
    /// # Errors
    /// Every problem that was found: the author of the file is at fault.
    pub fn parse(file: &str, text: &str) -> Result<TuningForm, Vec<Diagnostic>> {
        document::read::<TuningForm>(file, text, YamlLimits::default()).map(|read| read.content)
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::config;

    fn read(text: &str) -> Result<config::Config, String> {
        let text = format!("version: 1\n{text}");
        config::parse("s.yaml", &text, Path::new("/etc"))
            .map_err(|problems| problems.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn what_is_left_out_is_as_it_ships() {
        let config = read("").unwrap();
        assert_eq!(config.tiers, Tiers::default());
        assert_eq!(config.risk, RiskForm::default());
        assert!(config.risk.detectors.enabled);
        let config = read(
            "tiers: { critical: { quorum: 2, signals_s: 60 }, high: { needs: policy } }\n\
             risk: { half_lives: { burst: 60 }, detectors: { only: [drift], tuning: { denials: 3 } } }",
        )
        .unwrap();
        assert_eq!(config.tiers.high.needs, Depth::Policy);
        assert_eq!(config.tiers.critical.needs, Depth::Person);
        assert_eq!(config.tiers.critical.terms.quorum, 2);
        assert_eq!(config.tiers.critical.signals_s, Some(60));
        assert_eq!(config.approvals, ApprovalsForm::default());
        let more = read(
            "approvals: { asked_per_hour: 4, refusal_holds_s: 0, answer_within_s: 60 }\n\
             proxies: [10.0.0.0/8, 'fd00::/8', 0.0.0.0/0, 192.0.2.7/32]",
        )
        .unwrap();
        assert_eq!(more.approvals.answer_within_s, Some(60));
        assert_eq!(more.proxies.len(), 4);
        assert_eq!(&*config.tiers.critical.terms.approvers, "principal.owner");
        assert_eq!(config.risk.half_lives.get(&Word(Kind::Burst)), Some(&HalfLife(60)));
        assert_eq!(config.risk.detectors.tuning.denials, Some(3));
    }

    #[test]
    fn what_does_not_fit_is_named() {
        for (text, says) in [
            ("tiers: { high: { needs: nothing } }", "nothing"),
            ("tiers: { high: { quorum: 0 } }", "s.yaml:2:26: 0 is less than 1"),
            ("tiers: { low: { needs: person } }", "low"),
            (
                "tiers:\n  critical: { approvers: 'everyone?' }",
                "s.yaml:3:26: `everyone?` is no approver",
            ),
            ("approvals: { asked_per_hour: 0 }", "0 is less than 1"),
            ("approvals: { answer_within_s: 604801 }", "604801 is more"),
            ("proxies: [10.0.0.1/8]", "is no network"),
            ("proxies: [10.0.0.0/33]", "is no network"),
            ("proxies: ['::1']", "is no network"),
            ("risk: { half_lives: { burst: 0 } }", "0 is less than 1"),
            ("risk: { half_lives: { bursts: 1 } }", "bursts"),
            ("risk: { detectors: { tuning: { denials: 0 } } }", "0 is less than 1"),
            ("risk: { detectors: { only: [x] } }", "x"),
        ] {
            let problems = read(text).unwrap_err();
            assert!(problems.contains(says), "{text}: {problems}");
        }
        assert!(TuningDocument::parse("t.yaml", "denials: 2").is_ok());
        assert!(TuningDocument::parse("t.yaml", "denial: 2").is_err());
    }
}
