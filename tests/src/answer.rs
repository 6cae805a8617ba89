//! What a decision said, in the terms that every way of asking has in common.

use std::collections::BTreeSet;

use safeconduct_engine::Outcome;
use safeconduct_wire::suite::Expect;
use serde_json::Value as Json;

/// A decision with its reasons and obligations, comparable between the ways of asking.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// `permit` or `deny`.
    pub decision: String,
    /// Each reason as `CODE` or `CODE:POLICY`.
    pub reasons: BTreeSet<String>,
    /// Each obligation as it is written in a policy.
    pub obligations: BTreeSet<String>,
    /// `approvers; quorum; ttl in seconds`, where it may be requested.
    pub requestable: Option<String>,
}

impl Answer {
    /// The answer of the pure engine.
    pub fn of_outcome(outcome: &Outcome) -> Self {
        let reasons = outcome.reasons.iter().map(|reason| {
            let policy = reason.policy().map(|policy| policy.id.as_str());
            key(reason.code(), policy)
        });
        Self {
            decision: outcome.decision.to_string(),
            reasons: reasons.collect(),
            obligations: outcome.obligations.iter().map(ToString::to_string).collect(),
            requestable: outcome
                .requestable
                .as_ref()
                .map(|r| format!("{}; {}; {}", r.approvers, r.quorum, r.ttl_s)),
        }
    }

    /// The answer in an AuthZEN response.
    pub fn of_authzen(body: &Json) -> Self {
        let decision = body["decision"].as_bool().expect("`decision` is a boolean");
        let context = &body["context"];
        Self {
            decision: if decision { "permit" } else { "deny" }.to_owned(),
            reasons: list(&context["reasons"])
                .map(|reason| key(text(&reason["code"]), reason["policy"].as_str()))
                .collect(),
            obligations: list(&context["obligations"])
                .map(|obligation| text(&obligation["id"]).to_owned())
                .collect(),
            requestable: requestable(&context["requestable"]),
        }
    }

    /// The answer in a decision's record: a line of `log export`, or what the API shows of it.
    pub fn of_record(body: &Json) -> Self {
        Self {
            decision: text(&body["decision"]).to_owned(),
            reasons: list(&body["reasons"])
                .map(|reason| key(text(&reason["code"]), reason["policy"]["id"].as_str()))
                .collect(),
            obligations: list(&body["obligations"])
                .map(|one| match text(&one["parameter"]) {
                    "" => text(&one["kind"]).to_owned(),
                    parameter => format!("{}:{parameter}", text(&one["kind"])),
                })
                .collect(),
            requestable: requestable(&body["requestable"]),
        }
    }

    /// What is not as a case expects it, one sentence each.
    pub fn unlike(&self, expect: &Expect) -> Vec<String> {
        let mut problems = Vec::new();
        if self.decision != expect.decision.as_str() {
            let reasons = &self.reasons;
            let (wanted, got) = (expect.decision, &self.decision);
            problems.push(format!("expected {wanted}, got {got} because of {reasons:?}"));
        }
        if let Some(wanted) = &expect.reasons {
            // A case names a policy by its id alone.
            let got =
                self.reasons.iter().map(|r| r.split_once(':').map_or(r.as_str(), |(_, id)| id));
            let got: BTreeSet<String> = got.map(str::to_owned).collect();
            if got != *wanted {
                problems.push(format!("expected reasons {wanted:?}, got {:?}", self.reasons));
            }
        }
        if let Some(wanted) = &expect.obligations {
            let wanted: BTreeSet<String> = wanted.iter().map(ToString::to_string).collect();
            if self.obligations != wanted {
                problems
                    .push(format!("expected obligations {wanted:?}, got {:?}", self.obligations));
            }
        }
        if expect.requestable.is_some_and(|wanted| wanted != self.requestable.is_some()) {
            problems.push(format!("requestable is {:?}", self.requestable));
        }
        problems
    }
}

fn key(code: &str, policy: Option<&str>) -> String {
    policy.map_or_else(|| code.to_owned(), |policy| format!("{code}:{policy}"))
}

fn requestable(value: &Json) -> Option<String> {
    let approvers = value["approvers"].as_str()?;
    Some(format!("{approvers}; {}; {}", value["quorum"], value["ttl_s"]))
}

fn list(value: &Json) -> impl Iterator<Item = &Json> {
    value.as_array().into_iter().flatten()
}

fn text(value: &Json) -> &str {
    value.as_str().unwrap_or_default()
}
