//! What a look did not see says nothing: a finding does not close because newer records pushed what
//! shows it out of the sample, or because something became unknown.

use safeconduct_model::*;
use safeconduct_review::finding::FindingKind;

use crate::bench::*;

const REGO: &str = "package safeconduct\nimport rego.v1\ndefault allow := true\n";

#[tokio::test]
async fn newer_decisions_close_nothing_that_older_ones_show() {
    let bench = Bench::new().await;
    for token in ["t1", "t2", "t1", "t2", "t1"] {
        bench.does_by("worker", "read", token, Method::ApiKey).await;
    }
    for _ in 0..60 {
        bench.does("ada", "read").await;
    }
    bench.scan().await;
    let kinds = [(FindingKind::SharedIdentity, "worker"), (FindingKind::PersonUsedByAgent, "ada")];
    for (kind, whom) in kinds {
        assert_eq!(bench.open(kind), [whom], "{kind:?}");
    }
    bench.does("helper", "read").await;
    let report = bench.scan_of(&bench.flooded("decision")).await;
    assert_eq!((report.sampled, report.closed), (vec!["decision"], 0));
    for (kind, whom) in kinds {
        assert_eq!(bench.open(kind), [whom], "{kind:?}");
    }
    // A look that sees all of the last month closes them.
    bench.pass(31 * DAY);
    bench.scan().await;
    for (kind, _) in kinds {
        assert_eq!(bench.open(kind), [""; 0], "{kind:?}");
    }
}

#[tokio::test]
async fn a_right_that_nothing_explains_stays_found_where_rego_may_explain_it() {
    let bench = Bench::new().await;
    bench.policies(&format!("{POLICIES}{ONE_MORE}")).await;
    assert_eq!(bench.does("helper", "pay").await, Decision::Permit);
    bench.policies(POLICIES).await;
    bench.scan().await;
    let extra = ["grant statement extra of helper"];
    assert_eq!(bench.open(FindingKind::OrphanGrant), extra);
    bench.policies_with(POLICIES, &[REGO]).await;
    bench.scan().await;
    assert_eq!(bench.open(FindingKind::OrphanGrant), extra);
    bench.policies(&format!("{POLICIES}{ONE_MORE}")).await;
    bench.scan().await;
    assert_eq!(bench.open(FindingKind::OrphanGrant), [""; 0]);
}
