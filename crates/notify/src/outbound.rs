//! Port: HTTP to the outside. Crate `directory` has the one client that looks where it connects
//! to; the program wires it in.

use std::time::Duration;

use safeconduct_service::Awaited;
use safeconduct_wire::config::ReachForm;

/// What is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verb {
    /// `GET`.
    Get,
    /// `POST`.
    Post,
    /// `PATCH`.
    Patch,
    /// `DELETE`.
    Delete,
}

/// What is sent. It may hold secrets, so it has no `Debug`.
pub struct Request {
    /// What is done.
    pub verb: Verb,
    /// Where.
    pub url: String,
    /// Headers, by name.
    pub headers: Vec<(&'static str, String)>,
    /// The body.
    pub body: Vec<u8>,
    /// Longest answer that is read, in bytes.
    pub answer_bytes_max: usize,
    /// How long all of it may take.
    pub within: Duration,
}

/// What came back, whatever its status.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// After how many seconds the other side wants to be asked again.
    pub retry_after_s: Option<u32>,
    /// The body.
    pub body: Vec<u8>,
}

impl Answer {
    /// Whether it says that it was done.
    pub const fn is_success(&self) -> bool {
        self.status >= 200 && self.status < 300
    }

    /// Whether the same again would be refused again: the request is at fault, and it is none of
    /// those that pass with time.
    pub const fn is_final(&self) -> bool {
        self.status >= 400
            && self.status < 500
            && !matches!(self.status, 401 | 403 | 404 | 408 | 425 | 429)
    }
}

/// HTTP to the outside, under rules of where may be spoken to.
pub trait Outbound: Send + Sync + 'static {
    /// Sends a request. No redirect is followed.
    ///
    /// The error says, without secrets, why nothing came back.
    fn send<'a>(
        &'a self,
        request: Request,
        reach: &'a ReachForm,
    ) -> Awaited<'a, Result<Answer, String>>;
}
