//! Where values came from: folding results beside parsing them, looking arguments up, and memory.

use std::hint::black_box;

use safeconduct_model::{ArgumentRole, ArgumentUse, Integrity, Label, RecordId, Returns, Value};
use safeconduct_session::Session;
use safeconduct_session::flow::{Flow, Gleaned, Named, Part, Source, digest_result, glean_task};
use safeconduct_session::monitor::Monitors;

use crate::decide;
use crate::report::say;
use crate::rounds::{Contestant, Shuffle, compete};
use crate::section::{Failure, Section, Target, short};
use crate::startup::resident_bytes;

const ROUNDS: u32 = 30;

/// Size of all results together, and of each where there are many.
const RESULTS_BYTES: usize = 1_000_000;
const RESULT_BYTES: usize = 16_000;

/// What a session holds that has read 1 MB of untrusted results.
pub(crate) fn busy() -> Result<Flow, Failure> {
    folded(many().iter().map(String::as_str))
}

/// 1 MB of results, 16 KB each.
fn many() -> Vec<String> {
    (0..RESULTS_BYTES / RESULT_BYTES).map(|n| results(RESULT_BYTES, 100 + n as u64)).collect()
}

/// Measures folding, looking up and size.
pub(crate) fn measure() -> Result<Section, Failure> {
    let mut section = Section::new("Information flow");
    let whole = results(RESULTS_BYTES, 1);
    let many = many();
    let mut folding = [
        Contestant::new("serde_json to a value", |batch| {
            for _ in 0..batch {
                for result in &many {
                    black_box(serde_json::from_slice::<serde_json::Value>(result.as_bytes())?);
                }
            }
            Ok(())
        }),
        Contestant::new("folded, 16 KB each", |batch| {
            for _ in 0..batch {
                black_box(folded(many.iter().map(String::as_str))?);
            }
            Ok(())
        }),
        Contestant::new("serde_json to a value, at once", |batch| {
            for _ in 0..batch {
                black_box(serde_json::from_slice::<serde_json::Value>(whole.as_bytes())?);
            }
            Ok(())
        }),
        Contestant::new("folded at once", |batch| {
            for _ in 0..batch {
                black_box(folded(std::iter::once(whole.as_str()))?);
            }
            Ok(())
        }),
    ];
    compete(&mut folding, ROUNDS, 2)?;
    let [parse_many, fold_many, parse_one, fold_one] = folding.each_ref().map(Contestant::median);

    let busy = folded(many.iter().map(String::as_str))?;
    let sealed: Vec<Gleaned> =
        many.iter().map(|result| glean(&busy, 1, result)).collect::<Result<_, _>>()?;
    let (arguments, uses) = arguments();
    let mut tasked = busy.clone();
    tasked.name(&task(&busy));
    let mut looking = [
        Contestant::new("look-up", |batch| {
            for _ in 0..batch {
                black_box(busy.look_up(black_box(&arguments), &uses));
            }
            Ok(())
        }),
        Contestant::new("look-up in a task", |batch| {
            for _ in 0..batch {
                black_box(tasked.look_up(black_box(&arguments), &uses));
            }
            Ok(())
        }),
        Contestant::new("fold of what was sealed", |batch| {
            let mut flow = busy.clone();
            for gleaned in sealed.iter().cycle().take(batch as usize) {
                flow.fold(gleaned);
            }
            black_box(&flow);
            Ok(())
        }),
    ];
    compete(&mut looking, ROUNDS, 200)?;
    let [look_up, in_task, refold] = looking.each_ref().map(Contestant::median);
    let (busy_bytes, idle_bytes) = (weigh("busy", 200)?, weigh("idle", 100_000)?);
    section.targets();
    section.target("flow_fold_over_parse", fold_many / parse_many, Target::AtMost(2.0));
    section.target("flow_fold_at_once_over_parse", fold_one / parse_one, Target::AtMost(2.0));
    section.target("flow_look_up_us", in_task / 1e3, Target::AtMost(20.0));
    section.target("session_busy_kib", busy_bytes / 1024.0, Target::AtMost(300.0));
    section.target("session_idle_kib", idle_bytes / 1024.0, Target::AtMost(1.0));
    section.number("flow_look_up_without_task_us", look_up / 1e3);
    section.number("flow_busy_kib", busy.bytes() as f64 / 1024.0);
    section.number("flow_parse_ms", parse_many / 1e6);
    section.number("flow_fold_ms", fold_many / 1e6);
    section.number("flow_refold_us", refold / 1e3);
    section.line("");
    section.line(format!(
        "1 MB of JSON results, most of it free text, all of it untrusted and unlike (the index is \
         full): parsed by serde_json to its values in {} ms, folded in results of 16 KB in {} ms, at \
         once in {} ms. Folding what was sealed of 16 KB into a full session takes {} µs under \
         its lock. 1 KB of arguments is looked up in that session, of a task with a prompt. A busy \
         session is weighed in memory (resident, of 200 together) with what it has read, its fifty \
         steps and what ten temporal policies remember of 200 results; an idle one (of 100,000) \
         with three steps and three small results. What the decision point keeps around one is \
         left out.",
        short(parse_many / 1e6),
        short(fold_many / 1e6),
        short(fold_one / 1e6),
        short(refold / 1e3),
    ));
    Ok(section)
}

/// What a task names: a parameter, and a prompt of some sentences.
fn task(of: &Flow) -> Named {
    let prompt = "Please answer the mail that Alice Smith sent on Monday about the quarterly \
                  numbers and the party, send a copy to Bob and Carol, and pay the invoice of \
                  4711 that is attached to it, once it is clear that nothing is left open.";
    let parameters = [("to".into(), Value::from("alice.smith@example.com"))].into();
    glean_task(&of.key(), &parameters, Some(prompt), Integrity::Trusted)
}

/// Bytes of resident memory that one session of so many takes, in a process that has nothing else.
fn weigh(sort: &str, count: u32) -> Result<f64, Failure> {
    let output = std::process::Command::new(std::env::current_exe()?)
        .args(["child-session", sort, &count.to_string()])
        .output()?;
    Ok(String::from_utf8(output.stdout)?.trim().parse()?)
}

/// Prints that.
pub(crate) fn child(sort: &str, count: u32) -> Result<(), Failure> {
    let many = many();
    let steps = decide::busy_session()?;
    let make = || match sort {
        "busy" => busy_session(&many, &steps),
        _ => idle_session(),
    };
    // What making them needs meanwhile is there before.
    black_box(make()?);
    let mut all = Vec::with_capacity(count as usize);
    let before = resident_bytes()?;
    for _ in 0..count {
        all.push(make()?);
    }
    let grown = resident_bytes()?.saturating_sub(before);
    black_box(all);
    say(&format!("{}", grown as f64 / f64::from(count)));
    Ok(())
}

fn busy_session(
    many: &[String],
    steps: &(Session, Monitors),
) -> Result<(Session, Monitors), Failure> {
    let read = folded(many.iter().map(String::as_str))?;
    let (mut session, monitors) = steps.clone();
    session.flow_mut(|| read);
    Ok((session, monitors))
}

fn idle_session() -> Result<(Session, Monitors), Failure> {
    let mut idle = Flow::keyed([1; 16]);
    for n in 0..3 {
        idle.fold(&glean(&idle, n, r#"{"ok":true,"id":17,"name":"notes.txt"}"#)?);
    }
    let mut session = decide::steps(0, 3, Session::default())?;
    session.flow_mut(|| idle);
    Ok((session, Monitors::default()))
}

fn folded<'r>(results: impl Iterator<Item = &'r str>) -> Result<Flow, Failure> {
    let mut flow = Flow::keyed([3; 16]);
    for (n, result) in results.enumerate() {
        let gleaned = glean(&flow, n as u64, result)?;
        flow.fold(&gleaned);
    }
    Ok(flow)
}

fn glean(flow: &Flow, sequence: u64, result: &str) -> Result<Gleaned, Failure> {
    let returns = Returns::uniform(Label { integrity: Integrity::Untrusted, ..Label::LEAST });
    let record = RecordId::new(format!("0197c2f0-0000-7000-8000-{sequence:012}"))?;
    let parts = [Part::Json(result.as_bytes())];
    Ok(digest_result(flow, &parts, &returns, Source { sequence, record }))
}

/// Words that are the same in every run; the first ones are used most.
fn words() -> Vec<String> {
    let mut shuffle = Shuffle(5);
    let letter = |shuffle: &mut Shuffle| char::from(b'a' + shuffle.below(26) as u8);
    (0..3000)
        .map(|_| {
            let length = 2 + shuffle.below(8);
            (0..length).map(|_| letter(&mut shuffle)).collect()
        })
        .collect()
}

/// A list of messages, as a mail or a bank server gives them.
fn results(bytes: usize, seed: u64) -> String {
    let (words, mut shuffle) = (words(), Shuffle(seed));
    let mut out = String::from("[");
    while out.len() < bytes {
        let mut pick = |common: bool| {
            let one = shuffle.below(words.len());
            let at = if common { one.min(shuffle.below(words.len())) } else { one };
            words.get(at).map_or("", String::as_str)
        };
        let (name, family) = (pick(false), pick(false));
        let body: Vec<&str> = (0..30).map(|_| pick(true)).collect();
        let (body, id) = (body.join(" "), shuffle.below(1_000_000));
        let comma = if out.len() > 1 { "," } else { "" };
        out.push_str(&format!(
            "{comma}{{\"id\":{id},\"from\":\"{name}.{family}@example.com\",\"name\":\"{name} \
             {family}\",\"date\":\"2024-0{}-1{} 10:0{}\",\"amount\":{}.{},\"read\":{},\"url\":\
             \"https://www.{name}.example/{family}/{id}\",\"labels\":[\"inbox\",\"{name}\"],\"body\":\
             \"{body}.\"}}",
            1 + shuffle.below(9),
            shuffle.below(9),
            shuffle.below(9),
            shuffle.below(10_000),
            shuffle.below(100),
            shuffle.below(2) == 0,
        ));
    }
    out.push(']');
    out
}

/// 1 KB of arguments: a mail.
fn arguments() -> (Value, Vec<ArgumentUse>) {
    let (words, mut shuffle) = (words(), Shuffle(9));
    let body: Vec<&str> = (0..132)
        .filter_map(|_| words.get(shuffle.below(words.len())).map(String::as_str))
        .collect();
    let copies = ["bob@example.com", "carol@example.org"].map(Value::from);
    let arguments = Value::object([
        ("to", Value::from("alice.smith@example.com")),
        ("cc", Value::Array(copies.to_vec())),
        ("subject", Value::from("Re: the quarterly numbers and the party")),
        ("amount", Value::from(4711)),
        ("url", Value::from("https://www.example.com/a/b/c?d=e")),
        ("body", Value::from(body.join(" "))),
    ]);
    let one = |argument: &str, role| ArgumentUse { argument: argument.into(), role };
    let uses = vec![
        one("/to", ArgumentRole::Address),
        one("/cc/*", ArgumentRole::Address),
        one("/url", ArgumentRole::Address),
        one("/amount", ArgumentRole::Amount),
    ];
    (arguments, uses)
}
