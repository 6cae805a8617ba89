//! SPIFFE: ids, bundles, X.509-SVIDs, and where bundles come from. JWT-SVIDs are tokens as others
//! are; what is special about them is in [`crate::TrustRecord`].

mod bundle;
mod endpoint;
mod id;
mod workload_api;
mod x509;

pub use bundle::*;
pub use id::*;
pub use x509::*;

pub(crate) use endpoint::svid_authority;
pub(crate) use workload_api::{Update, WorkloadApiError, listen};
