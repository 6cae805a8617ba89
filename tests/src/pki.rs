//! Authorities, server certificates and SVIDs.

use std::process::{Command, Output};

use base64::Engine as _;
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, SanType,
};
use serde_json::{Value as Json, json};

use crate::project::Project;

/// An authority of a trust domain.
pub struct Authority {
    der: Vec<u8>,
    pem: String,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    /// A new one.
    pub fn new(trust_domain: &str) -> Self {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        params.subject_alt_names = vec![uri(&format!("spiffe://{trust_domain}"))];
        let certificate = params.self_signed(&key).unwrap();
        let (der, pem) = (certificate.der().to_vec(), certificate.pem());
        Self { der, pem, issuer: Issuer::new(params, key) }
    }

    /// Its certificate in PEM.
    pub fn pem(&self) -> &str {
        &self.pem
    }

    /// It as the only key of its domain's bundle.
    pub fn bundle(&self) -> Json {
        let x5c = base64::engine::general_purpose::STANDARD.encode(&self.der);
        json!({ "keys": [{ "kty": "EC", "crv": "P-256", "use": "x509-svid", "x": "", "y": "",
            "x5c": [x5c] }], "spiffe_sequence": 1 })
    }

    /// Writes an SVID of that id as `NAME.pem` and `NAME.key`.
    pub fn svid(&self, project: &Project, name: &str, id: &str) {
        let mut params = CertificateParams::default();
        params.subject_alt_names = vec![uri(id)];
        self.leaf(project, name, params);
    }

    /// What tokens are bound to that are bound to the SVID `NAME.pem` (`x5t#S256`).
    pub fn thumbprint(&self, project: &Project, name: &str) -> String {
        let pem = std::fs::read_to_string(project.path(&format!("{name}.pem"))).unwrap();
        let text: String = pem.lines().filter(|line| !line.starts_with('-')).collect();
        let der = base64::engine::general_purpose::STANDARD.decode(text).unwrap();
        safeconduct_credential::jose::Thumbprint::of(&der).to_string()
    }

    /// Writes a certificate of a server on this machine as `NAME.pem` and `NAME.key`.
    pub fn server(&self, project: &Project, name: &str) {
        self.leaf(project, name, CertificateParams::new(["localhost".to_owned()]).unwrap());
    }

    fn leaf(&self, project: &Project, name: &str, mut params: CertificateParams) {
        let key = KeyPair::generate().unwrap();
        // Another name than the authority's, or it looks as if it had signed itself.
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::ExplicitNoCa;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages =
            vec![ExtendedKeyUsagePurpose::ClientAuth, ExtendedKeyUsagePurpose::ServerAuth];
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        project.write(&format!("{name}.pem"), &certificate.pem());
        project.write(&format!("{name}.key"), &key.serialize_pem());
    }
}

fn uri(text: &str) -> SanType {
    SanType::URI(text.try_into().unwrap())
}

/// An answer as `curl` saw it.
#[derive(Debug)]
pub struct Answer {
    /// Its status; 0 where there is none.
    pub status: u16,
    /// Its headers, names in lower case.
    pub headers: Vec<(String, String)>,
    /// Its body, or what `curl` complains of.
    pub body: String,
}

impl Answer {
    /// All values of a header.
    pub fn all(&self, name: &str) -> Vec<&str> {
        let found = self.headers.iter().filter(|(known, _)| known == name);
        found.map(|(_, value)| value.as_str()).collect()
    }

    /// The first value of a header; empty where it is not there.
    pub fn header(&self, name: &str) -> &str {
        self.all(name).first().copied().unwrap_or_default()
    }

    /// The body.
    pub fn json(&self) -> Json {
        serde_json::from_str(&self.body).unwrap_or_else(|_| panic!("no JSON: {self:?}"))
    }
}

/// As [`curl`], with the headers of the answer.
pub fn ask(project: &Project, port: u16, path: &str, args: &[&str]) -> Answer {
    let head = project.path("answer.head");
    let _ = std::fs::remove_file(&head);
    let dump = ["--dump-header", "answer.head"];
    let (status, body) = curl(project, port, path, &[&dump, args].concat());
    let text = std::fs::read_to_string(head).unwrap_or_default();
    let headers = text.lines().filter_map(|line| line.split_once(':'));
    let headers = headers.map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()));
    Answer { status, headers: headers.collect(), body }
}

/// Asks with `curl`, which knows nothing of us: the status (0 where there is none) and the body.
pub fn curl(project: &Project, port: u16, path: &str, args: &[&str]) -> (u16, String) {
    let Output { stdout, stderr, .. } = Command::new("curl")
        .current_dir(project.folder())
        .args(["--silent", "--show-error", "--max-time", "20", "--write-out", "\n%{http_code}"])
        .args(args)
        .arg(format!("https://localhost:{port}{path}"))
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&stdout).into_owned();
    let (body, status) = text.rsplit_once('\n').unwrap();
    let status = status.parse().unwrap();
    let body =
        if status == 0 { String::from_utf8_lossy(&stderr).into_owned() } else { body.into() };
    (status, body)
}
