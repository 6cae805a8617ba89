//! The run-time state that decisions look at.
