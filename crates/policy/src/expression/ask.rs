//! Expressions asked of many cases: once for all that are alike.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, LazyLock};

use cedar_policy_core::ast::{Context, EntityUID, EntityUIDEntry, Request, Value, Var};
use cedar_policy_core::entities::Entities;
use cedar_policy_core::evaluator::Evaluator;
use cedar_policy_core::extensions::Extensions;
use foldhash::quality::FixedState;
use safeconduct_model::{Identity, IdentityId};
use thiserror::Error;

use super::view::{self, Atom, Atoms, Member};
use super::{CaseFacts, ReviewExpression};
use crate::evaluate::Condition;

/// Most evaluations of all expressions together for one population, or one stage. On one core a
/// million of them take seconds.
pub const REVIEW_EVALUATIONS_MAX: u64 = 2_000_000;

/// Most answers that are remembered of one expression: then it begins again.
const REMEMBERED_MAX: usize = 100_000;

/// How often expressions may still be evaluated.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Evaluations(u64);

impl Default for Evaluations {
    fn default() -> Self {
        Self(REVIEW_EVALUATIONS_MAX)
    }
}

impl Evaluations {
    /// As often as that.
    pub const fn new(most: u64) -> Self {
        Self(most)
    }

    /// How often they still may.
    pub const fn left(&self) -> u64 {
        self.0
    }

    fn spend(&mut self) -> Result<(), AskError> {
        self.0 = self.0.checked_sub(1).ok_or(AskError::TooMany)?;
        Ok(())
    }
}

/// Why an expression has no answer: its author's fault.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum AskError {
    /// It cannot be computed: a number that does not fit.
    #[error("it cannot be computed: {0}")]
    Failed(Arc<str>),
    /// It takes too long.
    #[error(
        "expressions are evaluated at most {REVIEW_EVALUATIONS_MAX} times: begin with what is true \
         of few people or rights (`principal.groups.contains(…) && …`), ask for fewer members, or \
         narrow the scope"
    )]
    TooMany,
}

/// Who holds a right, and the right: as far as an expression looks at them.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Key {
    holder: Atoms,
    case: Atoms,
}

/// What was seen of the last holder: cases come holder by holder.
#[derive(Debug, Default)]
struct LastHolder(Option<(IdentityId, Atoms)>);

impl LastHolder {
    fn atoms(&mut self, expression: &ReviewExpression, holder: &Identity) -> Atoms {
        match &self.0 {
            Some((last, atoms)) if *last == holder.id => atoms.clone(),
            _ => {
                let atoms: Atoms = expression.holder.iter().map(|one| one.of(holder)).collect();
                self.0 = Some((holder.id.clone(), atoms.clone()));
                atoms
            }
        }
    }
}

/// An expression that says of a right whether it is in.
#[derive(Debug)]
pub struct CaseFilter {
    expression: ReviewExpression,
    last: LastHolder,
    remembered: HashMap<Key, bool, FixedState>,
}

impl CaseFilter {
    /// By that expression.
    pub fn new(expression: ReviewExpression) -> Self {
        let (last, remembered) = (LastHolder::default(), HashMap::default());
        Self { expression, last, remembered }
    }

    /// Whether a right is in.
    ///
    /// # Errors
    /// [`AskError`].
    pub fn admits(
        &mut self,
        holder: &Identity,
        case: &CaseFacts<'_>,
        evaluations: &mut Evaluations,
    ) -> Result<bool, AskError> {
        let key = key(&self.expression, &mut self.last, holder, case);
        if let Some(answer) = self.remembered.get(&key) {
            return Ok(*answer);
        }
        let (resource, case) = records(&self.expression, &key);
        let known = [(Var::Resource, &resource), (Var::Context, &case)];
        let answer = evaluated(&self.expression.whole, known, evaluations)?;
        remember(&mut self.remembered, key, answer);
        Ok(answer)
    }
}

/// People who are alike in all that an expression looks at.
#[derive(Debug)]
struct Alike {
    record: Value,
    who: Vec<IdentityId>,
}

/// An expression that says who reviews a right, with the people among whom that is.
#[derive(Debug)]
pub struct Candidates {
    expression: ReviewExpression,
    people: Vec<Alike>,
    /// Where a member of theirs must be equal to another: they, by it.
    joined: HashMap<Atom, Vec<usize>, FixedState>,
    last: LastHolder,
    remembered: HashMap<Key, Arc<[IdentityId]>, FixedState>,
}

impl Candidates {
    /// By that expression, among those people. Whom it can never name is left out at once.
    ///
    /// # Errors
    /// [`AskError::TooMany`].
    pub fn among<'p>(
        expression: ReviewExpression,
        people: impl IntoIterator<Item = &'p Identity>,
        evaluations: &mut Evaluations,
    ) -> Result<Self, AskError> {
        let mut alike: HashMap<Atoms, usize, FixedState> = HashMap::default();
        let mut found: Vec<(Atoms, Vec<IdentityId>)> = Vec::new();
        for person in people {
            let atoms: Atoms = expression.person.iter().map(|one| one.of(person)).collect();
            let place = *alike.entry(atoms.clone()).or_insert(found.len());
            match found.get_mut(place) {
                Some((_, who)) => who.push(person.id.clone()),
                None => found.push((atoms, vec![person.id.clone()])),
            }
        }
        let mut all = Self {
            joined: HashMap::default(),
            people: Vec::new(),
            last: LastHolder::default(),
            remembered: HashMap::default(),
            expression,
        };
        for (atoms, who) in found {
            all.take_in(&atoms, who, evaluations)?;
        }
        Ok(all)
    }

    fn take_in(
        &mut self,
        atoms: &Atoms,
        who: Vec<IdentityId>,
        evaluations: &mut Evaluations,
    ) -> Result<(), AskError> {
        let record = view::identity_record(&self.expression.person, atoms);
        if let Some(of_person) = &self.expression.of_person {
            match evaluated(of_person, [(Var::Principal, &record)], evaluations) {
                Ok(false) => return Ok(()),
                Err(AskError::TooMany) => return Err(AskError::TooMany),
                // What fails, fails for a case: it is said then.
                Ok(true) | Err(AskError::Failed(_)) => {}
            }
        }
        if let Some((member, _)) = self.expression.joined {
            let at = self.expression.person.iter().position(|one| *one == member);
            let atom = at.and_then(|at| atoms.0.get(at)).cloned().unwrap_or(Atom::Absent);
            self.joined.entry(atom).or_default().push(self.people.len());
        }
        self.people.push(Alike { record, who });
        Ok(())
    }

    /// Those for whom it is true of a right, by id.
    ///
    /// # Errors
    /// [`AskError`].
    pub fn of(
        &mut self,
        holder: &Identity,
        case: &CaseFacts<'_>,
        evaluations: &mut Evaluations,
    ) -> Result<Arc<[IdentityId]>, AskError> {
        let key = key(&self.expression, &mut self.last, holder, case);
        if let Some(named) = self.remembered.get(&key) {
            return Ok(Arc::clone(named));
        }
        let named: Arc<[IdentityId]> = self.asked(&key, evaluations)?.into();
        remember(&mut self.remembered, key, Arc::clone(&named));
        Ok(named)
    }

    fn asked(&self, key: &Key, evaluations: &mut Evaluations) -> Result<Vec<IdentityId>, AskError> {
        let (resource, case) = records(&self.expression, key);
        if let Some(of_case) = &self.expression.of_case {
            let known = [(Var::Resource, &resource), (Var::Context, &case)];
            match evaluated(of_case, known, evaluations) {
                Ok(false) => return Ok(Vec::new()),
                Err(AskError::TooMany) => return Err(AskError::TooMany),
                Ok(true) | Err(AskError::Failed(_)) => {}
            }
        }
        let mut named = Vec::new();
        let mut ask = |alike: &Alike| {
            let known = [
                (Var::Principal, &alike.record),
                (Var::Resource, &resource),
                (Var::Context, &case),
            ];
            if evaluated(&self.expression.whole, known, evaluations)? {
                named.extend(alike.who.iter().cloned());
            }
            Ok(())
        };
        match self.expression.joined {
            // A member that is not there is equal to none: the expression is false before it.
            Some((_, other)) => {
                let places = self.joined.get(&self.atom(other, key)).into_iter().flatten();
                places.filter_map(|place| self.people.get(*place)).try_for_each(&mut ask)?;
            }
            None => self.people.iter().try_for_each(&mut ask)?,
        }
        named.sort_unstable();
        Ok(named)
    }

    fn atom(&self, member: Member, Key { holder, case }: &Key) -> Atom {
        let found = match member {
            Member::Holder(wanted) => {
                let at = self.expression.holder.iter().position(|one| *one == wanted);
                at.and_then(|at| holder.0.get(at))
            }
            Member::Case(wanted) => {
                let at = self.expression.case.iter().position(|one| *one == wanted);
                at.and_then(|at| case.0.get(at))
            }
            Member::Person(_) => None,
        };
        found.cloned().unwrap_or(Atom::Absent)
    }
}

fn key(
    expression: &ReviewExpression,
    last: &mut LastHolder,
    holder: &Identity,
    case: &CaseFacts<'_>,
) -> Key {
    let case = expression.case.iter().map(|one| one.of(case)).collect();
    Key { holder: last.atoms(expression, holder), case }
}

fn records(expression: &ReviewExpression, Key { holder, case }: &Key) -> (Value, Value) {
    let holder = view::identity_record(&expression.holder, holder);
    (holder, view::case_record(&expression.case, case))
}

fn remember<T>(remembered: &mut HashMap<Key, T, FixedState>, key: Key, answer: T) {
    if remembered.len() >= REMEMBERED_MAX {
        remembered.clear();
    }
    remembered.insert(key, answer);
}

/// Who asks what of whom: an expression never says.
static NOBODY: LazyLock<Option<EntityUIDEntry>> = LazyLock::new(|| {
    let uid = EntityUID::with_eid_and_type("Nobody", "nobody").ok()?;
    Some(EntityUIDEntry::known(uid, None))
});

static NOTHING: LazyLock<Entities> = LazyLock::new(Entities::new);

fn evaluated<const N: usize>(
    condition: &Condition,
    known: [(Var, &Value); N],
    evaluations: &mut Evaluations,
) -> Result<bool, AskError> {
    evaluations.spend()?;
    let nobody = NOBODY.clone().ok_or_else(|| AskError::Failed("nobody can be asked".into()))?;
    let members: BTreeMap<_, _> =
        known.into_iter().map(|(var, value)| (view::key(var), value.clone())).collect();
    let context = Some(Context::Value(Arc::new(members)));
    let request = Request::new_unchecked(nobody.clone(), nobody.clone(), nobody, context);
    let evaluator = Evaluator::new(request, &NOTHING, Extensions::all_available());
    condition.satisfied(&evaluator).map_err(AskError::Failed)
}
