//! Machine types as the user names them: EC2's names, CML's sizes, a GPU together with either.

use cml_cloud::{Arch, CloudError, ErrorKind};

use cml_prices::catalog::{self, InstanceTypeInfo};

/// Sizes without a GPU: CML's types (`t2.micro`, `m5.2xlarge`, `m5.8xlarge`, `m5.16xlarge`) and their current
/// equivalents. <https://cml.dev/doc/ref/runner>
const PLAIN: &[(&str, &[&str])] = &[
    ("s", &["t3a.micro", "t3.micro", "t2.micro"]),
    ("m", &["m7i.2xlarge", "m7a.2xlarge", "m6i.2xlarge", "m6a.2xlarge", "m5.2xlarge", "m5a.2xlarge"]),
    ("l", &["m7i.8xlarge", "m7a.8xlarge", "m6i.8xlarge", "m6a.8xlarge", "m5.8xlarge", "m5a.8xlarge"]),
    ("xl", &["m7i.16xlarge", "m7a.16xlarge", "m6i.16xlarge", "m6a.16xlarge", "m5.16xlarge", "m5a.16xlarge"]),
];

/// GPUs that EC2 does not sell any more (or only eight at once), and current types with as many GPUs and at least their
/// memory.
const RETIRED: &[(&str, &str, &[&str])] = &[
    ("m", "k80", &["g4dn.xlarge", "g4dn.2xlarge", "g6.xlarge", "g5.xlarge"]),
    ("l", "k80", &["g4dn.metal", "g6.48xlarge", "g5.48xlarge"]),
    ("xl", "k80", &["g4dn.metal", "g6.48xlarge", "g5.48xlarge"]),
    ("m", "v100", &["g6.xlarge", "g5.xlarge", "g6e.xlarge"]),
    ("l", "v100", &["g6.12xlarge", "g5.12xlarge", "g6e.12xlarge"]),
    ("xl", "v100", &["g6.48xlarge", "g5.48xlarge", "g6e.48xlarge"]),
];

/// Number of types that represent a size with a GPU: the cheapest ones that have it.
const TYPES_PER_SIZE: usize = 3;

/// A requested type.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TypeRequest {
    /// Types of the table.
    Known(Vec<&'static InstanceTypeInfo>),
    /// A name with the form of a type that is not in the table: newer than the table, or wrong. EC2 has to be queried.
    Newer(String),
}

/// Parses one `--type` with its `--gpu`.
///
/// # Errors
/// [`ErrorKind::Invalid`] for a name that is neither a type nor a size, and for a GPU that the type does not have.
pub fn read(name: &str, gpu: Option<&str>) -> Result<TypeRequest, CloudError> {
    let gpu = gpu.map(str::to_ascii_lowercase).filter(|gpu| !["", "nogpu", "none"].contains(&gpu.as_str()));
    let (size, gpu_in_name) = match name.split_once('+') {
        Some((size, gpu)) => (size, Some(gpu.to_ascii_lowercase())),
        None => (name, None),
    };
    // CML's older name.
    let gpu = gpu_in_name.or(gpu).map(|gpu| if gpu == "tesla" { "v100".to_owned() } else { gpu });
    let is_size = ["s", "m", "l", "xl"].contains(&size);
    match (is_size, gpu) {
        (true, None) => Ok(TypeRequest::Known(plain(size))),
        (true, Some(gpu)) => with_gpu(size, &gpu).map(TypeRequest::Known),
        (false, gpu) => match catalog::find(size) {
            Some(facts) => has_gpu(facts, gpu.as_deref()).map(|()| TypeRequest::Known(vec![facts])),
            None if size.split_once('.').is_some_and(|(family, size)| is_word(family) && is_word(size)) => {
                Ok(TypeRequest::Newer(size.to_owned()))
            }
            None => Err(unknown_type(size)),
        },
    }
}

fn is_word(text: &str) -> bool {
    !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '-')
}

fn plain(size: &str) -> Vec<&'static InstanceTypeInfo> {
    let names = PLAIN.iter().find(|(of, _)| *of == size).map_or(&[] as &[_], |(_, names)| names);
    names.iter().filter_map(|name| catalog::find(name)).collect()
}

fn with_gpu(size: &str, gpu: &str) -> Result<Vec<&'static InstanceTypeInfo>, CloudError> {
    if let Some((.., names)) = RETIRED.iter().find(|(of, model, _)| *of == size && *model == gpu) {
        return Ok(names.iter().filter_map(|name| catalog::find(name)).collect());
    }
    // The GPU counts of CML's sizes: one, four, eight.
    let wanted = match size {
        "s" | "m" => 1,
        "l" => 4,
        _ => 8,
    };
    let mut fitting: Vec<&InstanceTypeInfo> = catalog::all()
        .iter()
        .filter(|facts| facts.resources.arch == Arch::X64 && facts.on_demand.is_some())
        .filter(|facts| {
            facts.resources.gpu.as_ref().is_some_and(|has| has.name == gpu && has.count >= wanted)
        })
        .collect();
    fitting.sort_by_key(|facts| (facts.resources.gpu.as_ref().map(|gpu| gpu.count), facts.on_demand));
    fitting.truncate(TYPES_PER_SIZE);
    if fitting.is_empty() { Err(unknown_gpu(&format!("{size}+{gpu}"), gpu, wanted)) } else { Ok(fitting) }
}

fn has_gpu(facts: &InstanceTypeInfo, gpu: Option<&str>) -> Result<(), CloudError> {
    let Some(gpu) = gpu else { return Ok(()) };
    match &facts.resources.gpu {
        Some(has) if has.name == gpu => Ok(()),
        has => {
            let has = has.as_ref().map_or("no GPU".to_owned(), |has| format!("a GPU called {}", has.name));
            Err(invalid(format!("{} has {has}, not {gpu}", facts.name))
                .hint("leave --gpu out when --type names an EC2 type: the type decides"))
        }
    }
}

fn invalid(cause: String) -> CloudError {
    CloudError::new(ErrorKind::Invalid, "choosing an instance type", cause)
}

fn unknown_gpu(asked: &str, gpu: &str, count: u32) -> CloudError {
    let mut models: Vec<&str> =
        catalog::all().iter().filter_map(|facts| Some(facts.resources.gpu.as_ref()?.name.as_str())).collect();
    models.sort_unstable();
    models.dedup();
    let cause = if models.contains(&gpu) {
        format!("{asked}: EC2 has no x86-64 type with {count} or more GPUs {gpu}")
    } else {
        format!("{asked}: EC2 has no GPU called {gpu:?}")
    };
    invalid(cause).hint(format!("GPUs of EC2: k80 and v100 (as their successors), {}", models.join(", ")))
}

/// Creates the error for a name that is neither a size nor a type.
pub fn unknown_type(name: &str) -> CloudError {
    let family = name.split('.').next().unwrap_or(name);
    let alike: Vec<&str> = catalog::all()
        .iter()
        .map(|facts| facts.name.as_str())
        .filter(|known| known.split('.').next() == Some(family))
        .take(5)
        .collect();
    let near = if alike.is_empty() { String::new() } else { format!("; {family} has {}", alike.join(", ")) };
    invalid(format!("{name:?} is no instance type and no size")).hint(format!(
        "name EC2 types (g5.xlarge, several with commas) or a size: s, m, l, xl, m+t4, l+a10g{near}; \
         all types: https://aws.amazon.com/ec2/instance-types/"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(name: &str, gpu: Option<&str>) -> Vec<String> {
        match read(name, gpu).expect(name) {
            TypeRequest::Known(types) => types.iter().map(|facts| facts.name.clone()).collect(),
            TypeRequest::Newer(name) => vec![format!("{name}?")],
        }
    }

    #[test]
    fn every_size_is_at_least_three_types_that_exist() {
        for size in ["s", "m", "l", "xl"] {
            assert!(names(size, None).len() >= 3, "{size}");
            for gpu in ["k80", "v100"].iter().filter(|_| size != "s") {
                assert!(names(size, Some(gpu)).len() >= 3, "{size}+{gpu}");
            }
        }
        for (_, listed) in PLAIN.iter().copied().chain(RETIRED.iter().map(|(size, _, names)| (*size, *names)))
        {
            assert!(listed.iter().all(|name| catalog::find(name).is_some()), "{listed:?}");
        }
    }

    #[test]
    fn a_gpu_is_written_in_the_type_or_beside_it() {
        assert_eq!(names("m+t4", None), ["g4dn.xlarge", "g4dn.2xlarge", "g4dn.4xlarge"]);
        assert_eq!(names("m", Some("T4")), names("m+t4", None));
        assert_eq!(names("m", Some("nogpu")), names("m", None));
        assert_eq!(names("m+tesla", None), names("m+v100", None));
        assert_eq!(names("l+a10g", None)[0], "g5.12xlarge");
        assert_eq!(names("g5.xlarge", Some("a10g")), ["g5.xlarge"]);
    }

    #[test]
    fn a_type_that_is_not_in_the_table_is_left_to_ec2() {
        assert_eq!(names("g99.huge", None), ["g99.huge?"]);
    }

    #[test]
    fn what_does_not_exist_is_told_with_what_does() {
        let error = |name, gpu| {
            let error = read(name, gpu).expect_err("does not exist");
            format!("{error}; {}", error.hint.as_deref().unwrap_or_default())
        };
        assert!(error("huge", None).contains("\"huge\" is no instance type and no size"));
        assert!(error("m", Some("voodoo2")).contains("EC2 has no GPU called \"voodoo2\""));
        assert!(error("m", Some("voodoo2")).contains("a10g"));
        assert!(error("g5.xlarge", Some("t4")).contains("g5.xlarge has a GPU called a10g, not t4"));
    }
}
