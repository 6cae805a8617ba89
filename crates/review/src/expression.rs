//! What the author of a campaign asks of cases and reviewers, as a text.

use std::fmt;
use std::sync::Arc;

use thiserror::Error;

/// Longest expression, in bytes.
pub const EXPRESSION_BYTES_MAX: usize = 4096;

/// An expression of Cedar that is true or false of a case, or of a person and a case. It is kept as
/// it was written: what it means, and whether it means anything, is not known here.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Expression(Arc<str>);

impl Expression {
    /// The expression of that text, without the white space around it.
    ///
    /// # Errors
    /// [`ExpressionTextError`].
    pub fn new(text: &str) -> Result<Self, ExpressionTextError> {
        match text.trim() {
            "" => Err(ExpressionTextError::Empty),
            text if text.len() > EXPRESSION_BYTES_MAX => {
                Err(ExpressionTextError::TooLong(text.len()))
            }
            text => Ok(Self(text.into())),
        }
    }

    /// Its text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Expression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What an expression is asked of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ExpressionUse {
    /// Of a case: whether it is in the campaign.
    Scope,
    /// Of a person and a case: whether they review it.
    Reviewers,
}

/// Why a text is no expression: its author's fault.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ExpressionTextError {
    /// There is nothing in it.
    #[error("an expression is empty")]
    Empty,
    /// It is too long.
    #[error("an expression has at most {EXPRESSION_BYTES_MAX} bytes, and this one has {0}")]
    TooLong(usize),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_expression_is_neither_empty_nor_too_long() {
        assert_eq!(Expression::new(" true\n").unwrap().as_str(), "true");
        assert_eq!(Expression::new(" \n"), Err(ExpressionTextError::Empty));
        assert!(Expression::new(&"a".repeat(EXPRESSION_BYTES_MAX)).is_ok());
        let long = Expression::new(&"a".repeat(EXPRESSION_BYTES_MAX + 1));
        assert_eq!(long, Err(ExpressionTextError::TooLong(EXPRESSION_BYTES_MAX + 1)));
    }
}
