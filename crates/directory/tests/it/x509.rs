//! X.509-SVIDs.

use rcgen::{
    CertificateParams, ExtendedKeyUsagePurpose, IsCa, KeyUsagePurpose, SanType, date_time_ymd,
};
use rustls::pki_types::CertificateDer;
use safeconduct_credential::jose::Thumbprint;
use safeconduct_directory::spiffe::{Bundle, CHAIN_MAX, Peer, TrustDomain, X509Error, verify};
use safeconduct_directory::{Directory, Presented, ProofMethod, Refused};
use tempfile::TempDir;

use crate::pki::{Authority, authority, bundle, lax_key_usage, leaf};
use crate::{US, directory_in, now};

const ID: &str = "spiffe://a.example/agent/x";

fn bundle_of(trust_domain: &str, authorities: &[&Authority]) -> Bundle {
    let keys: Vec<String> = authorities.iter().map(|one| one.jwk()).collect();
    let bundle =
        Bundle::parse(TrustDomain::parse(trust_domain).unwrap(), bundle(&keys, 1).as_bytes());
    let bundle = bundle.unwrap();
    assert_eq!(bundle.authorities.len(), authorities.len());
    bundle
}

fn check(chain: &[&CertificateDer<'static>], bundle: &Bundle) -> Result<String, X509Error> {
    let chain: Vec<_> = chain.iter().map(|&one| one.clone()).collect();
    verify(&chain, bundle, Peer::Client, now()).map(|svid| svid.id.to_string())
}

fn changed(change: impl FnOnce(&mut CertificateParams)) -> Result<String, X509Error> {
    let root = authority("a.example");
    let mut params = leaf(ID);
    change(&mut params);
    check(&[&root.issue(&params).certificate], &bundle_of("a.example", &[&root]))
}

#[test]
fn an_svid_of_its_domain_holds() {
    assert_eq!(changed(|_| {}).unwrap(), ID);
    // Other kinds of name may stand beside.
    let dns = SanType::DnsName("x.example".try_into().unwrap());
    assert_eq!(changed(|leaf| leaf.subject_alt_names.push(dns)).unwrap(), ID);
    assert_eq!(changed(|leaf| leaf.extended_key_usages.clear()).unwrap(), ID);
}

#[test]
fn exactly_one_uri() {
    let uri = |text: &str| SanType::URI(text.try_into().unwrap());
    let two = changed(|leaf| leaf.subject_alt_names.push(uri("spiffe://a.example/agent/y")));
    assert_eq!(two, Err(X509Error::Uris { found: 2 }));
    let two = changed(|leaf| leaf.subject_alt_names.push(uri("https://a.example")));
    assert_eq!(two, Err(X509Error::Uris { found: 2 }));
    let none = changed(|leaf| leaf.subject_alt_names.clear());
    assert_eq!(none, Err(X509Error::Uris { found: 0 }));
    for text in ["spiffe://a.example", "https://a.example/agent/x", "spiffe://a.example/x/"] {
        let other = changed(|leaf| leaf.subject_alt_names = vec![uri(text)]);
        assert!(matches!(other, Err(X509Error::Id(_))), "{text}");
    }
}

#[test]
fn a_leaf_is_a_leaf() {
    let fault = |result: Result<String, X509Error>| match result {
        Err(X509Error::Leaf { problem }) => problem,
        other => panic!("{other:?}"),
    };
    let ca = changed(|leaf| leaf.is_ca = IsCa::Ca(rcgen::BasicConstraints::Unconstrained));
    assert_eq!(fault(ca), "it is an authority");
    assert_eq!(fault(changed(|leaf| leaf.key_usages.clear())), "it has no key usage");
    let lax = changed(|leaf| {
        leaf.key_usages.clear();
        leaf.custom_extensions.push(lax_key_usage());
    });
    assert_eq!(fault(lax), "its key usage is not critical");
    for usage in [KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign] {
        assert_eq!(
            fault(changed(|leaf| leaf.key_usages.push(usage))),
            "its key usage is not that of a leaf"
        );
    }
    let agreement = changed(|leaf| leaf.key_usages = vec![KeyUsagePurpose::KeyAgreement]);
    assert_eq!(fault(agreement), "its key usage is not that of a leaf");
    let server =
        changed(|leaf| leaf.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth]);
    assert_eq!(fault(server), "its extended key usage is not for both client and server");
}

#[test]
fn only_the_domains_own_bundle_counts() {
    let (a, b) = (authority("a.example"), authority("b.example"));
    let svid = a.svid(ID);
    // b's authority vouches for an id of a.
    let forged = b.svid(ID);
    let path = check(&[&forged.certificate], &bundle_of("a.example", &[&a]));
    assert!(matches!(path, Err(X509Error::Path { .. })));
    let other = check(&[&svid.certificate], &bundle_of("b.example", &[&a, &b]));
    assert_eq!(other, Err(X509Error::TrustDomain { found: "a.example".into() }));
}

#[test]
fn time_counts() {
    let past = changed(|leaf| leaf.not_after = date_time_ymd(2020, 1, 1));
    assert!(matches!(past, Err(X509Error::Path { .. })));
    let future = changed(|leaf| leaf.not_before = date_time_ymd(2090, 1, 1));
    assert!(matches!(future, Err(X509Error::Path { .. })));
}

#[test]
fn intermediates_sign_and_name_no_workload() {
    let root = authority("a.example");
    let known = bundle_of("a.example", &[&root]);
    let chain =
        |middle: &Authority| check(&[&middle.svid(ID).certificate, &middle.certificate], &known);
    assert_eq!(chain(&root.below("spiffe://a.example", |_| {})).unwrap(), ID);
    let fault = |middle: &Authority| match chain(middle) {
        Err(X509Error::Intermediate { problem }) => problem,
        other => panic!("{other:?}"),
    };
    assert_eq!(fault(&root.below("spiffe://a.example/agent", |_| {})), "it names a workload");
    assert_eq!(fault(&root.below("spiffe://b.example", |_| {})), "it is of another trust domain");
    let mute = root
        .below("spiffe://a.example", |params| params.key_usages = vec![KeyUsagePurpose::CrlSign]);
    assert_eq!(fault(&mute), "it may not sign certificates");
    // A leaf that signs another leaf.
    let middle = root.below("spiffe://a.example", |params| params.is_ca = IsCa::ExplicitNoCa);
    assert_eq!(fault(&middle), "it may not sign certificates");
}

#[test]
fn chains_are_short_and_readable() {
    let root = authority("a.example");
    let known = bundle_of("a.example", &[&root]);
    let svid = root.svid(ID);
    assert_eq!(check(&[], &known), Err(X509Error::Chain));
    let long = vec![&svid.certificate; CHAIN_MAX + 1];
    assert_eq!(check(&long, &known), Err(X509Error::Chain));
    let garbage = CertificateDer::from(vec![0x30, 0x03, 1, 2, 3]);
    assert_eq!(check(&[&garbage], &known), Err(X509Error::Unreadable));
    let trailing = CertificateDer::from([svid.certificate.as_ref(), &[0]].concat());
    assert_eq!(check(&[&trailing], &known), Err(X509Error::Unreadable));
}

fn served(authorities: &[&Authority]) -> (TempDir, Directory) {
    let folder = tempfile::tempdir().unwrap();
    let keys: Vec<String> = authorities.iter().map(|one| one.jwk()).collect();
    std::fs::write(folder.path().join("a.json"), bundle(&keys, 1)).unwrap();
    let trust = format!(
        "  a:\n    kind: spiffe\n    trust_domain: a.example\n    bundle: {{ file: a.json }}\n    \
         algorithms: [ES256]\n    audiences: ['{US}']\n    assurance: high\n    paths: [/agent/*]\n"
    );
    let directory = directory_in(&trust, folder.path());
    (folder, directory)
}

#[tokio::test]
async fn a_client_certificate_proves_and_is_named_by_its_thumbprint() {
    let root = authority("a.example");
    let (_folder, directory) = served(&[&root]);
    let svid = root.svid(ID);
    let chain = [svid.certificate.clone()];
    let proof =
        directory.prove(Presented::ClientCertificate { chain: &chain }, now()).await.unwrap();
    assert_eq!((proof.identity.as_str(), proof.method), (ID, ProofMethod::X509Svid));
    let thumbprint = Thumbprint::of(&svid.certificate);
    assert_eq!(proof.confirmation.x5t_s256, Some(thumbprint));
    assert_eq!(proof.token.as_str(), format!("x509:{thumbprint}"));
    let other = [root.svid("spiffe://a.example/agents/x").certificate];
    let refused = directory.prove(Presented::ClientCertificate { chain: &other }, now()).await;
    assert_eq!(refused.unwrap_err(), Refused::Unmapped { trust: "a".into() });
    let stranger = [authority("c.example").svid("spiffe://c.example/x").certificate];
    let refused = directory.prove(Presented::ClientCertificate { chain: &stranger }, now()).await;
    assert_eq!(
        refused.unwrap_err(),
        Refused::UnknownTrustDomain { trust_domain: "c.example".into() }
    );
}
