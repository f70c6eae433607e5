//! Instance types: what they have and what they cost by the list, from the embedded table.

use std::sync::OnceLock;

use cml_cloud::{Arch, Gpu, Resources, UsdPerHour};

/// Dated and attributed in its first lines.
const TABLE: &str = include_str!("../data/instance_types.csv");

/// One instance type.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct TypeFacts {
    pub(crate) name: String,
    pub(crate) resources: Resources,
    /// On-demand, Linux, us-east-1; an estimate elsewhere.
    pub(crate) on_demand: Option<UsdPerHour>,
}

/// All known types.
pub(crate) fn all() -> &'static [TypeFacts] {
    static ALL: OnceLock<Vec<TypeFacts>> = OnceLock::new();
    ALL.get_or_init(|| TABLE.lines().filter(|line| !line.starts_with('#')).skip(1).filter_map(row).collect())
}

/// One type by its exact name.
pub(crate) fn find(name: &str) -> Option<&'static TypeFacts> {
    all().iter().find(|facts| facts.name == name)
}

fn row(line: &str) -> Option<TypeFacts> {
    let fields: Vec<&str> = line.split(',').collect();
    let [name, arch, vcpus, memory_mib, gpu_name, gpu_count, gpu_memory_mib, price] = fields.as_slice()
    else {
        return None;
    };
    let gpu = match gpu_count.parse() {
        Ok(count) if count > 0 && !gpu_name.is_empty() => Some(Gpu {
            name: (*gpu_name).to_owned(),
            count,
            memory_mib: gpu_memory_mib.parse().unwrap_or_default(),
        }),
        _ => None,
    };
    Some(TypeFacts {
        name: (*name).to_owned(),
        resources: Resources {
            vcpus: vcpus.parse().ok()?,
            memory_mib: memory_mib.parse().ok()?,
            gpu,
            arch: if *arch == "arm64" { Arch::Arm64 } else { Arch::X64 },
        },
        on_demand: price.parse().ok().map(UsdPerHour),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_of_the_table_is_read() {
        let rows = TABLE.lines().filter(|line| !line.starts_with('#')).count() - 1;
        assert_eq!(all().len(), rows);
        let t4 = find("g4dn.xlarge").expect("is known");
        assert_eq!(t4.resources.gpu.as_ref().map(|gpu| (gpu.name.as_str(), gpu.count)), Some(("t4", 1)));
        assert_eq!(t4.on_demand.expect("a price").to_string(), "$0.526/h");
        assert_eq!(find("g5g.xlarge").expect("is known").resources.arch, Arch::Arm64);
    }
}
