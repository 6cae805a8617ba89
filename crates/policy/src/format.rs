//! Puts policy files in one layout.

use std::sync::Arc;

use cedar_policy_formatter::{Config, policies_str_to_pretty};

use crate::diagnostic::{LoadError, Located};
use crate::load;
use crate::nesting;
use crate::rego;
use crate::temporal;

/// The text in Cedar's layout, 100 columns wide. Comments stay. Rego files stay as they are:
/// `opa fmt` lays them out.
///
/// # Errors
/// [`LoadError`] where the text does not parse.
pub fn format(name: &Arc<str>, text: &str) -> Result<String, LoadError> {
    if rego::is_rego(name) {
        return Ok(text.to_owned());
    }
    nesting::with_stack(|| {
        if temporal::is_concerned(text) {
            return Ok(text.to_owned());
        }
        let located = Located::new(name, text);
        let mut problems = Vec::new();
        if load::parse(&located, &mut problems).is_none() {
            return Err(LoadError::new(problems));
        }
        let config = Config { line_width: 100, indent_width: 2 };
        policies_str_to_pretty(text, &config).map_err(|error| {
            let message = error.to_string();
            let problem = located.problem(crate::Severity::Error, (0, 0), message);
            LoadError::new(vec![problem])
        })
    })
}
