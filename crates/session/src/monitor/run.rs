//! Carries programs out: what an event finds, and whether a condition holds at it.

use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;

use safeconduct_model::Value;

use super::datum::Datum;
use super::delta::Delta;
use super::formula::{Field, Part, Symbol};
use super::program::{
    Counted, Keeps, Left, Node, Operand, Pattern, Plan, Program, Slot, Step, Test,
};
use super::table::{Group, Kept, Row, Stamp, Table, bytes_of};
use super::{Event, STEPS_MAX};

/// What one program remembers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct State {
    pub(super) nodes: Vec<Stored>,
    /// Until when something is missing in it, in milliseconds.
    pub(super) blind_until: i64,
    /// Whether nothing of it is missing that may be missing of the others.
    pub(super) spared: bool,
    /// How far it is ahead of the others in numbering events: it may have been kept up when they
    /// were folded again.
    pub(super) ahead: u64,
}

/// What one node remembers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Stored {
    Rows(Table),
    Last {
        stamp: Option<Stamp>,
        rows: Delta,
    },
    /// From which event on a row was found at every one, up to which.
    Runs(BTreeMap<Row, (u64, u64)>),
}

/// Too many rows had to be looked at, or a condition is already known to hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stop {
    Enough,
    TooMuch,
}

/// How much had to be done, more than [`STEPS_MAX`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct TooMuch;

/// Nothing that an event found.
static NOTHING: Delta = Delta::new();

/// An event seen by one program.
pub(super) struct View<'v> {
    pub(super) program: &'v Program,
    /// `None` where it has seen nothing that concerns it.
    pub(super) state: Option<&'v State>,
    pub(super) event: &'v Event<'v>,
    /// What policies call the event's action.
    pub(super) action: &'v str,
    pub(super) now: Stamp,
    /// Of each node; none where the program does not listen to the event.
    deltas: Vec<Delta>,
    steps: Cell<u32>,
    /// The past event that is looked at, where it is one.
    then: Cell<Option<Stamp>>,
}

impl State {
    pub(super) fn of(program: &Program) -> Self {
        let stored = |node: &Node| match node.keeps {
            Keeps::Latest | Keeps::Since(_) => Stored::Rows(Table::default()),
            Keeps::Last => Stored::Last { stamp: None, rows: Delta::new() },
            Keeps::Runs => Stored::Runs(BTreeMap::new()),
        };
        let nodes = program.nodes.iter().map(stored).collect();
        Self { nodes, blind_until: i64::MIN, spared: false, ahead: 0 }
    }

    /// When something is by its own numbers.
    pub(super) const fn own(&self, now: Stamp) -> Stamp {
        Stamp { at: now.at, index: now.index.wrapping_add(self.ahead) }
    }

    /// Whether a node remembers nothing.
    fn is_empty(&self, at: usize) -> bool {
        self.nodes.get(at).is_none_or(|stored| stored.rows() == 0)
    }

    /// How many rows it has.
    pub(super) fn rows(&self) -> usize {
        self.nodes.iter().map(Stored::rows).sum()
    }

    /// Forgets what no answer can depend on any more.
    pub(super) fn forget(&mut self, program: &Program, now: Stamp) {
        for (node, stored) in program.nodes.iter().zip(&mut self.nodes) {
            if let Stored::Rows(table) = stored {
                table.forget(now.at.saturating_sub(node.kept_ms), node.kept());
            }
        }
    }

    /// Takes in what an event found; at most `room` new rows. Says whether all found room.
    pub(super) fn commit(
        &mut self,
        program: &Program,
        deltas: Vec<Delta>,
        now: Stamp,
        mut room: usize,
    ) -> bool {
        let mut all = true;
        for ((node, stored), delta) in program.nodes.iter().zip(&mut self.nodes).zip(deltas) {
            match stored {
                Stored::Rows(table) => {
                    for (key, row) in delta {
                        let known = table.has(&key, &row, now, node.kept());
                        if room == 0 && !known {
                            all = false;
                        } else if table.note(&key, row, now, node.kept()) {
                            room -= 1;
                        }
                    }
                }
                Stored::Last { stamp, rows } => {
                    let before = rows.len();
                    all &= delta.len() <= room + before;
                    *rows = delta.first(room + before);
                    room = (room + before).saturating_sub(rows.len());
                    *stamp = Some(now);
                }
                Stored::Runs(runs) => {
                    let before = runs.len();
                    all &= delta.len() <= room + before;
                    let mut next = BTreeMap::new();
                    for (key, _) in delta.into_iter().take(room + before) {
                        let run = runs.get(&key).filter(|(_, last)| *last + 1 == now.index);
                        let start = run.map_or(now.index, |(start, _)| *start);
                        next.insert(key, (start, now.index));
                    }
                    room = (room + before).saturating_sub(next.len());
                    *runs = next;
                }
            }
        }
        all
    }

    /// Bytes that it takes, about.
    pub(super) fn bytes(&self) -> usize {
        let stored = |stored: &Stored| match stored {
            Stored::Rows(table) => table.bytes(),
            Stored::Last { rows, .. } => {
                let of = |(key, row): &(Row, Row)| bytes_of(key) + bytes_of(row);
                rows.iter().map(of).sum()
            }
            Stored::Runs(runs) => runs.keys().map(|key| 16 + bytes_of(key)).sum::<usize>(),
        };
        let nodes = self.nodes.iter().map(|node| size_of::<Stored>() + stored(node));
        size_of::<Self>() + nodes.sum::<usize>()
    }
}

impl Stored {
    fn rows(&self) -> usize {
        match self {
            Self::Rows(table) => table.rows(),
            Self::Last { rows, .. } => rows.len(),
            Self::Runs(runs) => runs.len(),
        }
    }
}

/// Whether a condition cannot hold at an event, whatever the values of the request: it asks for
/// what has never happened, or not for so long that it is forgotten, and does not happen now.
pub(super) fn asks_in_vain(
    program: &Program,
    state: Option<&State>,
    event: &Event<'_>,
    action: &str,
) -> bool {
    let found = |at: usize| {
        let node = program.nodes.get(at);
        node.is_some_and(|node| node.listens.hears(event.kind, action))
    };
    let empty = |at: usize| state.is_none_or(|state| state.is_empty(at));
    program.asks.iter().any(|at| empty(*at) && !found(*at))
}

impl Node {
    pub(super) fn kept(&self) -> Kept {
        // A place behind the one that is not stored comes one earlier.
        let shift = |at: usize| at - usize::from(self.instant.is_some_and(|own| own < at));
        let sum = self.sum.filter(|at| self.instant != Some(*at)).map(shift);
        Kept { per_event: self.instant.is_some(), sum }
    }
}

impl<'v> View<'v> {
    /// What an event finds, node by node. The room for values, `env`, can be any.
    ///
    /// # Errors
    /// [`TooMuch`] where more had to be looked at than the limit.
    pub(super) fn of(
        program: &'v Program,
        state: Option<&'v State>,
        event: &'v Event<'v>,
        action: &'v str,
        now: Stamp,
        env: &mut Vec<Datum>,
    ) -> Result<Self, TooMuch> {
        let (steps, then) = (Cell::new(STEPS_MAX), Cell::new(None));
        let deltas = Vec::new();
        let now = state.map_or(now, |state| state.own(now));
        let mut view = Self { program, state, event, action, now, deltas, steps, then };
        if !program.listens.hears(event.kind, action) {
            return Ok(view);
        }
        env.clear();
        env.resize(program.symbols, Datum::Absent);
        view.deltas.reserve_exact(program.nodes.len());
        for node in &program.nodes {
            let mut rows = Vec::new();
            if node.listens.hears(event.kind, action) {
                let mut take = |env: &mut Vec<Datum>| {
                    let stored = node.rest.iter().enumerate();
                    let stored = stored.filter(|(place, _)| node.instant != Some(*place));
                    let rest = stored.map(|(_, symbol)| value(env, *symbol).clone()).collect();
                    rows.push((row(&node.key, env), rest));
                    ControlFlow::Continue(())
                };
                if view.run(&node.plan.steps, env, &mut take).is_break() {
                    return Err(TooMuch);
                }
            }
            view.deltas.push(Delta::of(rows));
        }
        Ok(view)
    }

    pub(super) fn into_deltas(self) -> Vec<Delta> {
        self.deltas
    }

    /// What the event found at one node.
    fn delta(&self, at: usize) -> &Delta {
        self.deltas.get(at).unwrap_or(&NOTHING)
    }

    /// Whether the condition holds with those values of the request.
    pub(super) fn holds(
        &self,
        parameters: impl IntoIterator<Item = Datum>,
        env: &mut Vec<Datum>,
    ) -> Result<bool, TooMuch> {
        env.clear();
        env.extend(parameters.into_iter().take(self.program.symbols));
        env.resize(self.program.symbols, Datum::Absent);
        self.finds(&self.program.answer, env).map_err(|_| TooMuch)
    }

    fn finds(&self, plan: &Plan, env: &mut Vec<Datum>) -> Result<bool, Stop> {
        match self.run(&plan.steps, env, &mut |_| ControlFlow::Break(Stop::Enough)) {
            ControlFlow::Continue(()) => Ok(false),
            ControlFlow::Break(Stop::Enough) => Ok(true),
            ControlFlow::Break(Stop::TooMuch) => Err(Stop::TooMuch),
        }
    }

    /// Carries out steps, and tells `found` of each way to.
    fn run(
        &self,
        steps: &[Step],
        env: &mut Vec<Datum>,
        found: &mut dyn FnMut(&mut Vec<Datum>) -> ControlFlow<Stop>,
    ) -> ControlFlow<Stop> {
        self.spend()?;
        let Some((step, steps)) = steps.split_first() else {
            return found(env);
        };
        match step {
            Step::Matches(pattern) => {
                for resource in 0..self.ways(pattern) {
                    if self.matches(pattern, resource, env) {
                        self.run(steps, env, found)?;
                    }
                }
                ControlFlow::Continue(())
            }
            Step::MayMatch { pattern, found: whether } => {
                let matched = (0..self.ways(pattern)).any(|way| self.matches(pattern, way, env));
                if !matched {
                    for (_, slot) in &pattern.fields {
                        if let Slot::Bind(symbol) = slot {
                            set(env, *symbol, Datum::Absent);
                        }
                    }
                }
                set(env, *whether, Datum::Bool(matched));
                self.run(steps, env, found)
            }
            Step::Read(node) => self.read(*node, env, &mut |env| self.run(steps, env, found)),
            Step::Let(symbol, operand) => {
                let value = self.operand(operand, env)?;
                if matches!(value, Datum::Absent) {
                    return ControlFlow::Continue(());
                }
                set(env, *symbol, value);
                self.run(steps, env, found)
            }
            Step::Instant { symbol, known } => {
                let own = self.instant();
                if *known && *value(env, *symbol) != own {
                    return ControlFlow::Continue(());
                }
                set(env, *symbol, own);
                self.run(steps, env, found)
            }
            Step::Moment { index, at } => {
                set(env, *index, self.instant());
                set(env, *at, Datum::Long(self.now.at));
                self.run(steps, env, found)
            }
            Step::Where(test) => {
                if self.test(test, env)? {
                    self.run(steps, env, found)
                } else {
                    ControlFlow::Continue(())
                }
            }
            Step::Without(plan) => match self.finds(plan, env) {
                Ok(true) => ControlFlow::Continue(()),
                Ok(false) => self.run(steps, env, found),
                Err(stop) => ControlFlow::Break(stop),
            },
        }
    }

    fn instant(&self) -> Datum {
        number(self.now.index)
    }

    /// In how many ways an event can match: for each of its resources, where one is asked for.
    fn ways(&self, pattern: &Pattern) -> usize {
        let named = *pattern.name.kind == *self.event.kind && *pattern.name.action == *self.action;
        match (named, pattern.several) {
            (false, _) => 0,
            (true, false) => 1,
            (true, true) => self.event.resources.len(),
        }
    }

    fn matches(&self, pattern: &Pattern, resource: usize, env: &mut [Datum]) -> bool {
        pattern.fields.iter().all(|(field, slot)| {
            let Some(found) = self.field(field, resource) else {
                return false;
            };
            match slot {
                Slot::Any => true,
                Slot::Is(datum) => datum.same(&found),
                Slot::Same(symbol) => value(env, *symbol).same(&found),
                Slot::Bind(symbol) => {
                    set(env, *symbol, found);
                    true
                }
            }
        })
    }

    fn field(&self, field: &Field, resource: usize) -> Option<Datum> {
        let below = |value: &Value| {
            let mut value = value;
            for member in &field.path {
                value = value.member(member)?;
            }
            Some(Datum::of(value, &field.sort))
        };
        match field.of {
            Part::Input => below(self.event.input),
            Part::Output => below(self.event.output?),
            Part::Beside => below(self.event.beside?),
            Part::Principal => self.event.principal.map(Datum::of_entity),
            Part::Resource => self.event.resources.get(resource).map(|r| Datum::of_entity(r)),
            Part::Decision => {
                self.event.decision.map(|decision| Datum::text(&decision.as_str().into()))
            }
        }
    }

    /// Binds each row of a node that fits what is known.
    fn read(
        &self,
        at: usize,
        env: &mut Vec<Datum>,
        found: &mut dyn FnMut(&mut Vec<Datum>) -> ControlFlow<Stop>,
    ) -> ControlFlow<Stop> {
        let Some(node) = self.program.nodes.get(at) else {
            return ControlFlow::Continue(());
        };
        if is_unknown(&node.key, env) {
            return ControlFlow::Continue(());
        }
        if let Some(then) = self.then.get() {
            return self.read_then(at, node, then, env, found);
        }
        let from = self.now.at.saturating_sub(node.window_ms);
        match (&node.keeps, self.state.and_then(|state| state.nodes.get(at))) {
            (Keeps::Last, Some(Stored::Last { stamp: Some(stamp), rows })) => {
                if stamp.index + 1 == self.now.index && stamp.at >= from {
                    for rest in of_key(rows, &node.key, env) {
                        bind(node, rest, *stamp, env);
                        found(env)?;
                    }
                }
                return ControlFlow::Continue(());
            }
            (Keeps::Last | Keeps::Runs, _) => return ControlFlow::Continue(()),
            (keeps, Some(Stored::Rows(table))) => {
                let group = group(table, &node.key, env);
                for (rest, stamp) in group.into_iter().flat_map(|g| g.since(from)) {
                    self.spend()?;
                    bind(node, rest, stamp, env);
                    if let Keeps::Since(lefts) = keeps
                        && !self.ever_since(lefts, stamp, env)?
                    {
                        continue;
                    }
                    found(env)?;
                }
            }
            _ => {}
        }
        let delta = self.delta(at);
        if delta.is_empty() {
            return ControlFlow::Continue(());
        }
        for rest in of_key(delta, &node.key, env) {
            bind(node, rest, self.now, env);
            found(env)?;
        }
        ControlFlow::Continue(())
    }

    /// The same, of what was there at a past event.
    fn read_then(
        &self,
        at: usize,
        node: &Node,
        then: Stamp,
        env: &mut Vec<Datum>,
        found: &mut dyn FnMut(&mut Vec<Datum>) -> ControlFlow<Stop>,
    ) -> ControlFlow<Stop> {
        let from = then.at.saturating_sub(node.window_ms);
        if let Some(Stored::Rows(table)) = self.state.and_then(|state| state.nodes.get(at)) {
            let group = group(table, &node.key, env);
            for (rest, stamp) in group.into_iter().flat_map(|g| g.since(from)) {
                self.spend()?;
                if stamp.index <= then.index {
                    bind(node, rest, stamp, env);
                    found(env)?;
                }
            }
        }
        ControlFlow::Continue(())
    }

    /// Whether what must have held at every event since did.
    fn ever_since(
        &self,
        lefts: &[Left],
        anchor: Stamp,
        env: &mut Vec<Datum>,
    ) -> ControlFlow<Stop, bool> {
        for left in lefts {
            let held = match left {
                Left::Always(test) => self.test(test, env)?,
                Left::With(node) => {
                    self.run_began(*node, env).is_some_and(|began| began <= anchor.index + 1)
                }
                Left::Without(node, test) => !self.found_after(*node, test, anchor, env)?,
            };
            if !held {
                return ControlFlow::Continue(false);
            }
        }
        ControlFlow::Continue(true)
    }

    /// From which event on a row is found at every one, this one included.
    fn run_began(&self, at: usize, env: &[Datum]) -> Option<u64> {
        let node = self.program.nodes.get(at)?;
        of_key(self.delta(at), &node.key, env).next()?;
        let before = match self.state?.nodes.get(at)? {
            Stored::Runs(runs) => runs.get(&row(&node.key, env)),
            _ => None,
        };
        let before = before.filter(|(_, last)| *last + 1 == self.now.index);
        Some(before.map_or(self.now.index, |(start, _)| *start))
    }

    /// Whether a row for which a test holds was found after an event.
    fn found_after(
        &self,
        at: usize,
        test: &Test,
        anchor: Stamp,
        env: &mut Vec<Datum>,
    ) -> ControlFlow<Stop, bool> {
        let Some(node) = self.program.nodes.get(at) else {
            return ControlFlow::Continue(true);
        };
        for rest in of_key(self.delta(at), &node.key, env) {
            bind(node, rest, self.now, env);
            if self.test(test, env)? {
                return ControlFlow::Continue(true);
            }
        }
        if let Some(Stored::Rows(table)) = self.state.and_then(|state| state.nodes.get(at)) {
            let group = group(table, &node.key, env);
            for (rest, stamp) in group.into_iter().flat_map(|g| g.since(anchor.at)) {
                if stamp.index <= anchor.index {
                    break;
                }
                self.spend()?;
                bind(node, rest, stamp, env);
                if self.test(test, env)? {
                    return ControlFlow::Continue(true);
                }
            }
        }
        ControlFlow::Continue(false)
    }

    fn spend(&self) -> ControlFlow<Stop> {
        let Some(left) = self.steps.get().checked_sub(1) else {
            return ControlFlow::Break(Stop::TooMuch);
        };
        self.steps.set(left);
        ControlFlow::Continue(())
    }

    fn test(&self, test: &Test, env: &mut Vec<Datum>) -> ControlFlow<Stop, bool> {
        ControlFlow::Continue(match test {
            Test::Compare(comparison, left, right) => {
                let counted = [self.computed(left, env)?, self.computed(right, env)?];
                let [of_left, of_right] = &counted;
                comparison.holds(known(left, of_left, env), known(right, of_right, env))
            }
            Test::All(tests) => {
                for test in tests {
                    if !self.test(test, env)? {
                        return ControlFlow::Continue(false);
                    }
                }
                true
            }
            Test::Not(test) => !self.test(test, env)?,
            Test::Then(then) => {
                let long = |symbol| value(env, symbol).as_long().unwrap_or(0);
                let index = u64::try_from(long(then.index)).unwrap_or(0);
                let stamp = Stamp { at: long(then.at), index };
                // What happens now is not taken in yet.
                let past = (index != self.now.index).then_some(stamp);
                let before = self.then.replace(past);
                let found = self.finds(&then.plan, env);
                self.then.set(before);
                match found {
                    Ok(found) => found,
                    Err(stop) => return ControlFlow::Break(stop),
                }
            }
        })
    }

    fn operand(&self, operand: &Operand, env: &mut Vec<Datum>) -> ControlFlow<Stop, Datum> {
        let computed = self.computed(operand, env)?;
        ControlFlow::Continue(match operand {
            Operand::Aggregate(_) => computed,
            Operand::Is(_) | Operand::Of(_) => known(operand, &computed, env).clone(),
        })
    }

    /// What must be computed of an operand; absent where that is nothing.
    fn computed(&self, operand: &Operand, env: &mut Vec<Datum>) -> ControlFlow<Stop, Datum> {
        ControlFlow::Continue(match operand {
            Operand::Is(_) | Operand::Of(_) => Datum::Absent,
            Operand::Aggregate(counted) => Datum::Long(clamped(self.counted(counted, env)?)),
        })
    }

    fn counted(&self, counted: &Counted, env: &mut Vec<Datum>) -> ControlFlow<Stop, i128> {
        if let Some(kept) = counted.kept.filter(|_| self.then.get().is_none())
            && let Some(node) = self.program.nodes.get(kept)
            && node.rest.len() == counted.over.len()
        {
            return ControlFlow::Continue(self.kept(kept, node, counted, env));
        }
        let mut rows: BTreeSet<Row> = BTreeSet::new();
        let mut sum = 0_i128;
        self.run(&counted.plan.steps, env, &mut |env| {
            let row = counted.over.iter().map(|symbol| value(env, *symbol).clone()).collect();
            let summed = counted.sum.and_then(|symbol| value(env, symbol).as_long());
            if rows.insert(row) {
                sum += summed.map_or(0, i128::from);
            }
            ControlFlow::Continue(())
        })?;
        let count = i128::try_from(rows.len()).unwrap_or(i128::MAX);
        ControlFlow::Continue(if counted.sum.is_some() { sum } else { count })
    }

    /// A count or sum that a node has ready, this event's rows included.
    fn kept(&self, at: usize, node: &Node, counted: &Counted, env: &[Datum]) -> i128 {
        if is_unknown(&node.key, env) {
            return 0;
        }
        let from = self.now.at.saturating_sub(node.window_ms);
        let (kept, sums) = (node.kept(), counted.sum.is_some());
        let table = match self.state.and_then(|state| state.nodes.get(at)) {
            Some(Stored::Rows(table)) => Some(table),
            _ => None,
        };
        let group = table.and_then(|table| group(table, &node.key, env));
        let mut total = group.map_or(0, |group| {
            let count = || i128::try_from(group.count(from)).unwrap_or(i128::MAX);
            if sums { group.sum(from, kept) } else { count() }
        });
        let delta = self.delta(at);
        if delta.is_empty() {
            return total;
        }
        for rest in of_key(delta, &node.key, env) {
            let there = group.is_some_and(|group| group.has_since(rest, self.now, kept, from));
            if !there {
                let summed = || kept.sum.and_then(|at| rest.get(at)).and_then(Datum::as_long);
                total += if sums { summed().map_or(0, i128::from) } else { 1 };
            }
        }
        total
    }
}

/// The rows of a key.
fn of_key<'d>(
    delta: &'d Delta,
    key: &[Symbol],
    env: &[Datum],
) -> impl Iterator<Item = &'d Row> + use<'d> {
    let known = |of: &Row| of.iter().cmp(key.iter().map(|symbol| value(env, *symbol)));
    delta.of_key(known).iter().map(|(_, rest)| rest)
}

/// The rows of a table that have what is known of a key.
fn group<'t>(table: &'t Table, key: &[Symbol], env: &[Datum]) -> Option<&'t Group> {
    table.group_by(|known| known.iter().cmp(key.iter().map(|symbol| value(env, *symbol))))
}

fn row(symbols: &[Symbol], env: &[Datum]) -> Row {
    symbols.iter().map(|symbol| value(env, *symbol).clone()).collect()
}

/// Whether one of these is not known.
fn is_unknown(symbols: &[Symbol], env: &[Datum]) -> bool {
    symbols.iter().any(|symbol| matches!(value(env, *symbol), Datum::Absent))
}

/// An operand's value, of which is there what had to be computed.
fn known<'d>(operand: &'d Operand, computed: &'d Datum, env: &'d [Datum]) -> &'d Datum {
    match operand {
        Operand::Is(datum) => datum,
        Operand::Of(symbol) => value(env, *symbol),
        Operand::Aggregate(_) => computed,
    }
}

/// Binds the rest of a row; the number of its event is not stored with it.
fn bind(node: &Node, rest: &[Datum], stamp: Stamp, env: &mut [Datum]) {
    let mut stored = rest.iter();
    for (at, symbol) in node.rest.iter().enumerate() {
        let value = if node.instant == Some(at) {
            Some(number(stamp.index))
        } else {
            stored.next().cloned()
        };
        set(env, *symbol, value.unwrap_or_default());
    }
}

fn number(index: u64) -> Datum {
    Datum::Long(i64::try_from(index).unwrap_or(i64::MAX))
}

fn clamped(total: i128) -> i64 {
    i64::try_from(total).unwrap_or(if total < 0 { i64::MIN } else { i64::MAX })
}

fn value(env: &[Datum], symbol: Symbol) -> &Datum {
    env.get(usize::from(symbol.0)).unwrap_or(&Datum::Absent)
}

fn set(env: &mut [Datum], symbol: Symbol, value: Datum) {
    if let Some(place) = env.get_mut(usize::from(symbol.0)) {
        *place = value;
    }
}
