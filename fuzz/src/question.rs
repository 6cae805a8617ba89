//! A question to put to policies, always the same.

use safeconduct_model::{
    ActionName, Assurance, Confidentiality, Effect, Entity, EntityRef, IdentityKind, Integrity,
    Label, Method, Tier, Timestamp, Value,
};
use safeconduct_policy::{
    ActionSituation, AdditionalArguments, Evaluation, FlowSituation, IdentitySituation, Policies,
    Question, SessionSituation, Situation,
};

/// What the policies say to it.
pub fn ask(policies: &Policies) -> Evaluation {
    let situation = Situation {
        session: SessionSituation {
            steps: 3,
            denials: 1,
            distinct_resources: 2,
            calls_left: 97,
            actions: Vec::new(),
            label: Label::least(),
        },
        identity: IdentitySituation {
            kind: Some(IdentityKind::Agent),
            method: Method::ApiKey,
            assurance: Assurance::Low,
            age_s: 60,
        },
        action: ActionSituation {
            tier: Tier::Low,
            effect: Effect::Read,
            trust: Integrity::Untrusted,
            guessed: false,
            accepts: Confidentiality::Internal,
        },
        now: Timestamp::from_millis(1_709_210_096_789),
        task: None,
        flow: FlowSituation::default(),
        risk: safeconduct_policy::RiskSituation::default(),
        approval: None,
        request: None,
    };
    let entity = |ty: &str, id: &str| Entity::bare(EntityRef::new(ty, id).expect("names"));
    let answer = policies.evaluate(&Question {
        principal: &entity("Safeconduct::Agent", "a"),
        action: &ActionName::new("files/resources/read").expect("a name"),
        resource: &entity("Safeconduct::Server", "files"),
        input: &Value::object([("uri", Value::from("file:///cases/4711/notes.md"))]),
        additional: AdditionalArguments::LeftOut,
        situation: &situation,
        extra: &[],
    });
    answer.expect("the question can be put")
}
