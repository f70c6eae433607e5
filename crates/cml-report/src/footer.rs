//! The footer of a report: the machine that it was made on, and what that has cost.

use std::fmt::Write;

use jiff::Timestamp;

use crate::machine::{GpuUse, Machine};

/// Interval between two GPU samples, seconds.
const SAMPLED_EVERY: u64 = 15;

/// Appends a footer to a report. Without a machine, the footer states that nothing is known.
#[must_use]
pub fn with_footer(report: &str, machine: Option<&Machine>, gpus: &[GpuUse], now: Timestamp) -> String {
    let newline = if report.contains("\r\n") { "\r\n" } else { "\n" };
    let mut text = match machine {
        None => "Not a machine of cml-runner: cost not known.".to_owned(),
        Some(machine) => format!("{}. {}.", made_on(machine, now), cost(machine, now)),
    };
    for gpu in gpus {
        let _ = write!(text, "<br>{}", used(gpu));
    }
    format!("{}{newline}{newline}---{newline}{newline}<sub>{text}</sub>{newline}", report.trim_end())
}

fn made_on(machine: &Machine, now: Timestamp) -> String {
    if machine.is_local {
        return format!("Machine: this machine (local){}", since(machine, now));
    }
    let kind =
        machine.instance_type.as_ref().map_or_else(|| "type not known".to_owned(), |it| format!("`{it}`"));
    let zone = machine.zone.as_ref().map(|zone| format!(" in {zone}")).unwrap_or_default();
    let market = machine.market.as_deref().unwrap_or("spot or on-demand: not known");
    format!("Machine: {kind}{zone}, {market}{}", since(machine, now))
}

fn since(machine: &Machine, now: Timestamp) -> String {
    let Some(since) = machine.since else { return String::new() };
    let at = since.strftime("%Y-%m-%d %H:%M UTC");
    let minutes = now.duration_since(since).as_mins().max(0);
    let long = if minutes < 60 {
        format!("{minutes} min")
    } else {
        format!("{} h {} min", minutes / 60, minutes % 60)
    };
    format!(", since {at} ({long})")
}

fn cost(machine: &Machine, now: Timestamp) -> String {
    if machine.is_local {
        return "Cost so far: $0".to_owned();
    }
    match (machine.cost(now), machine.price) {
        (Some(cost), Some(price)) => format!(
            "Cost so far: about {cost} at {price}, the price when it was bought (an estimate, without disk and network)"
        ),
        _ => "Cost so far: not known (nobody has told the machine its price)".to_owned(),
    }
}

fn used(gpu: &GpuUse) -> String {
    let mut text = format!("GPU: {}", gpu.model);
    match gpu.utilisation {
        Some((mean, most)) => {
            let _ = write!(text, ", utilisation {mean} % on average, {most} % at most");
        }
        None => text.push_str(", utilisation not known"),
    }
    if let Some((mean, most)) = gpu.memory_mib {
        let _ = write!(text, "; memory {} on average, {} at most", gib(mean), gib(most));
        if let Some(total) = gpu.memory_total_mib {
            let _ = write!(text, ", of {}", gib(total));
        }
    }
    let _ = write!(text, " ({} readings, each card every {SAMPLED_EVERY} s)", gpu.samples);
    text
}

/// Formats MiB as GiB with one decimal digit.
fn gib(mib: u64) -> String {
    let tenths = (mib * 10 + 512) / 1024;
    format!("{}.{} GiB", tenths / 10, tenths % 10)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::machine::gpu_use;

    fn now() -> Timestamp {
        "2026-11-25T12:13:30Z".parse().expect("a time")
    }

    /// Renders the footer below its line.
    fn footer(facts: &str, gpu: &str) -> String {
        let all = with_footer("# Report\n", Some(&Machine::read(facts)), &gpu_use(gpu), now());
        let text =
            all.strip_prefix("# Report\n\n---\n\n<sub>").and_then(|rest| rest.strip_suffix("</sub>\n"));
        text.expect("small print below the report").to_owned()
    }

    #[test]
    fn a_footer_says_on_what_a_report_was_made_and_what_it_cost() {
        let facts = "since=2026-11-25T10:00:00Z\noffer=g5.xlarge us-east-1a spot 0.4213\ninstance-type=g5.xlarge\n\
                     availability-zone=us-east-1a\ninstance-life-cycle=spot\n";
        let gpu = "NVIDIA A10G, 80, 10000, 23028\nNVIDIA A10G, 91, 12000, 23028\n";
        assert_eq!(
            footer(facts, gpu),
            "Machine: `g5.xlarge` in us-east-1a, spot, since 2026-11-25 10:00 UTC (2 h 13 min). Cost so far: about $0.9374 \
             at $0.4213/h, the price when it was bought (an estimate, without disk and network).<br>GPU: NVIDIA A10G, \
             utilisation 86 % on average, 91 % at most; memory 10.7 GiB on average, 11.7 GiB at most, of 22.5 GiB \
             (2 readings, each card every 15 s)"
        );
    }

    #[test]
    fn what_is_not_known_is_said_and_this_machine_costs_nothing() {
        assert_eq!(
            footer("since=2026-11-25T12:00:00Z\ninstance-type=m5.large\n", ""),
            "Machine: `m5.large`, spot or on-demand: not known, since 2026-11-25 12:00 UTC (13 min). Cost so far: not \
             known (nobody has told the machine its price)."
        );
        assert_eq!(
            footer("machine=local\nsince=2026-11-25T12:00:00Z\n", "NVIDIA T4, [N/A], [N/A], [N/A]\n"),
            "Machine: this machine (local), since 2026-11-25 12:00 UTC (13 min). Cost so far: $0.<br>GPU: NVIDIA T4, \
             utilisation not known (0 readings, each card every 15 s)"
        );
        let elsewhere = with_footer("a\r\nb\r\n", None, &[], now());
        let small = "<sub>Not a machine of cml-runner: cost not known.</sub>";
        assert_eq!(elsewhere, format!("a\r\nb\r\n\r\n---\r\n\r\n{small}\r\n"));
    }
}
