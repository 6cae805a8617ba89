//! The load: keep-alive connections over raw TCP that send the same bytes again and again, one
//! request at a time each, and check every answer.

use std::rc::Rc;
use std::time::{Duration, Instant};

use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::LocalSet;

use super::requests::Dialect;
use crate::child;
use crate::report::say;
use crate::rounds::quantile;
use crate::section::Failure;

/// How long everything runs before it counts.
const WARM_UP: Duration = Duration::from_millis(300);

/// What the load saw.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Seen {
    /// Answers, those of the warm-up included.
    pub(crate) answers: f64,
    /// Answers a second after the warm-up.
    pub(crate) rate: f64,
    /// Median microseconds from request to answer.
    pub(crate) p50_us: f64,
    /// Of 99 in 100 answers.
    pub(crate) p99_us: f64,
    /// Share of its processor that the load itself took.
    pub(crate) busy: f64,
}

/// Runs the load in a process of its own on a processor of its own.
pub(crate) fn run(
    address: &str,
    dialect: Dialect,
    connections: usize,
    lasts: Duration,
) -> Result<Seen, Failure> {
    let (connections, millis) = (connections.to_string(), lasts.as_millis().to_string());
    let arguments = ["child-load", address, dialect.name(), &connections, &millis];
    let output = child::own(Some(super::LOAD_PROCESSOR), &arguments)?
        .stderr(std::process::Stdio::inherit())
        .output()?;
    let text = String::from_utf8(output.stdout)?;
    let seen: serde_json::Value =
        serde_json::from_str(text.trim()).map_err(|_| format!("the load failed: {text}"))?;
    let number = |name: &str| seen.get(name).and_then(serde_json::Value::as_f64);
    let number = |name: &str| number(name).ok_or("the load said nothing");
    Ok(Seen {
        answers: number("answers")?,
        rate: number("rate")?,
        p50_us: number("p50_us")?,
        p99_us: number("p99_us")?,
        busy: number("busy")?,
    })
}

/// The load itself; prints what it saw.
pub(crate) fn child(
    address: &str,
    dialect: &str,
    connections: usize,
    millis: u64,
) -> Result<(), Failure> {
    let dialect = Dialect::parse(dialect)?;
    let lasts = Duration::from_millis(millis);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
    let local = LocalSet::new();
    let all = runtime.block_on(local.run_until(async {
        let begins = Instant::now() + WARM_UP;
        let address: Rc<str> = address.into();
        let tasks: Vec<_> = (0..connections)
            .map(|number| {
                let (address, request) = (Rc::clone(&address), dialect.request(number));
                tokio::task::spawn_local(connection(address, request, begins, begins + lasts))
            })
            .collect();
        let mut all = Vec::new();
        for task in tasks {
            all.push(task.await??);
        }
        Ok::<_, Failure>(all)
    }))?;
    let warm: u64 = all.iter().map(|one| one.warm_up).sum();
    let took: Vec<f64> = all.into_iter().flat_map(|one| one.took_us).collect();
    let cpu = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    let cpu_s = cpu.tv_sec as f64 + cpu.tv_nsec as f64 / 1e9;
    let seen = json!({
        "answers": took.len() as f64 + warm as f64,
        "rate": took.len() as f64 / lasts.as_secs_f64(),
        "p50_us": quantile(&took, 0.5),
        "p99_us": quantile(&took, 0.99),
        "busy": cpu_s / (WARM_UP + lasts).as_secs_f64(),
    });
    say(&seen.to_string());
    Ok(())
}

/// What one connection saw.
struct Answers {
    warm_up: u64,
    took_us: Vec<f64>,
}

async fn connection(
    address: Rc<str>,
    request: Vec<u8>,
    begins: Instant,
    ends: Instant,
) -> Result<Answers, String> {
    let said = |error: std::io::Error| format!("the connection broke: {error}");
    let mut stream = TcpStream::connect(&*address).await.map_err(said)?;
    stream.set_nodelay(true).map_err(said)?;
    let mut buffer = vec![0; 16 * 1024];
    let mut answers = Answers { warm_up: 0, took_us: Vec::with_capacity(1 << 14) };
    loop {
        let sent = Instant::now();
        stream.write_all(&request).await.map_err(said)?;
        let mut filled = 0;
        let length = loop {
            let free = buffer.get_mut(filled..).unwrap_or_default();
            let read = stream.read(free).await.map_err(said)?;
            if read == 0 {
                return Err("the server closed the connection".into());
            }
            filled += read;
            if let Some(length) = answer_length(buffer.get(..filled).unwrap_or_default())
                && length <= filled
            {
                break length;
            }
        };
        let answer = buffer.get(..length).unwrap_or_default();
        if !permits(answer) {
            return Err(format!("refused: {}", String::from_utf8_lossy(answer)));
        }
        let now = Instant::now();
        if now >= ends {
            return Ok(answers);
        }
        if sent < begins {
            answers.warm_up += 1;
        } else {
            answers.took_us.push((now - sent).as_secs_f64() * 1e6);
        }
    }
}

/// How long the answer is, head and body, once its head is there.
pub(crate) fn answer_length(bytes: &[u8]) -> Option<usize> {
    let head = bytes.windows(4).position(|four| four == b"\r\n\r\n")? + 4;
    let lines = bytes.get(..head)?.split(|byte| *byte == b'\n');
    for line in lines {
        let Some((name, value)) = line.split_at_checked(b"content-length:".len()) else {
            continue;
        };
        if name.eq_ignore_ascii_case(b"content-length:") {
            let text = std::str::from_utf8(value).ok()?;
            return Some(head + text.trim().parse::<usize>().ok()?);
        }
    }
    None
}

/// Whether an answer is a 200 that permits.
fn permits(answer: &[u8]) -> bool {
    const PERMIT: &[u8] = b"\"decision\":true";
    answer.starts_with(b"HTTP/1.1 200") && answer.windows(PERMIT.len()).any(|part| part == PERMIT)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_as_long_as_its_head_says() {
        let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 17\r\n\r\n{\"decision\":true}";
        assert_eq!(answer_length(answer), Some(answer.len()));
        assert_eq!(answer_length(&answer[..30]), None);
        assert!(permits(answer));
        assert!(!permits(b"HTTP/1.1 403 Forbidden\r\n\r\n"));
    }
}
