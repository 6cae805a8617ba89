//! Fresh facts: whether those still speak who vouch for whoever acts, however an identity is named.

use safeconduct_service::Heard;

use super::streams::{ISSUER, NOW, Stage, claims, streams};
use super::*;

/// Says that credentials of the stream's issuer make that identity.
pub(super) struct Makes(pub(super) &'static str);

impl Prover for Makes {
    fn prove<'a>(&'a self, _: Vouched<'a>, _: Timestamp) -> Awaited<'a, Result<Vouch, Unproved>> {
        Awaited::of(async { Err(Unproved("nothing is presented here".into())) })
    }

    fn vouching(&self, _: &TokenId) -> Option<u64> {
        None
    }

    fn issuers_of(&self, identity: &IdentityId) -> Vec<Arc<str>> {
        if identity.as_str() == self.0 { vec![ISSUER.into()] } else { Vec::new() }
    }
}

const AGENTS: [&str; 4] =
    ["agent", "other", "spiffe://prod.example.org/a", "https://unheard.example|a"];

/// Every action is of tier `high`, and its rule is that of `high`.
async fn stage(high: TierRule, more: &str) -> Stage {
    let (ports, ledger, clock) = ports();
    clock.set(NOW);
    let settings = Settings { tiers: Tiers { high, ..Tiers::default() }, ..Settings::default() };
    let policies = policies(r#"@id("all") permit (principal, action, resource);"#);
    let mut catalogue = catalogue();
    catalogue.actions.values_mut().for_each(|entry| entry.tier = Tier::High);
    let vocabulary = Arc::new(Vocabulary::new("Safeconduct").unwrap());
    let digest = Digest::from_bytes([9; 32]);
    let world = World::new(policies, Arc::new(catalogue), digest, vocabulary);
    let service = Arc::new(Service::new(ports, settings, world));
    for id in AGENTS {
        service.change_identity(agent(id), &me()).await.unwrap();
    }
    service.set_prover(Some(Arc::new(Makes("agent"))));
    let bench = Bench { service, ledger, clock };
    let streams = streams(&bench, more, Heard::default());
    Stage { bench, streams }
}

impl Stage {
    /// Whether that agent may act at tier `high`, by a key of its own.
    async fn acts(&self, id: &str) -> Result<(), Vec<&'static str>> {
        let (method, assurance) = (Method::ClientKey, Assurance::Substantial);
        let subject =
            Subject::Caller(Authentication { method, assurance, at: NOW, ..proof(id, "t1") });
        let ruling = self.bench.service.check(Check { subject, ..check("read") }).await.unwrap();
        let outcome = ruling.into_value().outcome;
        match outcome.decision {
            Decision::Permit => Ok(()),
            Decision::Deny => Err(codes(&outcome)),
        }
    }

    async fn at(&self, ms: i64) {
        self.bench.clock.set(NOW.plus_ms(ms));
        self.streams.look_for_silence().await;
    }

    /// The stream says something of somebody whom nobody knows.
    async fn speaks(&self, id: &str, ms: i64) {
        const PRESENTED: &str =
            "https://schemas.openid.net/secevent/caep/event-type/session-presented";
        let stranger = r#"{"format":"opaque","id":"stranger"}"#;
        self.push(&claims(id, stranger, PRESENTED, ms)).await.unwrap();
    }
}

fn stale() -> Result<(), Vec<&'static str>> {
    Err(vec!["needs_fresh_facts"])
}

#[tokio::test]
async fn the_silence_of_who_vouches_by_trust_record_or_domain_makes_facts_stale() {
    let stage = stage(Tiers::default().high, ", silent_after_s: 60").await;
    for id in AGENTS {
        assert_eq!(stage.acts(id).await, Ok(()), "{id}");
    }
    stage.at(61_000).await;
    assert_eq!(stage.acts("agent").await, stale());
    assert_eq!(stage.acts("spiffe://prod.example.org/a").await, stale());
    // For these that stream does not vouch.
    assert_eq!(stage.acts("other").await, Ok(()));
    assert_eq!(stage.acts("https://unheard.example|a").await, Ok(()));
    stage.bench.clock.set(NOW.plus_ms(62_000));
    stage.speaks("1", 62_000).await;
    for id in AGENTS {
        assert_eq!(stage.acts(id).await, Ok(()), "{id}");
    }
}

#[tokio::test]
async fn where_signals_must_be_recent_who_is_not_heard_of_is_asked_for() {
    let high = TierRule { signals_s: Some(30), ..Tiers::default().high };
    let stage = stage(high, "").await;
    // Nothing was ever heard, and of the last one nothing ever will.
    assert_eq!(stage.acts("agent").await, stale());
    assert_eq!(stage.acts("https://unheard.example|a").await, stale());
    // Nobody but ourselves vouches for that one.
    assert_eq!(stage.acts("other").await, Ok(()));
    stage.speaks("1", 0).await;
    stage.at(30_000).await;
    assert_eq!(stage.acts("agent").await, Ok(()));
    assert_eq!(stage.acts("spiffe://prod.example.org/a").await, Ok(()));
    assert_eq!(stage.acts("https://unheard.example|a").await, stale());
    stage.at(30_001).await;
    assert_eq!(stage.acts("agent").await, stale());
    assert_eq!(stage.acts("spiffe://prod.example.org/a").await, stale());
}

#[tokio::test]
async fn a_stream_whose_queue_lags_is_no_fresher_than_what_it_says() {
    let high = TierRule { signals_s: Some(30), ..Tiers::default().high };
    let stage = stage(high, "").await;
    // It delivers steadily what it issued ten hours ago.
    for n in 0..3 {
        stage.at(n * 1000).await;
        stage.speaks(&format!("late {n}"), n * 1000 - 36_000_000).await;
        assert_eq!(stage.acts("agent").await, stale());
    }
    stage.speaks("fresh", 2000).await;
    assert_eq!(stage.acts("agent").await, Ok(()));
    // And so it is for the process after this one.
    const CHANGED: &str = "https://schemas.openid.net/secevent/risc/event-type/identifier-changed";
    let somebody = r#"{"format":"opaque","id":"other"}"#;
    for (id, ms, fresh) in [("1", -36_000_000, stale()), ("2", 2000, Ok(()))] {
        stage.push(&claims(id, somebody, CHANGED, ms)).await.unwrap();
        let mut heard = Heard::default();
        records(&stage.bench.ledger).iter().for_each(|record| heard.apply(record));
        let _again = streams(&stage.bench, "", heard);
        assert_eq!(stage.acts("agent").await, fresh, "{id}");
    }
}
