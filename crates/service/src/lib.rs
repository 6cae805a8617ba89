//! The use-cases of Safeconduct, one file each, and the ports that they need.
mod ports;
pub use ports::*;
