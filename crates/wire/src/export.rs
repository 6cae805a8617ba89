//! Records in the forms that others read: events of OCSF 1.8, and CloudEvents 1.0.
//!
//! Nothing is in them that is not in the record, and so no value of an argument or a result. Both
//! are lines: one record makes one, whatever came before it.

mod cloudevents;
mod ocsf;

pub use cloudevents::cloud_event;
pub use ocsf::{OCSF_VERSION, ocsf};
