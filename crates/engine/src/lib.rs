//! The decision: five pure stages from a request and its facts to an outcome.
