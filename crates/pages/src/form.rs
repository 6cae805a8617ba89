//! What forms and addresses carry: names and values, each name once.

use std::collections::BTreeMap;
use std::time::Duration;

use axum::body::Body;
use http_body_util::{BodyExt as _, Limited};

/// Longest form, in bytes.
pub const FORM_BYTES_MAX: usize = 64 * 1024;

/// Most fields of a form.
const FIELDS_MAX: usize = 64;

/// How long a form may take to come.
const FORM_TIMEOUT: Duration = Duration::from_secs(10);

/// Fields by name.
#[derive(Debug, Default)]
pub(crate) struct Form(BTreeMap<String, String>);

/// It cannot be read, comes too slowly, is too long, or has a field twice.
#[derive(Debug)]
pub(crate) struct NoForm;

impl Form {
    /// Of `a=1&b=2`. A field that is there twice would be read in two ways.
    pub(crate) fn parse(bytes: &[u8]) -> Result<Self, NoForm> {
        let mut fields = BTreeMap::new();
        for (name, value) in url::form_urlencoded::parse(bytes) {
            let twice = fields.insert(name.into_owned(), value.into_owned()).is_some();
            if twice || fields.len() > FIELDS_MAX {
                return Err(NoForm);
            }
        }
        Ok(Self(fields))
    }

    /// Of a request's body.
    pub(crate) async fn read(body: Body) -> Result<Self, NoForm> {
        let read = Limited::new(body, FORM_BYTES_MAX).collect();
        let bytes = tokio::time::timeout(FORM_TIMEOUT, read).await.map_err(|_| NoForm)?;
        Self::parse(&bytes.map_err(|_| NoForm)?.to_bytes())
    }

    /// The value of a field; empty where there is none.
    pub(crate) fn text(&self, name: &str) -> &str {
        self.0.get(name).map_or("", String::as_str)
    }

    /// Whether there is such a field.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }

    /// The fields whose names begin so, without that beginning, that are not blank.
    pub(crate) fn beginning<'a>(
        &'a self,
        prefix: &'a str,
    ) -> impl Iterator<Item = (&'a str, &'a str)> {
        let fields = self
            .0
            .iter()
            .filter_map(move |(name, value)| Some((name.strip_prefix(prefix)?, value.trim())));
        fields.filter(|(_, value)| !value.is_empty())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_is_there_once() {
        let form = Form::parse(b"a=1&b=%3Cx%3E+y&most%3A%2Fn=3&most%3A%2Fm=+").unwrap();
        assert_eq!((form.text("a"), form.text("b"), form.text("c")), ("1", "<x> y", ""));
        assert_eq!(form.beginning("most:").collect::<Vec<_>>(), [("/n", "3")]);
        assert!(Form::parse(b"a=1&a=1").is_err());
        assert!(Form::parse(b"a=1&%61=2").is_err());
        let many: String = (0..=FIELDS_MAX).map(|n| format!("f{n}=&")).collect();
        assert!(Form::parse(many.as_bytes()).is_err());
    }

    #[tokio::test(start_paused = true)]
    async fn a_form_is_short_and_comes_soon() {
        assert!(Form::read(Body::from(vec![b'a'; FORM_BYTES_MAX])).await.is_ok());
        assert!(Form::read(Body::from(vec![b'a'; FORM_BYTES_MAX + 1])).await.is_err());
    }
}
