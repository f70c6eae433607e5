//! Facts about the machine: those that its script has written at boot, and its GPU samples. Pure: the caller reads the
//! files.

use std::str::FromStr;

use cml_cloud::{Usd, UsdPerHour};
use jiff::Timestamp;
use rust_decimal::Decimal;

/// Minimum time that EC2 bills: <https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/billing-info-instances.html>
const BILLED_SECONDS_MIN: u64 = 60;

/// Maximum number of distinct GPU models: a machine has one, seldom two.
const MODELS_MAX: usize = 16;

/// A machine's facts, from `NAME=VALUE` lines of which the last of a name counts. Missing facts are unknown.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Machine {
    /// Whether it is the user's own machine, which costs nothing.
    pub is_local: bool,
    /// `g5.xlarge`.
    pub instance_type: Option<String>,
    /// `us-east-1a`.
    pub zone: Option<String>,
    /// `spot` or `on-demand`.
    pub market: Option<String>,
    /// Time of its start.
    pub since: Option<Timestamp>,
    /// Its price at the purchase: that of the offer which it came from.
    pub price: Option<UsdPerHour>,
}

impl Machine {
    /// Parses the facts; unparseable lines are skipped.
    #[must_use]
    pub fn read(text: &str) -> Self {
        let all = |name: &str| {
            let name = name.to_owned();
            text.lines().filter_map(move |line| line.strip_prefix(&name)?.strip_prefix('='))
        };
        let fact = |name: &str| all(name).map(plain).rfind(|value| !value.is_empty());
        let mut machine = Self {
            is_local: fact("machine").is_some_and(|machine| machine == "local"),
            instance_type: fact("instance-type"),
            zone: fact("availability-zone"),
            market: fact("instance-life-cycle"),
            since: fact("since").and_then(|since| since.parse().ok()),
            price: None,
        };
        machine.price = all("offer").find_map(|offer| machine.price_of(offer));
        machine
    }

    /// Returns the price from `TYPE ZONE MARKET USD`, if it is the offer that this machine came from; a zone `*` is
    /// any.
    fn price_of(&self, offer: &str) -> Option<UsdPerHour> {
        let words: Vec<&str> = offer.split_whitespace().collect();
        let [instance_type, zone, market, price] = words.as_slice() else { return None };
        let is_it = self.instance_type.as_deref() == Some(*instance_type)
            && self.market.as_deref() == Some(*market)
            && (*zone == "*" || self.zone.as_deref() == Some(*zone));
        // A job can write anything here: no machine costs a million an hour.
        let possible = Decimal::ZERO..=Decimal::from(1_000_000);
        Decimal::from_str(price).ok().filter(|price| is_it && possible.contains(price)).map(UsdPerHour)
    }

    /// Returns its cost until now, without its disk and its network. An estimate: a spot price changes while the
    /// machine runs.
    #[must_use]
    pub fn cost(&self, now: Timestamp) -> Option<Usd> {
        let seconds = u64::try_from(now.duration_since(self.since?).as_secs()).ok()?;
        Some(self.price?.for_seconds(seconds.max(BILLED_SECONDS_MIN)))
    }
}

/// Keeps only the characters of such names: the result is inserted into Markdown.
fn plain(text: &str) -> String {
    text.trim().chars().filter(|it| it.is_ascii_alphanumeric() || " .:_-".contains(*it)).take(64).collect()
}

/// Usage of the GPUs of one model, over all of them and all samples.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GpuUse {
    /// The model, as its driver names it.
    pub model: String,
    /// Number of samples with a utilisation.
    pub samples: u64,
    /// Mean and highest utilisation, per cent.
    pub utilisation: Option<(u64, u64)>,
    /// Mean and highest memory in use, MiB.
    pub memory_mib: Option<(u64, u64)>,
    /// Memory of one GPU, MiB.
    pub memory_total_mib: Option<u64>,
}

/// Parses samples of `nvidia-smi --query-gpu=name,utilization.gpu,memory.used,memory.total
/// --format=csv,noheader,nounits`; models in the order in which they appear. Missing values (`[N/A]`) are skipped, and
/// so is an incomplete line.
#[must_use]
pub fn gpu_use(samples: &str) -> Vec<GpuUse> {
    let mut models: Vec<(String, [Sum; 2], Option<u64>)> = Vec::new();
    for line in samples.lines() {
        // A name may contain a comma.
        let words: Vec<&str> = line.rsplitn(4, ',').map(str::trim).collect();
        let [total, used, busy, name] = words.as_slice() else { continue };
        let name = plain(name);
        if name.is_empty() {
            continue;
        }
        let known = models.iter().position(|(known, ..)| *known == name);
        let index = match known {
            Some(index) => index,
            None if models.len() >= MODELS_MAX => continue,
            None => {
                models.push((name, [Sum::default(), Sum::default()], None));
                models.len() - 1
            }
        };
        let (_, [busy_sum, used_sum], total_mib) = &mut models[index];
        busy_sum.add(busy);
        used_sum.add(used);
        *total_mib = total.parse().ok().max(*total_mib);
    }
    let read = |(model, [busy, used], memory_total_mib): (String, [Sum; 2], Option<u64>)| GpuUse {
        model,
        samples: busy.count.max(used.count),
        utilisation: busy.mean_and_most(),
        memory_mib: used.mean_and_most(),
        memory_total_mib,
    };
    models.into_iter().map(read).collect()
}

/// A sum of whole numbers.
#[derive(Clone, Copy, Debug, Default)]
struct Sum {
    sum: u64,
    count: u64,
    most: u64,
}

impl Sum {
    fn add(&mut self, text: &str) {
        if let Ok(number) = text.parse::<u64>() {
            self.sum = self.sum.saturating_add(number);
            self.count += 1;
            self.most = self.most.max(number);
        }
    }

    /// Returns the mean, rounded, and the maximum.
    fn mean_and_most(&self) -> Option<(u64, u64)> {
        (self.count > 0).then(|| (self.sum.saturating_add(self.count / 2) / self.count, self.most))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FACTS: &str = "machine=cloud\nsince=2026-11-25T10:00:40Z\noffer=g5.xlarge us-east-1b spot 0.5\n\
                         offer=g5.xlarge us-east-1a spot 0.4213\noffer=g4dn.xlarge * on-demand 0.526\n\
                         instance-type=g5.xlarge\navailability-zone=us-east-1a\ninstance-life-cycle=spot\nsince=2026-11-25T10:00:00Z\n";

    fn at(time: &str) -> Timestamp {
        time.parse().expect("a time")
    }

    #[test]
    fn a_machine_knows_its_price_by_the_offer_that_it_came_from() {
        let machine = Machine::read(FACTS);
        assert_eq!(machine.price.map(|price| price.to_string()).as_deref(), Some("$0.4213/h"));
        assert_eq!(machine.since, Some(at("2026-11-25T10:00:00Z")), "the last one holds");
        let cost = |now: &str| machine.cost(at(now)).map(|cost| cost.to_string());
        assert_eq!(cost("2026-11-25T12:00:00Z").as_deref(), Some("$0.8426"));
        assert_eq!(cost("2026-11-25T10:00:01Z").as_deref(), Some("$0.007"), "a minute at least");
        assert_eq!(cost("2026-11-25T09:00:00Z"), None, "a clock that is wrong");
        let on_demand = FACTS.replace("cycle=spot", "cycle=on-demand").replace("type=g5", "type=g4dn");
        assert_eq!(
            Machine::read(&on_demand).price.map(|price| price.0),
            Some(Decimal::new(526, 3)),
            "any zone"
        );
    }

    #[test]
    fn what_a_machine_does_not_know_is_not_guessed() {
        let without =
            |part: &str| FACTS.lines().filter(|line| !line.starts_with(part)).collect::<Vec<_>>().join("\n");
        for part in ["instance-type", "availability-zone", "instance-life-cycle", "offer"] {
            assert_eq!(Machine::read(&without(part)).price, None, "{part}");
        }
        assert_eq!(Machine::read(&FACTS.replace("0.4213", "-1")).price, None);
        assert_eq!(Machine::read("instance-type=`<b>`|x\n").instance_type.as_deref(), Some("bx"));
        assert_eq!(Machine::read("\u{0}=\n==\nsince=soon"), Machine::default());
    }

    #[test]
    fn samples_of_gpus_are_added_up_by_model() {
        let samples = "NVIDIA A10G, 80, 10000, 23028\nNVIDIA A10G, 91, 12000, 23028\nNVIDIA T4, [N/A], 5, 15360\n\
                       NVIDIA A10G, [N/A], 14000, 23028\nNVIDIA A10G, 9";
        let all = gpu_use(samples);
        assert_eq!(all.len(), 2);
        assert_eq!((all[0].model.as_str(), all[0].samples), ("NVIDIA A10G", 3));
        assert_eq!(all[0].utilisation, Some((86, 91)));
        assert_eq!((all[0].memory_mib, all[0].memory_total_mib), (Some((12000, 14000)), Some(23028)));
        assert_eq!((all[1].utilisation, all[1].memory_mib), (None, Some((5, 5))));
        assert_eq!(gpu_use("Failed to initialize NVML: Driver/library version mismatch\n"), []);
    }
}
