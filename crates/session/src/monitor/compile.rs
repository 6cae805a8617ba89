//! From a condition to a program.
//!
//! A condition under a temporal operator is found at past events, when the values of the request
//! that will be decided on are not known yet. They are treated as variables there: what an event
//! must agree with them in becomes a column of what is remembered, and a comparison with them is
//! put off until they are known. What cannot be put off is refused.

use std::collections::BTreeSet;

use super::datum::Datum;
use super::formula::{Aggregate, Comparison, Formula, Matches, Part, Symbol, Term};
use super::program::{
    Counted, Keeps, Left, Listens, Node, Operand, Pattern, Plan, Program, ProgramName, Slot,
    Source, Step, Test, Then,
};

/// Most parts of one condition that are remembered.
pub const NODES_MAX: usize = 64;
/// Most symbols of one condition.
pub const SYMBOLS_MAX: u16 = 512;

/// Why a condition is not served: the policy author is at fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// A negation, a count or a `since` under a temporal operator needs a value that only the
    /// request has which is decided on: for each value that it could have, all of history would
    /// have to be kept.
    #[error(
        "a negation, count or `since` under a temporal operator depends on a value of the request \
         that no event there is matched with: what would have to be remembered has no bound"
    )]
    Unbounded,
    /// It has more parts than are kept.
    #[error("the condition has more than {NODES_MAX} temporal parts or {SYMBOLS_MAX} variables")]
    TooLarge,
}

/// Whether values of the request are known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum When {
    /// At an event, when they are not: what depends on them may be put off.
    Past,
    /// When it is decided, or within something whose values are all known.
    Now,
}

impl Program {
    /// Compiles a condition.
    ///
    /// # Errors
    /// [`Refused`] where its state would have no bound.
    pub fn compile(name: ProgramName, source: &Source) -> Result<Self, Refused> {
        let mut reads = Vec::new();
        source.formula.matches(&mut |matches| {
            for (field, _) in &matches.fields {
                let read = (matches.name(), field.clone());
                if !reads.contains(&read) {
                    reads.push(read);
                }
            }
        });
        let mut compiler = Compiler { nodes: Vec::new(), symbols: source.symbols, within_ms: 0 };
        let parameters = u16::try_from(source.parameters.len()).map_err(|_| Refused::TooLarge)?;
        let mut known: BTreeSet<Symbol> = (0..parameters).map(Symbol).collect();
        let (answer, _) = compiler.plan(&[&source.formula], &mut known, When::Now)?;
        if compiler.nodes.len() > NODES_MAX || compiler.symbols > SYMBOLS_MAX {
            return Err(Refused::TooLarge);
        }
        let asks = answer.steps.iter().filter_map(|step| match step {
            Step::Read(node) => Some(*node),
            _ => None,
        });
        let asks = asks.collect();
        let mut listens = Listens::To(Vec::new());
        compiler.nodes.iter().for_each(|node| listens.add(&node.listens));
        Ok(Self {
            name,
            parameters: source.parameters.clone(),
            symbols: usize::from(compiler.symbols),
            nodes: compiler.nodes,
            answer,
            asks,
            lookback_ms: source.formula.lookback_ms(),
            listens,
            reads,
        })
    }
}

struct Compiler {
    nodes: Vec<Node>,
    symbols: u16,
    /// How long ago an event can be that is looked at.
    within_ms: i64,
}

/// What is found at an event, before it is known who reads it.
struct Found {
    plan: Plan,
    columns: BTreeSet<Symbol>,
    /// What is left to test once all values are known.
    rest: Vec<Test>,
}

impl Compiler {
    fn fresh(&mut self) -> Symbol {
        let symbol = Symbol(self.symbols);
        self.symbols = self.symbols.saturating_add(1);
        symbol
    }

    /// Puts conjuncts in an order in which each can be computed, and says what is put off.
    fn plan(
        &mut self,
        conjuncts: &[&Formula],
        known: &mut BTreeSet<Symbol>,
        when: When,
    ) -> Result<(Plan, Vec<Test>), Refused> {
        let mut pending = Vec::new();
        conjuncts.iter().for_each(|formula| flatten(formula, &mut pending));
        let mut tests: Vec<Test> = Vec::new();
        let mut steps = Vec::new();
        loop {
            let (ready, later): (Vec<_>, Vec<_>) =
                tests.into_iter().partition(|test| test.symbols().is_subset(known));
            tests = later;
            steps.extend(ready.into_iter().map(Step::Where));
            let next = pending
                .iter()
                .enumerate()
                .filter_map(|(at, formula)| Some((urgency(formula, known)?, at)))
                .min();
            let Some((_, at)) = next else { break };
            let formula = pending.remove(at);
            self.step(formula, known, &mut steps, &mut tests)?;
        }
        if when == When::Now && !pending.is_empty() {
            return Err(Refused::Unbounded);
        }
        let mut outside = known.clone();
        conjuncts.iter().for_each(|formula| outside.extend(formula.free()));
        let alone = |formula: &&Formula| !formula.remembers() && formula.free().is_subset(&outside);
        let (alone, together): (Vec<_>, Vec<_>) = pending.into_iter().partition(alone);
        for formula in alone {
            let test = self.captured(formula, &mut BTreeSet::new(), known, &mut steps)?;
            tests.push(test);
        }
        if !together.is_empty() {
            tests.push(self.deferred(&together, &outside, known, &mut steps)?);
        }
        if when == When::Now && !tests.is_empty() {
            return Err(Refused::Unbounded);
        }
        Ok((Plan { steps }, tests))
    }

    /// A test that says later whether conditions held at an event, of what was remembered then:
    /// of each row it is kept when it was found, and not only when it last was.
    fn deferred(
        &mut self,
        together: &[&Formula],
        outside: &BTreeSet<Symbol>,
        known: &mut BTreeSet<Symbol>,
        steps: &mut Vec<Step>,
    ) -> Result<Test, Refused> {
        let mut then_known = outside.clone();
        let (plan, _) = self.plan(together, &mut then_known, When::Now)?;
        self.keep_all(&plan)?;
        let (index, at) = (self.fresh(), self.fresh());
        steps.push(Step::Moment { index, at });
        known.extend([index, at]);
        let mut wants = BTreeSet::from([index, at]);
        together.iter().for_each(|formula| wants.extend(formula.free()));
        wants.retain(|symbol| outside.contains(symbol) || known.contains(symbol));
        Ok(Test::Then(Box::new(Then { index, at, plan, wants })))
    }

    /// Lets what a plan reads say what was found at any event within reach.
    fn keep_all(&mut self, plan: &Plan) -> Result<(), Refused> {
        for step in &plan.steps {
            match step {
                Step::Read(at) => {
                    let (fresh, within_ms) = (self.fresh(), self.within_ms);
                    let node = self.nodes.get_mut(*at).ok_or(Refused::Unbounded)?;
                    if !matches!(node.keeps, Keeps::Latest) {
                        return Err(Refused::Unbounded);
                    }
                    node.kept_ms = node.window_ms.saturating_add(within_ms).max(node.kept_ms);
                    if node.instant.is_none() {
                        node.plan.steps.push(Step::Instant { symbol: fresh, known: false });
                        node.instant = Some(node.rest.len());
                        node.rest.push(fresh);
                        node.sum = None;
                    }
                }
                Step::Let(_, operand) => self.keep_all_of(operand)?,
                Step::Where(test) => self.keep_all_for(test)?,
                Step::Without(plan) => self.keep_all(plan)?,
                Step::Matches(_)
                | Step::MayMatch { .. }
                | Step::Instant { .. }
                | Step::Moment { .. } => return Err(Refused::Unbounded),
            }
        }
        Ok(())
    }

    fn keep_all_of(&mut self, operand: &Operand) -> Result<(), Refused> {
        match operand {
            Operand::Aggregate(counted) => self.keep_all(&counted.plan),
            Operand::Is(_) | Operand::Of(_) => Ok(()),
        }
    }

    fn keep_all_for(&mut self, test: &Test) -> Result<(), Refused> {
        match test {
            Test::Compare(_, left, right) => {
                self.keep_all_of(left)?;
                self.keep_all_of(right)
            }
            Test::All(tests) => tests.iter().try_for_each(|test| self.keep_all_for(test)),
            Test::Not(test) => self.keep_all_for(test),
            // What was put off once is not put off again.
            Test::Then(_) => Err(Refused::Unbounded),
        }
    }

    fn step(
        &mut self,
        formula: &Formula,
        known: &mut BTreeSet<Symbol>,
        steps: &mut Vec<Step>,
        tests: &mut Vec<Test>,
    ) -> Result<(), Refused> {
        match formula {
            Formula::Matches(matches) => {
                steps.push(Step::Matches(pattern(matches, known)));
            }
            Formula::Instant(symbol) => {
                let known = !known.insert(*symbol);
                steps.push(Step::Instant { symbol: *symbol, known });
            }
            Formula::Compare(comparison, left, right) => {
                let bound = unknown(left, known).or_else(|| unknown(right, known));
                let bound = bound.filter(|_| *comparison == Comparison::Equal);
                match bound {
                    Some(symbol) => {
                        let from = if unknown(left, known).is_some() { right } else { left };
                        let from = self.operand(from, known)?;
                        known.insert(symbol);
                        steps.push(Step::Let(symbol, from));
                    }
                    None => {
                        let (left, right) =
                            (self.operand(left, known)?, self.operand(right, known)?);
                        steps.push(Step::Where(Test::Compare(*comparison, left, right)));
                    }
                }
            }
            Formula::Not(body) => {
                let (plan, _) = self.plan(&[body], &mut known.clone(), When::Now)?;
                steps.push(Step::Without(plan));
            }
            Formula::Formerly { .. } | Formula::Previous { .. } | Formula::Since { .. } => {
                let (node, rest) = self.node(formula, known)?;
                let read = self.nodes.get(node).into_iter().flat_map(|node| &node.rest);
                known.extend(read.copied());
                steps.push(Step::Read(node));
                tests.extend(rest);
            }
            // INVARIANT: `flatten` leaves none of these.
            Formula::All(_) | Formula::Exists(..) => {}
        }
        Ok(())
    }

    fn operand(&mut self, term: &Term, known: &BTreeSet<Symbol>) -> Result<Operand, Refused> {
        Ok(match term {
            Term::Is(datum) => Operand::Is(datum.clone()),
            Term::Any => Operand::Is(Datum::Absent),
            Term::Of(symbol) => Operand::Of(*symbol),
            Term::Aggregate(aggregate) => {
                Operand::Aggregate(Box::new(self.aggregate(aggregate, known)?))
            }
        })
    }

    fn aggregate(
        &mut self,
        aggregate: &Aggregate,
        known: &BTreeSet<Symbol>,
    ) -> Result<Counted, Refused> {
        let mut known = known.clone();
        let (plan, _) = self.plan(&[&aggregate.body], &mut known, When::Now)?;
        let mut kept = None;
        if let [Step::Read(at)] = plan.steps.as_slice()
            && let Some(node) = self.nodes.get_mut(*at)
            && matches!(node.keeps, Keeps::Latest)
        {
            let over: BTreeSet<Symbol> = aggregate.over.iter().copied().collect();
            let rest: BTreeSet<Symbol> = node.rest.iter().copied().collect();
            let summed = |sum| node.rest.iter().position(|column| *column == sum);
            let sum = aggregate.sum.map(summed);
            if over == rest && sum.is_none_or(|at| at.is_some() && at != node.instant) {
                kept = Some(*at);
                node.sum = sum.flatten();
            }
        }
        Ok(Counted { sum: aggregate.sum, over: aggregate.over.clone(), plan, kept })
    }

    /// What a part of a condition finds at an event, which is at most so long ago when it is
    /// looked at.
    fn found(&mut self, body: &Formula, window_ms: i64) -> Result<Found, Refused> {
        let mut bound = BTreeSet::new();
        let before = self.within_ms;
        self.within_ms = before.saturating_add(window_ms);
        let planned = self.plan(&[body], &mut bound, When::Past);
        self.within_ms = before;
        let (plan, rest) = planned?;
        let mut wanted = body.free();
        rest.iter().for_each(|test| test.collect(&mut wanted));
        let columns = bound.intersection(&wanted).copied().collect();
        Ok(Found { plan, columns, rest })
    }

    /// Remembers what is found. `key` is what is known when it is read.
    fn remember(
        &mut self,
        keeps: Keeps,
        window_ms: i64,
        found: Found,
        known: &BTreeSet<Symbol>,
    ) -> Result<usize, Refused> {
        if self.nodes.len() >= NODES_MAX {
            return Err(Refused::TooLarge);
        }
        let (key, rest): (Vec<_>, Vec<_>) =
            found.columns.iter().partition(|column| known.contains(column));
        let own = found.plan.steps.iter().find_map(|step| match step {
            Step::Instant { symbol, known: false } => {
                rest.iter().position(|column| column == symbol)
            }
            _ => None,
        });
        let instant = own.filter(|_| matches!(keeps, Keeps::Latest));
        let listens = Listens::of(&found.plan);
        let node = Node {
            keeps,
            window_ms,
            kept_ms: window_ms,
            plan: found.plan,
            key,
            rest,
            instant,
            sum: None,
            listens,
        };
        self.nodes.push(node);
        Ok(self.nodes.len() - 1)
    }

    fn node(
        &mut self,
        formula: &Formula,
        known: &BTreeSet<Symbol>,
    ) -> Result<(usize, Vec<Test>), Refused> {
        let (keeps, window_ms, body) = match formula {
            Formula::Formerly { window_ms, body } => (Keeps::Latest, *window_ms, body),
            Formula::Previous { window_ms, body } => (Keeps::Last, *window_ms, body),
            Formula::Since { left, window_ms, anchor } => {
                let mut found = self.found(anchor, *window_ms)?;
                let mut at_anchor = known.clone();
                at_anchor.extend(&found.columns);
                let lefts = self.lefts(left, *window_ms, &at_anchor)?;
                let rest = std::mem::take(&mut found.rest);
                let node = self.remember(Keeps::Since(lefts), *window_ms, found, known)?;
                return Ok((node, rest));
            }
            _ => return Err(Refused::Unbounded),
        };
        let mut found = self.found(body, window_ms)?;
        let rest = std::mem::take(&mut found.rest);
        let node = self.remember(keeps, window_ms, found, known)?;
        Ok((node, rest))
    }

    fn lefts(
        &mut self,
        left: &Formula,
        window_ms: i64,
        known: &BTreeSet<Symbol>,
    ) -> Result<Vec<Left>, Refused> {
        let mut parts = Vec::new();
        match left {
            Formula::All(all) => all.iter().for_each(|part| parts.push(part)),
            one => parts.push(one),
        }
        let mut lefts = Vec::with_capacity(parts.len());
        for part in parts {
            if !part.free().is_subset(known) {
                return Err(Refused::Unbounded);
            }
            lefts.push(self.left(part, window_ms, known)?);
        }
        Ok(lefts)
    }

    fn left(
        &mut self,
        left: &Formula,
        window_ms: i64,
        known: &BTreeSet<Symbol>,
    ) -> Result<Left, Refused> {
        if let Some(test) = timeless(left) {
            return Ok(Left::Always(test));
        }
        let (nodes, symbols) = (self.nodes.len(), self.symbols);
        let found = match left {
            Formula::Not(body) => self.found(body, window_ms),
            positive => self.found(positive, window_ms),
        };
        match (left, found) {
            (Formula::Not(_), Ok(mut found)) => {
                let test = Test::All(std::mem::take(&mut found.rest));
                Ok(Left::Without(self.remember(Keeps::Latest, window_ms, found, known)?, test))
            }
            (_, Ok(found)) if found.rest.is_empty() => {
                Ok(Left::With(self.remember(Keeps::Runs, window_ms, found, known)?))
            }
            _ => {
                self.nodes.truncate(nodes);
                self.symbols = symbols;
                let (mut steps, mut bound) = (Vec::new(), BTreeSet::new());
                let holds = if left.remembers() {
                    let before = self.within_ms;
                    self.within_ms = before.saturating_add(window_ms);
                    let outside = left.free();
                    let test = self.deferred(&[left], &outside, &mut bound, &mut steps);
                    self.within_ms = before;
                    test?
                } else {
                    self.captured(left, &mut BTreeSet::new(), &mut bound, &mut steps)?
                };
                let found = Found { plan: Plan { steps }, columns: bound, rest: Vec::new() };
                let node = self.remember(Keeps::Latest, window_ms, found, known)?;
                Ok(Left::Without(node, Test::Not(Box::new(holds))))
            }
        }
    }

    /// A test that says later whether a condition without temporal parts held at an event, of
    /// what is kept of it.
    fn captured(
        &mut self,
        formula: &Formula,
        local: &mut BTreeSet<Symbol>,
        known: &mut BTreeSet<Symbol>,
        steps: &mut Vec<Step>,
    ) -> Result<Test, Refused> {
        if let Some(test) = timeless(formula) {
            return Ok(test);
        }
        match formula {
            Formula::Not(body) => {
                Ok(Test::Not(Box::new(self.captured(body, local, known, steps)?)))
            }
            Formula::All(parts) => {
                // What binds a local symbol comes before what compares it.
                let (first, then): (Vec<_>, Vec<_>) =
                    parts.iter().partition(|part| matches!(part, Formula::Matches(_)));
                let tests = first
                    .into_iter()
                    .chain(then)
                    .map(|part| self.captured(part, local, known, steps));
                Ok(Test::All(tests.collect::<Result<_, _>>()?))
            }
            Formula::Exists(symbol, body) => {
                local.insert(*symbol);
                self.captured(body, local, known, steps)
            }
            Formula::Matches(matches) => {
                let found = self.fresh();
                let truth = Operand::Is(Datum::Bool(true));
                let mut tests = vec![Test::Compare(Comparison::Equal, Operand::Of(found), truth)];
                let mut fields = Vec::with_capacity(matches.fields.len());
                for (field, term) in &matches.fields {
                    let slot = match term {
                        Term::Any => Slot::Any,
                        Term::Is(datum) => Slot::Is(datum.clone()),
                        Term::Of(symbol) if known.contains(symbol) => Slot::Same(*symbol),
                        Term::Of(symbol) if local.contains(symbol) => {
                            known.insert(*symbol);
                            Slot::Bind(*symbol)
                        }
                        Term::Of(symbol) => {
                            let kept = self.fresh();
                            let (kept_value, asked) = (Operand::Of(kept), Operand::Of(*symbol));
                            tests.push(Test::Compare(Comparison::Equal, kept_value, asked));
                            known.insert(kept);
                            Slot::Bind(kept)
                        }
                        Term::Aggregate(_) => return Err(Refused::Unbounded),
                    };
                    fields.push((field.clone(), slot));
                }
                known.insert(found);
                // Which of several resources it was would have to be kept for each.
                let several = fields.iter().any(|(field, _)| field.of == Part::Resource);
                let binds = fields.iter().any(|(_, slot)| matches!(slot, Slot::Bind(_)));
                if several && binds {
                    return Err(Refused::Unbounded);
                }
                let pattern = Pattern { name: matches.name(), fields, several };
                steps.push(Step::MayMatch { pattern, found });
                Ok(Test::All(tests))
            }
            _ => Err(Refused::Unbounded),
        }
    }
}

/// A condition that says the same at every event.
fn timeless(formula: &Formula) -> Option<Test> {
    let operand = |term: &Term| match term {
        Term::Is(datum) => Some(Operand::Is(datum.clone())),
        Term::Of(symbol) => Some(Operand::Of(*symbol)),
        Term::Any => Some(Operand::Is(Datum::Absent)),
        Term::Aggregate(_) => None,
    };
    match formula {
        Formula::Compare(comparison, left, right) => {
            Some(Test::Compare(*comparison, operand(left)?, operand(right)?))
        }
        Formula::Not(body) => Some(Test::Not(Box::new(timeless(body)?))),
        Formula::All(parts) => Some(Test::All(parts.iter().map(timeless).collect::<Option<_>>()?)),
        _ => None,
    }
}

fn flatten<'f>(formula: &'f Formula, into: &mut Vec<&'f Formula>) {
    match formula {
        Formula::All(parts) => parts.iter().for_each(|part| flatten(part, into)),
        // No two binders share a symbol: what is bound here is simply bound.
        Formula::Exists(_, body) => flatten(body, into),
        other => into.push(other),
    }
}

/// Which conjunct comes first, where it can be computed now.
fn urgency(formula: &Formula, known: &BTreeSet<Symbol>) -> Option<u8> {
    match formula {
        Formula::Matches(_) | Formula::Instant(_) => Some(0),
        Formula::Compare(comparison, left, right) => {
            let mut free = BTreeSet::new();
            left.collect(&mut free);
            right.collect(&mut free);
            if free.is_subset(known) {
                return Some(1);
            }
            let one = unknown(left, known).or_else(|| unknown(right, known))?;
            let mut missing = free.difference(known);
            let binds = *comparison == Comparison::Equal
                && missing.next() == Some(&one)
                && missing.next().is_none()
                && !matches!((left, right), (Term::Any, _) | (_, Term::Any))
                && left != right;
            binds.then_some(2)
        }
        Formula::Not(_) => formula.free().is_subset(known).then_some(4),
        Formula::Formerly { .. } | Formula::Previous { .. } => Some(3),
        Formula::Since { left, anchor, .. } => {
            // How `left` fared is only known of what is known, or what the anchor finds.
            let mut known = known.clone();
            binds(anchor, &mut known);
            left.free().is_subset(&known).then_some(3)
        }
        Formula::All(_) | Formula::Exists(..) => None,
    }
}

/// What a condition surely binds at an event: what its fields are matched with.
fn binds(formula: &Formula, into: &mut BTreeSet<Symbol>) {
    match formula {
        Formula::All(parts) => parts.iter().for_each(|part| binds(part, into)),
        Formula::Exists(_, body)
        | Formula::Formerly { body, .. }
        | Formula::Previous { body, .. }
        | Formula::Since { anchor: body, .. } => binds(body, into),
        Formula::Matches(matches) => {
            into.extend(matches.fields.iter().filter_map(|(_, term)| match term {
                Term::Of(symbol) => Some(*symbol),
                _ => None,
            }));
        }
        Formula::Instant(symbol) => {
            into.insert(*symbol);
        }
        Formula::Compare(..) | Formula::Not(_) => {}
    }
}

fn unknown(term: &Term, known: &BTreeSet<Symbol>) -> Option<Symbol> {
    match term {
        Term::Of(symbol) if !known.contains(symbol) => Some(*symbol),
        _ => None,
    }
}

fn pattern(matches: &Matches, known: &mut BTreeSet<Symbol>) -> Pattern {
    let slot = |term: &Term, known: &mut BTreeSet<Symbol>| match term {
        Term::Is(datum) => Slot::Is(datum.clone()),
        Term::Of(symbol) if known.insert(*symbol) => Slot::Bind(*symbol),
        Term::Of(symbol) => Slot::Same(*symbol),
        Term::Any | Term::Aggregate(_) => Slot::Any,
    };
    let fields: Vec<_> =
        matches.fields.iter().map(|(field, term)| (field.clone(), slot(term, known))).collect();
    let several = fields.iter().any(|(field, _)| field.of == Part::Resource);
    Pattern { name: matches.name(), fields, several }
}

impl Test {
    fn symbols(&self) -> BTreeSet<Symbol> {
        let mut found = BTreeSet::new();
        self.collect(&mut found);
        found
    }

    fn collect(&self, found: &mut BTreeSet<Symbol>) {
        match self {
            Self::Compare(_, left, right) => {
                for operand in [left, right] {
                    if let Operand::Of(symbol) = operand {
                        found.insert(*symbol);
                    }
                }
            }
            Self::All(tests) => tests.iter().for_each(|test| test.collect(found)),
            Self::Not(test) => test.collect(found),
            Self::Then(then) => found.extend(&then.wants),
        }
    }
}

impl Listens {
    /// Something is found only at events that a plan asks for.
    fn of(plan: &Plan) -> Self {
        let named = plan.steps.iter().find_map(|step| match step {
            Step::Matches(pattern) => Some(pattern.name.clone()),
            _ => None,
        });
        named.map_or(Self::ToAll, |name| Self::To(vec![name]))
    }

    fn add(&mut self, other: &Self) {
        match (&mut *self, other) {
            (Self::To(events), Self::To(more)) => {
                for event in more {
                    if !events.contains(event) {
                        events.push(event.clone());
                    }
                }
            }
            _ => *self = Self::ToAll,
        }
    }

    pub(super) fn hears(&self, kind: &str, action: &str) -> bool {
        match self {
            Self::ToAll => true,
            Self::To(events) => {
                events.iter().any(|event| *event.kind == *kind && *event.action == *action)
            }
        }
    }
}
