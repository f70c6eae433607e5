//! Instance types: their resources and list prices, from the embedded table.

use std::collections::HashMap;
use std::sync::OnceLock;

use cml_cloud::{Arch, Gpu, Resources, UsdPerHour};
use jiff::civil::Date;

use crate::table;

/// Dated and attributed in its first lines.
const TABLE: &str = include_str!("../data/instance_types.csv");

/// One instance type.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InstanceTypeInfo {
    /// `g5.xlarge`.
    pub name: String,
    /// Its resources.
    pub resources: Resources,
    /// On-demand price, Linux, us-east-1; an estimate elsewhere. `None` where the type is not sold there.
    pub on_demand: Option<UsdPerHour>,
}

/// Returns all known types.
#[must_use]
pub fn all() -> &'static [InstanceTypeInfo] {
    static ALL: OnceLock<Vec<InstanceTypeInfo>> = OnceLock::new();
    ALL.get_or_init(|| table::rows(TABLE).filter_map(|fields| row(&fields)).collect())
}

/// Returns one type by its exact name.
#[must_use]
pub fn find(name: &str) -> Option<&'static InstanceTypeInfo> {
    static BY_NAME: OnceLock<HashMap<&'static str, &'static InstanceTypeInfo>> = OnceLock::new();
    let by_name = BY_NAME.get_or_init(|| all().iter().map(|facts| (facts.name.as_str(), facts)).collect());
    by_name.get(name).copied()
}

/// Returns the date of the table.
#[must_use]
pub fn as_of() -> Date {
    static DATE: OnceLock<Date> = OnceLock::new();
    *DATE.get_or_init(|| table::as_of(TABLE))
}

fn row(fields: &[&str]) -> Option<InstanceTypeInfo> {
    let [name, shape @ .., price] = fields else { return None };
    Some(InstanceTypeInfo {
        name: (*name).to_owned(),
        resources: resources(shape)?,
        on_demand: price.parse().ok().map(UsdPerHour),
    })
}

/// Parses `arch,vcpus,memory_mib,gpu_name,gpu_count,gpu_memory_mib`.
pub(crate) fn resources(fields: &[&str]) -> Option<Resources> {
    let [arch, vcpus, memory_mib, gpu_name, gpu_count, gpu_memory_mib] = fields else { return None };
    let gpu = match gpu_count.parse() {
        Ok(count) if count > 0 && !gpu_name.is_empty() => Some(Gpu {
            name: (*gpu_name).to_owned(),
            count,
            memory_mib: gpu_memory_mib.parse().unwrap_or_default(),
        }),
        _ => None,
    };
    Some(Resources {
        vcpus: vcpus.parse().ok()?,
        memory_mib: memory_mib.parse().ok()?,
        gpu,
        arch: if *arch == "arm64" { Arch::Arm64 } else { Arch::X64 },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_of_the_table_is_read() {
        assert_eq!(all().len(), table::rows(TABLE).count());
        assert_eq!(as_of().to_string(), "2026-07-20");
        let t4 = find("g4dn.xlarge").expect("is known");
        assert_eq!(t4.resources.gpu.as_ref().map(|gpu| (gpu.name.as_str(), gpu.count)), Some(("t4", 1)));
        assert_eq!(t4.on_demand.expect("a price").to_string(), "$0.526/h");
        assert_eq!(find("g5g.xlarge").expect("is known").resources.arch, Arch::Arm64);
        assert_eq!(find("g5g"), None);
    }
}
