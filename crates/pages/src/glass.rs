//! Break-glass: somebody with that right sets the rules that ask for an approval aside, by a
//! passkey that signs exactly for whom, why and for how long; and lets them hold again.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::response::Response;
use http::{HeaderMap, StatusCode};
use safeconduct_model::{Digest, IdentityId, RecordId, TaskId, Value};
use safeconduct_service::{
    BreakGlass, BreakGlassError, GLASS_MS_MAX, GLASS_REASON_BYTES_MAX, GlassView, MendGlassError,
};
use safeconduct_wire::json;

use crate::answer::proved;
use crate::browser::Browser;
use crate::ceremony::Purpose;
use crate::failure::{Failure, sentence};
use crate::form::Form;
use crate::pages::Pages;
use crate::requests::RequestError;
use crate::{guard, secret, show};

/// Where it is.
pub(crate) const HERE: &str = "/break-glass";

/// Longest time, in minutes.
pub(crate) const MINUTES_MAX: i64 = GLASS_MS_MAX / 60_000;

/// What somebody is about to set aside.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Breaking {
    pub(crate) agent: IdentityId,
    pub(crate) task: Option<TaskId>,
    pub(crate) reason: Arc<str>,
    pub(crate) minutes: i64,
}

/// `GET /break-glass`: what is set aside, and the form for more.
pub(crate) async fn page(State(pages): State<Pages>, headers: HeaderMap) -> Response {
    match pages.someone(&headers, HERE) {
        Ok(browser) => show::glasses(&pages, &browser, &seen_by(&pages, &browser)),
        Err(failure) => show::failure(&pages, None, failure),
    }
}

/// `POST /break-glass`: what is wanted; the passkey is asked for.
pub(crate) async fn begin(State(pages): State<Pages>, request: Request) -> Response {
    handled(pages, request, HERE, async |pages, browser, form| {
        let breaking = breaking(pages, form)?;
        let about = statement(browser, &breaking);
        let purpose = Purpose::BreakGlass(breaking.clone());
        let begun = pages.ceremonies().begin(browser.id, about, purpose, pages.now())?;
        let challenge = begun.ok_or_else(Failure::busy)?;
        Ok(show::prove_glass(pages, browser, &breaking, &challenge))
    })
    .await
}

/// `POST /break-glass/confirm`: the passkey has signed.
pub(crate) async fn confirm(State(pages): State<Pages>, request: Request) -> Response {
    handled(pages, request, "/break-glass/confirm", async |pages, browser, form| {
        let ceremony =
            pages.ceremonies().end(&browser.id, pages.now()).ok_or_else(Failure::foreign)?;
        let Purpose::BreakGlass(breaking) = &ceremony.purpose else {
            return Err(Failure::foreign());
        };
        let by = proved(pages, browser, form, &ceremony).await?;
        let Breaking { agent, task, reason, minutes } = breaking.clone();
        let pep = IdentityId::new("pages").map_err(|_| Failure::foreign())?;
        let for_ms = minutes * 60_000;
        let breaking = BreakGlass { by, agent, task, reason, for_ms, pep, trace: None };
        pages.service().break_glass(breaking).await?;
        Ok(guard::see(HERE))
    })
    .await
}

/// `POST /break-glass/mend`: rules hold again. That takes no passkey: it only takes away.
pub(crate) async fn mend(State(pages): State<Pages>, request: Request) -> Response {
    handled(pages, request, "/break-glass/mend", async |pages, browser, form| {
        let id = RecordId::new(form.text("id")).map_err(|_| Failure::foreign())?;
        let own = seen_by(pages, browser)
            .into_iter()
            .any(|glass| glass.id == id && glass.broken.by == browser.who.identity);
        if !own {
            return Err(MendGlassError::Unknown(id).into());
        }
        pages.service().mend_glass(&id, &browser.who.identity).await?;
        Ok(guard::see(HERE))
    })
    .await
}

/// What somebody set aside, and what is set aside for agents of theirs.
fn seen_by(pages: &Pages, browser: &Browser) -> Vec<GlassView> {
    let (world, who) = (pages.service().world(), Some(&browser.who.identity));
    let mut glasses = pages.service().glasses();
    glasses.retain(|glass| {
        let agent = world.identity(&glass.broken.agent);
        Some(&glass.broken.by) == who
            || agent.is_some_and(|it| it.owner.as_ref() == who || it.fallback_owner.as_ref() == who)
    });
    glasses
}

/// What a form wants.
fn breaking(pages: &Pages, form: &Form) -> Result<Breaking, Failure> {
    let bad = |text: String| Failure::says(StatusCode::BAD_REQUEST, format!("{text} Go back."));
    let field = |name| form.text(name).trim();
    let agent = IdentityId::new(field("agent")).ok();
    let agent = agent.filter(|agent| pages.service().world().identity(agent).is_some());
    let agent = agent.ok_or_else(|| bad("No agent of that name is registered.".to_owned()))?;
    let task = match field("task") {
        "" => None,
        task => Some(TaskId::new(task).map_err(|_| bad("That is no task.".to_owned()))?),
    };
    let reason = field("reason");
    if !(1..=GLASS_REASON_BYTES_MAX).contains(&reason.len()) {
        return Err(bad(format!("Say why, in at most {GLASS_REASON_BYTES_MAX} bytes.")));
    }
    let minutes = field("minutes").parse().ok();
    let minutes = minutes.filter(|minutes| (1..=MINUTES_MAX).contains(minutes));
    let minutes =
        minutes.ok_or_else(|| bad(format!("Say for how many minutes: 1 to {MINUTES_MAX}.")))?;
    Ok(Breaking { agent, task, reason: reason.into(), minutes })
}

/// What a passkey signs: that this person sets rules aside for exactly that, and nothing else.
fn statement(browser: &Browser, breaking: &Breaking) -> Digest {
    let Breaking { agent, task, reason, minutes } = breaking;
    let statement = Value::object([
        ("agent", Value::String(agent.shared())),
        ("answer", Value::from("break_glass")),
        ("by", Value::String(browser.who.identity.shared())),
        ("minutes", Value::Integer(*minutes)),
        ("reason", Value::String(Arc::clone(reason))),
        ("task", task.as_ref().map_or(Value::Null, |task| Value::String(task.shared()))),
        ("v", Value::Integer(1)),
    ]);
    Digest::from_bytes(secret::digest(&json::to_bytes(&statement)))
}

/// Does what a form of ours asks for.
async fn handled(
    pages: Pages,
    request: Request,
    path: &str,
    handle: impl AsyncFnOnce(&Pages, &Browser, &Form) -> Result<Response, Failure>,
) -> Response {
    let headers = request.headers().clone();
    let browser = match pages.someone(&headers, HERE) {
        Ok(browser) => browser,
        Err(failure) => return show::failure(&pages, None, failure),
    };
    let done = async {
        let form = Form::read(request.into_body()).await?;
        pages.is_ours(&form, &browser, path)?;
        handle(&pages, &browser, &form).await
    };
    done.await.unwrap_or_else(|failure| show::failure(&pages, Some(&browser), failure))
}

impl From<BreakGlassError> for Failure {
    fn from(error: BreakGlassError) -> Self {
        let status = match &error {
            BreakGlassError::NotRecorded(error) => {
                tracing::error!(%error, "that rules are set aside could not be recorded");
                return RequestError::Unavailable.into();
            }
            BreakGlassError::NotAPerson(_)
            | BreakGlassError::Passkey
            | BreakGlassError::Denied { .. } => StatusCode::FORBIDDEN,
            BreakGlassError::UnknownAgent(_)
            | BreakGlassError::UnknownTask { .. }
            | BreakGlassError::Reason { .. }
            | BreakGlassError::Time => StatusCode::BAD_REQUEST,
            BreakGlassError::TooMany | BreakGlassError::Unreviewed => {
                StatusCode::SERVICE_UNAVAILABLE
            }
        };
        Self::says(status, format!("{}. Nothing is set aside.", sentence(&error.to_string())))
    }
}

impl From<MendGlassError> for Failure {
    fn from(error: MendGlassError) -> Self {
        match error {
            MendGlassError::Unknown(_) => {
                let text = "Nothing of yours is set aside by that: its time may be over.";
                Self::says(StatusCode::NOT_FOUND, text)
            }
            MendGlassError::NotRecorded(error) => {
                tracing::error!(%error, "that rules hold again could not be recorded");
                RequestError::Unavailable.into()
            }
        }
    }
}
