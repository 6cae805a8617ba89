//! What a result gives in Base64: images, files, and texts that are wrapped for no reason. It is
//! taken apart as what it is, since whoever sends it on may wrap it in another way.

use base64::Engine as _;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use safeconduct_session::flow::{Part, RESULT_BYTES_READ_MAX};

use crate::Content;

/// As lenient as clients are.
const LENIENT: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_allow_trailing_bits(true)
        .with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// More bytes than are looked at of a result: stands for what is not decoded, so that it counts as
/// forgotten.
static TOO_MUCH: [u8; RESULT_BYTES_READ_MAX + 1] = [0; RESULT_BYTES_READ_MAX + 1];

/// What became of a piece of Base64.
enum Opened {
    /// These bytes.
    Bytes(Vec<u8>),
    /// It is none.
    NotBase64,
    /// It is more than is looked at.
    TooMuch,
}

/// What all pieces of one result hold, each at its place.
pub(crate) struct Opaque(Vec<Option<Opened>>);

impl Opaque {
    /// Of that result. No more is decoded than is looked at.
    pub(crate) fn of(contents: &[Content]) -> Self {
        let mut left = RESULT_BYTES_READ_MAX;
        let opened = contents.iter().map(|content| match content {
            Content::Opaque(text) => Some(open(text, &mut left)),
            Content::Value(_) | Content::Text(_) | Content::Around(_) => None,
        });
        Self(opened.collect())
    }

    /// The parts of which that result is made.
    pub(crate) fn parts<'a>(&'a self, contents: &'a [Content]) -> Vec<Part<'a>> {
        // What was wrapped is never what patterns of fields vouch for, not even where it is all.
        let first = matches!(contents.first(), Some(Content::Opaque(_)));
        let mut parts: Vec<Part<'a>> = first.then_some(Part::Bytes(&[])).into_iter().collect();
        for (content, opened) in contents.iter().zip(&self.0) {
            match content {
                Content::Value(value) => parts.push(Part::Value(value)),
                Content::Text(text) => parts.push(Part::Text(text)),
                Content::Around(value) => parts.push(Part::Around(value)),
                Content::Opaque(text) => match opened {
                    Some(Opened::Bytes(bytes)) => unwrapped(bytes, &mut parts),
                    Some(Opened::NotBase64) => parts.push(Part::Json(text.as_bytes())),
                    Some(Opened::TooMuch) | None => parts.push(Part::Bytes(&TOO_MUCH)),
                },
            }
        }
        parts
    }
}

/// Bytes that are a text are read as one; what no text has in it is looked up by its bytes.
fn unwrapped<'a>(bytes: &'a [u8], parts: &mut Vec<Part<'a>>) {
    let odd = |byte: &u8| byte.is_ascii_control() && !byte.is_ascii_whitespace();
    let is_text = std::str::from_utf8(bytes).is_ok();
    if is_text {
        parts.push(Part::Json(bytes));
    }
    if !is_text || bytes.iter().any(odd) {
        parts.push(Part::Bytes(bytes));
    }
}

fn open(text: &str, left: &mut usize) -> Opened {
    let plain = |byte: &u8| !byte.is_ascii_whitespace();
    // White space is none of it.
    if text.bytes().filter(plain).count() / 4 * 3 > *left {
        *left = 0;
        return Opened::TooMuch;
    }
    let standard = |byte: u8| match byte {
        b'-' => b'+',
        b'_' => b'/',
        byte => byte,
    };
    let letters: Vec<u8> = text.bytes().filter(plain).map(standard).collect();
    match LENIENT.decode(letters) {
        Ok(bytes) => {
            *left = left.saturating_sub(bytes.len());
            Opened::Bytes(bytes)
        }
        Err(_) => Opened::NotBase64,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn opaque(text: &str) -> Content {
        Content::Opaque(text.into())
    }

    fn shown(contents: &[Content]) -> Vec<String> {
        let opened = Opaque::of(contents);
        let show = |part: &Part<'_>| match part {
            Part::Json(bytes) => format!("text {}", String::from_utf8_lossy(bytes)),
            Part::Bytes(bytes) => format!("{} bytes", bytes.len()),
            Part::Text(_) | Part::Value(_) | Part::Around(_) => "as it is".to_owned(),
        };
        opened.parts(contents).iter().map(show).collect()
    }

    #[test]
    fn it_is_read_as_what_it_is() {
        // printf 'a,b' | base64; printf '\x89PNG' | base64; printf 'a\0b' | base64
        assert_eq!(shown(&[opaque("YSxi")]), ["0 bytes", "text a,b"]);
        assert_eq!(shown(&[opaque("iVBO\nRw==")]), ["0 bytes", "4 bytes"]);
        assert_eq!(shown(&[opaque("iVBORw")]), ["0 bytes", "4 bytes"]);
        assert_eq!(shown(&[opaque("YQBi")]), ["0 bytes", "text a\0b", "3 bytes"]);
        assert_eq!(shown(&[opaque("no such thing!")]), ["0 bytes", "text no such thing!"]);
        assert_eq!(shown(&[Content::Text("a".into()), opaque("YSxi")]), ["as it is", "text a,b"]);
    }

    #[test]
    fn what_is_too_much_is_not_decoded() {
        let much = opaque(&"A".repeat(RESULT_BYTES_READ_MAX));
        let most = format!("{} bytes", RESULT_BYTES_READ_MAX + 1);
        let all = shown(&[much.clone(), much.clone(), opaque("YSxi")]);
        assert_eq!(all.len(), 4 + 1);
        assert!(all.contains(&most), "{:?}", all.iter().map(String::len).collect::<Vec<_>>());
    }
}
