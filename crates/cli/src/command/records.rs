//! Reading records: from the data folder, from an export, or page by page from a server. Nothing
//! here holds more than one line or one page of them.

use std::fs::File;
use std::io;

use reqwest::Method;
use safeconduct_model::Timestamp;
use safeconduct_service::Clock as _;
use serde_json::Value;

use super::identity::seconds;
use crate::args::{Shared, Source};
use crate::client::Client;
use crate::exit::{CommandError, failed};
use crate::story::Placed;
use crate::system::SystemClock;
use crate::wiring::project;

/// Records that are asked for at once.
const PAGE: usize = 500;

/// Longest line of an export, in bytes: a leaf has at most 65,535.
const LINE_BYTES_MAX: usize = 256 * 1024;

/// Reads every record of the data folder, or of an export, in its order.
///
/// # Errors
/// The folder or the file cannot be read, or holds a line that is no JSON.
pub(super) fn scan(
    shared: &Shared,
    source: &Source,
    mut each: impl FnMut(Placed),
) -> Result<(), CommandError> {
    scan_leaves(shared, source, |sequence, leaf| {
        let record = serde_json::from_slice(leaf).map_err(io::Error::other)?;
        each(Placed { sequence, record });
        Ok(())
    })
}

/// The same as the bytes that are in the ledger. An error of `each` ends it.
///
/// # Errors
/// The folder or the file cannot be read, or what `each` says.
pub(super) fn scan_leaves(
    shared: &Shared,
    source: &Source,
    each: impl FnMut(u64, &[u8]) -> io::Result<()>,
) -> Result<(), CommandError> {
    let mut lines = Lines { waiting: Vec::new(), sequence: 0, each };
    if let Some(file) = &source.export {
        let shown = file.display().to_string();
        let mut file = File::open(file).map_err(|error| failed(&shown, error))?;
        io::copy(&mut file, &mut lines).map_err(|error| failed(&shown, error))?;
        return Ok(());
    }
    let config = project::read_config(&shared.config)?;
    safeconduct_store::export(&config.data, 0, None, &mut lines)
        .map_err(|error| failed(&config.data.display().to_string(), error))?;
    Ok(())
}

/// Takes an export apart as it is written.
pub(super) struct Lines<F> {
    waiting: Vec<u8>,
    sequence: u64,
    each: F,
}

impl<F: FnMut(u64, &[u8]) -> io::Result<()>> Lines<F> {
    /// Lines whose first is the record of that place.
    pub(super) const fn from(sequence: u64, each: F) -> Self {
        Self { waiting: Vec::new(), sequence, each }
    }
}

impl<F: FnMut(u64, &[u8]) -> io::Result<()>> io::Write for Lines<F> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        for part in bytes.split_inclusive(|byte| *byte == b'\n') {
            self.waiting.extend_from_slice(part);
            if self.waiting.len() > LINE_BYTES_MAX {
                return Err(io::Error::other("a record is too long"));
            }
            if part.ends_with(b"\n") {
                let leaf = self.waiting.strip_suffix(b"\n").unwrap_or(&self.waiting);
                (self.each)(self.sequence, leaf)?;
                self.sequence += 1;
                self.waiting.clear();
            }
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Records that a server answers with, the newest first, at most so many; and whether there are
/// more than that.
///
/// # Errors
/// The server cannot be asked.
pub(super) async fn pages(
    client: &Client,
    asked: &[(&str, String)],
    most: usize,
) -> Result<(Vec<Placed>, bool), CommandError> {
    let mut records: Vec<Placed> = Vec::new();
    let more = each_page(client, asked, most, |placed| records.push(placed)).await?;
    Ok((records, more))
}

/// The same, one record after the other.
///
/// # Errors
/// The server cannot be asked.
pub(super) async fn each_page(
    client: &Client,
    asked: &[(&str, String)],
    most: usize,
    mut each: impl FnMut(Placed),
) -> Result<bool, CommandError> {
    let mut before: Option<u64> = None;
    let mut read = 0_usize;
    loop {
        let limit = PAGE.min(most.saturating_sub(read));
        if limit == 0 {
            return Ok(true);
        }
        let mut query = asked.to_vec();
        query.push(("limit", limit.to_string()));
        query.extend(before.map(|before| ("before", before.to_string())));
        let page = client.call(Method::GET, "/v1/records", &query, None).await?;
        let found = page.get("records").and_then(Value::as_array);
        for placed in found.into_iter().flatten().filter_map(Placed::of) {
            read += 1;
            each(placed);
        }
        before = page.get("next_before").and_then(Value::as_u64);
        if before.is_none() {
            return Ok(false);
        }
    }
}

/// A span of time: what is not before its beginning and before its end.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Period {
    pub(super) since: Option<Timestamp>,
    pub(super) until: Option<Timestamp>,
}

impl Period {
    /// From what was typed.
    ///
    /// # Errors
    /// One of them is no time.
    pub(super) fn of(since: Option<&str>, until: Option<&str>) -> Result<Self, CommandError> {
        let at = |text: Option<&str>| text.map(moment).transpose();
        Ok(Self { since: at(since)?, until: at(until)? })
    }

    /// Whether that moment is in it.
    pub(super) fn holds(&self, at: Timestamp) -> bool {
        self.since.is_none_or(|since| since <= at) && self.until.is_none_or(|until| at < until)
    }

    /// What a server is asked.
    pub(super) fn asked(&self) -> Vec<(&'static str, String)> {
        let since = self.since.map(|since| ("since", since.to_string()));
        let until = self.until.map(|until| ("until", until.to_string()));
        since.into_iter().chain(until).collect()
    }
}

/// `2h` ago, or the time itself.
///
/// # Errors
/// It is neither.
pub(super) fn moment(text: &str) -> Result<Timestamp, CommandError> {
    if let Some(at) = Timestamp::parse(text) {
        return Ok(at);
    }
    let ago = seconds(text)?.saturating_mul(1000);
    Ok(SystemClock.now().plus_ms(-ago))
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    #[test]
    fn lines_are_taken_apart_wherever_they_are_cut() {
        let text = b"{\"a\":1}\n{\"b\":2}\n{\"c\"";
        for cut in 0..text.len() {
            let mut seen = Vec::new();
            let mut lines = Lines::from(7, |sequence, leaf: &[u8]| {
                seen.push((sequence, leaf.to_vec()));
                Ok(())
            });
            let (one, two) = text.split_at(cut);
            lines.write_all(one).unwrap();
            lines.write_all(two).unwrap();
            assert_eq!(seen, [(7, b"{\"a\":1}".to_vec()), (8, b"{\"b\":2}".to_vec())], "{cut}");
        }
    }

    #[test]
    fn a_line_without_end_is_refused() {
        let mut lines = Lines::from(0, |_, _: &[u8]| Ok(()));
        assert!(lines.write_all(&vec![b' '; LINE_BYTES_MAX + 1]).is_err());
    }

    #[test]
    fn a_period_holds_its_beginning_and_not_its_end() {
        let period =
            Period::of(Some("2026-01-01T00:00:00Z"), Some("2026-01-02T00:00:00Z")).unwrap();
        let at = |text| Timestamp::parse(text).unwrap();
        assert!(period.holds(at("2026-01-01T00:00:00Z")));
        assert!(!period.holds(at("2026-01-02T00:00:00Z")));
        assert!(!period.holds(at("2025-12-31T23:59:59Z")));
        assert!(Period::default().holds(at("1999-01-01T00:00:00Z")));
        assert!(Period::of(Some("soon"), None).is_err());
    }
}
