//! Processes that the bench starts: pinned to a processor, weighed, and ended with it.

use std::ffi::OsStr;
use std::io::{BufRead as _, BufReader};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use crate::section::Failure;

/// A process that ends when this value is dropped.
pub(crate) struct Process {
    child: Child,
    stdout: Option<BufReader<ChildStdout>>,
}

/// A command that runs on one processor only, or wherever the system puts it.
pub(crate) fn command(program: impl AsRef<OsStr>, processor: Option<u32>) -> Command {
    match processor {
        None => Command::new(program),
        Some(processor) => {
            // `taskset` replaces itself with the program, so the process id stays the same.
            let mut command = Command::new("taskset");
            command.arg("-c").arg(processor.to_string()).arg(program);
            command
        }
    }
}

/// This program again, as one of its own parts.
pub(crate) fn own(processor: Option<u32>, arguments: &[&str]) -> Result<Command, Failure> {
    let mut command = command(std::env::current_exe()?, processor);
    command.args(arguments);
    Ok(command)
}

impl Process {
    /// Starts it. What it says on standard output can be read line by line.
    pub(crate) fn start(mut command: Command) -> Result<Self, Failure> {
        let mut child =
            command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().map_err(|error| {
                format!("`{:?}` cannot be started: {error}", command.get_program())
            })?;
        let stdout = child.stdout.take().map(BufReader::new);
        Ok(Self { child, stdout })
    }

    /// Starts it, and lets nobody hear what it says.
    pub(crate) fn start_unheard(mut command: Command) -> Result<Self, Failure> {
        let child =
            command.stdin(Stdio::null()).stdout(Stdio::null()).spawn().map_err(|error| {
                format!("`{:?}` cannot be started: {error}", command.get_program())
            })?;
        Ok(Self { child, stdout: None })
    }

    /// The next line that it says.
    pub(crate) fn line(&mut self) -> Result<String, Failure> {
        let mut line = String::new();
        if let Some(stdout) = &mut self.stdout {
            stdout.read_line(&mut line)?;
        }
        if line.is_empty() {
            return Err("a child process ended without an answer".into());
        }
        Ok(line.trim_end().to_owned())
    }

    /// CPU time of all its threads so far, in microseconds.
    pub(crate) fn cpu_us(&self) -> Result<f64, Failure> {
        let tasks = std::fs::read_dir(format!("/proc/{}/task", self.child.id()))?;
        let mut sum = 0.0;
        for task in tasks {
            // A thread may end between the two reads.
            let Ok(text) = std::fs::read_to_string(task?.path().join("schedstat")) else {
                continue;
            };
            let spent = text.split(' ').next().and_then(|ns| ns.parse::<f64>().ok());
            sum += spent.unwrap_or(0.0) / 1e3;
        }
        Ok(sum)
    }

    /// Waits until it has nothing left to do, at most so long.
    pub(crate) fn settle(&self, at_most: Duration) -> Result<(), Failure> {
        const LOOK: Duration = Duration::from_millis(50);
        let until = Instant::now() + at_most;
        let mut before = self.cpu_us()?;
        while Instant::now() < until {
            std::thread::sleep(LOOK);
            let now = self.cpu_us()?;
            // Two percent of a processor is what idle timers take.
            if now - before < LOOK.as_micros() as f64 * 0.02 {
                return Ok(());
            }
            before = now;
        }
        Ok(())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended by itself already.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}
