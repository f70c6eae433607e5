//! How long a plan takes. Run by `just bench`; the results are in docs/benchmarks.md. Nothing is asserted about time.
#![allow(missing_docs)]
#![allow(clippy::print_stdout, reason = "a benchmark's output is its result")]
#![allow(dead_code, reason = "the world has more than this needs")]

mod world;

use std::time::Instant;

use cml_planner::plan;
use world::{Doing, job, machine, now, spec, world};

const ROUNDS: usize = 15;

#[test]
#[ignore = "a benchmark: run it with `just bench`"]
fn planning() {
    println!("| instances and jobs | plan, ms (median of {ROUNDS}) | µs each |\n|---|---|---|");
    for size in [100_u32, 1_000, 10_000, 100_000] {
        let mut specs = Vec::new();
        for number in 0..20 {
            let mut spec = spec(&format!("spec-{number}"), &format!("cml gpu-{number}"));
            spec.max = u32::MAX;
            specs.push(spec);
        }
        let mut world = world(specs.clone());
        for number in 0..size {
            let of = &specs[usize::try_from(number).expect("small") % specs.len()];
            let doing = [Doing::Busy, Doing::Busy, Doing::Idle(30), Doing::Booting]
                [usize::try_from(number / 20 % 4).expect("small")];
            machine(&mut world, of, u128::from(number) + 1, 500, doing);
            world
                .jobs
                .get_or_insert_default()
                .push(job(u64::from(number), &format!("cml gpu-{}", number % 20)));
        }
        let mut milliseconds: Vec<f64> = (0..ROUNDS)
            .map(|_| {
                let started = Instant::now();
                let plan = plan(&world, now());
                let took = started.elapsed().as_secs_f64() * 1000.0;
                assert!(!plan.actions.is_empty());
                took
            })
            .collect();
        milliseconds.sort_by(f64::total_cmp);
        let median = milliseconds[ROUNDS / 2];
        println!("| {size} | {median:.2} | {:.2} |", median * 1000.0 / f64::from(size));
    }
}
