//! `needs:` of a pool: requirements for its machines, instead of types by name.

use cml_cloud::{Arch, InstanceRequirements, Range};

use crate::fields::Fields;
use crate::problem::Problems;

pub(crate) const KEYS: &[&str] = &["gpu", "gpus", "gpu_memory", "vcpus", "memory", "arch"];

const MIB_PER_GIB: u64 = 1024;

pub(crate) fn read(fields: &Fields<'_>, problems: &mut Problems<'_>) -> Option<InstanceRequirements> {
    let needs = fields.open("needs", KEYS, problems)?;
    let models: Vec<String> =
        needs.words("gpu", "a10g", problems).into_iter().map(|(model, _)| model.to_lowercase()).collect();
    let gpu = match models.as_slice() {
        _ if needs.node("gpu").is_none() => None,
        [any] if any == "any" => Some(Vec::new()),
        [none] if none == "none" => None,
        _ => Some(models),
    };
    let one_or_more = Range { least: 1, most: None };
    let gpus = needs.value("gpus", "1", problems, |text| span(text, plain)).unwrap_or(one_or_more);
    let gpu_memory_mib = needs.value("gpu_memory", "16GiB..", problems, |text| span(text, gib));
    for key in ["gpus", "gpu_memory"] {
        if gpu.is_none() && needs.node(key).is_some() {
            let what = "asks for GPUs, and `gpu` names none";
            problems.wrong(
                needs.place(key),
                &needs.path(key),
                what,
                "such as `gpu: any`, or `gpu: [a10g, l4]`",
            );
        }
    }
    Some(InstanceRequirements {
        gpu,
        gpus,
        gpu_memory_mib: gpu_memory_mib.unwrap_or_default(),
        vcpus: needs.value("vcpus", "4..", problems, |text| span(text, plain)).unwrap_or_default(),
        memory_mib: needs.value("memory", "16GiB..", problems, |text| span(text, gib)).unwrap_or_default(),
        arch: needs
            .choice("arch", &[("x64", Arch::X64), ("arm64", Arch::Arm64)], problems)
            .unwrap_or(Arch::X64),
    })
}

/// Parses `4`, `4..`, `..8` or `4..8`.
fn span(text: &str, one: impl Fn(&str) -> Option<u64>) -> Result<Range, String> {
    let wrong = || format!("invalid amount `{text}`");
    let span = match text.split_once("..") {
        None => {
            let exactly = one(text).ok_or_else(wrong)?;
            Range { least: exactly, most: Some(exactly) }
        }
        Some(("", "")) => return Err(wrong()),
        Some((least, most)) => {
            let bound = |text: &str| match text.trim() {
                "" => Ok(None),
                text => one(text).map(Some).ok_or_else(wrong),
            };
            Range { least: bound(least)?.unwrap_or(0), most: bound(most)? }
        }
    };
    if span.most.is_some_and(|most| most < span.least) {
        return Err(format!("`{text}` ends before it begins"));
    }
    Ok(span)
}

fn plain(text: &str) -> Option<u64> {
    text.trim().parse().ok()
}

fn gib(text: &str) -> Option<u64> {
    plain(text.trim().strip_suffix("GiB")?)?.checked_mul(MIB_PER_GIB)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_read() {
        let read = |text| {
            span(text, gib).map(|span| (span.least / MIB_PER_GIB, span.most.map(|it| it / MIB_PER_GIB)))
        };
        assert_eq!(read("16GiB"), Ok((16, Some(16))));
        assert_eq!(read("16GiB.."), Ok((16, None)));
        assert_eq!(read("..16GiB"), Ok((0, Some(16))));
        assert_eq!(read("8GiB .. 16GiB"), Ok((8, Some(16))));
        for wrong in ["..", "16", "x..", "16GiB..8GiB", "-1GiB", "99999999999999999999GiB"] {
            assert!(read(wrong).is_err(), "{wrong}");
        }
    }
}
