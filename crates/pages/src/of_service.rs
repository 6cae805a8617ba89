//! The requests of a decision point, as the pages need them.

use std::collections::BTreeMap;
use std::sync::Arc;

use safeconduct_model::{
    Allowance, Authentication, Digest, IdentityId, RecordId, RecordedFlow, Standing, Value,
    ValueOrigin,
};
use safeconduct_service::{
    AccessBound, AccessExtent, AccessQuery, AccessReach, AccessSettled, AccessState, AccessSummary,
    AccessView, AccessWord, AnswerAccessError, AnswerError, Answering, AnsweringAll, AskedView,
    Awaited, Service,
};
use safeconduct_wire::json;

use crate::requests::{
    Answer, Earlier, Exactly, LISTED_MAX, Listed, Origin, RequestError, Requests, Risk, Settled,
    Shown, Trust,
};
use crate::secret;

/// Most numbers that are offered to be lowered.
const LOWERABLE_MAX: usize = 16;

/// How deep numbers are looked for.
const DEPTH_MAX: usize = 16;

const NOT_WHAT_WAS_SHOWN: &str =
    "what you saw is not what the request is about now; look at it again";

/// [`Requests`] over a [`Service`].
pub struct OfService(pub Arc<Service>);

impl Requests for OfService {
    fn waiting<'a>(
        &'a self,
        by: &'a Authentication,
    ) -> Awaited<'a, Result<Vec<Listed>, RequestError>> {
        Awaited::of(async move {
            let query = AccessQuery {
                state: Some(AccessState::Pending),
                answerable_by: Some(&by.identity),
                limit: LISTED_MAX,
                ..AccessQuery::default()
            };
            let page = self.0.access_requests(&query);
            let mut waiting: Vec<Listed> = page.requests.iter().map(listed).collect();
            waiting.sort_by_key(|request| request.answer_by);
            Ok(waiting)
        })
    }

    fn show<'a>(
        &'a self,
        id: &'a RecordId,
        by: &'a Authentication,
    ) -> Awaited<'a, Result<Shown, RequestError>> {
        Awaited::of(async move { self.look(id, &by.identity).await.map(|(shown, _)| shown) })
    }

    fn answer<'a>(
        &'a self,
        id: &'a RecordId,
        by: &'a Authentication,
        binding: Digest,
        answer: &'a Answer,
    ) -> Awaited<'a, Result<Settled, RequestError>> {
        Awaited::of(async move {
            let (shown, view) = self.look(id, &by.identity).await?;
            if shown.binding != binding {
                return Err(RequestError::Refused(NOT_WHAT_WAS_SHOWN.to_owned()));
            }
            let answering = Answering {
                request: id.clone(),
                by: by.clone(),
                standing_in_for: shown.instead_of,
                word: word(&view, answer)?,
                shown: view.summary.digest,
            };
            settled(self.0.answer_access(answering).await)
        })
    }

    fn answer_all<'a>(
        &'a self,
        requests: &'a [(RecordId, Digest)],
        by: &'a Authentication,
        answer: &'a Answer,
    ) -> Awaited<'a, Result<Vec<Result<Settled, RequestError>>, RequestError>> {
        Awaited::of(async move {
            let refuse = match answer {
                Answer::Once => None,
                Answer::Refuse { reason } => Some(Arc::clone(reason)),
                _ => {
                    let text = "several are approved once each, or refused";
                    return Err(RequestError::Refused(text.to_owned()));
                }
            };
            let (mut all, mut standing_in_for) = (Vec::with_capacity(requests.len()), None);
            let mut answered = BTreeMap::new();
            for (id, binding) in requests {
                match self.look(id, &by.identity).await {
                    // One answer is for one person.
                    Ok((shown, view))
                        if shown.binding == *binding
                            && (all.is_empty() || shown.instead_of == standing_in_for) =>
                    {
                        standing_in_for = shown.instead_of;
                        all.push((id.clone(), view.summary.digest));
                    }
                    // One that others have answered meanwhile does not hold up the rest.
                    Ok(_) => {
                        let error = RequestError::Refused(NOT_WHAT_WAS_SHOWN.to_owned());
                        answered.insert(id.clone(), Err(error));
                    }
                    Err(error) => {
                        answered.insert(id.clone(), Err(error));
                    }
                }
            }
            let by = by.clone();
            let answering = AnsweringAll { requests: all, by, standing_in_for, refuse };
            let now = self.0.answer_all_access(answering).await;
            let now = now.map_err(|error| RequestError::Refused(error.to_string()))?;
            answered.extend(now.into_iter().map(|(id, one)| (id, settled(one))));
            let unknown = || Err(RequestError::Unknown);
            Ok(requests.iter().map(|(id, _)| answered.remove(id).unwrap_or_else(unknown)).collect())
        })
    }
}

impl OfService {
    /// The same as [`OfService::shown`], where a wait for the disk holds up nobody else.
    async fn look(
        &self,
        id: &RecordId,
        person: &IdentityId,
    ) -> Result<(Shown, AccessView), RequestError> {
        let (own, id, person) = (Self(Arc::clone(&self.0)), id.clone(), person.clone());
        let shown = tokio::task::spawn_blocking(move || own.shown(&id, &person)).await;
        shown.unwrap_or_else(|error| {
            tracing::error!(%error, "a request could not be read");
            Err(RequestError::Unavailable)
        })
    }

    /// A request for somebody who may answer it, or has.
    fn shown(
        &self,
        id: &RecordId,
        person: &IdentityId,
    ) -> Result<(Shown, AccessView), RequestError> {
        let may = self.0.answers_access_for(id, person).ok_or(RequestError::Unknown)?;
        let (answered, instead_of) = match may {
            Ok(instead_of) => (false, instead_of),
            Err(AnswerError::Twice(_)) => (true, None),
            Err(_) => return Err(RequestError::Unknown),
        };
        let view = self.0.access_request(id).ok_or(RequestError::Unknown)?;
        let ended = match view.summary.state {
            AccessState::Pending if answered => Some("You have answered; others are still asked."),
            AccessState::Pending => None,
            AccessState::Approved => Some("This was approved. The agent has not used it up yet."),
            AccessState::Refused => Some("This was refused."),
            AccessState::Expired => Some("Nobody answered in time, or what was approved is over."),
            AccessState::Spent => Some("This was approved, and the agent has used it."),
            AccessState::Revoked => Some("This was taken back."),
        };
        let page = self.page_of(&view, ended);
        let binding = in_place_of(page.binding, instead_of.as_ref());
        let shown = Shown { instead_of, binding, ..page };
        Ok((shown, view))
    }

    fn page_of(&self, view: &AccessView, ended: Option<&str>) -> Shown {
        let summary = &view.summary;
        let world = self.0.world();
        let agent = summary.actors.first();
        let owner = agent.and_then(|agent| world.identity(agent)?.owner.clone());
        let intent = summary.intent.as_ref().map(|name| {
            let intent = world.intents().version(name, None);
            (name.clone(), intent.map_or_else(|| "".into(), |it| Arc::clone(&it.description)))
        });
        let risk = self.0.risk_of(&view.concerned);
        let parts = risk.parts.iter().map(|part| {
            let detail = if part.detail.is_empty() { &part.topic } else { &part.detail };
            let what = format!("{}: {detail}", part.kind.as_str().replace(['_', '-'], " "));
            (u32::from(part.points), what.trim_end_matches(": ").into())
        });
        let answers = summary.answers.iter().map(|one| {
            let what = match &one.reason {
                Some(reason) => format!("refused, because: {reason}"),
                None => format!("approved ({})", summary.scope.unwrap_or("once")),
            };
            (one.by.clone(), what.into())
        });
        Shown {
            listed: listed(summary),
            binding: binding(summary),
            asked_at: summary.opened_at,
            ended: ended.map(Arc::from),
            actors: summary.actors.clone(),
            owner,
            intent,
            task: summary.task.clone(),
            why: view.reasons.iter().map(|reason| Arc::clone(&reason.message)).collect(),
            justification: view.asked.as_ref().and_then(|asked| asked.justification.clone()),
            exactly: view.asked.as_ref().map(|asked| Exactly {
                tier: asked.tier,
                arguments: asked.arguments.clone(),
                beside: asked.asserted.clone(),
                lowerable: lowerable(&asked.arguments),
            }),
            origins: view.flow.iter().map(origin).collect(),
            risk: Risk {
                score: u32::from(risk.score),
                level: risk.level.as_str().into(),
                parts: parts.collect(),
            },
            risk_then: u32::from(view.risk),
            earlier: Earlier {
                approved: view.earlier.approved,
                refused: view.earlier.refused,
                unanswered: view.earlier.unanswered,
            },
            quorum: summary.quorum,
            open_to: summary.open_to.iter().map(|term| Arc::from(term.as_str())).collect(),
            answers: answers.collect(),
            reaches: view.reaches.as_ref().map(reaches).unwrap_or_default(),
            agreed_uses: view.reaches.as_ref().map(|reach| reach.uses),
            instead_of: None,
            may_be_for_task: summary.standing == Standing::Allowed && summary.task.is_some(),
            may_be_until_m: may_be_until_m(summary),
            like_it: view.group.iter().filter(|id| **id != summary.id).cloned().collect(),
        }
    }
}

fn listed(summary: &AccessSummary) -> Listed {
    Listed {
        id: summary.id.clone(),
        agent: summary.actors.first().unwrap_or(&summary.asked_by).clone(),
        on_behalf_of: summary.on_behalf_of.clone(),
        action: summary.action.shared(),
        resources: summary.resources.iter().cloned().collect(),
        assurance: summary.assurance,
        answer_by: summary.answer_by,
    }
}

/// All that a request is bound to, in one digest.
fn binding(summary: &AccessSummary) -> Digest {
    let text = |text: &str| Value::from(text);
    let optional = |some: Option<&str>| some.map_or(Value::Null, Value::from);
    let resources = summary.resources.iter().map(|resource| {
        Value::object([("id", text(resource.id.as_str())), ("type", text(resource.ty.as_str()))])
    });
    let actors = summary.actors.iter().map(|actor| text(actor.as_str()));
    let bound = Value::object([
        ("action", text(summary.action.as_str())),
        ("actors", Value::from(actors.collect::<Vec<_>>())),
        ("arguments", text(&summary.digest.to_string())),
        ("intent", optional(summary.intent.as_ref().map(AsRef::as_ref))),
        ("on_behalf_of", optional(summary.on_behalf_of.as_ref().map(AsRef::as_ref))),
        ("principal", text(summary.principal.id.as_str())),
        ("principal_type", text(summary.principal.ty.as_str())),
        ("request", text(summary.id.as_str())),
        ("resources", Value::from(resources.collect::<Vec<_>>())),
        ("task", optional(summary.task.as_ref().map(AsRef::as_ref))),
    ]);
    Digest::from_bytes(secret::digest(&json::to_bytes(&bound)))
}

/// The same with whom the answer is for: what a passkey signs says in whose place.
fn in_place_of(binding: Digest, other: Option<&IdentityId>) -> Digest {
    let Some(other) = other else { return binding };
    let bound = Value::object([
        ("binding", Value::from(binding.to_string().as_str())),
        ("in_place_of", Value::String(other.shared())),
    ]);
    Digest::from_bytes(secret::digest(&json::to_bytes(&bound)))
}

/// For how many minutes the same may be approved. Where several must approve, the soonest of the
/// times that they name counts.
fn may_be_until_m(summary: &AccessSummary) -> Option<u32> {
    let minutes = summary.lasts_s / 60;
    (summary.standing == Standing::Allowed && minutes > 0).then_some(minutes)
}

/// How far an approval reaches, in words.
fn reaches(of: &AccessReach) -> Vec<Arc<str>> {
    let words = |of: &AccessBound| {
        let rule = if of.rule == "equals" { "is".to_owned() } else { of.rule.replace('_', " ") };
        let value = json::to_text(&of.value);
        format!("{rule} {value}")
    };
    let times = match (of.uses, of.until) {
        (1, None) => "once".to_owned(),
        (uses, None) => format!("{uses} times"),
        (uses, Some(until)) => format!("{uses} times until {until}"),
    };
    let resources = of.resources.iter().map(|(ty, id)| match id {
        Some(id) => format!("{ty}: {}", words(id)),
        None => format!("{ty}: any"),
    });
    let arguments = of.arguments.iter().map(|(at, must)| {
        let at = if at.is_empty() { "all arguments" } else { at };
        format!("{at}: {}", words(must))
    });
    [times].into_iter().chain(resources).chain(arguments).map(Arc::from).collect()
}

fn settled(answered: Result<AccessSettled, AnswerAccessError>) -> Result<Settled, RequestError> {
    match answered {
        Ok(settled) if settled.state == AccessState::Pending => Ok(Settled::Waiting),
        Ok(_) => Ok(Settled::Done),
        Err(AnswerAccessError::Unknown(_)) => Err(RequestError::Unknown),
        Err(AnswerAccessError::NotRecorded(error)) => {
            tracing::error!(%error, "an answer could not be recorded");
            Err(RequestError::Unavailable)
        }
        Err(error) => Err(RequestError::Refused(error.to_string())),
    }
}

fn word(view: &AccessView, answer: &Answer) -> Result<AccessWord, RequestError> {
    Ok(AccessWord::Approve(match answer {
        Answer::Refuse { reason } => {
            return Ok(AccessWord::Refuse { reason: Arc::clone(reason) });
        }
        Answer::Once => AccessExtent::Once,
        Answer::Edited(edits) => {
            let edits = edits.iter().cloned();
            AccessExtent::Lowered(edits.map(|(at, most)| AskedView::at_most(at, most)).collect())
        }
        Answer::ForTask { uses } => AccessExtent::Task { bounds: bounds(view)?, uses: *uses },
        Answer::Until { uses, until } => {
            AccessExtent::Until { bounds: bounds(view)?, uses: *uses, until: *until }
        }
    }))
}

fn bounds(view: &AccessView) -> Result<Allowance<Value>, RequestError> {
    let asked = view
        .asked
        .as_ref()
        .ok_or_else(|| RequestError::Refused("the arguments were erased; refuse it".to_owned()))?;
    Ok(asked.bounds(&view.summary))
}

fn origin(flow: &RecordedFlow) -> Origin {
    let from = |origin| flow.origins.contains(origin);
    let (trust, words) = if flow.origins.is_empty() {
        (Trust::Unseen, "the agent made it up, or wrote it anew".to_owned())
    } else if from(ValueOrigin::Untrusted) {
        (Trust::Untrusted, "it was read where anyone could have written it".to_owned())
    } else if from(ValueOrigin::Task) {
        (Trust::Trusted, "it stands in the task itself".to_owned())
    } else {
        (Trust::Trusted, "it was read where it may be trusted".to_owned())
    };
    let sources: Vec<&str> = flow.sources.iter().map(RecordId::as_str).collect();
    let words = match sources.is_empty() {
        true => words,
        false => format!("{words} ({})", sources.join(", ")),
    };
    let (pointer, role) = (Arc::clone(&flow.pointer), flow.role);
    Origin { pointer, role, words: words.into(), trust }
}

/// Where numbers stand that have something narrower than themselves: those above 0.
fn lowerable(arguments: &Value) -> Vec<Arc<str>> {
    let mut found = Vec::new();
    look(arguments, &mut String::new(), 0, &mut found);
    found
}

fn look(value: &Value, pointer: &mut String, depth: usize, found: &mut Vec<Arc<str>>) {
    if found.len() >= LOWERABLE_MAX || depth > DEPTH_MAX {
        return;
    }
    let mut inner = |token: &str, value: &Value| {
        let length = pointer.len();
        pointer.push('/');
        pointer.push_str(&token.replace('~', "~0").replace('/', "~1"));
        look(value, pointer, depth + 1, found);
        pointer.truncate(length);
    };
    match value {
        // An edit's pointer holds no `*`, which stands for any index elsewhere.
        Value::Object(members) => members
            .iter()
            .filter(|(name, _)| &***name != "*")
            .for_each(|(name, value)| inner(name, value)),
        Value::Array(items) => {
            items.iter().enumerate().for_each(|(index, value)| inner(&index.to_string(), value));
        }
        Value::Integer(1..) => found.push(pointer.as_str().into()),
        Value::Number(number) if !number.as_str().starts_with('-') => {
            found.push(pointer.as_str().into());
        }
        _ => {}
    }
}
