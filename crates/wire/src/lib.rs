//! The public forms: strict JSON, AuthZEN, catalogue; parsing into the model.
