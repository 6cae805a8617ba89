//! Finds the id of an answer that is too large or too broken to be read, so that the call that
//! waits for it can be told. Memory is bounded, whatever arrives. No IO.

use crate::message::Id;

/// Longest id that is looked for, in bytes as written.
const TOKEN_MAX: usize = 256;

/// What a text is that could not be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Scanned {
    /// A request or a notification: it names a method.
    Call,
    /// Anything else, with its id where it has one.
    Answer(Option<Id>),
}

/// Reads a JSON text piece by piece and remembers the member `id` of its outermost object, and
/// whether it has a member `method`.
#[derive(Debug, Default)]
pub(crate) struct IdScan {
    depth: usize,
    in_string: bool,
    escaped: bool,
    /// The string or scalar at depth 1 that is being read.
    token: Vec<u8>,
    /// The string that was just read at depth 1: a name where a colon follows.
    name: Vec<u8>,
    /// Whether the value of `id` is next.
    after_id: bool,
    found: Option<Id>,
    names_method: bool,
}

impl IdScan {
    pub(crate) fn feed(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.byte(byte);
        }
    }

    /// What the outermost object is.
    pub(crate) fn finish(mut self) -> Scanned {
        self.scalar_ended();
        match self.names_method {
            true => Scanned::Call,
            false => Scanned::Answer(self.found),
        }
    }

    fn byte(&mut self, byte: u8) {
        if self.in_string {
            match byte {
                _ if self.escaped => self.escaped = false,
                b'\\' => self.escaped = true,
                b'"' => return self.string_ended(),
                _ => {}
            }
            return self.keep(byte);
        }
        match byte {
            b'"' => {
                self.in_string = true;
                self.token.clear();
            }
            b'{' | b'[' => {
                self.depth += 1;
                self.after_id = false;
            }
            b'}' | b']' => {
                self.scalar_ended();
                self.depth = self.depth.saturating_sub(1);
            }
            b':' if self.depth == 1 => {
                self.after_id = self.name == b"id";
                self.names_method |= self.name == b"method";
                self.token.clear();
            }
            b',' => self.scalar_ended(),
            b' ' | b'\t' | b'\r' | b'\n' => {}
            _ => self.keep(byte),
        }
    }

    fn keep(&mut self, byte: u8) {
        if self.depth == 1 && self.token.len() < TOKEN_MAX {
            self.token.push(byte);
        }
    }

    fn string_ended(&mut self) {
        self.in_string = false;
        if self.depth != 1 {
            return;
        }
        if std::mem::take(&mut self.after_id) {
            let text = std::str::from_utf8(&self.token).ok();
            self.found = text.map(|text| Id::Text(text.into()));
        } else {
            self.name.clone_from(&self.token);
        }
        self.token.clear();
    }

    fn scalar_ended(&mut self) {
        if self.depth == 1 && std::mem::take(&mut self.after_id) {
            let text = std::str::from_utf8(&self.token).ok();
            self.found = text.and_then(|text| text.parse().ok()).map(Id::Integer);
        }
        self.token.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn scan(text: &str) -> Scanned {
        let mut scan = IdScan::default();
        scan.feed(text.as_bytes());
        scan.finish()
    }

    #[test]
    fn the_outermost_id_is_found() {
        for (text, id) in [
            (r#"{"jsonrpc":"2.0","id":7,"result":{}}"#, Some(Id::Integer(7))),
            (r#"{"result":{"id":1,"x":["id",{"id":2}]},"id": -3 }"#, Some(Id::Integer(-3))),
            (r#"{"a":"id","id":"q","b":":"}"#, Some(Id::Text("q".into()))),
            (r#"{"id":7,"result":{"text":"\"},\"id\":8"#, Some(Id::Integer(7))),
            (r#"{"id":12"#, Some(Id::Integer(12))),
            (r#"{"id":1.5}"#, None),
            (r#"[{"id":1}]"#, None),
            ("listening on port 8", None),
            ("", None),
        ] {
            assert_eq!(scan(text), Scanned::Answer(id), "{text}");
        }
    }

    #[test]
    fn what_names_a_method_answers_nothing() {
        for text in [
            r#"{"jsonrpc":"2.0","id":7,"method":"ping","params":{"text":"cut o"#,
            r#"{"params":{"id":1},"method" : "ping","id":7}"#,
            r#"{"method":7,"id":7,"result":{}}"#,
        ] {
            assert_eq!(scan(text), Scanned::Call, "{text}");
        }
        let answer = r#"{"id":7,"result":{"method":"ping"},"error":"method"}"#;
        assert_eq!(scan(answer), Scanned::Answer(Some(Id::Integer(7))));
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let mut scan = IdScan::default();
            scan.feed(&bytes);
            scan.finish();
        }
    }
}
