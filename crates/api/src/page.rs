//! Lists in pages.

use axum::extract::Query;
use http::Uri;
use safeconduct_service::PAGE_RECORDS_MAX;
use serde::de::DeserializeOwned;

use crate::problem::Problem;

/// How many entries a page has where nothing is said.
const LIMIT_DEFAULT: usize = 100;

/// Most entries of a page.
pub(crate) const LIMIT_MAX: usize = PAGE_RECORDS_MAX;

/// The parameters of a question.
pub(crate) fn query<T: DeserializeOwned>(uri: &Uri) -> Result<T, Problem> {
    Query::try_from_uri(uri)
        .map(|Query(query)| query)
        .map_err(|error| Problem::invalid(error.body_text()))
}

/// How many entries are wanted.
pub(crate) fn limit(wanted: Option<usize>) -> Result<usize, Problem> {
    match wanted.unwrap_or(LIMIT_DEFAULT) {
        limit @ 1..=LIMIT_MAX => Ok(limit),
        _ => Err(Problem::invalid(format!("`limit` must be 1 to {LIMIT_MAX}"))),
    }
}

/// The first `limit` of what is left, and the name of the last one where there are more.
pub(crate) fn page_of<T>(
    found: impl IntoIterator<Item = T>,
    limit: usize,
    name: impl Fn(&T) -> String,
) -> (Vec<T>, Option<String>) {
    let mut found = found.into_iter();
    let page: Vec<T> = found.by_ref().take(limit).collect();
    let next = found.next().and_then(|_| page.last().map(name));
    (page, next)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_names_the_next_only_where_there_is_one() {
        let name = |n: &i32| n.to_string();
        assert_eq!(page_of([1, 2, 3], 2, name), (vec![1, 2], Some("2".into())));
        assert_eq!(page_of([1, 2], 2, name), (vec![1, 2], None));
        assert_eq!(page_of([], 2, name), (vec![], None));
    }

    #[test]
    fn a_limit_is_held() {
        assert_eq!(limit(None), Ok(LIMIT_DEFAULT));
        assert_eq!(limit(Some(LIMIT_MAX)), Ok(LIMIT_MAX));
        assert!(limit(Some(0)).is_err());
        assert!(limit(Some(LIMIT_MAX + 1)).is_err());
    }
}
