//! The text of a plan, which `cml-runner plan` prints.

use std::fmt;

use crate::plan::{Action, Plan};

/// Offers that are named; the others are counted.
const OFFERS_SHOWN: usize = 3;

impl fmt::Display for Plan {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.actions.is_empty() && self.waiting.is_empty() {
            return writeln!(out, "nothing to do");
        }
        for action in &self.actions {
            writeln!(out, "{}", cml_text::line(&action.to_string()))?;
        }
        for waiting in &self.waiting {
            let why = waiting.why.to_string();
            writeln!(out, "job {} waits: {}", waiting.job, cml_text::line(&why))?;
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{JobId, WaitReason, Waiting};

    #[test]
    fn labels_of_a_job_are_one_line_whatever_is_in_them() {
        let label = "x\u{1b}]0;t\u{7}\u{202e}\r\n::error::forged ##[group]".to_owned();
        let why = WaitReason::NoSpec { nearest: Some("gpu".to_owned()), missing: vec![label] };
        let waiting = Waiting { job: JobId(1), why };
        let text = Plan { waiting: vec![waiting], ..Plan::default() }.to_string();
        assert_eq!(
            text,
            "job 1 waits: no pool has all of its labels: gpu lacks x\\u{1b}]0;t\\u{7}\\u{202e}\\u{d}\\u{a}::error::forged \\u{23}#[group]\n"
        );
    }
}
