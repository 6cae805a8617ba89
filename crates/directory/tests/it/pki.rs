//! Authorities and SVIDs for tests.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rcgen::{
    BasicConstraints, CertificateParams, CustomExtension, ExtendedKeyUsagePurpose, IsCa, Issuer,
    KeyPair, KeyUsagePurpose, SanType,
};
use rustls::pki_types::CertificateDer;

/// An authority that signs SVIDs.
pub(crate) struct Authority {
    pub(crate) certificate: CertificateDer<'static>,
    issuer: Issuer<'static, KeyPair>,
}

/// An SVID with its key.
pub(crate) struct Svid {
    pub(crate) certificate: CertificateDer<'static>,
    pub(crate) key: KeyPair,
}

pub(crate) fn authority(trust_domain: &str) -> Authority {
    let key = KeyPair::generate().unwrap();
    let params = authority_params(&format!("spiffe://{trust_domain}"));
    let certificate = params.self_signed(&key).unwrap().der().clone();
    Authority { certificate, issuer: Issuer::new(params, key) }
}

fn authority_params(uri: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params.subject_alt_names = vec![SanType::URI(uri.try_into().unwrap())];
    params
}

/// What a good leaf has.
pub(crate) fn leaf(id: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::ExplicitNoCa;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages =
        vec![ExtendedKeyUsagePurpose::ClientAuth, ExtendedKeyUsagePurpose::ServerAuth];
    params.subject_alt_names = vec![SanType::URI(id.try_into().unwrap())];
    params
}

/// A key usage that is not critical.
pub(crate) fn lax_key_usage() -> CustomExtension {
    // BIT STRING with digitalSignature alone.
    CustomExtension::from_oid_content(&[2, 5, 29, 15], vec![0x03, 0x02, 0x07, 0x80])
}

impl Authority {
    pub(crate) fn issue(&self, params: &CertificateParams) -> Svid {
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap().der().clone();
        Svid { certificate, key }
    }

    pub(crate) fn svid(&self, id: &str) -> Svid {
        self.issue(&leaf(id))
    }

    /// An authority below this one, with that URI.
    pub(crate) fn below(
        &self,
        uri: &str,
        change: impl FnOnce(&mut CertificateParams),
    ) -> Authority {
        let key = KeyPair::generate().unwrap();
        let mut params = authority_params(uri);
        // Names tell issuers apart when a path is looked for.
        params.distinguished_name.push(rcgen::DnType::CommonName, "intermediate");
        change(&mut params);
        let certificate = params.signed_by(&key, &self.issuer).unwrap().der().clone();
        Authority { certificate, issuer: Issuer::new(params, key) }
    }

    /// It as a key of a SPIFFE bundle.
    pub(crate) fn jwk(&self) -> String {
        let x5c = STANDARD.encode(&self.certificate);
        format!(r#"{{"kty":"EC","crv":"P-256","use":"x509-svid","x":"","y":"","x5c":["{x5c}"]}}"#)
    }
}

/// A signing key as one of a SPIFFE bundle.
pub(crate) fn jwt_svid_jwk(key: &safeconduct_credential::jose::SigningKey) -> String {
    crate::jwks(&[key])
        .replace("\"sig\"", "\"jwt-svid\"")
        .replace("{\"keys\":[", "")
        .replace("]}", "")
}

/// A SPIFFE bundle of these keys.
pub(crate) fn bundle(keys: &[String], sequence: u64) -> String {
    format!(
        r#"{{"keys":[{}],"spiffe_sequence":{sequence},"spiffe_refresh_hint":60}}"#,
        keys.join(",")
    )
}
