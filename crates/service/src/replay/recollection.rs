//! The records before a decision, and what lies sealed beside them.

use std::cell::RefCell;
use std::collections::HashMap;
use std::io;
use std::sync::Arc;

use foldhash::fast::RandomState;
use safeconduct_credential::mandate_of;
use safeconduct_engine::task_parameters;
use safeconduct_model::{Body, Decided, Record, SessionKey, TaskId, Value};
use safeconduct_policy::{
    AdditionalArguments, Fact, Missing, Policies, Recalled, RecalledSession, RecalledTask,
    RecordedDecision, Surroundings as _,
};
use safeconduct_risk::Level;
use safeconduct_session::Used;

use super::flow::traced;
use super::stood::{FOLDED_MAX, Standing};
use crate::begin::MANDATE;
use crate::refold::ARGUMENTS;
use crate::surroundings::situation;
use crate::{SessionKeys, Surrounded, Vault};

/// Where something lies beside a record.
pub trait LaidBeside {
    /// Reads it.
    ///
    /// # Errors
    /// The operating system's, or it is not what lay there: [`io::ErrorKind::NotFound`] where
    /// nothing does.
    fn read(&self) -> io::Result<Vec<u8>>;
}

/// What has become of what lay beside a record.
#[derive(Clone, Default)]
pub enum Attached {
    /// There was nothing.
    #[default]
    Nothing,
    /// It was erased.
    Erased,
    /// It lies there.
    Here(Arc<dyn LaidBeside>),
}

/// What the records tell that have been read so far, all of a ledger from its beginning.
#[derive(Default)]
pub struct Recollection {
    vault: Option<Arc<dyn Vault>>,
    standing: Standing,
    /// What wraps the keys of each session.
    wrapped: HashMap<SessionKey, Attached, RandomState>,
    mandates: HashMap<TaskId, Attached, RandomState>,
    /// What lies beside the decision that is asked about.
    beside: Attached,
    /// The keys that were last used.
    keys: RefCell<Option<(SessionKey, Arc<dyn SessionKeys>)>>,
}

impl Recollection {
    /// With nothing in it. Without a vault nothing that is sealed is opened.
    pub fn new(vault: Option<Arc<dyn Vault>>) -> Self {
        Self { vault, ..Self::default() }
    }

    /// Before a decision is asked about: what lies beside it.
    pub fn beside(&mut self, attached: Attached) {
        self.beside = attached;
    }

    /// Takes the next record in; a decision once it was asked about.
    pub fn take(&mut self, record: &Record, attached: Attached) {
        match &record.body {
            Body::SessionBegan { session } => {
                if self.wrapped.len() < FOLDED_MAX || self.wrapped.contains_key(session) {
                    self.wrapped.insert(session.clone(), attached);
                }
                let mut keys = self.keys.borrow_mut();
                if keys.as_ref().is_some_and(|(of, _)| of == session) {
                    *keys = None;
                }
            }
            Body::TaskBegan(task) if self.mandates.len() < FOLDED_MAX => {
                self.mandates.insert(task.id.clone(), attached);
            }
            _ => {}
        }
        self.standing.take(record);
    }

    /// What is known of the moment of a decision.
    pub(super) fn recall(
        &self,
        recorded: &RecordedDecision<'_>,
        then: &Policies,
        around: &Surrounded,
    ) -> Recalled {
        let decided = recorded.decided;
        let entry = around.entry(&decided.action, decided.catalogue);
        let (input, nothing_beside) = match self.arguments(recorded) {
            Ok((input, alone)) => (Fact::Known(input), alone),
            Err(missing) => (Fact::Missing(missing), false),
        };
        let opened = match &input {
            Fact::Known(value) => Some(value),
            Fact::Missing(_) => None,
        };
        let of_arguments = entry.zip(opened);
        let action = of_arguments.map(|(entry, input)| situation(entry, entry.tier_of(input)));
        // Where a gateway said something beside the arguments, those are answers to a server.
        let answers = !nothing_beside && decided.pep != decided.session.identity;
        let traced = |(entry, input)| traced(decided, input, entry, then).filter(|_| !answers);
        let flow = of_arguments.map(traced);
        let risk = (then.looks_at_risk() || decided.risk > 0)
            .then(|| (decided.risk, Level::of(decided.risk).as_str()));
        let (session, label, used) = self.stood(decided);
        Recalled {
            nothing_beside,
            action: action.or_else(|| around.action(&decided.action, decided.catalogue)),
            additional: known(entry.map(|entry| match entry.additional_arguments {
                true => AdditionalArguments::LeftOut,
                false => AdditionalArguments::Refused,
            })),
            flow: match (flow, &input) {
                (Some(flow), _) => known(flow),
                (None, Fact::Missing(why)) => Fact::Missing(*why),
                (None, Fact::Known(_)) => Fact::Missing(Missing::NotRecorded),
            },
            session,
            label,
            task: self.task(recorded, used, around),
            risk: known(risk),
            input,
        }
    }

    /// The arguments, and whether it is sure that nothing was said beside them.
    fn arguments(&self, recorded: &RecordedDecision<'_>) -> Result<(Value, bool), Missing> {
        let sealed = read(&self.beside)?;
        let keys = self.keys(&recorded.decided.session)?;
        let plain = keys.open(recorded.id, ARGUMENTS, &sealed).map_err(|_| Missing::Erased)?;
        let alone = keys.digest(&plain) == recorded.decided.input_digest;
        let value = safeconduct_wire::json::parse(&plain).map_err(|_| Missing::NotRecorded)?;
        Ok((value, alone))
    }

    /// The keys of a session as it is now.
    fn keys(&self, session: &SessionKey) -> Result<Arc<dyn SessionKeys>, Missing> {
        let vault = self.vault.as_ref().ok_or(Missing::NotOpened)?;
        let mut last = self.keys.borrow_mut();
        if let Some((_, keys)) = last.as_ref().filter(|(of, _)| of == session) {
            return Ok(Arc::clone(keys));
        }
        let wrapped = read(self.wrapped.get(session).ok_or(Missing::NotWhole)?);
        // Without what wrapped them nobody opens anything any more.
        let wrapped = wrapped.map_err(|_| Missing::Erased)?;
        let keys = vault.unwrap(session, &wrapped).map_err(|_| Missing::NotOpened)?;
        *last = Some((session.clone(), Arc::clone(&keys)));
        Ok(keys)
    }

    /// Where the session stood, what it had read, and what its task had used.
    fn stood(
        &self,
        decided: &Decided,
    ) -> (Fact<RecalledSession>, Fact<safeconduct_model::Label>, Option<&Used>) {
        let Some((own, home)) = self.standing.of(decided) else {
            let why = Missing::NotWhole;
            return (Fact::Missing(why), Fact::Missing(why), None);
        };
        let session = RecalledSession {
            steps: home.session.steps(),
            denials: home.session.denials(),
            distinct_resources: home.session.distinct_resources(),
            actions: home.session.actions().map(|(action, _)| action.clone()).collect(),
        };
        let label = self.standing.knows_label(decided).then(|| home.label.clone());
        (Fact::Known(session), known(label), own.session.used())
    }

    fn task(
        &self,
        recorded: &RecordedDecision<'_>,
        used: Option<&Used>,
        around: &Surrounded,
    ) -> Fact<RecalledTask> {
        match self.opened_task(recorded, used, around) {
            Ok(task) => Fact::Known(task),
            Err(missing) => Fact::Missing(missing),
        }
    }

    fn opened_task(
        &self,
        recorded: &RecordedDecision<'_>,
        used: Option<&Used>,
        around: &Surrounded,
    ) -> Result<RecalledTask, Missing> {
        let told = recorded.decided.task.as_ref().ok_or(Missing::NotRecorded)?;
        let begun = self.standing.task(&told.id).ok_or(Missing::NotWhole)?;
        let used = used.ok_or(Missing::NotWhole)?;
        let task = &begun.task;
        let user = match &task.on_behalf_of {
            Some(id) => Some(around.user(id).ok_or(Missing::NotRecorded)?),
            None => None,
        };
        let sealed = read(self.mandates.get(&told.id).ok_or(Missing::NotWhole)?);
        let sealed = sealed.map_err(|_| Missing::Erased)?;
        let keys = self.keys(&SessionKey::task(task.agent.clone(), task.id.clone()))?;
        let plain = keys.open(&begun.record, MANDATE, &sealed).map_err(|_| Missing::Erased)?;
        if keys.digest(&plain) != task.authority {
            return Err(Missing::NotRecorded);
        }
        let value = safeconduct_wire::json::parse(&plain).map_err(|_| Missing::NotRecorded)?;
        let mandate = mandate_of(&value).map_err(|_| Missing::NotRecorded)?;
        let parameters = task_parameters(&task.id, &mandate.parameters, around.vocabulary());
        Ok(RecalledTask {
            version: task.intent_version,
            on_behalf_of: user.as_ref().map(|user| user.uid.clone()),
            depth: task.depth,
            budget_left: task.budget.calls.saturating_sub(used.calls()),
            age_s: recorded.at.ms_since(task.begun_at) / 1000,
            beside: parameters.into_iter().chain(user).collect(),
        })
    }
}

fn known<T>(value: Option<T>) -> Fact<T> {
    value.map_or(Fact::Missing(Missing::NotRecorded), Fact::Known)
}

fn read(attached: &Attached) -> Result<Vec<u8>, Missing> {
    match attached {
        Attached::Nothing => Err(Missing::NotKept),
        Attached::Erased => Err(Missing::Erased),
        Attached::Here(beside) => beside.read().map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => Missing::NotKept,
            _ => Missing::NotOpened,
        }),
    }
}
