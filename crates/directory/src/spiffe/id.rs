//! SPIFFE IDs (SPIFFE-ID section 2), and patterns over their paths.

use std::fmt;
use std::sync::Arc;

/// Longest SPIFFE ID, in bytes (SPIFFE-ID section 2.3).
pub const ID_BYTES_MAX: usize = 2048;
/// Longest name of a trust domain, in bytes.
pub const TRUST_DOMAIN_BYTES_MAX: usize = 255;

/// Why a text is no SPIFFE ID.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SpiffeIdError {
    /// More than 2048 bytes.
    #[error("a SPIFFE ID has at most {ID_BYTES_MAX} bytes")]
    TooLong,
    /// It does not begin with `spiffe://`.
    #[error("a SPIFFE ID begins with `spiffe://`")]
    Scheme,
    /// The trust domain is empty, too long, or has other characters.
    #[error("a trust domain has 1 to 255 of the characters `a-z0-9._-`, and no port or user")]
    TrustDomain,
    /// A segment is empty, `.` or `..`, or has other characters.
    #[error("a path has segments of `A-Za-z0-9._-`, none empty, `.` or `..`")]
    Path,
    /// It names a trust domain where it should name a workload.
    #[error("this is the id of a trust domain, not of a workload")]
    NoPath,
}

/// The name of a trust domain: lower case, compared byte for byte.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TrustDomain(Arc<str>);

impl TrustDomain {
    /// Reads a name: `example.org`.
    ///
    /// # Errors
    /// [`SpiffeIdError::TrustDomain`].
    pub fn parse(text: &str) -> Result<Self, SpiffeIdError> {
        let fits = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b"._-".contains(&b);
        let ok = (1..=TRUST_DOMAIN_BYTES_MAX).contains(&text.len()) && text.bytes().all(fits);
        if ok { Ok(Self(text.into())) } else { Err(SpiffeIdError::TrustDomain) }
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for TrustDomain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for TrustDomain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

/// A SPIFFE ID. Nothing in it is folded or decoded: two are the same if their bytes are.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SpiffeId {
    trust_domain: TrustDomain,
    /// Empty, or `/` and segments.
    path: Arc<str>,
}

impl SpiffeId {
    /// Reads an id of a workload or of a trust domain. Stricter than the specification in one
    /// thing: it must come in its normal form, so capitals in scheme or trust domain are refused.
    ///
    /// # Errors
    /// [`SpiffeIdError`].
    pub fn parse(text: &str) -> Result<Self, SpiffeIdError> {
        if text.len() > ID_BYTES_MAX {
            return Err(SpiffeIdError::TooLong);
        }
        let rest = text.strip_prefix("spiffe://").ok_or(SpiffeIdError::Scheme)?;
        let (domain, path) = match rest.find('/').and_then(|slash| rest.split_at_checked(slash)) {
            Some((domain, path)) => (domain, path),
            None => (rest, ""),
        };
        let trust_domain = TrustDomain::parse(domain)?;
        if !path.split('/').skip(1).all(is_segment) {
            return Err(SpiffeIdError::Path);
        }
        Ok(Self { trust_domain, path: path.into() })
    }

    /// Reads the id of a workload: one with a path.
    ///
    /// # Errors
    /// [`SpiffeIdError`].
    pub fn parse_workload(text: &str) -> Result<Self, SpiffeIdError> {
        let id = Self::parse(text)?;
        if id.path.is_empty() { Err(SpiffeIdError::NoPath) } else { Ok(id) }
    }

    /// Its trust domain.
    pub const fn trust_domain(&self) -> &TrustDomain {
        &self.trust_domain
    }

    /// Its path: empty, or `/` and segments.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// The segments of its path.
    pub fn segments(&self) -> impl Iterator<Item = &str> {
        self.path.split('/').skip(1)
    }
}

fn is_segment(text: &str) -> bool {
    let fits = |b: u8| b.is_ascii_alphanumeric() || b"._-".contains(&b);
    !text.is_empty() && text != "." && text != ".." && text.bytes().all(fits)
}

impl fmt::Display for SpiffeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "spiffe://{}{}", self.trust_domain, self.path)
    }
}

impl fmt::Debug for SpiffeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{self}\"")
    }
}

/// A pattern over paths, segment by segment: `/agent/*` fits `/agent/a` and neither `/agents/a`
/// nor `/agent/a/b`; `/agent/**` fits everything below `/agent`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PathPattern {
    segments: Vec<Option<String>>,
    open: bool,
}

impl PathPattern {
    /// Reads a pattern; `**` may stand at its end only.
    ///
    /// # Errors
    /// [`SpiffeIdError::Path`].
    pub fn parse(text: &str) -> Result<Self, SpiffeIdError> {
        let rest = text.strip_prefix('/').ok_or(SpiffeIdError::Path)?;
        let (fixed, open) = match rest.strip_suffix("**") {
            Some("") => return Ok(Self { segments: Vec::new(), open: true }),
            Some(fixed) => (fixed.strip_suffix('/').ok_or(SpiffeIdError::Path)?, true),
            None => (rest, false),
        };
        let segment = |text: &str| match text {
            "*" => Ok(None),
            text if is_segment(text) => Ok(Some(text.to_owned())),
            _ => Err(SpiffeIdError::Path),
        };
        let segments: Result<_, _> = fixed.split('/').map(segment).collect();
        Ok(Self { segments: segments?, open })
    }

    /// Whether the id's path fits.
    pub fn fits(&self, id: &SpiffeId) -> bool {
        let mut segments = id.segments();
        let fixed = self.segments.iter().all(|wanted| match (segments.next(), wanted) {
            (Some(_), None) => true,
            (Some(found), Some(wanted)) => found == wanted,
            (None, _) => false,
        });
        // `**` stands for one segment or more.
        fixed && segments.next().is_some() == self.open
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_matched_by_segments_and_never_by_prefix() {
        let id = |path: &str| SpiffeId::parse(&format!("spiffe://a.example{path}")).unwrap();
        let fits = |pattern: &str, path: &str| PathPattern::parse(pattern).unwrap().fits(&id(path));
        assert!(fits("/agent/a", "/agent/a"));
        for path in ["/agent/ab", "/agent", "/agent/a/b", "/Agent/a", "/agents/a"] {
            assert!(!fits("/agent/a", path), "{path}");
        }
        assert!(fits("/agent/*", "/agent/ab"));
        assert!(!fits("/agent/*", "/agent/a/b"));
        assert!(!fits("/agent/*", "/agentx/a"));
        assert!(fits("/agent/**", "/agent/a/b"));
        assert!(!fits("/agent/**", "/agent"));
        assert!(!fits("/agent/**", "/agentx/b"));
        assert!(fits("/**", "/x"));
        assert!(!fits("/**", ""));
        for pattern in ["", "agent", "/", "/a/", "/a**", "/**/a", "/a/./b", "//", "/a*"] {
            assert!(PathPattern::parse(pattern).is_err(), "{pattern}");
        }
    }

    #[test]
    fn the_trust_domain_is_not_folded_and_the_path_keeps_its_case() {
        assert_eq!(SpiffeId::parse("spiffe://A.example/x"), Err(SpiffeIdError::TrustDomain));
        assert_eq!(SpiffeId::parse("SPIFFE://a.example/x"), Err(SpiffeIdError::Scheme));
        let upper = SpiffeId::parse("spiffe://a.example/X").unwrap();
        assert_ne!(upper, SpiffeId::parse("spiffe://a.example/x").unwrap());
    }

    #[test]
    fn a_workload_has_a_path() {
        assert_eq!(SpiffeId::parse_workload("spiffe://a.example"), Err(SpiffeIdError::NoPath));
        let longest = format!("spiffe://a.example/{}", "x".repeat(ID_BYTES_MAX - 19));
        assert_eq!(longest.len(), ID_BYTES_MAX);
        assert!(SpiffeId::parse(&longest).is_ok());
        assert_eq!(SpiffeId::parse(&format!("{longest}x")), Err(SpiffeIdError::TooLong));
    }

    #[test]
    fn the_list_of_ids_is_judged_as_the_specification_does() {
        let list =
            format!("{}/../../../shared/evals/spiffe/spiffe_ids.jsonl", env!("CARGO_MANIFEST_DIR"));
        let Ok(text) = std::fs::read_to_string(list) else {
            println!("skipped: no ../shared/evals/spiffe beside the work tree");
            return;
        };
        assert!(text.lines().count() >= 20);
        for line in text.lines() {
            let case: serde_json::Value = serde_json::from_str(line).unwrap();
            let id = case["id"].as_str().unwrap();
            let valid = case["valid_per_spec"].as_bool().unwrap();
            assert_eq!(SpiffeId::parse(id).is_ok(), valid, "{id}");
        }
    }

    proptest::proptest! {
        #[test]
        fn what_is_read_is_written_back(text in "(spiffe://)?[a-zA-Z0-9._/:@%?#-]{0,60}") {
            if let Ok(id) = SpiffeId::parse(&text) {
                proptest::prop_assert_eq!(id.to_string(), text);
                proptest::prop_assert!(!id.path().ends_with('/'));
            }
        }
    }
}
