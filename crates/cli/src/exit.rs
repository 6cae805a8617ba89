//! Exit codes: one table for every command.

use std::process::ExitCode;

use crate::problem::Problem;

/// How a command ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Exit {
    /// It did what it was asked, or the answer is a Permit.
    Ok = 0,
    /// It failed.
    Failure = 1,
    /// A policy, the catalogue or the configuration is invalid.
    Invalid = 3,
    /// Tests failed.
    TestsFailed = 4,
    /// A token is needed, or the one given proves nothing.
    SignInNeeded = 5,
    /// The answer is a Deny.
    Denied = 10,
    /// The answer is a Deny that a person may lift.
    DeniedRequestable = 11,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

/// Why a command did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CommandError {
    /// Something that the user wrote is not valid: each problem on its own.
    #[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))]
    Invalid(Vec<Problem>),
    /// The server wants a token, or another one.
    #[error("{0}")]
    SignIn(String),
    /// The server decided, and the answer is no.
    #[error("{0}")]
    Denied(String),
    /// Anything else, with what to do about it.
    #[error("{0}")]
    Failed(String),
}

impl Exit {
    /// The code of an error.
    pub(crate) const fn of(error: &CommandError) -> Self {
        match error {
            CommandError::Invalid(_) => Self::Invalid,
            CommandError::SignIn(_) => Self::SignInNeeded,
            CommandError::Denied(_) => Self::Denied,
            CommandError::Failed(_) => Self::Failure,
        }
    }
}

/// What is not valid, each problem on its own.
pub(crate) fn invalid<P: Into<Problem>>(problems: impl IntoIterator<Item = P>) -> CommandError {
    CommandError::Invalid(problems.into_iter().map(Into::into).collect())
}

/// The same for one problem in words.
pub(crate) fn not_valid(problem: String) -> CommandError {
    invalid([problem])
}

/// An error with the words for what was being done.
pub(crate) fn failed(what: &str, error: impl std::fmt::Display) -> CommandError {
    CommandError::Failed(format!("{what}: {error}"))
}

/// The table, for `safeconduct explain exit-codes`.
pub(crate) const TABLE: &str = "\x20\
0  ok, or allowed
 1  failure
 2  usage
 3  policy, catalogue or configuration invalid
 4  tests failed
 5  sign-in needed
10  denied
11  denied, can be requested
";
