//! The refusals that many operations share, for the description.

use std::collections::BTreeMap;

use utoipa::openapi::{ContentBuilder, Ref, RefOr, Response, ResponseBuilder};
use utoipa::{IntoResponses, ToSchema as _};

use crate::problem::ProblemForm;

/// What every operation answers to those who may not use it.
pub(crate) struct Refused;

/// What every operation that reads a body answers to one that it cannot use.
pub(crate) struct Unreadable;

/// What every operation with parameters answers to those that it cannot use.
pub(crate) struct Misasked;

impl IntoResponses for Refused {
    fn responses() -> BTreeMap<String, RefOr<Response>> {
        problems(&[
            ("401", "Nobody has proved who they are"),
            ("403", "The caller may not do this; the refusal is recorded"),
        ])
    }
}

impl IntoResponses for Unreadable {
    fn responses() -> BTreeMap<String, RefOr<Response>> {
        problems(&[
            ("400", "The body does not fit"),
            ("408", "The body did not come within 30 s"),
            ("413", "The body has more than 1 MiB"),
            ("415", "The content type is not `application/json`"),
        ])
    }
}

impl IntoResponses for Misasked {
    fn responses() -> BTreeMap<String, RefOr<Response>> {
        problems(&[("400", "A parameter does not fit")])
    }
}

fn problems(answers: &[(&str, &str)]) -> BTreeMap<String, RefOr<Response>> {
    let described = |(status, description): &(&str, &str)| {
        let schema = Ref::from_schema_name(ProblemForm::name());
        let content = ContentBuilder::new().schema(Some(schema)).build();
        let response =
            ResponseBuilder::new().description(*description).content("application/json", content);
        ((*status).to_owned(), RefOr::T(response.build()))
    };
    answers.iter().map(described).collect()
}
