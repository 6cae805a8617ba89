//! The gateway's own tools: an agent begins a task, and ends it.

use safeconduct_credential::TaskHandle;
use safeconduct_model::{TaskState, Value};
use safeconduct_pep::{Refusal, Ways};
use safeconduct_service::{AskedAtOnce, BeginError, Ending, Narrowed, Undertaking};
use zeroize::Zeroizing;

use super::Side;
use crate::authority::Authority;
use crate::message::{Answer, Fault, INVALID_PARAMS, Request};
use crate::reply::Reply;
use crate::revision::Era;
use crate::task_tools::{self, Asked, BEGIN, DELEGATE, END, RESERVED};
use crate::{action, approval_tools, denial, edit};

impl<A: Authority> Side<A> {
    /// Answers a call of one of the gateway's own tools; `None` where it is of another. The
    /// upstream has no part in it, and need not even run.
    pub(super) async fn own_tool(&self, request: &Request) -> Option<Reply> {
        let params = request.params.as_ref();
        let name = params.and_then(|params| params.member("name")).and_then(Value::as_str)?;
        if !name.starts_with(RESERVED) {
            return None;
        }
        let server = &self.backend.config.name;
        let question = match action::question(server, &request.method, params) {
            Ok(question) => question,
            Err(fault) => return Some(fault.into()),
        };
        let known = !self.inner.authority.intents().versions.is_empty();
        let answer = match name {
            BEGIN if known => self.begin_task(&question.input).await,
            DELEGATE if known => self.delegate_task(&question.input).await,
            END if known => self.end_task(&question.input).await,
            approval_tools::REQUEST => self.request_approval(&question.input).await,
            approval_tools::STATUS => self.approval_status(&question.input).await,
            _ => Answer::Fault(Fault::new(INVALID_PARAMS, format!("no tool is called `{name}`"))),
        };
        Some(answer.into())
    }

    async fn begin_task(&self, arguments: &Value) -> Answer {
        let asked = match Asked::read(arguments) {
            Ok(asked) => asked,
            Err(problem) => return self.not_done("arguments", &problem),
        };
        // In a task of its own the session could not tell the two apart.
        if let Some(task) = &self.caller.authentication.task {
            let error = BeginError::Attached(task.id.clone());
            return self.not_done(task_tools::code(&error), &error.to_string());
        }
        let what = format!("to undertake intent `{}`", asked.intent);
        let undertaking = Undertaking {
            by: self.caller.authentication.clone(),
            agent: self.caller.authentication.identity.clone(),
            intent: asked.intent,
            version: asked.version,
            parameters: asked.parameters,
            prompt: asked.prompt,
            on_behalf_of: asked.on_behalf_of,
            narrowed: Default::default(),
            handle: None,
            conversation: self.caller.conversation,
            run_of: None,
            pep: self.backend.pep.clone(),
            trace: self.trace.clone(),
        };
        let error = match self.inner.authority.begin_task(undertaking).await {
            Ok(begun) => {
                let (text, told) = task_tools::begun(&begun);
                return self.done(&text, told);
            }
            Err(error) => error,
        };
        self.not_begun(error, &what)
    }

    /// Begins a task of another agent under the one that the caller acts in.
    async fn delegate_task(&self, arguments: &Value) -> Answer {
        let (agent, intent, wanted) = match task_tools::read_delegation(arguments) {
            Ok(wanted) => wanted,
            Err(problem) => return self.not_done("arguments", &problem),
        };
        let by = &self.caller.authentication;
        if by.task.as_ref().is_none_or(|task| task.agent != by.identity) {
            let text = "this session acts in no task of its own: begin one first";
            return self.not_done("no_task", text);
        }
        let mut random = Zeroizing::new([0; 32]);
        if getrandom::fill(&mut *random).is_err() {
            return self.not_done("not_recorded", "no randomness from the operating system");
        }
        let handle = TaskHandle::of(&random);
        let what = format!("to have `{agent}` undertake intent `{intent}`");
        let undertaking = Undertaking {
            by: by.clone(),
            agent,
            intent,
            version: wanted.version,
            parameters: wanted.parameters,
            prompt: wanted.prompt.map(|prompt| prompt.0.into()),
            on_behalf_of: None,
            narrowed: Narrowed {
                allowances: wanted.envelope,
                budget: wanted.budget,
                seconds: wanted.seconds,
                depth: wanted.depth,
                tier_max: wanted.tier_max,
                credentials: wanted.credentials,
            },
            handle: Some(handle.digest()),
            conversation: None,
            run_of: None,
            pep: self.backend.pep.clone(),
            trace: self.trace.clone(),
        };
        match self.inner.authority.begin_task(undertaking).await {
            Ok(begun) => {
                let (text, told) = task_tools::delegated(&begun.task, handle.reveal());
                self.done(&text, told)
            }
            Err(error) => self.not_begun(error, &what),
        }
    }

    fn not_begun(&self, error: BeginError, what: &str) -> Answer {
        let refusal = match error {
            BeginError::Denied { ruling, asked, .. } => {
                Refusal { asked, ..Refusal::of(ruling.into_value()) }
            }
            BeginError::Unrecorded(unrecorded) => Refusal::unrecorded(unrecorded),
            error => return self.not_done(task_tools::code(&error), &error.to_string()),
        };
        let page = match &refusal.asked {
            Some(AskedAtOnce::Asked(request)) => self.page(&request.id),
            Some(AskedAtOnce::Not(_)) | None => None,
        };
        let ways = Ways { page, ..Ways::default() };
        denial::denied(self.revision, "tools/call", what, &refusal, &ways)
    }

    async fn end_task(&self, arguments: &Value) -> Answer {
        let reason = match task_tools::read_summary(arguments) {
            Ok(reason) => reason,
            Err(problem) => return self.not_done("arguments", &problem),
        };
        let Some(task) = &self.caller.authentication.task else {
            return self.not_done("no_task", "this session acts in no task");
        };
        if task.agent != self.caller.authentication.identity {
            return self.not_done("not_allowed", "the task is another agent's");
        }
        let by = Some(self.caller.authentication.identity.clone());
        let ending = Ending { state: TaskState::Completed, by, reason };
        match self.inner.authority.end_task(&task.id, ending).await {
            Err(error) => self.not_done("not_recorded", &error.to_string()),
            Ok(0) => self.not_done("task_ended", &format!("task {} has ended already", task.id)),
            Ok(ended) => {
                let count = i64::try_from(ended).unwrap_or(i64::MAX);
                let told = [("task", Value::from(task.id.as_str())), ("ended", count.into())];
                let text = format!("Task {} has ended, and all that was given for it.", task.id);
                self.done(&text, Value::object(told))
            }
        }
    }

    pub(super) fn done(&self, text: &str, told: Value) -> Answer {
        let block = Value::object([("type", Value::from("text")), ("text", Value::from(text))]);
        let mut result =
            Value::object([("content", Value::from(vec![block])), ("structuredContent", told)]);
        if self.revision.era() == Era::Modern {
            edit::set(&mut result, "resultType", "complete");
        }
        Answer::Result(result)
    }

    pub(super) fn not_done(&self, code: &'static str, text: &str) -> Answer {
        denial::refused(self.revision, code, text)
    }
}
