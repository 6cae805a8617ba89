//! The process that plays the agents, and what it tells of each step.

use std::path::Path;
use std::process::Stdio;

use safeconduct_service::RecordQuery;
use serde_json::Value;
use tokio::io::{AsyncBufReadExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};

use super::read;
use crate::exit::{CommandError, failed};
use crate::output::print_line;
use crate::story::{self, Placed};
use crate::wiring::server::Running;

/// The process that plays the agents.
pub(super) struct Play {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Play {
    /// Starts a script with these variables beside our own environment.
    pub(super) fn start(
        python: &Path,
        script: &Path,
        variables: &[(&str, &str)],
    ) -> Result<Self, CommandError> {
        let mut child = Command::new(python)
            .arg(script)
            .envs(variables.iter().copied())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .map_err(|error| failed("the agent cannot be started", error))?;
        let output = child.stdout.take();
        let output =
            output.ok_or_else(|| CommandError::Failed("the agent has no output".into()))?;
        Ok(Self { child, lines: BufReader::new(output).lines() })
    }

    /// The next step, once it has been taken.
    pub(super) async fn step(&mut self) -> Result<Option<Value>, CommandError> {
        let line =
            self.lines.next_line().await.map_err(|error| failed("the agent's output", error))?;
        line.map(|line| {
            serde_json::from_str(&line).map_err(|error| failed("the agent's output", error))
        })
        .transpose()
    }

    pub(super) async fn ended_well(&mut self) -> Result<bool, CommandError> {
        let status = self.child.wait().await.map_err(|error| failed("the agent", error))?;
        if !status.success() {
            print_line(&format!("the agent ended with {status}"))?;
        }
        Ok(status.success())
    }
}

/// The steps that have been told, since the ledger was so long.
pub(super) struct Told {
    from: u64,
    asked: usize,
    /// Steps that were a question to the policies or to the intent.
    pub(super) steps: usize,
    /// Whether all of them went as expected.
    pub(super) all_well: bool,
}

impl Told {
    pub(super) const fn from(from: u64) -> Self {
        Self { from, asked: 0, steps: 0, all_well: true }
    }

    /// Prints a step with the decision that it led to, if it led to one.
    pub(super) async fn tell(
        &mut self,
        running: &Running,
        step: &Value,
    ) -> Result<(), CommandError> {
        let what = story::text(step, "/step");
        self.steps += 1;
        let decision = self.decision(running, step).await?;
        let expected = story::text(step, "/expected");
        let refused = step.get("is_error").and_then(Value::as_bool);
        // What was permitted may be cut, and who was stopped may not even be asked about.
        let (expected, gets_through) = match expected {
            "cut" => ("permit", false),
            "stopped" => ("deny", false),
            expected => (expected, expected == "permit"),
        };
        let answered = refused == Some(!gets_through);
        let word = match &decision {
            Some(placed) => story::text(&placed.record, "/body/decision"),
            None if refused == Some(false) => "permit",
            None => "deny",
        };
        let well = word == expected && answered;
        self.all_well &= well;
        let surprise = if well { "" } else { "   <- not as expected" };
        let stopped = story::text(step, "/expected") == "stopped";
        let shown = match decision.is_some() || stopped {
            true => word.to_uppercase(),
            false => "DONE".to_owned(),
        };
        print_line(&format!("{shown:6}  {what}{surprise}"))?;
        if let Some(Placed { record, .. }) = &decision {
            print_line(&format!("        rule      {}", story::rules(record).join(", ")))?;
            for message in story::messages(record) {
                print_line(&format!("        message   {message}"))?;
            }
            print_line(&format!("        decision  {}", story::text(record, "/id")))?;
        }
        if let Some(request) = step.pointer("/meta/safeconduct~1decision/request") {
            let at = |pointer: &str| story::text(request, pointer);
            let who = request.pointer("/approvers/0").and_then(Value::as_str).unwrap_or_default();
            let (id, until) = (at("/id"), at("/answer_by"));
            print_line(&format!("        request   {id}, {}", at("/state")))?;
            print_line(&format!("        may say   {who}, until {until}"))?;
        }
        if matches!(story::text(step, "/expected"), "cut" | "stopped") {
            print_line(&format!("        told      {}", first_line(story::text(step, "/text"))))?;
        }
        if !well {
            print_line(&format!("        answer    {step}"))?;
        }
        print_line("")
    }

    /// The decision of that step: what asks leaves one, in the order of asking.
    async fn decision(
        &mut self,
        running: &Running,
        step: &Value,
    ) -> Result<Option<Placed>, CommandError> {
        if step.get("tool").or_else(|| step.get("intent")).is_none() {
            return Ok(None);
        }
        let query =
            RecordQuery { kind: Some("decision".into()), limit: 100, ..RecordQuery::default() };
        // The newest comes first.
        let decisions = read(running, &query).await?.into_iter().rev();
        // A lease is decided on too, on the way of the call that needs it.
        let of_steps = decisions.filter(|placed| {
            placed.sequence >= self.from && story::text(&placed.record, "/body/action") != "lease"
        });
        let decision = { of_steps }.nth(self.asked);
        self.asked += 1;
        Ok(decision)
    }
}

fn first_line(text: &str) -> &str {
    text.lines().next().unwrap_or_default()
}
