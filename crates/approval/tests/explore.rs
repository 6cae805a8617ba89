//! Every interleaving, for small bounds: two nodes that each prepare a change against what they
//! see and append it when they get to it, and a clock that advances between any two steps (and,
//! for one of the nodes, lags behind). What has happened is counted beside the machine, from the
//! changes that were taken in, and held against what may ever happen.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test that cannot go on fails"
)]

mod support;

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use safeconduct_approval::*;
use safeconduct_model::*;
use support::*;

/// Moments at which something begins or ends, and the ones between.
const MOMENTS: [i64; 6] = [0, 600_000, 1_200_000, 1_500_000, 3_600_000, 4_500_000];

/// What a node may try.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Step {
    Approve(&'static str),
    Refuse(&'static str),
    Due,
    Spend(i64),
    Revoke,
    Tell(&'static str),
}

/// The machine, what the nodes have in hand, and what has happened.
#[derive(Debug, Clone)]
struct World {
    request: AccessRequest,
    moment: usize,
    in_hand: [Option<Change>; 2],
    seen: Seen,
}

/// Counted from the changes alone.
#[derive(Debug, Clone, Default)]
struct Seen {
    changes: u32,
    approvers: BTreeSet<IdentityId>,
    spends: u32,
    refused: bool,
    expired: bool,
    revoked: bool,
    approved_at: Option<i64>,
}

struct Model {
    approvers: &'static str,
    quorum: u32,
    scope: fn() -> Scope,
    people: &'static [&'static str],
    /// Who may be told that it waits for them, beside those who were when it was made.
    told: &'static [&'static str],
    /// How many different people the policy wants before anything is used.
    wanted: usize,
    uses: u32,
}

impl Model {
    fn steps(&self) -> Vec<Step> {
        let answers = self.people.iter().flat_map(|who| [Step::Approve(who), Step::Refuse(who)]);
        let tells = self.told.iter().map(|who| Step::Tell(who));
        let others = [Step::Due, Step::Spend(250), Step::Spend(251), Step::Revoke];
        answers.chain(tells).chain(others).collect()
    }

    /// The change of a step, where the machine gives one.
    fn prepare(&self, world: &World, step: Step, lag: usize) -> Option<Change> {
        let request = &world.request;
        let at = after(MOMENTS[world.moment.saturating_sub(lag)]);
        let asked = payment(250);
        let facts = Holders { resource_owners: [id("ada")].into(), ..Holders::default() };
        match step {
            Step::Approve(who) => {
                let bound = binding(&asked);
                let shown = attempt(&bound, &asked);
                request.approve(&lead(who), &facts, (self.scope)(), &shown, at).ok()
            }
            Step::Refuse(who) => request.refuse(&lead(who), &facts, "no".into(), at).ok(),
            Step::Due => request.due(at),
            Step::Spend(amount) => {
                let input = payment(amount);
                let bound = binding(&input);
                request.spend(&attempt(&bound, &input), record("dec"), at).ok()
            }
            Step::Revoke => request.revoke(None, "task_ended".into(), at).ok(),
            Step::Tell(who) => {
                // As the docket makes it; here so that it lands whenever it may or may not.
                let like = request.revoke(None, "".into(), at).ok()?;
                let known = request.told().contains(&id(who));
                let event = Event::Asked { people: [id(who)].into() };
                (!known).then_some(Change { event, ..like })
            }
        }
    }

    /// Appends, where nothing came between; and says what must never be.
    fn append(&self, world: &mut World, change: &Change) {
        let before = world.request.clone();
        if world.request.apply(change).is_err() {
            assert_eq!(world.request, before, "a refused change left a trace: {change:?}");
            return;
        }
        let seen = &mut world.seen;
        seen.changes += 1;
        assert_eq!(change.sequence, seen.changes, "made without having seen all before it");
        let ended = seen.refused || seen.expired || seen.revoked;
        assert!(!ended, "something followed the end: {change:?} of {before:?}");
        let at = change.at.ms_since(START);
        match &change.event {
            Event::Requested(_) => panic!("made twice"),
            Event::Answered(answered) => match answered.answer {
                Answer::Approve(_) => {
                    assert!(seen.approvers.insert(answered.by.clone()), "one voice each");
                    assert!(at < 3_600_000, "an answer after its time");
                    assert_ne!(answered.by, id("uma"), "who has a part in it answered");
                    assert_ne!(answered.by, id("agent"), "who acts answered");
                    if world.request.state() == State::Approved {
                        seen.approved_at = Some(at);
                    }
                }
                Answer::Refuse { .. } => seen.refused = true,
            },
            Event::Escalated => assert!(at >= 600_000, "escalated early"),
            Event::Asked { .. } => {
                assert_eq!(before.state(), State::Pending, "told of what waits for nobody");
                assert!(at < 3_600_000, "told after its time");
            }
            Event::Expired => seen.expired = true,
            Event::Spent { .. } => {
                seen.spends += 1;
                assert!(seen.spends <= self.uses, "used more than approved");
                assert!(seen.approvers.len() >= self.wanted, "used without its quorum");
                let since = seen.approved_at.expect("used before it was approved");
                assert!(at < since + 900_000, "used after its time");
            }
            Event::Revoked { .. } => seen.revoked = true,
        }
        let enough = seen.approvers.len() >= self.wanted;
        let approved = matches!(world.request.state(), State::Approved | State::Spent);
        assert!(!approved || enough, "approved without its quorum");
    }

    /// Every world that can be reached; how many there are, and how often each state was met.
    fn explore(&self) -> (usize, BTreeMap<State, usize>) {
        let first = World {
            request: request(self.approvers, self.quorum, &payment(250)),
            moment: 0,
            in_hand: [None, None],
            seen: Seen::default(),
        };
        let mut known = BTreeSet::from([format!("{first:?}")]);
        let mut states = BTreeMap::new();
        let mut queue = VecDeque::from([first]);
        while let Some(world) = queue.pop_front() {
            *states.entry(world.request.state()).or_default() += 1;
            for next in self.next(&world) {
                if known.insert(format!("{next:?}")) {
                    queue.push_back(next);
                }
            }
        }
        (known.len(), states)
    }

    fn next(&self, world: &World) -> Vec<World> {
        let mut next = Vec::new();
        if world.moment + 1 < MOMENTS.len() {
            next.push(World { moment: world.moment + 1, ..world.clone() });
        }
        for node in 0..2 {
            if let Some(change) = &world.in_hand[node] {
                let mut appended = world.clone();
                appended.in_hand[node] = None;
                self.append(&mut appended, change);
                next.push(appended);
                continue;
            }
            // The second node's clock lags one moment behind.
            for step in self.steps() {
                if let Some(change) = self.prepare(world, step, node) {
                    let mut prepared = world.clone();
                    prepared.in_hand[node] = Some(change);
                    next.push(prepared);
                }
            }
        }
        next
    }
}

fn once() -> Scope {
    Scope::Once
}

fn until() -> Scope {
    Scope::Until { bounds: bounds(250), uses: 2, until: after(1_200_000) }
}

fn twice() -> Scope {
    Scope::Task { bounds: bounds(250), uses: 2 }
}

#[track_caller]
fn holds(model: &Model) {
    let (worlds, states) = model.explore();
    assert!(worlds > 100, "{worlds} worlds are too few to prove anything");
    assert_eq!(states.len(), State::ALL.len(), "not every state is reached: {states:?}");
}

#[test]
fn one_approver_one_use() {
    holds(&Model {
        approvers: "resource.owner, group:leads",
        quorum: 1,
        scope: once,
        people: &["ada", "bob", "uma"],
        told: &[],
        wanted: 1,
        uses: 1,
    });
}

#[test]
fn a_quorum_of_two() {
    holds(&Model {
        approvers: "group:leads",
        quorum: 2,
        scope: once,
        people: &["ada", "bob"],
        told: &[],
        wanted: 2,
        uses: 1,
    });
}

#[test]
fn two_stages_with_an_escalation() {
    holds(&Model {
        approvers: "resource.owner then identity:cy else identity:dan after 10m",
        quorum: 1,
        scope: once,
        people: &["ada", "cy", "dan"],
        told: &[],
        wanted: 2,
        uses: 1,
    });
}

/// Who is told of it, and when, changes nothing but who knows.
#[test]
fn two_stages_of_which_others_are_told() {
    holds(&Model {
        approvers: "resource.owner then identity:cy",
        quorum: 1,
        scope: once,
        people: &["ada", "cy"],
        told: &["cy", "dan"],
        wanted: 2,
        uses: 1,
    });
}

#[test]
fn two_uses_of_one_task() {
    holds(&Model {
        approvers: "resource.owner",
        quorum: 1,
        scope: twice,
        people: &["ada", "agent"],
        told: &[],
        wanted: 1,
        uses: 2,
    });
}

/// The policy's fifteen minutes let nobody approve before the second moment.
#[test]
fn two_uses_until_a_time() {
    holds(&Model {
        approvers: "resource.owner",
        quorum: 1,
        scope: until,
        people: &["ada"],
        told: &[],
        wanted: 1,
        uses: 2,
    });
}
