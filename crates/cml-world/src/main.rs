//! Runs histories of the simulated world: `check --seeds A..B` reports broken laws, `replay SEED` prints one history.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a program whose words are its result")]

use std::collections::BTreeMap;
use std::ops::Range;
use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use clap::{Parser, Subcommand};
use cml_world::fleet::{Fault, RunConfig, RunResult, run};
use serde_json::json;

/// Run histories of the simulated world.
#[derive(Parser)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run many histories and check the laws.
    Check {
        /// The seeds, the last one excluded: 1..2001.
        #[arg(long, value_parser = seeds)]
        seeds: Range<u64>,
        /// Jobs in each history.
        #[arg(long, default_value_t = 50)]
        jobs: usize,
        /// Print one JSON object only.
        #[arg(long)]
        json: bool,
    },
    /// Run one history and print its log.
    Replay {
        /// The seed.
        seed: u64,
        /// Jobs in it.
        #[arg(long, default_value_t = 50)]
        jobs: usize,
    },
    /// Run histories from a seed on, until interrupted.
    Night {
        /// The first seed.
        #[arg(long, default_value_t = 1_000_000)]
        from: u64,
        /// Jobs in each history.
        #[arg(long, default_value_t = 50)]
        jobs: usize,
        /// Stop after so many minutes; for ever without it.
        #[arg(long)]
        minutes: Option<u64>,
    },
}

fn seeds(text: &str) -> Result<Range<u64>, String> {
    let bad =
        || format!("{text:?} names no seeds: write the first and the one after the last, such as 1..2001");
    let (first, end) = text.split_once("..").ok_or_else(bad)?;
    let range = first.parse().map_err(|_| bad())?..end.parse().map_err(|_| bad())?;
    if range.is_empty() { Err(bad()) } else { Ok(range) }
}

/// What many histories came to.
#[derive(Default)]
struct Sum {
    seeds: u64,
    lives: u64,
    met: BTreeMap<Fault, u64>,
    broken: Vec<(u64, Vec<String>)>,
}

impl Sum {
    fn add(&mut self, history: RunResult) {
        self.seeds += 1;
        self.lives += u64::try_from(history.lives).unwrap_or(0);
        for (fault, times) in history.met {
            *self.met.entry(fault).or_default() += times;
        }
        if let Some(law) = history.violations.first() {
            // At once: the run may be broken off long before its end.
            eprintln!("seed {}: {law}", history.seed);
            self.broken.push((history.seed, history.violations));
        }
    }

    fn as_json(&self) -> serde_json::Value {
        let met: BTreeMap<&str, u64> = Fault::ALL
            .iter()
            .map(|fault| (fault.word(), self.met.get(fault).copied().unwrap_or(0)))
            .collect();
        let broken: Vec<_> = self
            .broken
            .iter()
            .take(20)
            .map(|(seed, laws)| json!({"seed": seed, "broken": laws.first()}))
            .collect();
        json!({
            "seeds": self.seeds,
            "lives": self.lives,
            "violations": self.broken.len(),
            "broken": broken,
            "faults_met": met,
        })
    }
}

/// Plays the seeds on all processors: histories share nothing.
fn check(
    seeds: Range<u64>,
    jobs: usize,
    until: Option<std::time::Instant>,
    watch: impl Fn(&Sum) + Sync,
) -> Sum {
    let next = AtomicU64::new(seeds.start);
    let sum = Mutex::new(Sum::default());
    let threads = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    let is_late = until.is_some_and(|until| now() >= until);
                    if seed >= seeds.end || is_late {
                        return;
                    }
                    let history = run(&RunConfig { seed, jobs, ..RunConfig::default() });
                    let mut sum = sum.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
                    sum.add(history);
                    watch(&sum);
                }
            });
        }
    });
    let mut sum = sum.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
    sum.broken.sort();
    sum
}

fn now() -> std::time::Instant {
    #[allow(
        clippy::disallowed_methods,
        reason = "how fast histories are played is measured by the real clock"
    )]
    std::time::Instant::now()
}

fn main() -> ExitCode {
    match Arguments::parse().command {
        Command::Check { seeds, jobs, json } => {
            let whole = seeds.end - seeds.start;
            let sum = check(seeds, jobs, None, |sum| {
                if !json && sum.seeds % 500 == 0 {
                    println!(
                        "{} of {whole} seeds, {} lives, {} broken",
                        sum.seeds,
                        sum.lives,
                        sum.broken.len()
                    );
                }
            });
            println!("{}", sum.as_json());
            if sum.broken.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
        }
        Command::Replay { seed, jobs } => {
            let history = run(&RunConfig { seed, jobs, log: true, ..RunConfig::default() });
            print!("{}", history.log);
            println!("{} lives, {} broken laws", history.lives, history.violations.len());
            for law in &history.violations {
                println!("{law}");
            }
            if history.violations.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
        }
        Command::Night { from, jobs, minutes } => {
            let begun = now();
            let until = minutes.map(|minutes| begun + Duration::from_secs(minutes * 60));
            let speed = |sum: &Sum| {
                let seconds = begun.elapsed().as_secs_f64();
                #[allow(clippy::cast_precision_loss, reason = "a speed for people to read")]
                let (seeds, lives) = (sum.seeds as f64 / seconds, sum.lives as f64 / seconds);
                println!(
                    "{} seeds, {} lives, {} violations; {seeds:.1} seeds/s, {lives:.0} lives/s",
                    sum.seeds,
                    sum.lives,
                    sum.broken.len()
                );
            };
            let sum = check(from..u64::MAX, jobs, until, |sum| {
                if sum.seeds % 1000 == 0 {
                    speed(sum);
                }
            });
            speed(&sum);
            println!("{}", sum.as_json());
            if sum.broken.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
        }
    }
}
