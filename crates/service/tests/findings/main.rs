//! Findings over a whole estate: each appears, closes by itself, comes back, and can be exempt.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that cannot go on fails")]

mod bench;
mod credentials;
mod kept;
mod kinds;
mod people;
mod rights;
mod sampled;
