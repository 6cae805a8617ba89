//! Cedar policies: load, validate, index by scope, evaluate with reasons.
