//! Who may answer, how far an approval reaches, and what uses it.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod support;

use std::collections::BTreeSet;

use safeconduct_approval::*;
use safeconduct_model::*;
use support::*;

fn facts() -> Holders {
    Holders {
        resource_owners: [id("ada")].into(),
        principal_owner: Some(id("olga")),
        interested: BTreeSet::new(),
    }
}

fn approve(request: &AccessRequest, by: &Answerer) -> Result<Change, AnswerError> {
    approve_as(request, by, Scope::Once)
}

fn approve_as(request: &AccessRequest, by: &Answerer, scope: Scope) -> Result<Change, AnswerError> {
    let input = payment(250);
    let bound = binding(&input);
    request.approve(by, &facts(), scope, &attempt(&bound, &input), after(1000))
}

/// Approved by ada one second after the start.
fn approved(scope: Scope) -> AccessRequest {
    let mut request = request("resource.owner", 1, &payment(250));
    request.apply(&approve_as(&request, &lead("ada"), scope).unwrap()).unwrap();
    request
}

fn spend(request: &AccessRequest, input: &Value, at: Timestamp) -> Result<Change, SpendError> {
    let bound = binding(input);
    request.spend(&attempt(&bound, input), record("dec"), at)
}

#[test]
fn nobody_answers_who_acts_or_asked() {
    let anyone = "group:leads, on_behalf_of, identity:agent, identity:parent-agent";
    let request = request(anyone, 1, &payment(250));
    for who in ["agent", "parent-agent"] {
        let refused = Err(AnswerError::OwnRequest(id(who)));
        assert_eq!(approve(&request, &lead(who)), refused);
        let behind = Answerer { standing_in_for: Some(member(who, "leads")), ..lead("bob") };
        assert_eq!(approve(&request, &behind), refused);
        let through = Answerer { standing_in_for: Some(member("bob", "leads")), ..lead(who) };
        assert_eq!(approve(&request, &through), refused);
        let no = request.refuse(&lead(who), &facts(), "no".into(), START);
        assert_eq!(no, refused);
    }
}

#[test]
fn who_has_a_part_in_it_answers_only_where_the_policy_says_so() {
    let by_group = request("group:leads, identity:olga, resource.owner", 1, &payment(250));
    for who in ["uma", "starter", "olga"] {
        let refused = Err(AnswerError::Interested(id(who)));
        assert_eq!(approve(&by_group, &lead(who)), refused);
        let through = Answerer { standing_in_for: Some(member("bob", "leads")), ..lead(who) };
        assert_eq!(approve(&by_group, &through), refused);
    }
    let by_part = request("group:leads, principal.owner, on_behalf_of", 1, &payment(250));
    for (who, term) in [("uma", Approver::OnBehalfOf), ("olga", Approver::PrincipalOwner)] {
        let change = approve(&by_part, &lead(who)).unwrap();
        assert!(matches!(change.event, Event::Answered(answered) if answered.term == term));
    }
    assert_eq!(approve(&by_part, &lead("starter")), Err(AnswerError::Interested(id("starter"))));
}

#[test]
fn a_right_that_was_lost_since_is_no_right() {
    let request = request("resource.owner", 1, &payment(250));
    let input = payment(250);
    let bound = binding(&input);
    let facts = Holders { resource_owners: [id("bob")].into(), ..facts() };
    let shown = attempt(&bound, &input);
    let late = request.approve(&lead("ada"), &facts, Scope::Once, &shown, START);
    assert_eq!(late, Err(AnswerError::NotNamed { person: id("ada"), stage: 0 }));
}

#[test]
fn a_deputy_has_the_voice_of_whom_they_stand_in_for() {
    let mut request = request("group:leads", 2, &payment(250));
    let outsider = Person::named(id("dan"));
    let alone = Answerer::in_person(outsider.clone(), Assurance::High);
    assert_eq!(
        approve(&request, &alone),
        Err(AnswerError::NotNamed { person: id("dan"), stage: 0 })
    );
    let deputy = Answerer { standing_in_for: Some(member("bob", "leads")), ..alone };
    request.apply(&approve(&request, &deputy).unwrap()).unwrap();
    assert_eq!(approve(&request, &lead("bob")), Err(AnswerError::Twice(id("bob"))));
    assert_eq!(approve(&request, &lead("dan")), Err(AnswerError::Twice(id("dan"))));
    request.apply(&approve(&request, &lead("cy")).unwrap()).unwrap();
    assert_eq!(request.state(), State::Approved);

    let in_person = Terms { deputies: Deputies::Refused, ..terms("group:leads", 1) };
    let opening = AccessRequest::open(opened(in_person, &payment(250))).unwrap();
    let request = AccessRequest::begin(&opening).unwrap();
    assert_eq!(approve(&request, &deputy), Err(AnswerError::NoDeputies));
}

#[test]
fn stages_come_in_order_and_people_once() {
    let mut request = request("resource.owner then group:leads", 1, &payment(250));
    let early = Err(AnswerError::NotNamed { person: id("bob"), stage: 0 });
    assert_eq!(approve(&request, &lead("bob")), early);
    request.apply(&approve(&request, &lead("ada")).unwrap()).unwrap();
    assert_eq!(approve(&request, &lead("ada")), Err(AnswerError::Twice(id("ada"))));
    let wider = Scope::Task { bounds: bounds(250), uses: 2 };
    assert_eq!(approve_as(&request, &lead("bob"), wider), Err(AnswerError::OtherScope));
    assert_eq!(spend(&request, &payment(250), after(2000)), Err(SpendError::Pending));
    request.apply(&approve(&request, &lead("bob")).unwrap()).unwrap();
    assert_eq!(request.state(), State::Approved);
}

#[test]
fn a_weak_proof_does_not_answer_a_high_tier() {
    let high = Terms { assurance: Assurance::High, ..terms("group:leads", 1) };
    let opening = AccessRequest::open(opened(high, &payment(250))).unwrap();
    let request = AccessRequest::begin(&opening).unwrap();
    let weak = Answerer { assurance: Assurance::Substantial, ..lead("bob") };
    assert!(matches!(approve(&request, &weak), Err(AnswerError::Assurance { .. })));
    assert!(approve(&request, &lead("bob")).is_ok());
}

/// No two people name one moment: what they agree on ends at the soonest of theirs.
#[test]
fn of_the_times_that_approvers_name_the_soonest_counts() {
    let until = |minutes: i64, most: i64| Scope::Until {
        bounds: bounds(most),
        uses: 3,
        until: START.plus_ms(minutes * 60_000),
    };
    for (first, second) in [(10, 12), (12, 10), (10, 10)] {
        let mut request = request("group:leads", 2, &payment(250));
        request.apply(&approve_as(&request, &lead("bob"), until(first, 300)).unwrap()).unwrap();
        let reach = request.scope().unwrap().reach();
        assert_eq!((reach.scope, reach.uses), ("until", 3));
        assert_eq!(reach.until, Some(START.plus_ms(first * 60_000)));
        let most = reach.arguments.iter().find(|(_, bound)| bound.rule == "at_most").unwrap();
        assert_eq!((&*most.0, &most.1.value), ("/amount", &Value::Integer(300)));
        for other in [until(second, 301), Scope::Task { bounds: bounds(300), uses: 3 }] {
            assert_eq!(approve_as(&request, &lead("cy"), other), Err(AnswerError::OtherScope));
        }
        request.apply(&approve_as(&request, &lead("cy"), until(second, 300)).unwrap()).unwrap();
        let soonest = START.plus_ms(first.min(second) * 60_000);
        assert_eq!(request.grant().unwrap().until, soonest);
        assert_eq!(request.scope().unwrap().until(), Some(soonest));
        assert_eq!(spend(&request, &payment(1), soonest), Err(SpendError::Expired));
        assert!(spend(&request, &payment(1), soonest.plus_ms(-1)).is_ok());
    }
    // What the first one said is over before the second one answers.
    let mut request = request("group:leads", 2, &payment(250));
    let over = START.plus_ms(1500);
    let short = Scope::Until { bounds: bounds(300), uses: 3, until: over };
    request.apply(&approve_as(&request, &lead("bob"), short).unwrap()).unwrap();
    let (input, at) = (payment(250), after(1500));
    let bound = binding(&input);
    let late = request.approve(&lead("cy"), &facts(), until(10, 300), &attempt(&bound, &input), at);
    assert_eq!(late, Err(AnswerError::Scope(ScopeError::Over(over))));
}

/// How to prove who they are is said to those alone whom a term names.
#[test]
fn whoever_may_not_answer_is_asked_for_no_better_proof() {
    let high = Terms { assurance: Assurance::High, ..terms("group:leads then identity:cfo", 1) };
    let opening = AccessRequest::open(opened(high, &payment(250))).unwrap();
    let mut request = AccessRequest::begin(&opening).unwrap();
    let weak = |name: &str, group: &str| Answerer {
        assurance: Assurance::Low,
        ..Answerer::in_person(member(name, group), Assurance::High)
    };
    let not_named = |name: &str| Err(AnswerError::NotNamed { person: id(name), stage: 0 });
    assert_eq!(approve(&request, &weak("eve", "staff")), not_named("eve"));
    assert_eq!(approve(&request, &weak("cfo", "staff")), not_named("cfo"));
    assert_eq!(approve(&request, &weak("olga", "leads")), Err(AnswerError::Interested(id("olga"))));
    // Once it is over: those who asked, who answered, or whom any term named.
    request.apply(&approve(&request, &lead("bob")).unwrap()).unwrap();
    let deputy = |name: &str, of: &str| Answerer {
        standing_in_for: Some(member(of, "leads")),
        ..weak(name, "staff")
    };
    for (who, concerns) in [
        (weak("eve", "staff"), false),
        (weak("olga", "staff"), false),
        (weak("olga", "leads"), false),
        (deputy("eve", "agent"), false),
        (deputy("starter", "cy"), false),
        (deputy("eve", "cy"), true),
        (weak("agent", "staff"), true),
        (weak("bob", "staff"), true),
        (weak("cy", "leads"), true),
        (weak("cfo", "staff"), true),
    ] {
        assert_eq!(request.concerns(&who, &facts()), concerns, "{who:?}");
    }
}

#[test]
fn what_was_not_shown_is_not_approved() {
    let request = request("resource.owner", 1, &payment(250));
    let (asked, shown) = (payment(250), payment(25));
    let bound = binding(&asked);
    // The digest in hand is the bound one, and the arguments that were shown are others.
    let shown = Attempt { input: &shown, ..attempt(&bound, &asked) };
    let refused = Err(AnswerError::Shown(Mismatch::Arguments));
    assert_eq!(request.approve(&lead("ada"), &facts(), Scope::Once, &shown, START), refused);
}

#[test]
fn each_part_of_the_binding_binds() {
    let request = approved(Scope::Once);
    let input = payment(250);
    let other = |change: &dyn Fn(&mut Binding)| {
        let mut bound = binding(&input);
        change(&mut bound);
        match request.spend(&attempt(&bound, &input), record("dec"), after(2000)) {
            Err(SpendError::Other(mismatch)) => Some(mismatch),
            _ => None,
        }
    };
    let entity = |id: &str| EntityRef::new("Safeconduct::Agent", id).unwrap();
    assert_eq!(other(&|_| {}), None);
    assert_eq!(other(&|b| b.principal = entity("b")), Some(Mismatch::Principal));
    assert_eq!(other(&|b| b.actors.truncate(1)), Some(Mismatch::Actors));
    assert_eq!(other(&|b| b.actors.reverse()), Some(Mismatch::Actors));
    assert_eq!(other(&|b| b.on_behalf_of = None), Some(Mismatch::OnBehalfOf));
    assert_eq!(other(&|b| b.task = None), Some(Mismatch::Task));
    assert_eq!(other(&|b| b.intent = None), Some(Mismatch::Intent));
    let deletes = ActionName::new("bank.close").unwrap();
    assert_eq!(other(&|b| b.action = deletes.clone()), Some(Mismatch::Action));
    assert_eq!(other(&|b| b.resources.clear()), Some(Mismatch::Resources));
    assert_eq!(other(&|b| b.resources.extend([entity("c")])), Some(Mismatch::Resources));
    let bit = |b: &mut Binding| {
        let mut bytes = *b.arguments.as_bytes();
        bytes.iter_mut().for_each(|byte| *byte ^= 1);
        b.arguments = KeyedDigest::from_bytes(bytes);
    };
    assert_eq!(other(&bit), Some(Mismatch::Arguments));
}

#[test]
fn it_is_used_once_and_not_after_its_time() {
    let mut request = approved(Scope::Once);
    let until = request.grant().unwrap().until;
    assert_eq!(until, after(901_000));
    assert_eq!(spend(&request, &payment(250), until), Err(SpendError::Expired));
    let last = until.plus_ms(-1);
    let (first, second) =
        (spend(&request, &payment(250), last), spend(&request, &payment(250), last));
    request.apply(&first.unwrap()).unwrap();
    let lost = request.apply(&second.unwrap());
    assert_eq!(lost, Err(FoldError::Stale { made_at: 2, stands_at: 3 }));
    assert_eq!(spend(&request, &payment(250), last), Err(SpendError::Spent));

    // A clock that steps back revives nothing.
    let mut request = approved(Scope::Task { bounds: bounds(250), uses: 2 });
    request.apply(&spend(&request, &payment(1), after(800_000)).unwrap()).unwrap();
    let change = spend(&request, &payment(1), after(2000)).unwrap();
    assert_eq!(change.at, after(800_000));
    request.apply(&request.due(until).unwrap()).unwrap();
    assert_eq!(spend(&request, &payment(1), after(2000)), Err(SpendError::Expired));
}

#[test]
fn nothing_outlives_its_task() {
    let opening = Opened {
        ends_at: Some(after(3_600_000)),
        terms: Terms { ttl_s: TTL_S_MAX, ..terms("resource.owner", 1) },
        ..opened(terms("resource.owner", 1), &payment(250))
    };
    let mut request = AccessRequest::begin(&AccessRequest::open(opening.clone()).unwrap()).unwrap();
    request.apply(&approve(&request, &lead("ada")).unwrap()).unwrap();
    assert_eq!(request.grant().unwrap().until, after(3_600_000));
    let late = Opened { ends_at: Some(after(3_599_999)), ..opening };
    assert_eq!(AccessRequest::open(late), Err(OpenError::Wait));
}

#[test]
fn at_most_a_hundred() {
    let asked = payment(250);
    let bound = binding(&asked);
    let shown = attempt(&bound, &asked);
    let mut request = request("resource.owner", 1, &asked);
    let lower = |pointer: &str, most: i64| Lowering {
        pointer: pointer.into(),
        constraint: Constraint::AtMost(Value::Integer(most)),
    };
    let scope = edited(&request, &shown, &[lower("/amount", 100)]).unwrap();
    for (edit, error) in [
        (lower("/amount", 251), EditError::NotNarrower("/amount".into())),
        (lower("/amount", -1), EditError::NotNarrower("/amount".into())),
        (lower("/to", 1), EditError::NotANumber("/to".into())),
        (lower("/cc", 1), EditError::Nowhere("/cc".into())),
        (lower("/*", 1), EditError::Nowhere("/*".into())),
    ] {
        assert_eq!(edited(&request, &shown, &[edit]), Err(error));
    }
    assert_eq!(edited(&request, &shown, &[]), Err(EditError::HowMany));
    // A scope that was not made by an edit of what was asked.
    let Scope::Edited { rules, rest } = &scope else { panic!("{scope:?} is no edit") };
    let fewer = rules.iter().take(1).cloned().collect();
    for forged in [
        Scope::Edited { rules: fewer, rest: *rest },
        Scope::Edited { rules: Vec::new(), rest: *rest },
        Scope::Edited { rules: rules.clone(), rest: digest(&Value::Null) },
    ] {
        let refused = Err(AnswerError::Scope(ScopeError::NotEdited));
        assert_eq!(approve_as(&request, &lead("ada"), forged), refused);
    }

    request.apply(&approve_as(&request, &lead("ada"), scope).unwrap()).unwrap();
    let mut evil = payment(100);
    let mut more = payment(100);
    if let (Value::Object(evil), Value::Object(more)) = (&mut evil, &mut more) {
        evil.insert("to".into(), Value::from("evil"));
        more.insert("cc".into(), Value::from("evil"));
    }
    let missing = Value::object([("to", Value::from("acme"))]);
    let at = after(2000);
    for other in [payment(101), payment(250), payment(-1), evil, more, missing] {
        assert_eq!(
            spend(&request, &other, at),
            Err(SpendError::Other(Mismatch::Arguments)),
            "{other:?}"
        );
    }
    request.apply(&spend(&request, &payment(100), at).unwrap()).unwrap();
    assert_eq!(spend(&request, &payment(1), at), Err(SpendError::Spent));
}

#[test]
fn for_this_task_within_bounds() {
    let request = approved(Scope::Task { bounds: bounds(300), uses: 2 });
    let at = after(2000);
    let other = |mismatch| Err(SpendError::Other(mismatch));
    assert!(spend(&request, &payment(299), at).is_ok());
    assert_eq!(spend(&request, &payment(301), at), other(Mismatch::Arguments));
    let mut more = payment(1);
    if let Value::Object(members) = &mut more {
        members.insert("cc".into(), Value::from("evil"));
    }
    assert_eq!(spend(&request, &more, at), other(Mismatch::Arguments));
    let input = payment(1);
    let mut bound = binding(&input);
    let said = Attempt { asserted: Some(&Value::Null), ..attempt(&bound, &input) };
    let uncovered = |mismatch| Err(SpendError::Other(mismatch));
    assert_eq!(request.covers(&said, at), uncovered(Mismatch::Arguments));
    // What an enforcement point can do says nothing of the action; anything beside it does.
    let able = Value::object([("supported_obligations", Value::from("redact"))]);
    let said = Attempt { asserted: Some(&able), ..attempt(&bound, &input) };
    assert_eq!(request.covers(&said, at), Ok(()));
    let from = ("ip", Value::from("192.0.2.1"));
    let more = Value::object([("supported_obligations", Value::from("redact")), from]);
    let said = Attempt { asserted: Some(&more), ..attempt(&bound, &input) };
    assert_eq!(request.covers(&said, at), uncovered(Mismatch::Arguments));
    bound.resources = [EntityRef::new("Account", "4712").unwrap()].into();
    assert_eq!(request.covers(&attempt(&bound, &input), at), uncovered(Mismatch::Resources));
    bound.resources.clear();
    assert_eq!(request.covers(&attempt(&bound, &input), at), uncovered(Mismatch::Resources));
    let mut bound = binding(&input);
    bound.task = Some(TaskId::new("task_2").unwrap());
    assert_eq!(request.covers(&attempt(&bound, &input), at), uncovered(Mismatch::Task));

    let until = after(60_000);
    let request = approved(Scope::Until { bounds: bounds(300), uses: 9, until });
    assert_eq!(request.covers(&attempt(&bound, &input), at), Ok(()));
    assert_eq!(request.covers(&attempt(&bound, &input), until), Err(SpendError::Expired));
}

#[test]
fn bounds_leave_nothing_open() {
    let once_each = Terms { standing: Standing::Refused, ..terms("resource.owner", 1) };
    let opening = AccessRequest::open(opened(once_each, &payment(250))).unwrap();
    let strict = AccessRequest::begin(&opening).unwrap();
    let refused = |request: &AccessRequest, scope| match approve_as(request, &lead("ada"), scope) {
        Err(AnswerError::Scope(error)) => Some(error),
        _ => None,
    };
    let task = |bounds: Allowance<Value>, uses| Scope::Task { bounds, uses };
    assert_eq!(refused(&strict, task(bounds(300), 1)), Some(ScopeError::NotStanding));

    let request = request("resource.owner", 1, &payment(250));
    assert_eq!(refused(&request, task(bounds(300), 1)), None);
    assert_eq!(refused(&request, task(bounds(300), 0)), Some(ScopeError::Unbounded));
    assert_eq!(refused(&request, task(bounds(300), USES_MAX + 1)), Some(ScopeError::Unbounded));
    let past = Scope::Until { bounds: bounds(300), uses: 1, until: after(1000) };
    assert_eq!(refused(&request, past), Some(ScopeError::Unbounded));
    let open = Allowance { others: OtherArguments::Allowed, ..bounds(300) };
    assert_eq!(refused(&request, task(open, 1)), Some(ScopeError::OtherArguments));
    let any = Allowance { resources: Vec::new(), ..bounds(300) };
    assert_eq!(refused(&request, task(any, 1)), Some(ScopeError::AnyResource));
    let mut files = bounds(300);
    let ty = EntityType::new("File").unwrap();
    files.resources.push(ResourceRule { ty, id: None });
    assert_eq!(refused(&request, task(files, 1)), Some(ScopeError::Resources("File".into())));
    let arguments = ScopeError::NotCovered(Mismatch::Arguments);
    assert_eq!(refused(&request, task(bounds(249), 1)), Some(arguments.clone()));
    let unnamed = Allowance { arguments: Vec::new(), ..bounds(300) };
    assert_eq!(refused(&request, task(unnamed, 1)), Some(arguments));
    let closes = Allowance { action: ActionName::new("bank.close").unwrap(), ..bounds(300) };
    let action = ScopeError::NotCovered(Mismatch::Action);
    assert_eq!(refused(&request, task(closes, 1)), Some(action));
}

#[test]
fn those_who_act_are_not_asked() {
    let asked = ["agent", "parent-agent", "ada"].map(id).into();
    let opening = Opened { asked, ..opened(terms("group:leads", 2), &payment(250)) };
    let nobody = OpenError::NobodyToAsk { quorum: 2, found: 1 };
    assert_eq!(AccessRequest::open(opening), Err(nobody));
}

#[test]
fn what_is_due_says_so() {
    let approvers = "resource.owner else group:leads after 10m";
    let mut request = request(approvers, 1, &payment(250));
    assert_eq!(request.due_at(), Some(after(600_000)));
    assert_eq!(request.due(after(599_999)), None);
    let early = Err(AnswerError::NotNamed { person: id("bob"), stage: 0 });
    assert_eq!(approve(&request, &lead("bob")), early);
    request.apply(&request.due(after(600_000)).unwrap()).unwrap();
    assert_eq!(request.due_at(), Some(after(3_600_000)));
    assert!(approve(&request, &lead("bob")).is_ok());
    request.apply(&request.due(after(3_600_000)).unwrap()).unwrap();
    assert_eq!((request.state(), request.due_at()), (State::Expired, None));
    let closed = Err(AnswerError::Closed(State::Expired));
    assert_eq!(approve(&request, &lead("ada")), closed);
    let revoked = request.revoke(None, "task_ended".into(), after(3_600_000));
    assert_eq!(revoked, Err(RevokeError::Final(State::Expired)));
}

#[test]
fn a_number_that_may_differ_has_a_lower_end_too() {
    let without = |drop: Option<i64>| {
        let mut bounds = bounds(1000);
        let least = |rule: &ArgumentRule<Value>| matches!(rule.constraint, Constraint::AtLeast(_));
        bounds.arguments.retain(|rule| !least(rule));
        if let Some(least) = drop {
            let mut rule = bounds.arguments.last().unwrap().clone();
            rule.constraint = Constraint::AtLeast(Value::Integer(least));
            bounds.arguments.push(rule);
        }
        Scope::Task { bounds, uses: 3 }
    };
    let asked = request("resource.owner", 1, &payment(250));
    let refused = Err(AnswerError::Scope(ScopeError::NoLowerEnd("/amount".into())));
    assert_eq!(approve_as(&asked, &lead("ada"), without(None)), refused);
    assert_eq!(approve_as(&asked, &lead("ada"), without(Some(-1))), refused);
    let approved = approved(without(Some(0)));
    for (amount, fits) in [(-1, false), (-1000, false), (0, true), (1000, true), (1001, false)] {
        assert_eq!(spend(&approved, &payment(amount), after(2000)).is_ok(), fits, "{amount}");
    }
}

/// Who says "until three" is held to it: neither cut short by the policy in silence nor by the
/// end of the task that happened to ask.
#[test]
fn until_a_time_is_until_that_time() {
    let scope = |ms| Scope::Until { bounds: bounds(250), uses: 2, until: after(ms) };
    let of_a_task_that_ends = Opened {
        answer_by: after(60_000),
        ends_at: Some(after(60_000)),
        ..opened(terms("resource.owner", 1), &payment(250))
    };
    let opening = AccessRequest::open(of_a_task_that_ends).unwrap();
    let mut asked = AccessRequest::begin(&opening).unwrap();
    // The policy says fifteen minutes, from the answer one second after the start.
    let late = Err(AnswerError::Scope(ScopeError::TooLong(after(901_000))));
    assert_eq!(approve_as(&asked, &lead("ada"), scope(901_001)), late);
    asked.apply(&approve_as(&asked, &lead("ada"), scope(901_000)).unwrap()).unwrap();
    assert_eq!(asked.grant().unwrap().until, after(901_000));
    assert!(spend(&asked, &payment(250), after(900_999)).is_ok());
    assert_eq!(spend(&asked, &payment(250), after(901_000)), Err(SpendError::Expired));
    // Every other scope ends with the task.
    let opening = AccessRequest::open(Opened {
        answer_by: after(60_000),
        ends_at: Some(after(60_000)),
        ..opened(terms("resource.owner", 1), &payment(250))
    });
    let mut once = AccessRequest::begin(&opening.unwrap()).unwrap();
    once.apply(&approve_as(&once, &lead("ada"), Scope::Once).unwrap()).unwrap();
    assert_eq!(once.grant().unwrap().until, after(60_000));
}

#[test]
fn an_answer_counts_as_long_as_whoever_gave_it_might_give_it() {
    let approved = |terms: &str, by: &Answerer| {
        let mut request = request(terms, 1, &payment(250));
        request.apply(&approve(&request, by).unwrap()).unwrap();
        request
    };
    let counts = |request: &AccessRequest, by: &Answerer, holders: &Holders| {
        request.still_counts(&request.answers()[0], by, holders)
    };
    let of_group = approved("group:leads", &lead("bob"));
    assert!(counts(&of_group, &lead("bob"), &facts()));
    let left = Answerer::in_person(Person::named(id("bob")), Assurance::High);
    assert!(!counts(&of_group, &left, &facts()), "no lead any more");
    assert!(!counts(&of_group, &lead("cy"), &facts()), "another lead");
    let parted = Holders { interested: [id("bob")].into(), ..facts() };
    assert!(!counts(&of_group, &lead("bob"), &parted), "who acts is theirs by now");
    // Another term that they would have had does not help: they answered by this one.
    let by_owner = approved("resource.owner", &lead("ada"));
    assert!(counts(&by_owner, &lead("ada"), &facts()));
    let sold = Holders { resource_owners: [id("bob")].into(), ..facts() };
    assert!(!counts(&by_owner, &lead("ada"), &sold));
    let stands_in = Answerer {
        person: Person::named(id("dan")),
        standing_in_for: Some(member("bob", "leads")),
        assurance: Assurance::High,
    };
    let by_deputy = approved("group:leads", &stands_in);
    assert!(counts(&by_deputy, &stands_in, &facts()));
    let of_nobody = Answerer { standing_in_for: None, ..stands_in.clone() };
    assert!(!counts(&by_deputy, &of_nobody, &facts()));
    let of_one_who_left = Answerer { standing_in_for: Some(Person::named(id("bob"))), ..stands_in };
    assert!(!counts(&by_deputy, &of_one_who_left, &facts()));
}
