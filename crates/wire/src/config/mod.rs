//! `safeconduct.yaml`: what one server serves, where it keeps it, and who may ask.
//!
//! Nothing is read here but the text: environment variables are named, never looked up, and paths
//! are joined to the file's folder, never opened.
//!
//! ```
//! use std::path::Path;
//! use safeconduct_wire::config;
//!
//! let config = config::parse("safeconduct.yaml", "
//! version: 1
//! upstreams:
//!   files:
//!     stdio: { command: npx, args: [-y, '@modelcontextprotocol/server-filesystem', /srv/cases] }
//! ", Path::new("/etc/safeconduct")).unwrap();
//! assert_eq!(config.listen.to_string(), "127.0.0.1:7411");
//! assert_eq!(config.data, Path::new("/etc/safeconduct/data"));
//!
//! let problems = config::parse("safeconduct.yaml", "version: 1\nlitsen: x", Path::new("/")).unwrap_err();
//! assert_eq!(
//!     problems[0].to_string(),
//!     "safeconduct.yaml:2:1: unknown key `litsen` (did you mean `listen`?)",
//! );
//! ```

mod findings;
mod form;
mod notify;
mod notify_form;
mod plain;
mod read;
mod risk;
mod sign_in;
mod signals;
mod signals_form;
mod signals_read;
mod targets;
mod targets_form;
mod targets_read;
mod tls;
mod token_service;
mod token_service_form;
mod token_service_read;
mod trust;

pub use findings::*;
pub use form::*;
pub use notify::*;
pub use notify_form::{ChannelForm, MailForm, NotifyForm, SlackForm, WebhookOutForm};
pub use plain::*;
pub use read::*;
pub use risk::*;
pub use sign_in::{SignIn, SignInForm};
pub use signals::*;
pub use signals_form::{SignalsForm, StreamForm, TransmitterForm, WebhookForm};
pub use targets::*;
pub use targets_form::{
    AgeForm, PostgresForm, PrivilegesForm, SecretUseForm, TargetForm, VaultForm,
};
pub use tls::*;
pub use token_service::*;
pub use token_service_form::{TokenClientForm, TokenResourceForm, TokenServiceForm};
pub use trust::*;

#[cfg(test)]
mod targets_tests;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod trust_tests;
