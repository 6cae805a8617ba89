//! `log export`: the records of the data folder for elsewhere, one a line, as they are read.

use std::io::{self, Write};

use safeconduct_ledger::decode;
use safeconduct_wire::export::{cloud_event, ocsf};
use serde::Deserialize;

use crate::args::{ExportForm, ExportRange, Shared};
use crate::command::records::{Lines, Period};
use crate::exit::{CommandError, Exit, failed};
use crate::output::say;
use crate::wiring::project;

/// Runs the command.
///
/// # Errors
/// The folder cannot be read, or what is read not be written.
pub(super) fn run(
    shared: &Shared,
    form: ExportForm,
    range: &ExportRange,
) -> Result<Exit, CommandError> {
    let ExportRange { from, since, until, source } = range;
    let period = Period::of(since.as_deref(), until.as_deref())?;
    let config = project::read_config(&shared.config)?;
    let mut out = io::BufWriter::new(io::stdout().lock());
    let mut written = 0_u64;
    let mut lines = Lines::from(*from, |sequence, leaf| {
        if let Some(line) = line(form, &period, source, sequence, leaf)? {
            out.write_all(&line)?;
            out.write_all(b"\n")?;
            written += 1;
        }
        Ok(())
    });
    let read = safeconduct_store::export(&config.data, *from, None, &mut lines);
    let flushed = out.flush();
    match (read, flushed) {
        (Err(safeconduct_store::ExportError::Write(error)), _) | (Ok(_), Err(error))
            if error.kind() == io::ErrorKind::BrokenPipe =>
        {
            return Ok(Exit::Ok);
        }
        (Err(error), _) => return Err(failed("export", error)),
        (Ok(_), flushed) => flushed.map_err(|error| failed("export", error))?,
    }
    if !shared.quiet {
        say(&format!("{written} records"));
    }
    Ok(Exit::Ok)
}

/// When a record was made, and nothing else of it.
#[derive(Deserialize)]
struct Dated<'a> {
    at: &'a str,
}

/// The line of a record; none where it is outside of the period.
fn line(
    form: ExportForm,
    period: &Period,
    source: &str,
    sequence: u64,
    leaf: &[u8],
) -> io::Result<Option<Vec<u8>>> {
    if *period != Period::default() {
        let dated: Dated<'_> = serde_json::from_slice(leaf).map_err(io::Error::other)?;
        let at = safeconduct_model::Timestamp::parse(dated.at);
        if !at.is_some_and(|at| period.holds(at)) {
            return Ok(None);
        }
    }
    let record =
        || decode(leaf).map_err(|error| io::Error::other(format!("record {sequence}: {error}")));
    Ok(Some(match form {
        ExportForm::Ndjson => leaf.to_vec(),
        ExportForm::Ocsf => {
            ocsf(&record()?, sequence, env!("CARGO_PKG_VERSION")).to_string().into_bytes()
        }
        ExportForm::Cloudevents => {
            let text = std::str::from_utf8(leaf).map_err(io::Error::other)?;
            cloud_event(&record()?, sequence, source, text).into_bytes()
        }
    }))
}

#[cfg(test)]
mod tests {
    use std::path::{Path, PathBuf};

    use serde_json::Value;

    use super::*;

    /// One record of every kind, as the ledger's goldens have them.
    fn leaves() -> Vec<Vec<u8>> {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../ledger/tests/golden");
        let mut files: Vec<PathBuf> =
            std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
        files.retain(|file| file.extension().is_some_and(|end| end == "json"));
        files.sort();
        files.iter().map(|file| std::fs::read(file).unwrap().trim_ascii().to_vec()).collect()
    }

    fn exported(form: ExportForm) -> Vec<String> {
        let period = Period::default();
        let lines = leaves().into_iter().zip(0..).map(|(leaf, sequence)| {
            let line = line(form, &period, "urn:example:ledger", sequence, &leaf);
            String::from_utf8(line.unwrap().unwrap()).unwrap()
        });
        lines.collect()
    }

    fn golden(name: &str, lines: &[String]) {
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name);
        let text = lines.join("\n").replace(env!("CARGO_PKG_VERSION"), "VERSION") + "\n";
        if std::env::var_os("UPDATE").is_some() {
            std::fs::create_dir_all(file.parent().unwrap()).unwrap();
            std::fs::write(&file, &text).unwrap();
        }
        let kept = std::fs::read_to_string(&file).unwrap_or_default();
        assert!(kept == text, "{name} differs; run with UPDATE=1 and look at the change");
    }

    #[test]
    fn every_kind_of_record_has_an_ocsf_event() {
        let lines = exported(ExportForm::Ocsf);
        golden("export.ocsf.ndjson", &lines);
        for line in &lines {
            let event: Value = serde_json::from_str(line).unwrap();
            let number =
                |name: &str| event[name].as_u64().unwrap_or_else(|| panic!("{name}: {line}"));
            assert_eq!(number("type_uid"), number("class_uid") * 100 + number("activity_id"));
            assert_eq!(number("category_uid"), number("class_uid") / 1000);
            assert!((1..=5).contains(&number("severity_id")) && number("time") > 0);
            assert_eq!(event["metadata"]["version"], "1.8.0");
            assert!(event["metadata"]["product"]["name"].is_string());
            // What each class requires.
            let required: &[&str] = match number("class_uid") {
                2004 => &["/finding_info/uid", "/finding_info/title"],
                2008 => &[
                    "/finding_info/uid",
                    "/finding_info/title",
                    "/permission_analysis_results/0/policy/name",
                ],
                3001 | 3005 => &["/user/uid"],
                3002 => &["/user/uid", "/service/name"],
                3003 => &["/user/uid", "/privileges/0"],
                3004 => &["/entity/uid", "/entity/type"],
                6002 => &["/app/name"],
                6003 => &["/actor/user/uid", "/api/operation", "/src_endpoint/svc_name"],
                7001 => &["/command_uid"],
                other => panic!("class {other} is not expected"),
            };
            for pointer in required {
                let found = event.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
                assert!(!found.is_empty(), "{pointer} is missing: {line}");
            }
        }
    }

    #[test]
    fn every_kind_of_record_has_a_cloud_event_that_holds_its_leaf() {
        let lines = exported(ExportForm::Cloudevents);
        golden("export.cloudevents.ndjson", &lines);
        for (line, leaf) in lines.iter().zip(leaves()) {
            let leaf = String::from_utf8(leaf).unwrap();
            assert!(line.ends_with(&format!(",\"data\":{leaf}}}")), "{line}");
            let event: Value = serde_json::from_str(line).unwrap();
            envelope(&event);
        }
    }

    /// The envelope by the rules of CloudEvents 1.0, sections 3.1 and 3.1.1.
    fn envelope(event: &Value) {
        let event = event.as_object().unwrap();
        for name in ["id", "source", "specversion", "type", "time", "datacontenttype"] {
            let text = event.get(name).and_then(Value::as_str).unwrap_or_default();
            assert!(!text.is_empty(), "{name}");
        }
        assert_eq!(event["specversion"], "1.0");
        assert!(safeconduct_model::Timestamp::parse(event["time"].as_str().unwrap()).is_some());
        for name in event.keys() {
            assert!(name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit()), "{name}");
            assert!(name.len() <= 20, "{name}");
        }
        assert_eq!(event["sequence"].as_str().unwrap().len(), 20);
    }

    #[test]
    fn what_is_outside_of_the_period_is_left_out() {
        let leaf = leaves().remove(0);
        let at = |text: &str| Period::of(None, Some(text)).unwrap();
        let within =
            |period: &Period| line(ExportForm::Ndjson, period, "", 0, &leaf).unwrap().is_some();
        assert!(within(&Period::default()) && within(&at("2100-01-01T00:00:00Z")));
        assert!(!within(&at("2000-01-01T00:00:00Z")));
    }

    #[test]
    fn what_is_no_record_is_no_event() {
        for form in [ExportForm::Ocsf, ExportForm::Cloudevents] {
            assert!(line(form, &Period::default(), "", 0, b"{\"at\":\"\"}").is_err());
        }
    }
}
