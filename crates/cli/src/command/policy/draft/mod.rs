//! Drafts of policies: how they differ from what is in force, what they would have said to what
//! was recorded, and what a first or a smaller policy would be.

pub(super) mod diff;
pub(super) mod learn;
mod past;
mod proof;
pub(crate) mod put;
pub(super) mod reduce;
mod report;
mod sets;

#[cfg(test)]
mod tests;
