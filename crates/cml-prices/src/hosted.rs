//! Prices of GitHub-hosted runners, for comparison.
//! <https://docs.github.com/en/billing/reference/actions-runner-pricing>

use std::sync::OnceLock;

use cml_cloud::{Resources, Usd};
use jiff::civil::Date;
use rust_decimal::Decimal;

use crate::{catalog, table};

/// Dated and attributed in its first lines.
const TABLE: &str = include_str!("../data/hosted.csv");

/// A GitHub-hosted runner.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostedPrice {
    /// GitHub's name for it on the bill: `linux_4_core_gpu`.
    pub label: String,
    /// Its resources.
    pub resources: Resources,
    /// US dollars for each started minute of a job, in a private repository beyond the plan's included minutes.
    pub usd_per_minute: Decimal,
    /// The date of the price.
    pub as_of: Date,
}

impl HostedPrice {
    /// Returns the cost of a job of that many seconds: GitHub rounds each job up to whole minutes.
    #[must_use]
    pub fn for_job(&self, seconds: u64) -> Usd {
        Usd(self.usd_per_minute * Decimal::from(seconds.div_ceil(60)))
    }
}

/// Returns GitHub's Linux runners, in the order of the table.
#[must_use]
pub fn all() -> &'static [HostedPrice] {
    static ALL: OnceLock<Vec<HostedPrice>> = OnceLock::new();
    ALL.get_or_init(|| table::rows(TABLE).filter_map(|fields| row(&fields)).collect())
}

/// Returns GitHub's cheapest runner that has at least the wanted resources: the same architecture, as many vCPUs, as
/// much memory and, if there is a GPU, that model in that number. `None` when GitHub has no such runner.
#[must_use]
pub fn cheapest_that_fits(wanted: &Resources) -> Option<HostedPrice> {
    all().iter().filter(|hosted| fits(&hosted.resources, wanted)).min_by_key(|it| it.usd_per_minute).cloned()
}

fn fits(has: &Resources, wanted: &Resources) -> bool {
    let gpu = match (&has.gpu, &wanted.gpu) {
        (_, None) => true,
        (None, Some(_)) => false,
        (Some(has), Some(wanted)) => {
            has.name.eq_ignore_ascii_case(&wanted.name)
                && has.count >= wanted.count
                && has.memory_mib >= wanted.memory_mib
        }
    };
    gpu && has.arch == wanted.arch && has.vcpus >= wanted.vcpus && has.memory_mib >= wanted.memory_mib
}

fn row(fields: &[&str]) -> Option<HostedPrice> {
    let [label, shape @ .., price] = fields else { return None };
    Some(HostedPrice {
        label: (*label).to_owned(),
        resources: catalog::resources(shape)?,
        usd_per_minute: price.parse().ok()?,
        as_of: table::as_of(TABLE),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn for_type(name: &str) -> Option<String> {
        cheapest_that_fits(&catalog::find(name).expect("is known").resources).map(|hosted| hosted.label)
    }

    #[test]
    fn every_row_of_the_table_is_read() {
        assert_eq!(all().len(), table::rows(TABLE).count());
        assert!(all().iter().all(|hosted| hosted.as_of.to_string() == "2026-01-01"));
    }

    #[test]
    fn a_type_is_set_beside_the_cheapest_machine_that_would_have_done() {
        assert_eq!(for_type("m7i.large").as_deref(), Some("linux"));
        assert_eq!(for_type("c7i.2xlarge").as_deref(), Some("linux_8_core"));
        assert_eq!(for_type("r7i.2xlarge").as_deref(), Some("linux_16_core"), "for its memory");
        assert_eq!(for_type("m7g.xlarge").as_deref(), Some("linux_4_core_arm"));
        assert_eq!(for_type("g4dn.xlarge").as_deref(), Some("linux_4_core_gpu"));
        assert_eq!(for_type("g5.xlarge"), None, "GitHub has no A10G");
        assert_eq!(for_type("m7i.48xlarge"), None, "nor 192 cores");
    }

    #[test]
    fn a_job_is_billed_by_started_minutes() {
        let hosted =
            cheapest_that_fits(&catalog::find("g4dn.xlarge").expect("is known").resources).expect("is there");
        assert_eq!(hosted.for_job(0).to_string(), "$0");
        assert_eq!(hosted.for_job(60).to_string(), "$0.052");
        assert_eq!(hosted.for_job(61).to_string(), "$0.104");
    }
}
