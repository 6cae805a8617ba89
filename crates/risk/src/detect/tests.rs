use proptest::prelude::*;
use safeconduct_model::{
    Budget, Decided, DecidedTask, Decision, Digest, KeyedDigest, Method, Mode, NetworkDigest,
    TaskState,
};

use super::*;

const HOUR: i64 = 3_600_000;

/// A Monday, at ten in the morning.
const START: i64 = 1_704_103_200_000;

/// One decision in words.
#[derive(Debug, Clone)]
struct Did {
    action: String,
    class: &'static str,
    decision: Decision,
    session: &'static str,
    principal: &'static str,
}

fn did(action: &str) -> Did {
    let action = action.to_owned();
    let class = "Case";
    Did { action, class, decision: Decision::Permit, session: "t1", principal: "agent" }
}

fn denied(action: &str) -> Did {
    Did { decision: Decision::Deny, ..did(action) }
}

fn record(n: i64, at: i64, body: Body) -> Record {
    Record {
        id: RecordId::new(format!("r{n}")).unwrap(),
        at: Timestamp::from_millis(at),
        trace: None,
        parent: None,
        body,
    }
}

fn decision(did: &Did) -> Body {
    let agent = IdentityId::new("agent").unwrap();
    Body::Decided(Box::new(Decided {
        session: SessionKey::credential(agent, TokenId::new(did.session).unwrap()),
        session_name: None,
        label: None,
        sequence: 1,
        pep: IdentityId::new("gateway:crm").unwrap(),
        method: Method::ApiKey,
        principal: EntityRef::new("Safeconduct::Agent", did.principal).unwrap(),
        action: ActionName::new(did.action.clone()).unwrap(),
        resources: vec![EntityRef::new(did.class, "1").unwrap()],
        input_digest: KeyedDigest::from_bytes([0; 32]),
        decision: did.decision,
        mode: Mode::Enforce,
        reasons: Vec::new(),
        shadow: Vec::new(),
        obligations: Vec::new(),
        requestable: None,
        policies: Digest::from_bytes([0; 32]),
        catalogue: Digest::from_bytes([0; 32]),
        task: Some(Box::new(DecidedTask {
            id: TaskId::new("task_1").unwrap(),
            intent: IntentName::new("care").unwrap(),
            on_behalf_of: None,
            actors: Vec::new(),
            spend: Default::default(),
            bytes_out: 0,
        })),
        flow: Vec::new(),
        risk: 0,
        network: None,
        approval: None,
    }))
}

fn task(id: &str, parent: Option<&str>, origin: Origin) -> Body {
    let agent = IdentityId::new("agent").unwrap();
    Body::TaskBegan(Box::new(Task {
        id: TaskId::new(id).unwrap(),
        intent: IntentName::new("care").unwrap(),
        intent_version: 1,
        agent: agent.clone(),
        on_behalf_of: None,
        begun_by: agent,
        origin,
        parent: parent.map(|id| TaskId::new(id).unwrap()),
        depth: 1,
        begun_at: Timestamp::from_millis(START),
        deadline: Timestamp::from_millis(START),
        idle_s: 60,
        budget: Arc::new(Budget {
            calls: 1,
            calls_of: Default::default(),
            spend: None,
            distinct_resources: None,
            bytes_out: None,
        }),
        authority: KeyedDigest::from_bytes([0; 32]),
        handle: None,
        conversation: None,
        run_of: None,
    }))
}

/// A ledger, and what was found in it.
#[derive(Default)]
struct Story {
    detectors: Detectors,
    records: Vec<Record>,
    found: Vec<String>,
    at: i64,
}

impl Story {
    fn new() -> Self {
        Self { at: START, ..Self::default() }
    }

    fn happen(&mut self, after_ms: i64, body: Body) -> &mut Self {
        self.at += after_ms;
        let record = record(self.records.len() as i64, self.at, body);
        // As the detectors at work are shown it; `found` holds that against the whole record.
        let shown = Glimpse::of(&record).unwrap();
        self.found.extend(self.detectors.look(&shown).iter().map(|signal| {
            signal.check().unwrap();
            format!(
                "{} {} of {}, {}: {}",
                signal.kind.as_str(),
                signal.severity.as_str(),
                signal.about,
                signal.topic,
                signal.detail
            )
        }));
        self.records.push(record);
        self
    }

    fn all(&mut self, after_ms: i64, times: usize, each: &[Did]) -> &mut Self {
        for did in each.iter().cycle().take(times) {
            self.happen(after_ms, decision(did));
        }
        self
    }

    /// Every minute, work as it always is, on workdays' mornings.
    fn usual(&mut self, days: usize) -> &mut Self {
        let work = [did("crm.read"), did("crm.note"), did("crm.read"), did("mail.draft")];
        for _ in 0..days {
            self.all(60_000, 60, &work);
            self.at += 23 * HOUR;
        }
        self
    }

    /// What was found, after it was seen to be found again in a replay.
    fn found(&self) -> Vec<&str> {
        let replayed = replay(Tuning::default(), &[], &self.records);
        assert_eq!(replayed.detectors, self.detectors);
        assert_eq!(replayed.signals.len(), self.found.len());
        self.found.iter().map(String::as_str).collect()
    }
}

#[test]
fn usual_work_is_quiet() {
    assert_eq!(Story::new().usual(30).found(), [""; 0]);
}

#[test]
fn a_burst_is_found_once_and_again_where_it_is_worse() {
    let mut story = Story::new();
    story.all(200, 45, &[did("crm.read")]);
    assert_eq!(story.found(), [""; 0]);
    story.all(100, 300, &[did("crm.read")]);
    let mild = "burst moderate of session agent#t1, : 60 decisions in 10000 ms";
    assert_eq!(story.found()[0], mild);
    let bursts = story.found().iter().filter(|said| said.starts_with("burst")).count();
    assert_eq!(bursts, 1);
    story.all(10, 400, &[did("crm.read")]);
    let worse: Vec<_> =
        story.found().into_iter().filter(|said| said.starts_with("burst")).collect();
    assert_eq!(worse.len(), 2);
    assert!(worse[1].starts_with("burst high"));
}

#[test]
fn what_was_never_done_is_found_and_learned() {
    let mut story = Story::new();
    story.usual(1).all(60_000, 2, &[did("crm.export")]);
    let found = "unseen_action low of session agent#t1, crm.export: never in 60 decisions";
    assert_eq!(story.found(), [found]);
}

#[test]
fn a_new_identity_or_intent_has_nothing_to_be_unlike() {
    let mut story = Story::new();
    let new = Did { principal: "someone", ..did("crm.export") };
    story.usual(1).all(60_000, 1, &[new]);
    assert_eq!(story.found(), [""; 0]);
}

#[test]
fn what_was_denied_is_not_learned_and_found_now_and_then() {
    let mut story = Story::new();
    story.usual(1).all(60_000, 4, &[denied("crm.export")]);
    let found = "unseen_action low of session agent#t1, crm.export: never in 60 decisions";
    assert_eq!(story.found(), [found]);
    story.all(0, 1, &[did("crm.read")]).all(600_000, 1, &[denied("crm.export")]);
    assert_eq!(story.found().len(), 2);
}

#[test]
fn a_class_of_resource_that_was_never_touched_is_found() {
    let mut story = Story::new();
    story.usual(1).all(60_000, 2, &[Did { class: "Payroll", ..did("crm.read") }]);
    let found = "unseen_resource moderate of session agent#t1, Payroll: never in 60 decisions";
    assert_eq!(story.found(), [found]);
}

#[test]
fn two_actions_that_never_followed_each_other_are_found() {
    let mut story = Story::new();
    story.usual(4);
    // The last was a draft; the next usual one would read.
    story.all(60_000, 2, &[did("mail.draft"), did("crm.note")]);
    let found = "unseen_pair low of session agent#t1, mail.draft > mail.draft: \
                 never in 240 decisions";
    assert_eq!(story.found(), [found]);
}

#[test]
fn an_enforcement_point_s_session_is_not_blamed_for_one_of_its_subjects() {
    let mut story = Story::new();
    let of = |principal, action| Did { principal, ..did(action) };
    story.all(60_000, 60, &[of("ada", "read")]).all(60_000, 1, &[of("ada", "export")]);
    let found = "unseen_action low of identity ada, export: never in 60 decisions";
    assert_eq!(story.found(), [found]);
}

/// A call of a session of one identity, from a network.
fn at_place(session: &'static str, network: u64, minute: i64) -> Glimpse {
    let did = Did { session, ..did("crm.read") };
    let record = record(minute, START + minute * 60_000, decision(&did));
    Glimpse::of(&record).unwrap().from_place(Some(NetworkDigest::new(network)))
}

#[test]
fn a_credential_that_is_used_elsewhere_too_is_found_once_for_each_new_place() {
    let mut detectors = Detectors::default();
    let mut look = |session, network, minute| {
        let found = detectors.look(&at_place(session, network, minute));
        let two = found.into_iter().filter(|signal| signal.kind == Kind::TwoPlaces);
        two.map(|signal| (signal.about.to_string(), signal.severity)).collect::<Vec<_>>()
    };
    let elsewhere = [("identity agent".to_owned(), Severity::Moderate)];
    assert_eq!(look("t1", 1, 0), []);
    // Another session from there is no news, nor is one session that moves: that has its own.
    assert_eq!(look("t2", 1, 1), []);
    assert_eq!(look("t2", 2, 2), [], "the same session was there just before");
    assert_eq!(look("t3", 3, 3), elsewhere);
    // What is known is not said again, and nobody can be where nobody was for long.
    assert_eq!(look("t1", 1, 4), []);
    assert_eq!(look("t3", 3, 5), []);
    assert_eq!(look("t4", 4, 60), []);
}

#[test]
fn the_places_of_an_identity_are_bounded() {
    let mut detectors = Detectors::default();
    for n in 0..200 {
        detectors.look(&at_place("t1", n, n as i64));
    }
    let agent = IdentityId::new("agent").unwrap();
    let places = format!("{:?}", detectors.places.peek(&agent).unwrap());
    assert_eq!(places.matches("Place {").count(), PLACES_PER_IDENTITY_MAX);
}

#[test]
fn denials_in_a_row_are_found_ever_more_seldom() {
    let mut story = Story::new();
    story.all(1000, 4, &[denied("x")]).all(1000, 1, &[did("y")]);
    assert_eq!(story.found(), [""; 0]);
    story.all(1000, 30, &[denied("x")]);
    assert_eq!(
        story.found(),
        [
            "denial_streak low of session agent#t1, : 5 denials in a row",
            "denial_streak moderate of session agent#t1, : 10 denials in a row",
            "denial_streak high of session agent#t1, : 20 denials in a row",
        ]
    );
}

#[test]
fn work_in_the_night_is_found() {
    let mut story = Story::new();
    story.usual(10);
    story.at += 16 * HOUR;
    story.all(60_000, 2, &[did("crm.read"), did("crm.note")]);
    let found = "unusual_hour low of identity agent, : 0 of 600 decisions around 2:00 UTC";
    assert_eq!(story.found(), [found]);
}

#[test]
fn much_more_than_usual_in_an_hour_is_found() {
    let mut story = Story::new();
    // 59 decisions in an hour and one in the next, each day.
    story.usual(6).all(2000, 600, &[did("crm.read")]);
    let volumes: Vec<_> =
        story.found().into_iter().filter(|said| said.contains("volume")).collect();
    assert_eq!(
        volumes,
        [
            "unusual_volume moderate of identity agent, : 120 decisions in an hour; usual are 30",
            "unusual_volume moderate of identity agent, : 240 decisions in an hour; usual are 30",
            "unusual_volume high of identity agent, : 480 decisions in an hour; usual are 30",
        ]
    );
}

#[test]
fn many_tasks_below_one_are_found_at_every_depth() {
    let mut story = Story::new();
    for n in 0..16 {
        let parent = if n == 0 { "task_root".to_owned() } else { format!("task_{}", n - 1) };
        story.happen(1000, task(&format!("task_{n}"), Some(&parent), Origin::Trusted));
    }
    assert_eq!(
        story.found(),
        [
            "fan_out low of task task_root, care: 8 tasks since 2024-01-01T10:00:01.000Z",
            "fan_out moderate of task task_root, care: 16 tasks since 2024-01-01T10:00:01.000Z",
        ]
    );
    let mut story = Story::new();
    let session =
        SessionKey::credential(IdentityId::new("agent").unwrap(), TokenId::new("t1").unwrap());
    for n in 0..8 {
        story.happen(1000, task(&format!("task_{n}"), None, Origin::Agent(session.clone())));
        story.happen(1000, task(&format!("task_t{n}"), None, Origin::Trusted));
    }
    assert_eq!(
        story.found(),
        ["fan_out low of session agent#t1, care: 8 tasks since 2024-01-01T10:00:01.000Z"]
    );
    let mut story = Story::new();
    for n in 0..50 {
        story.happen(HOUR, task(&format!("task_{n}"), Some("task_root"), Origin::Trusted));
    }
    assert_eq!(story.found(), [""; 0]);
}

#[test]
fn a_credential_that_outlives_its_task_is_found() {
    let mut story = Story::new();
    let body = || Body::UsedAfterEnd {
        task: TaskId::new("task_1").unwrap(),
        identity: IdentityId::new("agent").unwrap(),
        token: TokenId::new("t1").unwrap(),
        action: Some(ActionName::new("crm.read").unwrap()),
    };
    let end = Body::TaskEnded {
        task: TaskId::new("task_1").unwrap(),
        state: TaskState::Completed,
        by: None,
        reason: "done".into(),
    };
    story.happen(1, end).happen(1, body()).happen(1, body()).happen(1, body());
    assert_eq!(
        story.found(),
        [
            "used_after_end high of identity agent, task_1: 1 times, by t1, for crm.read",
            "used_after_end high of identity agent, task_1: 2 times, by t1, for crm.read",
        ]
    );
}

#[test]
fn drift_is_found_where_nothing_else_is_new() {
    let mut story = Story::new();
    let work = [did("crm.read"), did("crm.read"), did("crm.read"), did("mail.send")];
    for _ in 0..8 {
        story.all(60_000, 40, &work);
        story.at += 23 * HOUR;
    }
    story.all(60_000, 60, &[did("mail.send")]);
    let drifts: Vec<_> = story.found().into_iter().filter(|said| said.contains("drift")).collect();
    assert_eq!(
        drifts,
        ["drift moderate of identity agent, : Jensen-Shannon divergence of 352 thousandths of a \
          bit; 350 are drift"]
    );
}

#[test]
fn a_replay_asks_for_one_kind_with_other_thresholds() {
    let mut story = Story::new();
    story.all(1000, 12, &[denied("x"), denied("y"), denied("z")]);
    let strict = Tuning { denials: 3, ..Tuning::default() };
    let replayed = replay(strict, &[Kind::DenialStreak], &story.records);
    let found: Vec<_> = replayed.signals.iter().map(|signal| (&*signal.id, signal.kind)).collect();
    let streak = Kind::DenialStreak;
    assert_eq!(found, [("r2", streak), ("r5", streak), ("r11", streak)]);
}

#[test]
fn what_is_remembered_is_bounded() {
    let mut detectors = Detectors::default();
    let names: Vec<String> = (0..PROFILES_MAX + 10).map(|n| format!("p{n}")).collect();
    for (n, name) in names.iter().enumerate() {
        let mut body = decision(&did("x"));
        if let Body::Decided(decided) = &mut body {
            decided.principal = EntityRef::new("User", name.as_str()).unwrap();
        }
        detectors.observe(&record(n as i64, START, body));
    }
    assert_eq!((detectors.profiles(), detectors.forgotten()), (PROFILES_MAX, 10));
    for n in 0..2000 {
        let one = Did { action: format!("a{n}"), ..did("") };
        let found = detectors.observe(&record(n, START + n * 60_000, decision(&one)));
        let unseen = found.iter().any(|signal| signal.kind == Kind::UnseenAction);
        assert_eq!(unseen, (50..ACTIONS_PER_PROFILE_MAX as i64).contains(&n), "{n}");
    }
}

fn bodies() -> impl Strategy<Value = Vec<(i64, Body)>> {
    let decided = (0..6_u8, any::<bool>(), 0..2_usize, 0..2_usize).prop_map(
        |(action, deny, session, principal)| {
            decision(&Did {
                decision: if deny { Decision::Deny } else { Decision::Permit },
                session: ["t1", "t2"][session],
                principal: ["agent", "ada"][principal],
                ..did(&format!("a{action}"))
            })
        },
    );
    let began = (0..20_u8, 0..20_u8).prop_map(|(id, parent)| {
        task(&format!("task_{id}"), Some(&format!("task_{parent}")), Origin::Trusted)
    });
    // The clock may step back.
    let step = prop_oneof![8 => 0..2000_i64, 1 => -5000..0_i64, 1 => 0..2 * HOUR];
    prop::collection::vec((step, prop_oneof![9 => decided, 1 => began]), 0..400)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]
    #[test]
    fn a_replay_finds_what_was_found(bodies in bodies(), cut in any::<prop::sample::Index>()) {
        let eager = Tuning {
            burst_calls: 5, learned_after: 5, pairs_learned_after: 8, denials: 2, children: 2,
            hours_learned_days: 1, hour_rarer_than: 4, volume_calls: 5, volume_times: 1,
            volume_learned_hours: 1, drift_learned_after: 10, drift_millibits: 20, quiet_ms: 1000,
            ..Tuning::default()
        };
        let mut at = START;
        let records: Vec<Record> = bodies.into_iter().enumerate().map(|(n, (step, body))| {
            at += step;
            record(n as i64, at, body)
        }).collect();
        let whole = replay(eager.clone(), &[], &records);
        // Stopped and gone on from a copy of the state.
        let (first, rest) = records.split_at(cut.index(records.len() + 1));
        let begun = replay(eager, &[], first);
        let (mut detectors, mut signals) = (begun.detectors.clone(), begun.signals);
        for record in rest {
            signals.extend(detectors.look(&Glimpse::of(record).unwrap()));
        }
        prop_assert_eq!(&whole.signals, &signals);
        prop_assert_eq!(&whole.detectors, &detectors);
        for signal in &signals {
            prop_assert!(signal.check().is_ok());
        }
    }
}

#[test]
fn two_networks_of_one_session_are_two_places() {
    let mut detectors = Detectors::default();
    let mut n = 0;
    let mut seen = |session: &'static str, network: u64, minutes: i64| {
        n += 1;
        let mut body = decision(&Did { session, ..did("crm.read") });
        if let Body::Decided(decided) = &mut body {
            decided.network = Some(NetworkDigest::new(network));
        }
        let found = detectors.observe(&record(n, START + minutes * 60_000, body));
        let found = found.into_iter().filter(|signal| signal.kind == Kind::TwoPlaces);
        found.map(|signal| signal.severity).collect::<Vec<_>>()
    };
    assert_eq!(seen("s1", 1, 0), []);
    assert_eq!(seen("s2", 2, 0), [], "another session is another credential");
    assert_eq!(seen("s1", 1, 1), []);
    // It moved.
    assert_eq!(seen("s1", 2, 2), [Severity::Low]);
    // It is back: then it was in both.
    assert_eq!(seen("s1", 1, 3), [Severity::High]);
    assert_eq!(seen("s1", 2, 4), [], "that was said");
    // Long after, it may be somewhere else.
    assert_eq!(seen("s1", 3, 60), []);
    assert_eq!(seen("s1", 1, 120), []);
}
