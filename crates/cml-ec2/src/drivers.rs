//! Drivers of accelerators. Types with different drivers are never bought in one call, since a call boots one image.

use cml_cloud::{Driver, Gpu};

/// GPUs before Turing: NVIDIA's open kernel module, which the base images have, does not support them.
/// <https://github.com/NVIDIA/open-gpu-kernel-modules>: "Turing and later".
const BEFORE_TURING: &[&str] = &["v100", "p100", "p40", "p4", "m60", "m40", "k80", "k520"];
/// Prefixes of the names of AMD's GPUs.
const AMD: &[&str] = &["radeon", "instinct"];

/// Returns the driver that the image of a type must contain, by its name and its GPU.
#[must_use]
pub fn needed(instance_type: &str, gpu: Option<&Gpu>) -> Driver {
    let family: String = instance_type.chars().take_while(char::is_ascii_lowercase).collect();
    // A fraction of a GPU, which needs NVIDIA's GRID driver: no base image has it.
    // https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/install-nvidia-driver.html
    if ["g6f.", "gr6f."].iter().any(|begin| instance_type.starts_with(begin)) {
        return Driver::Other;
    }
    match (family.as_str(), gpu) {
        ("inf" | "trn", _) => Driver::Neuron,
        // Gaudi and Qualcomm's cards, video transcoders, FPGAs.
        ("dl" | "vt" | "f", _) => Driver::Other,
        (_, None) => Driver::None,
        (_, Some(gpu)) if AMD.iter().any(|maker| gpu.name.starts_with(maker)) => Driver::Amd,
        (_, Some(gpu)) if BEFORE_TURING.contains(&gpu.name.as_str()) => Driver::NvidiaProprietary,
        (_, Some(_)) => Driver::Nvidia,
    }
}

/// Returns the same for a type that only EC2 knows, which reports the manufacturer of its GPU.
#[must_use]
pub fn needed_by_maker(instance_type: &str, gpu: Option<&Gpu>, maker: Option<&str>) -> Driver {
    match (needed(instance_type, gpu), maker.map(str::to_ascii_lowercase).as_deref()) {
        (Driver::Nvidia | Driver::NvidiaProprietary, Some("amd")) => Driver::Amd,
        (Driver::Nvidia | Driver::NvidiaProprietary, Some(maker)) if maker != "nvidia" => Driver::Other,
        (driver, _) => driver,
    }
}

/// Returns the hardware that needs the driver, for a message.
#[must_use]
pub fn hardware(driver: Driver) -> &'static str {
    match driver {
        Driver::None => "no accelerator",
        Driver::Nvidia => "an NVIDIA GPU",
        Driver::NvidiaProprietary => {
            "an NVIDIA GPU from before Turing, which needs the proprietary kernel module"
        }
        Driver::Amd => "an AMD GPU",
        Driver::Neuron => "an AWS Neuron accelerator",
        Driver::Other => "an accelerator",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use cml_prices::catalog;

    fn of(name: &str) -> Driver {
        let facts = catalog::find(name).unwrap_or_else(|| panic!("{name} is known"));
        needed(name, facts.resources.gpu.as_ref())
    }

    #[test]
    fn every_accelerator_has_the_driver_that_serves_it() {
        for (name, driver) in [
            ("m7i.large", Driver::None),
            ("i4i.large", Driver::None),
            ("g4dn.xlarge", Driver::Nvidia),
            ("g5g.xlarge", Driver::Nvidia),
            ("p5.48xlarge", Driver::Nvidia),
            ("p3dn.24xlarge", Driver::NvidiaProprietary),
            ("g4ad.xlarge", Driver::Amd),
            ("inf2.xlarge", Driver::Neuron),
            ("trn1.2xlarge", Driver::Neuron),
            ("vt1.3xlarge", Driver::Other),
            ("f1.2xlarge", Driver::Other),
            ("dl1.24xlarge", Driver::Other),
            ("g6f.xlarge", Driver::Other),
            ("gr6f.4xlarge", Driver::Other),
        ] {
            if catalog::find(name).is_some() {
                assert_eq!(of(name), driver, "{name}");
            } else {
                assert_eq!(needed(name, None), driver, "{name}");
            }
        }
    }

    #[test]
    fn a_type_that_is_newer_than_the_table_is_judged_by_the_maker_of_its_gpu() {
        let gpu = |name: &str| Gpu { name: name.to_owned(), count: 1, memory_mib: 0 };
        let of = |name: &str, maker| needed_by_maker("g99.xlarge", Some(&gpu(name)), maker);
        assert_eq!(of("rubin", Some("NVIDIA")), Driver::Nvidia);
        assert_eq!(of("v100", Some("NVIDIA")), Driver::NvidiaProprietary);
        assert_eq!(of("mi400", Some("AMD")), Driver::Amd);
        assert_eq!(of("gaudi4", Some("Habana")), Driver::Other);
        assert_eq!(needed_by_maker("m99.large", None, None), Driver::None);
    }
}
