//! Reads decisions and outcomes of sessions again, with what lies sealed beside them.

use std::collections::HashMap;
use std::sync::Arc;

use foldhash::fast::RandomState;
use safeconduct_engine::Outcome;
use safeconduct_ledger::decode;
use safeconduct_model::{
    ActionName, Body, Decided, Decision, EntityRef, Executed, Execution, Mode, RecordId, Request,
    SessionKey, SessionRead, Timestamp, Value,
};
use safeconduct_policy::{History, Policies};
use safeconduct_session::flow::Flow;
use safeconduct_session::monitor::{ERROR, Event, Monitors, Part, ProgramSet, REQUEST, RESPONSE};
use safeconduct_wire::json;

use crate::bundle::{Bundle, Kind};
use crate::reading::Output;
use crate::recall::{OUTCOME, Places};
use crate::{Service, SessionKeys, reading};

/// What the arguments of a call are sealed as.
pub(crate) const ARGUMENTS: &str = "arguments";

/// Folds records again, in their order.
pub(crate) struct Refold<'s> {
    service: &'s Service,
    /// The rules for which it is folded, where it is for rules.
    rules: Option<(Arc<Policies>, History)>,
    /// The keys that were last used.
    keys: Option<(SessionKey, Arc<dyn SessionKeys>)>,
    /// Calls whose outcomes may follow, by their decisions, with the place of each; their arguments
    /// stay where they are.
    calls: HashMap<RecordId, (u64, Call), RandomState>,
    /// When the first of what was folded happened.
    first: Option<Timestamp>,
    /// When the latest of it did: time that steps back stands still.
    latest: Option<Timestamp>,
    /// Whether something could not be read.
    unreadable: bool,
}

/// What an outcome's event says of its call.
#[derive(Debug, Clone)]
pub(crate) struct Call {
    pub(crate) principal: EntityRef,
    pub(crate) resources: Vec<EntityRef>,
    pub(crate) action: ActionName,
    /// The arguments, where they are known.
    pub(crate) input: Option<Value>,
}

impl Call {
    /// The call of a decision.
    pub(crate) fn of(request: &Request, outcome: &Outcome) -> Option<Self> {
        let Body::Decided(decided) = &outcome.record.body else {
            return None;
        };
        Some(Self {
            principal: decided.principal.clone(),
            resources: decided.resources.clone(),
            action: request.action.clone(),
            input: Some(request.input.clone()),
        })
    }

    /// The same without its arguments, for outcomes that nobody looks at with them in view.
    pub(crate) fn bare(outcome: &Outcome) -> Option<Self> {
        let Body::Decided(decided) = &outcome.record.body else {
            return None;
        };
        let (principal, action) = (decided.principal.clone(), decided.action.clone());
        Some(Self { principal, resources: Vec::new(), action, input: None })
    }

    /// Takes its event in.
    pub(crate) fn requested(
        &self,
        programs: &ProgramSet,
        monitors: &mut Monitors,
        (at, decision): (Timestamp, Decision),
    ) {
        let resources: Vec<_> = self.resources.iter().collect();
        let event = self.event(REQUEST, &resources, None, at);
        self.doubted(programs, monitors, &event, &[]);
        let event = Event { decision: Some(decision), ..event };
        monitors.observe(programs, &event);
    }

    /// Takes the event of its outcome in. Where nobody knows the outcome, it may have succeeded.
    pub(crate) fn executed(
        &self,
        programs: &ProgramSet,
        monitors: &mut Monitors,
        (at, execution, output): (Timestamp, Execution, &Output),
    ) {
        let resources: Vec<_> = self.resources.iter().collect();
        let event = self.event(kind_of(execution), &resources, output.value(), at);
        if execution == Execution::Unknown {
            monitors.doubt(programs, &Event { kind: RESPONSE, ..event }, None);
        }
        let lost: &[Part] = if matches!(output, Output::Unknown) { &[Part::Output] } else { &[] };
        self.doubted(programs, monitors, &event, lost);
        monitors.observe(programs, &event);
    }

    /// What is not known of an event.
    fn doubted(
        &self,
        programs: &ProgramSet,
        monitors: &mut Monitors,
        event: &Event<'_>,
        lost: &[Part],
    ) {
        if self.input.is_none() {
            monitors.doubt(programs, event, Some(&[Part::Input]));
        }
        if !lost.is_empty() {
            monitors.doubt(programs, event, Some(lost));
        }
    }

    fn event<'a>(
        &'a self,
        kind: &'a str,
        resources: &'a [&'a EntityRef],
        output: Option<&'a Value>,
        at: Timestamp,
    ) -> Event<'a> {
        Event {
            kind,
            action: &self.action,
            principal: Some(&self.principal),
            resources,
            input: self.input.as_ref().unwrap_or(&Value::Null),
            output,
            beside: None,
            at,
            decision: None,
        }
    }
}

/// Whether rules look at that part of such an event.
fn reads(programs: &ProgramSet, kind: &str, action: &ActionName, part: Part) -> bool {
    programs.reads(kind, action).any(|field| field.of == part)
}

/// What a decision came to, for rules that ask for it: what is only observed went ahead.
pub(crate) const fn came_to(decision: Decision, mode: Mode) -> Decision {
    match mode {
        Mode::Observe => Decision::Permit,
        Mode::Enforce => decision,
    }
}

/// The event of an outcome.
pub(crate) const fn kind_of(execution: Execution) -> &'static str {
    match execution {
        Execution::Succeeded => RESPONSE,
        Execution::Failed | Execution::NotExecuted | Execution::Unknown => ERROR,
    }
}

impl<'s> Refold<'s> {
    pub(crate) fn new(service: &'s Service, rules: Option<(Arc<Policies>, History)>) -> Self {
        Self {
            service,
            rules,
            keys: None,
            calls: HashMap::default(),
            first: None,
            latest: None,
            unreadable: false,
        }
    }

    /// Takes note of what is missing in what was folded: what depends on it has no answer.
    pub(crate) fn miss(&self, told: &Places, monitors: &mut Monitors) {
        let Some((policies, history)) = &self.rules else {
            return;
        };
        let now = self.service.clock.now();
        let since = match self.unreadable {
            true => Some(now),
            // What is left of more begins with this one.
            false => told.more.then(|| self.first.unwrap_or(now)),
        };
        if let Some(since) = since {
            monitors.miss(policies.monitors().programs(*history), None, since);
        }
    }

    /// Folds the record at that place: for rules, or for what was read.
    pub(crate) fn fold(
        &mut self,
        at: u64,
        monitors: Option<&mut Monitors>,
        flow: Option<&mut Flow>,
    ) {
        let leaf = self.service.ledger.leaf(at).ok();
        match leaf.and_then(|leaf| decode(&leaf).ok()) {
            Some(record) => {
                self.first.get_or_insert(record.at);
                self.latest = self.latest.max(Some(record.at));
                match (record.body, monitors) {
                    (Body::Decided(decided), Some(monitors)) => {
                        self.decided(at, (&record.id, record.at), *decided, monitors);
                    }
                    (Body::SessionRead(read), _) => self.read(at, &record.id, &read, flow),
                    (Body::Executed(executed), monitors) => {
                        let plain = (&record.id, record.at);
                        self.executed(at, plain, &executed, (monitors, flow));
                    }
                    _ => {}
                }
            }
            None => {
                self.unreadable = true;
                tracing::error!(record = at, "a record cannot be read again");
                if let Some(flow) = flow {
                    flow.forget(&reading::unknown());
                }
            }
        }
    }

    fn decided(
        &mut self,
        at: u64,
        (id, time): (&RecordId, Timestamp),
        decided: Decided,
        monitors: &mut Monitors,
    ) {
        let Some((policies, history)) = self.rules.clone() else {
            return;
        };
        let programs = policies.monitors().programs(history);
        let came_to = came_to(decided.decision, decided.mode);
        let Decided { principal, resources, action, session, .. } = decided;
        let looked = reads(programs, REQUEST, &action, Part::Input);
        let input = looked.then(|| self.arguments(at, id, &session)).flatten();
        let mut call = Call { principal, resources, action, input };
        call.requested(programs, monitors, (time, came_to));
        // Nothing comes of what was denied.
        if came_to == Decision::Permit {
            call.input = None;
            self.calls.insert(id.clone(), (at, call));
        }
    }

    /// The arguments of a call: what was erased, or never kept, is not known.
    fn arguments(&mut self, at: u64, id: &RecordId, session: &SessionKey) -> Option<Value> {
        let plain = self.opened(at, id, session, ARGUMENTS)?;
        json::parse(&plain).ok()
    }

    fn executed(
        &mut self,
        at: u64,
        (id, time): (&RecordId, Timestamp),
        executed: &Executed,
        (mut monitors, flow): (Option<&mut Monitors>, Option<&mut Flow>),
    ) {
        let kind = kind_of(executed.execution);
        let call = self.calls.remove(&executed.decision).zip(self.rules.clone());
        if let (None, Some(monitors)) = (&call, monitors.as_deref_mut()) {
            self.strayed(executed.execution, time, monitors);
        }
        let looks_at = |part| {
            call.as_ref().is_some_and(|((_, call), (policies, history))| {
                reads(policies.monitors().programs(*history), kind, &call.action, part)
            })
        };
        let (asked, looked) = (looks_at(Part::Input), looks_at(Part::Output));
        let read = flow.zip(executed.label.as_ref());
        let plain = (looked || read.is_some())
            .then(|| self.opened(at, id, &executed.session, OUTCOME))
            .flatten();
        let bundle = plain.and_then(|plain| Bundle::decode(&plain).ok());
        if let (Some(((place, mut call), (policies, history))), Some(monitors)) = (call, monitors) {
            if asked {
                call.input = self.arguments(place, &executed.decision, &executed.session);
            }
            let sealed = bundle.as_ref().and_then(|bundle| bundle.part(Kind::Event));
            let event = (time, executed.execution, &Output::unsealed(sealed));
            call.executed(policies.monitors().programs(history), monitors, event);
        }
        if let Some((flow, label)) = read {
            reading::fold_again(flow, bundle.as_ref(), label);
        }
    }

    /// Something came of a call that is not known any more: rules that ask for what such a call
    /// gives have no answer as long as that could matter.
    fn strayed(&self, execution: Execution, time: Timestamp, monitors: &mut Monitors) {
        let Some((policies, history)) = &self.rules else {
            return;
        };
        let programs = policies.monitors().programs(*history);
        let time = self.latest.unwrap_or(time);
        monitors.miss(programs, Some(kind_of(execution)), time);
        // Where nobody knows what came of it, it may have succeeded.
        if execution == Execution::Unknown {
            monitors.miss(programs, Some(RESPONSE), time);
        }
    }

    /// What a server said by itself.
    fn read(&mut self, at: u64, id: &RecordId, read: &SessionRead, flow: Option<&mut Flow>) {
        let Some(flow) = flow else {
            return;
        };
        let plain = self.opened(at, id, &read.session, OUTCOME);
        let bundle = plain.and_then(|plain| Bundle::decode(&plain).ok());
        reading::fold_again(flow, bundle.as_ref(), &read.label);
    }

    fn opened(
        &mut self,
        at: u64,
        id: &RecordId,
        session: &SessionKey,
        what: &str,
    ) -> Option<Vec<u8>> {
        let sealed = self.service.ledger.attachment(at).unwrap_or_else(|error| {
            tracing::error!(%error, record = at, "what lies beside a record cannot be read again");
            self.unreadable = true;
            None
        })?;
        if self.keys.as_ref().is_none_or(|(of, _)| of != session) {
            let found = self.service.keys_again(session);
            self.keys = found.map(|keys| (session.clone(), keys));
        }
        let (_, keys) = self.keys.as_ref()?;
        keys.open(id, what, &sealed).ok()
    }
}
