//! Server-sent events: taken apart as bytes arrive, put together for a client. No IO.

use std::time::Duration;

/// One event.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Event {
    /// Its data; lines are joined by a line feed.
    pub(crate) data: Vec<u8>,
    /// Its id, to resume after.
    pub(crate) id: Option<String>,
    /// How long to wait before a new connection.
    pub(crate) retry: Option<Duration>,
}

/// An event is longer than the limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TooLong;

/// Takes a stream apart. Holds at most one event of `limit` bytes.
#[derive(Debug)]
pub(crate) struct Parser {
    line: Vec<u8>,
    event: Event,
    limit: usize,
    after_cr: bool,
    any: bool,
}

/// Longest wait that a server may ask for.
const RETRY_MAX: Duration = Duration::from_secs(10);

impl Parser {
    pub(crate) fn new(limit: usize) -> Self {
        Self { line: Vec::new(), event: Event::default(), limit, after_cr: false, any: false }
    }

    /// Takes bytes in, and gives the events that they complete.
    pub(crate) fn feed(&mut self, bytes: &[u8], events: &mut Vec<Event>) -> Result<(), TooLong> {
        let mut rest = bytes;
        while let Some((&first, tail)) = rest.split_first() {
            if std::mem::take(&mut self.after_cr) && first == b'\n' {
                rest = tail;
                continue;
            }
            let end = rest.iter().position(|b| matches!(b, b'\n' | b'\r'));
            let (head, after) = rest.split_at(end.unwrap_or(rest.len()));
            if self.line.len() + self.event.data.len() + head.len() > self.limit {
                return Err(TooLong);
            }
            self.line.extend_from_slice(head);
            let Some((&terminator, after)) = after.split_first() else {
                return Ok(());
            };
            self.after_cr = terminator == b'\r';
            events.extend(self.line_ended());
            rest = after;
        }
        Ok(())
    }

    fn line_ended(&mut self) -> Option<Event> {
        let line = std::mem::take(&mut self.line);
        if line.is_empty() {
            let event = std::mem::take(&mut self.event);
            return std::mem::take(&mut self.any).then_some(event);
        }
        let colon = line.iter().position(|b| *b == b':').unwrap_or(line.len());
        let (field, value) = line.split_at(colon);
        let value = value.strip_prefix(b":").unwrap_or(value);
        let value = value.strip_prefix(b" ").unwrap_or(value);
        let text = || std::str::from_utf8(value).ok();
        match field {
            b"data" => {
                if !self.event.data.is_empty() {
                    self.event.data.push(b'\n');
                }
                self.event.data.extend_from_slice(value);
                self.any = true;
            }
            b"id" => {
                self.event.id = text().filter(|id| id.len() <= 1024).map(str::to_owned);
                self.any = true;
            }
            b"retry" => {
                let wait = text().and_then(|text| text.parse().ok()).map(Duration::from_millis);
                self.event.retry = wait.map(|wait| wait.min(RETRY_MAX));
                self.any = true;
            }
            _ => {}
        }
        None
    }
}

/// An event that carries one message, which has no line breaks in it.
pub(crate) fn event(message: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(message.len() + 24);
    out.extend_from_slice(b"event: message\ndata: ");
    out.extend_from_slice(message);
    out.extend_from_slice(b"\n\n");
    out
}

/// A comment that keeps a quiet stream open.
pub(crate) const KEEP_ALIVE: &[u8] = b":\n\n";

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn parse(bytes: &[u8]) -> Vec<Event> {
        let mut events = Vec::new();
        Parser::new(1000).feed(bytes, &mut events).unwrap();
        events
    }

    #[test]
    fn events_are_found_whatever_ends_a_line() {
        for text in
            ["data: a\n\n", "data: a\r\n\r\n", "data:a\r\r", ": c\nevent: message\ndata: a\n\n"]
        {
            let events = parse(text.as_bytes());
            assert_eq!(events.len(), 1, "{text:?}");
            assert_eq!(events.first().map(|e| e.data.as_slice()), Some(&b"a"[..]));
        }
        assert!(parse(b":\n\n: x\n\n").is_empty());
        let events = parse(b"id: 7\nretry: 99999999\ndata:\n\n");
        let event = events.first().unwrap();
        assert_eq!((event.id.as_deref(), event.retry), (Some("7"), Some(RETRY_MAX)));
    }

    #[test]
    fn a_long_event_is_refused() {
        let mut parser = Parser::new(10);
        assert_eq!(parser.feed(b"data: 0123456789", &mut Vec::new()), Err(TooLong));
    }

    proptest! {
        #[test]
        fn cuts_do_not_matter(text in "(data: [a-z]{0,5}(\r\n|\n|\r)|id: [0-9](\n|\r\n)|(\n|\r\n)){0,12}",
                              cut in 0_usize..100) {
            let whole = parse(text.as_bytes());
            let mut parser = Parser::new(1000);
            let mut events = Vec::new();
            let (head, tail) = text.as_bytes().split_at(cut.min(text.len()));
            parser.feed(head, &mut events).unwrap();
            parser.feed(tail, &mut events).unwrap();
            prop_assert_eq!(events, whole);
        }

        #[test]
        fn what_is_put_together_is_taken_apart(message in "[^\r\n]{1,50}") {
            let events = parse(&event(message.as_bytes()));
            prop_assert_eq!(&events.first().unwrap().data, &message.as_bytes().to_vec());
        }
    }
}
