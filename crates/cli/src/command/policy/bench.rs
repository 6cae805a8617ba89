//! `safeconduct policy bench`: how long a decision takes with this policy set, on this machine.

use std::hint::black_box;
use std::time::{Duration, Instant};

use serde_json::json;

use super::scene::{self, Scene};
use crate::args::{Question, Shared};
use crate::exit::{CommandError, Exit};
use crate::output::{self, Format};

/// How many decisions come first, unmeasured.
const WARM_UP: usize = 1_000;
/// Most decisions that are measured.
const SAMPLES_MAX: usize = 200_000;
/// How long is measured.
const TIME_MAX: Duration = Duration::from_secs(2);

/// Measures, and prints median and tail.
///
/// # Errors
/// The project is invalid, or a flag cannot be read.
pub(super) fn run(shared: &Shared, question: &Question) -> Result<Exit, CommandError> {
    let ground = scene::ground(shared, question)?;
    let scene = Scene::of(&ground, question)?;
    for _ in 0..WARM_UP {
        black_box(scene.decide());
    }
    let mut samples = Vec::with_capacity(SAMPLES_MAX);
    let began = Instant::now();
    while samples.len() < SAMPLES_MAX && began.elapsed() < TIME_MAX {
        let before = Instant::now();
        black_box(black_box(&scene).decide());
        samples.push(before.elapsed());
    }
    samples.sort_unstable();
    let at = |percent: usize| {
        let index = (samples.len() * percent / 100).min(samples.len().saturating_sub(1));
        samples.get(index).map_or(0.0, |time| time.as_secs_f64() * 1e6)
    };
    let decision = scene.decide().decision;
    let text = match shared.output {
        Format::Json | Format::Yaml => output::document(
            shared.output,
            &json!({
                "decision": decision.as_str(),
                "policies": ground.policies.len(),
                "samples": samples.len(),
                "p50_us": at(50),
                "p99_us": at(99),
            }),
        )?,
        _ => format!(
            "{decision}, {}: median {:.1} µs, 99% below {:.1} µs ({} decisions)\n",
            output::counted(ground.policies.len(), "policy", "policies"),
            at(50),
            at(99),
            samples.len(),
        ),
    };
    output::print(&text)?;
    Ok(Exit::Ok)
}
