//! Order and count rules: `when temporal { … }` of Dogwood in policy files.

pub(crate) mod formula;

#[cfg(test)]
mod corpus;
#[cfg(test)]
mod mask;
