//! What an action needs beside a policy that permits it, by its tier: how deep it is looked at.

use safeconduct_model::{
    Assurance, Depth, Now, Reason, Request, Requestable, Tier, TierRule, Tiers,
};
use safeconduct_risk::Kind;

use crate::evaluate::Evaluated;
use crate::situate::Situated;
use crate::{Facts, LastWord, TaskFacts};

/// The scope of an approval by which rules were set aside for an emergency.
const BREAK_GLASS: &str = "break_glass";

/// Denies what policies permit where its tier needs more, and says whom to ask for it. Where
/// policies deny what may be asked for, as many people must approve as both say.
pub(crate) fn deepen(
    evaluated: Evaluated,
    request: &Request,
    situated: &Situated<'_>,
    task: Option<&TaskFacts<'_>>,
    facts: &Facts<'_>,
    now: &Now,
) -> Evaluated {
    if !evaluated.permitted && evaluated.requestable.is_none() {
        return evaluated;
    }
    let tier = situated.situation.action.tier;
    let Some((reason, terms)) = missing(tier, request, task, facts, now) else {
        return evaluated;
    };
    match evaluated.requestable {
        // Whom to ask is what the policies say; how many, the stricter of the two.
        Some(asked) => Evaluated {
            requestable: Some(Requestable { quorum: asked.quorum.max(terms.quorum), ..asked }),
            ..evaluated
        },
        None => Evaluated {
            permitted: false,
            reasons: vec![reason],
            shadow: evaluated.shadow,
            obligations: Vec::new(),
            requestable: Some(terms.clone()),
            sides: None,
        },
    }
}

/// What is missing, and on which terms a person makes up for it.
fn missing<'a>(
    tier: Tier,
    request: &Request,
    task: Option<&TaskFacts<'_>>,
    facts: &Facts<'a>,
    now: &Now,
) -> Option<(Reason, &'a Requestable)> {
    let above = task.map(|known| known.mandate.authority.tier_max).filter(|most| tier > *most);
    let rule = facts.tiers.rule(tier);
    let terms = rule.map_or(&facts.tiers.high.terms, |rule| &rule.terms);
    if covers(facts, terms) {
        return None;
    }
    if let Some(most) = above {
        return Some((Reason::AboveTier { tier, most }, terms));
    }
    let rule = rule?;
    let reason = match rule.needs {
        Depth::Policy => return None,
        Depth::Person => Reason::NeedsPerson { tier },
        Depth::FreshFacts => {
            Reason::NeedsFreshFacts { tier, missing: not_fresh(rule, request, facts, now)? }
        }
    };
    Some((reason, terms))
}

/// Whether people have approved of this, as many as there must be.
fn covers(facts: &Facts<'_>, terms: &Requestable) -> bool {
    facts.approval.is_some_and(|approval| {
        approval.scope == BREAK_GLASS || approval.approvers.len() as u64 >= u64::from(terms.quorum)
    })
}

/// Which fact is missing or stale.
fn not_fresh(
    rule: &TierRule,
    request: &Request,
    facts: &Facts<'_>,
    now: &Now,
) -> Option<&'static str> {
    let Tiers { proof_s, .. } = facts.tiers;
    let proof = request.subject.authentication();
    if !proof.method.is_attested() && proof.assurance < Assurance::Substantial {
        return Some(
            "a credential that cannot be copied as an API key can (`tiers:` in the configuration)",
        );
    }
    if now.at.ms_since(proof.at) > i64::from(*proof_s) * 1000 {
        return Some("a fresh proof of who acts");
    }
    let silent = facts.risk.is_some_and(|risk| risk.kinds.contains(Kind::StreamSilent));
    if silent {
        return Some("word from those who vouch for who acts");
    }
    let old = |word: LastWord| match (rule.signals_s, word) {
        (None, _) => false,
        (Some(_), LastWord::Never) => true,
        (Some(signals_s), LastWord::At(at)) => now.at.ms_since(at) > i64::from(signals_s) * 1000,
    };
    facts.last_word.is_some_and(old).then_some("recent word from those who vouch for who acts")
}
