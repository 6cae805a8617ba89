//! Static secrets on their way: put into the call to one upstream, and taken out of whatever
//! comes back. The agent never sees one.
//!
//! An [`Injection`] says where a secret goes and is bound to the one upstream that it is for. A
//! [`Scrubber`] finds the secret in results, errors and logs. Scrubbing is the second net, not
//! the first: an upstream that sets out to leak a secret can always write it in a way that
//! nobody looks for.

mod place;
mod scrub;
mod stream;
mod view;

pub use place::*;
pub use scrub::*;
pub use stream::*;

#[cfg(test)]
mod tests;
