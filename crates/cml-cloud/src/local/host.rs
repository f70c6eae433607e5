//! Resources of this machine.

use std::ffi::OsString;

use rust_decimal::Decimal;

use super::LOCAL;
use crate::UsdPerHour;
use crate::error::{CloudError, ErrorKind};
use crate::types::{Arch, Gpu, Market, Offer, OfferQuery, Resources};

/// Returns the only offer: this machine, free of charge. Regions, types and markets of a query apply to other clouds.
pub(super) fn offer(query: &OfferQuery) -> Result<Offer, CloudError> {
    let gpu = gpus();
    if let Some(wanted) = query.gpu.as_deref()
        && wanted != "nogpu"
        && gpu.is_none()
    {
        let cause =
            format!("a GPU is asked for ({wanted}), and this machine has none: there is no /dev/nvidia0");
        return Err(CloudError::new(ErrorKind::Invalid, "looking for a local GPU", cause)
            .hint("leave the GPU out, or see that the driver is loaded: nvidia-smi"));
    }
    let arch = if cfg!(target_arch = "aarch64") { Arch::Arm64 } else { Arch::X64 };
    let vcpus = std::thread::available_parallelism().map_or(1, usize::from);
    Ok(Offer {
        region: LOCAL.to_owned(),
        zone: None,
        instance_type: LOCAL.to_owned(),
        market: Market::OnDemand,
        price: Some(UsdPerHour(Decimal::ZERO)),
        resources: Resources {
            vcpus: u32::try_from(vcpus).unwrap_or(u32::MAX),
            memory_mib: memory_mib(),
            gpu,
            arch,
        },
        disk: None,
        quota: None,
        driver: crate::types::Driver::None,
    })
}

fn memory_mib() -> u64 {
    let text = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let kib = text
        .lines()
        .find_map(|line| line.strip_prefix("MemTotal:")?.trim().strip_suffix(" kB")?.parse::<u64>().ok());
    kib.unwrap_or(0) / 1024
}

/// The driver creates one device per GPU; their model would need the driver's library.
fn gpus() -> Option<Gpu> {
    let is_gpu = |name: &str| {
        name.strip_prefix("nvidia")
            .is_some_and(|number| !number.is_empty() && number.bytes().all(|b| b.is_ascii_digit()))
    };
    let devices = std::fs::read_dir("/dev").into_iter().flatten().flatten();
    let count = devices.filter(|entry| entry.file_name().to_str().is_some_and(is_gpu)).count();
    let count = u32::try_from(count).unwrap_or(u32::MAX);
    (count > 0).then(|| Gpu { name: "nvidia".to_owned(), count, memory_mib: 0 })
}

/// Returns the part of the host's environment that an instance gets: program paths and locale. No tokens.
pub(super) fn plain_environment() -> Vec<(&'static str, OsString)> {
    #[allow(
        clippy::disallowed_methods,
        reason = "the edge: what a machine's environment is for EC2, this is here"
    )]
    let own = |name: &'static str| std::env::var_os(name).map(|value| (name, value));
    let path = own("PATH").unwrap_or_else(|| ("PATH", "/usr/local/bin:/usr/bin:/bin".into()));
    let lang = own("LANG").unwrap_or_else(|| ("LANG", "C.UTF-8".into()));
    let user = own("USER").unwrap_or_else(|| ("USER", "runner".into()));
    vec![path, lang, user]
}
