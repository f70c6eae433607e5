//! A plan as a person reads it: what `cml-runner plan` prints.

use std::fmt;

use crate::plan::{Action, Plan};

/// Offers that are named; the rest is counted.
const OFFERS_SHOWN: usize = 3;

impl fmt::Display for Plan {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.actions.is_empty() && self.waiting.is_empty() {
            return writeln!(out, "nothing to do");
        }
        for action in &self.actions {
            writeln!(out, "{action}")?;
        }
        for waiting in &self.waiting {
            writeln!(out, "job {} waits: {}", waiting.job, waiting.why)?;
        }
        Ok(())
    }
}

impl fmt::Display for Action {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Launch { spec, job, offers, deadline } => {
                match job {
                    Some(job) => write!(out, "launch {spec} for job {job}:")?,
                    None => write!(out, "launch {spec}, to be kept ready:")?,
                }
                for (number, offer) in offers.iter().take(OFFERS_SHOWN).enumerate() {
                    let comma = if number == 0 { "" } else { "," };
                    let place = offer.zone.as_deref().unwrap_or(&offer.region);
                    write!(out, "{comma} {} {} in {place}", offer.market, offer.instance_type)?;
                    if let Some(price) = offer.price {
                        write!(out, " at {price}")?;
                    }
                }
                if offers.len() > OFFERS_SHOWN {
                    write!(out, " or {} more", offers.len() - OFFERS_SHOWN)?;
                }
                write!(out, "; gone by {deadline}")
            }
            Self::Terminate { region, instance, cause, .. } => {
                write!(out, "end {instance} in {region}: {cause}")
            }
            Self::RemoveRunner { name, cause, .. } => write!(out, "remove the runner {name}: {cause}"),
            Self::Rerun { run_id, jobs, number, .. } => {
                let jobs: Vec<String> = jobs.iter().map(ToString::to_string).collect();
                let (noun, verb) =
                    if jobs.len() == 1 { ("job", "its machine") } else { ("jobs", "their machines") };
                write!(
                    out,
                    "run {noun} {} of run {run_id} again (re-run {number}): the cloud took {verb} back",
                    jobs.join(", ")
                )
            }
        }
    }
}
