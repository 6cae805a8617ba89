//! The use-cases, one file each, and the ports that they need.
