//! `safeconduct risk`: how risky somebody is, and what the detectors would have found.

use std::fs::File;
use std::io::{self, BufRead as _, BufReader, Write};

use reqwest::Method;
use safeconduct_model::{Record, Timestamp};
use safeconduct_risk::detect::{Detectors, REPLAYED_MAX, Tuning};
use safeconduct_risk::{Kind, Signal};
use safeconduct_wire::admin::SignalView;
use safeconduct_wire::config::{TuningDocument, TuningForm};
use serde_json::{Value, json};

use crate::args::{self, Shared};
use crate::client::Client;
use crate::command::identity::show;
use crate::command::signal::{asked, flatten};
use crate::exit::{CommandError, Exit, failed, not_valid};
use crate::output::{self, Format, print, print_line};
use crate::wiring::{project, runtime};

/// Longest line of an export, in bytes: a leaf has at most 65,535.
const LINE_BYTES_MAX: usize = 256 * 1024;

/// Runs the command.
pub(crate) fn run(shared: &Shared, command: args::Risk) -> Result<Exit, CommandError> {
    match command {
        args::Risk::Show { about, remote } => runtime()?.block_on(async {
            let client = Client::new(shared, &remote)?;
            let mut answer = client.call(Method::GET, "/v1/risk", &asked(about), None).await?;
            if shared.output != Format::Table {
                print(&output::document(shared.output, &answer)?)?;
                return Ok(Exit::Ok);
            }
            let level = answer.get("level").and_then(Value::as_str).unwrap_or_default().to_owned();
            let score = answer.get("score").and_then(Value::as_u64).unwrap_or_default();
            print_line(&format!("{score} of 100, {level}"))?;
            flatten(&mut answer, "parts");
            let columns =
                ["points", "about", "kind", "severity", "source", "observed_at", "detail"];
            show(shared, &answer, "parts", &columns)
        }),
        args::Risk::Replay(replay) => replayed(shared, &replay),
    }
}

fn replayed(shared: &Shared, replay: &args::Replay) -> Result<Exit, CommandError> {
    let config = project::read_config(&shared.config)?;
    let tuning = match &replay.tuning {
        Some(file) => {
            let shown = file.display().to_string();
            let text = std::fs::read_to_string(file).map_err(|error| failed(&shown, error))?;
            TuningDocument::parse(&shown, &text).map_err(|problems| {
                crate::exit::invalid(problems.iter().map(ToString::to_string))
            })?
        }
        None => config.risk.detectors.tuning.clone(),
    };
    let since = replay.since.as_deref().map(moment).transpose()?;
    let kinds = replay.only.iter().map(|word| {
        Kind::parse(word).ok_or_else(|| not_valid(format!("`{word}` is no kind of signal")))
    });
    let kinds = kinds.collect::<Result<Vec<_>, _>>()?;
    let mut run = Run::new(&tuning, kinds, since);
    match &replay.export {
        Some(file) => {
            let shown = file.display().to_string();
            let file = File::open(file).map_err(|error| failed(&shown, error))?;
            for line in BufReader::new(file).split(b'\n') {
                let line = line.map_err(|error| failed(&shown, error))?;
                run.line(&line).map_err(|error| failed(&shown, error))?;
            }
        }
        None => {
            let shown = config.data.display().to_string();
            let mut lines = Lines { waiting: Vec::new(), run: &mut run };
            safeconduct_store::export(&config.data, 0, None, &mut lines)
                .map_err(|error| failed(&shown, error))?;
        }
    }
    let mut answer = json!({
        "records": run.records,
        "more": run.more,
        "signals": run.found.iter().map(SignalView::from).collect::<Vec<_>>(),
    });
    if shared.output == Format::Table {
        flatten(&mut answer, "signals");
        let more = match run.more {
            0 => String::new(),
            more => format!(", {more} more are not shown"),
        };
        print_line(&format!("{} records, {} findings{more}", run.records, run.found.len()))?;
    }
    show(
        shared,
        &answer,
        "signals",
        &["observed_at", "about", "kind", "severity", "topic", "detail"],
    )
}

/// Detectors that go over the past.
struct Run {
    detectors: Detectors,
    kinds: Vec<Kind>,
    since: Option<Timestamp>,
    found: Vec<Signal>,
    records: u64,
    more: u64,
}

impl Run {
    fn new(tuning: &TuningForm, kinds: Vec<Kind>, since: Option<Timestamp>) -> Self {
        let detectors = Detectors::new(Tuning::default().with(tuning));
        Self { detectors, kinds, since, found: Vec::new(), records: 0, more: 0 }
    }

    fn line(&mut self, line: &[u8]) -> io::Result<()> {
        let line = line.trim_ascii();
        if line.is_empty() {
            return Ok(());
        }
        let record = safeconduct_ledger::decode(line).map_err(io::Error::other)?;
        self.observe(&record);
        Ok(())
    }

    fn observe(&mut self, record: &Record) {
        self.records += 1;
        for signal in self.detectors.observe(record) {
            let wanted = self.kinds.is_empty() || self.kinds.contains(&signal.kind);
            if !wanted || self.since.is_some_and(|since| signal.observed_at < since) {
                continue;
            }
            match self.found.len() < REPLAYED_MAX {
                true => self.found.push(signal),
                false => self.more += 1,
            }
        }
    }
}

/// Takes an export apart as it is written.
struct Lines<'a> {
    waiting: Vec<u8>,
    run: &'a mut Run,
}

impl Write for Lines<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        for part in bytes.split_inclusive(|byte| *byte == b'\n') {
            self.waiting.extend_from_slice(part);
            if self.waiting.len() > LINE_BYTES_MAX {
                return Err(io::Error::other("a record is too long"));
            }
            if part.ends_with(b"\n") {
                self.run.line(&self.waiting)?;
                self.waiting.clear();
            }
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn moment(text: &str) -> Result<Timestamp, CommandError> {
    Timestamp::parse(text)
        .ok_or_else(|| not_valid(format!("`{text}` is no time: write it as RFC 3339 in UTC")))
}
