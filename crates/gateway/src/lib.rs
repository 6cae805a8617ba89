//! The MCP gateway: it stands between MCP clients and MCP servers, and no call goes upstream
//! without a permit.
//!
//! Client side: streamable HTTP at `/mcp/NAME` ([`Gateway::router`]) and one stream of lines
//! ([`Gateway::serve_stream`]). Upstream side: child processes and streamable HTTP. Both sides
//! speak the revisions 2025-06-18, 2025-11-25 and 2026-07-28.
//!
//! A message is read strictly ([`message`]), the table ([`methods`]) says what happens to its
//! method, a gated one is decided on, and what is forwarded is one serialisation of the very
//! value that was decided on, with obligations as its only edits. Each permit that is used ends
//! in exactly one reported outcome. What goes upstream beside what was asked is what the protocol
//! gives a meaning: of `_meta`, the token for progress, a trace context, and the protocol's own
//! `io.modelcontextprotocol/…`; everything else is dropped. What a client gives back to a server
//! that asked for input is part of the question, and so is which of it was asked for.
//!
//! A request belongs to the task that it names (`Safeconduct-Task`), or to the one that is
//! attached to its credential; an agent begins and ends one by the tools `safeconduct_begin_task`
//! and `safeconduct_end_task`, which stand beside an upstream's own where the project has intents.
//! Tasks share no conversation with an upstream that remembers anything of it. Where an authority
//! ends, what rests on it is cut at that moment: calls under way, streams, conversations. Secrets
//! that an upstream needs ([`Injections`]) are put into what goes there and taken out of what
//! comes back.
//!
//! Where people may set aside what denies a call, the denial names the request that was made of
//! it, and the same call goes through once after they approved, in whatever session it comes; a
//! client that can is asked to open the page of the request. The agent asks by itself and looks
//! with `safeconduct_request_approval` and `safeconduct_approval_status`.
//!
//! What this crate deliberately does not do: it decides nothing (crates `service` and `pep`), it
//! reads no configuration, file or environment (crate `cli`), it opens no listening socket, and
//! it never hands a client's credential to a server, and keeps no secret but for the conversation
//! that it is for.
//!
//! ```
//! use safeconduct_gateway::{Revision, message, methods};
//! use methods::{Direction, Form, Rule, classify};
//!
//! let message = message::parse(br#"{"jsonrpc":"2.0","id":1,"method":"tools/call"}"#)?;
//! let message::Message::Request(request) = message else { panic!("it is a request") };
//! let revision = Revision::V2025_11_25;
//! let rule = classify(Direction::ToServer, Form::Request, revision, &request.method);
//! assert_eq!(rule, Rule::Gated);
//!
//! // Two members of one name could be read in two ways, so nobody reads them.
//! assert!(message::parse(br#"{"jsonrpc":"2.0","id":1,"id":2,"method":"ping"}"#).is_err());
//! # Ok::<(), safeconduct_gateway::message::FramingError>(())
//! ```

pub mod action;
mod approval_tools;
mod approvals;
mod authority;
mod backend;
mod config;
pub mod denial;
mod edit;
mod endings;
mod front;
mod gateway;
mod given;
pub mod headers;
mod hearing;
mod id_scan;
mod inject;
mod inputs;
mod list_tools;
mod listing;
pub mod message;
mod meta;
pub mod methods;
mod notify;
pub mod obligation;
mod passage;
mod probe;
mod reading;
mod related;
mod reply;
mod revision;
mod session;
mod sessions;
mod side;
mod sse;
mod task_tools;
mod translate;
mod upstream;

pub use authority::{Authority, Begun, DefinitionsError};
pub use config::{Approvals, GatewayConfig, Limits, Transport, UpstreamConfig};
pub use front::{ProtectedResource, ResourceError, StreamError};
pub use gateway::{AddError, Gateway, UpstreamStatus};
pub use inject::{Injected, Injections, NoSecrets, Secrets};
pub use list_tools::{Described, ListToolsError, describe_server, list_tools};
pub use revision::{Era, Revision};
pub use sessions::SESSIONS_MAX;
