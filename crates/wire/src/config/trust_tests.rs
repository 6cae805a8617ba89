use std::path::Path;

use super::*;

fn problems(trust: &str) -> Vec<String> {
    let text = format!("version: 1\ntrust:\n{trust}");
    let problems = parse("s.yaml", &text, Path::new("/etc/sc")).unwrap_err();
    problems.iter().map(ToString::to_string).collect()
}

const CLUSTER: &str = "  cluster:
    kind: kubernetes
    issuer: https://kubernetes.example
    keys: { file: ./cluster.jwks.json }
    algorithms: [RS256]
    audiences: [https://safeconduct.example]
    assurance: substantial
    required_claims: { tenant: [a, b] }
    identities:
      - identity: case-agent
        kubernetes: { namespace: prod, service_account: agent, uid: u-1 }
";

#[test]
fn a_trust_record_is_read() {
    let text = format!("version: 1\ntrust:\n{CLUSTER}");
    let config = parse("s.yaml", &text, Path::new("/etc/sc")).unwrap();
    let cluster = &config.trust["cluster"];
    assert_eq!(cluster.kind, TrustKind::Kubernetes);
    assert_eq!((cluster.token_lifetime_max_s, cluster.clock_skew_s), (3600, 10));
    assert!(cluster.required_claims["tenant"].contains("b"));
    assert!(!cluster.may_speak_for_users);
    assert_eq!(cluster.fetch, FetchForm::default());
    assert_eq!(cluster.identities[0].kubernetes.as_ref().unwrap().uid, "u-1");
}

#[test]
fn slips_are_found_where_they_stand() {
    assert_eq!(
        problems(&CLUSTER.replace("RS256", "HS256")).len(),
        1,
        "an algorithm that is not known: {:?}",
        problems(&CLUSTER.replace("RS256", "HS256"))
    );
    for (from, to) in [
        ("kind: kubernetes", "kind: kubernets"),
        ("assurance: substantial", "assurance: total"),
        ("    assurance: substantial\n", ""),
        ("uid: u-1 }", "}"),
        ("    kind:", "    clock_skew_s: 31\n    kind:"),
        ("    kind:", "    fetch: { http_on_loopback: yes please }\n    kind:"),
        ("  cluster:", "  Cluster One:"),
        ("https://kubernetes.example", "kubernetes/serviceaccount"),
    ] {
        assert!(!problems(&CLUSTER.replace(from, to)).is_empty(), "{to}");
    }
}
