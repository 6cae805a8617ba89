//! Reads decisions and outcomes of sessions again, with what lies sealed beside them.

use std::collections::HashMap;
use std::sync::Arc;

use foldhash::fast::RandomState;
use safeconduct_engine::Outcome;
use safeconduct_ledger::decode;
use safeconduct_model::{
    Body, Decided, EntityRef, Executed, Execution, RecordId, Request, SessionKey, SessionRead,
    Timestamp, Value,
};
use safeconduct_policy::{History, Policies};
use safeconduct_session::flow::Flow;
use safeconduct_session::monitor::{ERROR, Event, Monitors, REQUEST, RESPONSE};
use safeconduct_wire::json;

use crate::bundle::{Bundle, Kind};
use crate::recall::{OUTCOME, Places};
use crate::{Service, SessionKeys, reading};

/// What the arguments of a call are sealed as.
pub(crate) const ARGUMENTS: &str = "arguments";

/// Folds records again, in their order.
pub(crate) struct Refold<'s> {
    service: &'s Service,
    policies: Arc<Policies>,
    history: History,
    /// The keys that were last used.
    keys: Option<(SessionKey, Arc<dyn SessionKeys>)>,
    /// Calls whose outcomes may follow.
    calls: HashMap<RecordId, Call, RandomState>,
    /// When the first of what was folded happened.
    first: Option<Timestamp>,
    /// Whether something could not be read.
    unreadable: bool,
}

/// What an outcome's event says of its call.
#[derive(Debug, Clone)]
pub(crate) struct Call {
    pub(crate) principal: EntityRef,
    pub(crate) resources: Vec<EntityRef>,
    pub(crate) action: safeconduct_model::ActionName,
    pub(crate) input: Value,
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
            input: request.input.clone(),
        })
    }

    /// Takes its event in.
    pub(crate) fn requested(
        &self,
        policies: &Policies,
        history: History,
        monitors: &mut Monitors,
        (at, decision): (Timestamp, safeconduct_model::Decision),
    ) {
        let resources: Vec<_> = self.resources.iter().collect();
        let event = self.event(REQUEST, &resources, None, at);
        let event = Event { decision: Some(decision), ..event };
        monitors.observe(policies.monitors().programs(history), &event);
    }

    /// Takes the event of its outcome in.
    pub(crate) fn executed(
        &self,
        policies: &Policies,
        history: History,
        monitors: &mut Monitors,
        (at, execution, output): (Timestamp, Execution, Option<&Value>),
    ) {
        let resources: Vec<_> = self.resources.iter().collect();
        let event = self.event(kind_of(execution), &resources, output, at);
        monitors.observe(policies.monitors().programs(history), &event);
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
            input: &self.input,
            output,
            beside: None,
            at,
            decision: None,
        }
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
    pub(crate) fn new(service: &'s Service, history: History) -> Self {
        let policies = Arc::clone(service.world().policies());
        let (keys, calls) = (None, HashMap::default());
        Self { service, policies, history, keys, calls, first: None, unreadable: false }
    }

    /// Until when rules of order and count have no answer, because something that they may depend
    /// on is missing in what was folded.
    pub(crate) fn blind_until(&self, told: &Places) -> Option<Timestamp> {
        let programs = self.policies.monitors().programs(self.history);
        let lookback = programs.iter().map(|program| program.lookback_ms()).max()?;
        let now = self.service.clock.now();
        let since = match self.unreadable {
            true => Some(now),
            // What is left of more begins with this one.
            false => told.more.then(|| self.first.unwrap_or(now)),
        };
        since.map(|since| since.plus_ms(lookback))
    }

    /// Folds the record at that place.
    pub(crate) fn fold(&mut self, at: u64, monitors: &mut Monitors, flow: Option<&mut Flow>) {
        let leaf = self.service.ledger.leaf(at).ok();
        match leaf.and_then(|leaf| decode(&leaf).ok()) {
            Some(record) => {
                self.first.get_or_insert(record.at);
                match record.body {
                    Body::Decided(decided) => {
                        self.decided(at, (&record.id, record.at), *decided, monitors);
                    }
                    Body::SessionRead(read) => self.read(at, &record.id, &read, flow),
                    Body::Executed(executed) => {
                        self.executed(at, (&record.id, record.at), executed, monitors, flow);
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
        if self.policies.monitors().programs(self.history).is_empty() {
            return;
        }
        let plain = self.opened(at, id, &decided.session, ARGUMENTS);
        // What was erased, or never kept, is absent: a rule that compares it does not hold.
        let input = plain.and_then(|plain| json::parse(&plain).ok()).unwrap_or(Value::Null);
        let Decided { principal, resources, action, decision, .. } = decided;
        let call = Call { principal, resources, action, input };
        call.requested(&self.policies, self.history, monitors, (time, decision));
        self.calls.insert(id.clone(), call);
    }

    fn executed(
        &mut self,
        at: u64,
        (id, time): (&RecordId, Timestamp),
        executed: Executed,
        monitors: &mut Monitors,
        flow: Option<&mut Flow>,
    ) {
        let plain = self.opened(at, id, &executed.session, OUTCOME);
        let bundle = plain.and_then(|plain| Bundle::decode(&plain).ok());
        let part = |kind| bundle.as_ref().and_then(|bundle| bundle.part(kind));
        if let Some(call) = self.calls.remove(&executed.decision) {
            let output = part(Kind::Event).and_then(|bytes| json::parse(bytes).ok());
            let event = (time, executed.execution, output.as_ref());
            call.executed(&self.policies, self.history, monitors, event);
        }
        let (Some(flow), Some(label)) = (flow, &executed.label) else {
            return;
        };
        match part(Kind::Flow).and_then(|bytes| reading::gleaned(bytes, &flow.key())) {
            Some(gleaned) => flow.fold(&gleaned),
            // It was erased, or its key was: what is left of it is its label.
            None => flow.forget(label),
        }
    }

    /// What a server said by itself.
    fn read(&mut self, at: u64, id: &RecordId, read: &SessionRead, flow: Option<&mut Flow>) {
        let Some(flow) = flow else {
            return;
        };
        let plain = self.opened(at, id, &read.session, OUTCOME);
        let bundle = plain.and_then(|plain| Bundle::decode(&plain).ok());
        let part = bundle.as_ref().and_then(|bundle| bundle.part(Kind::Flow));
        match part.and_then(|bytes| reading::gleaned(bytes, &flow.key())) {
            Some(gleaned) => flow.fold(&gleaned),
            None => flow.forget(&read.label),
        }
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
