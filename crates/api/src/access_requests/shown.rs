//! Access requests as they are shown.

use safeconduct_model::{RecordId, Standing};
use safeconduct_service::{
    AccessBound, AccessReach, AccessState, AccessSummary, AccessView, AnswerError, AskedView,
    ShownValue,
};
use safeconduct_wire::admin::{
    AccessAnswerView, AccessReason, AccessRequestDetail, AccessRequestSummary, ApprovalView,
    ArgumentOrigin, ArgumentReach, AskedForView, BoundView, EarlierView, EntityForm, EvidenceView,
    ReachView, ResourceReach, Shown, ShownLeaf,
};
use safeconduct_wire::document::{Word, Written};

use crate::router::Inner;
use crate::signals;

/// The page on which people answer a request.
pub(crate) fn link(api: &Inner, id: &RecordId) -> Option<String> {
    api.pages.get().map(|pages| format!("{pages}/approve/{id}"))
}

pub(super) fn summary(api: &Inner, of: &AccessSummary) -> AccessRequestSummary {
    let agent = of.actors.first().unwrap_or(&of.asked_by);
    AccessRequestSummary {
        id: Written(of.id.clone()),
        state: of.state.as_str().to_owned(),
        action: Written(of.action.clone()),
        resources: of.resources.iter().map(EntityForm::from).collect(),
        agent: Written(agent.clone()),
        actors: of.actors.iter().cloned().map(Written).collect(),
        principal: (&of.principal).into(),
        on_behalf_of: of.on_behalf_of.clone().map(Written),
        task: of.task.clone().map(Written),
        intent: of.intent.clone().map(Written),
        asked_by: Written(of.asked_by.clone()),
        opened_at: Written(of.opened_at),
        answer_by: Written(of.answer_by),
        digest: Written(of.digest),
        approvers: of.approvers.clone(),
        quorum: of.quorum,
        assurance: of.assurance.as_str().to_owned(),
        more_than_once: of.standing == Standing::Allowed,
        open_to: of.open_to.clone(),
        answers: answers(of),
        approval: of.grant.zip(of.scope).map(|(grant, scope)| ApprovalView {
            scope: scope.to_owned(),
            from: Written(grant.from),
            until: Written(grant.until),
            uses_left: grant.left,
        }),
        link: link(api, &of.id),
    }
}

fn answers(of: &AccessSummary) -> Vec<AccessAnswerView> {
    let answers = of.answers.iter().map(|one| AccessAnswerView {
        by: Written(one.by.clone()),
        standing_in_for: one.standing_in_for.clone().map(Written),
        term: one.term.clone(),
        stage: u32::from(one.stage) + 1,
        method: one.method.map(|method| method.as_str().to_owned()),
        answer: one.answer.to_owned(),
        reason: one.reason.as_ref().map(|reason| reason.to_string()),
    });
    answers.collect()
}

/// A request in full; what there is to judge it by to those alone who judge it.
pub(super) fn detail(
    api: &Inner,
    view: &AccessView,
    judges: bool,
    may: Result<(), AnswerError>,
) -> AccessRequestDetail {
    let of = &view.summary;
    let pending = of.state == AccessState::Pending;
    let if_unanswered = match pending {
        true => format!("it is denied at {}", of.answer_by),
        false => "nothing: it takes no answer any more".to_owned(),
    };
    AccessRequestDetail {
        request: summary(api, of),
        asked: view.asked.as_ref().map(asked),
        reaches: view.reaches.as_ref().map(reaches),
        evidence: judges.then(|| evidence(api, view)),
        may_answer: pending && may.is_ok(),
        may_not_because: match (pending, may) {
            (true, Ok(())) => None,
            (true, Err(error)) => Some(error.to_string()),
            (false, _) => Some(AnswerError::Closed(of.state).to_string()),
        },
        if_unanswered,
    }
}

fn asked(of: &AskedView) -> AskedForView {
    let beside = of.shown_beside.iter().flat_map(|shown| &shown.values);
    let more = of.shown.more + of.shown_beside.as_ref().map_or(0, |shown| shown.more);
    AskedForView {
        arguments: Shown::of(&of.arguments),
        asserted: of.asserted.as_ref().map(Shown::of),
        shown: of.shown.values.iter().map(leaf).collect(),
        shown_beside: beside.map(leaf).collect(),
        more: more as u64,
        justification: of.justification.as_ref().map(leaf),
        tier: Word(of.tier),
    }
}

fn reaches(of: &AccessReach) -> ReachView {
    let bound = |of: &AccessBound| BoundView {
        rule: of.rule.to_owned(),
        value: Shown::of(&of.value),
        shown: of.shown.iter().map(leaf).collect(),
    };
    let resources = of.resources.iter();
    let resources = resources
        .map(|(ty, id)| ResourceReach { ty: Written(ty.clone()), id: id.as_ref().map(bound) });
    let arguments = of.arguments.iter();
    let arguments = arguments
        .map(|(pointer, must)| ArgumentReach { pointer: pointer.to_string(), must: bound(must) });
    ReachView {
        scope: of.scope.to_owned(),
        uses: of.uses,
        until: of.until.map(Written),
        resources: resources.collect(),
        arguments: arguments.collect(),
    }
}

fn leaf(of: &ShownValue) -> ShownLeaf {
    ShownLeaf {
        pointer: of.pointer.clone(),
        kind: of.kind.to_owned(),
        lines: of.lines.clone(),
        marks: of.marks.iter().map(|mark| mark.as_str().to_owned()).collect(),
        bytes: of.bytes as u64,
        left_out: of.left_out as u64,
    }
}

fn evidence(api: &Inner, view: &AccessView) -> EvidenceView {
    let about = &view.concerned;
    EvidenceView {
        denied_by: view.denied_by.clone().map(Written),
        reasons: view.reasons.iter().map(AccessReason::from).collect(),
        flow: view.flow.iter().map(ArgumentOrigin::from).collect(),
        risk_then: view.risk,
        risk: signals::shown_risk(&api.service.risk_of(about), about),
        earlier: EarlierView {
            approved: view.earlier.approved,
            refused: view.earlier.refused,
            unanswered: view.earlier.unanswered,
        },
        group: view.group.iter().cloned().map(Written).collect(),
    }
}
