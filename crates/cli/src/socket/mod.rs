//! The Unix socket by which wrapped MCP servers join the one server of a user, so that they
//! share sessions and ledger.
//!
//! | step | who | what |
//! |---|---|---|
//! | 1 | wrapper | one line of JSON: [`Hello`] |
//! | 2 | server | one line of JSON: [`Answer`] |
//! | 3 | both | newline-delimited JSON-RPC, until either side ends |
//!
//! The folder of the socket is its owner's alone, and each side checks that the other is the
//! same user: whoever can speak here could read the data folder too. The peer acts as one agent
//! of the configuration, with the session of that agent on this machine.

mod hello;
mod join;
mod listen;
mod place;
mod wrapped;

pub(crate) use hello::{Answer, Hello, VERSION};
pub(crate) use join::{Ended, join, pump};
pub(crate) use listen::{Door, idle, listen};
pub(crate) use place::{absolute, path};
