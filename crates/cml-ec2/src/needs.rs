//! Types that meet requirements, the cheapest first.

use cml_cloud::{
    CloudError, Driver, ErrorKind, Image, InstanceRequirements, OfferQuery, Resources, UsdPerHour,
};

use crate::sizes::{self, TypeRequest};
use crate::{drivers, images};
use cml_prices::catalog::{self, InstanceTypeInfo};

/// Maximum number of types: more types are more spot capacity pools; the most expensive of many are never bought
/// anyway.
const TYPES_MAX: usize = 10;
/// Prefixes of families that a requirement does not include: burstable ones (a job would exhaust their credits),
/// accelerators that are no GPUs, fractions of a GPU, and those that few regions have.
const NOT_MEANT: &[&str] =
    &["t1", "t2", "t3", "t4g", "inf", "trn", "dl", "vt", "f1", "f2", "hpc", "u-", "u7", "mac", "g6f", "gr6f"];
/// Minimum generation: older families are more expensive and slower than their successors, and often unavailable.
const GENERATION_MIN: u32 = 4;

/// A type that matches a query.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Choice {
    /// `g5.xlarge`.
    pub name: String,
    /// Its resources; `None` for a type that is newer than the embedded table.
    pub resources: Option<Resources>,
    /// The driver that its image must contain; for a type that is newer than the embedded table, by its family.
    pub driver: Driver,
    /// On-demand price, Linux, us-east-1; `None` where it is unknown.
    pub on_demand: Option<UsdPerHour>,
}

/// Returns the types that match a query, by the embedded table, without a call.
///
/// # Errors
/// [`ErrorKind::Invalid`] for a name that is neither a type nor a size, and for requirements that no type meets.
pub fn choices(query: &OfferQuery) -> Result<Vec<Choice>, CloudError> {
    let choice = |facts: &InstanceTypeInfo| Choice {
        name: facts.name.clone(),
        resources: Some(facts.resources.clone()),
        driver: driver(facts),
        on_demand: facts.on_demand,
    };
    if let Some(needs) = &query.needs {
        // A pool that no image serves makes no file invalid: its launches fail, and those of the others do not.
        let (served, unserved) = by_image(fitting(needs)?, &query.image);
        let types = if served.is_empty() { unserved } else { served };
        return Ok(types.into_iter().map(choice).collect());
    }
    let mut all = Vec::new();
    for name in &query.types {
        match sizes::read(name, query.gpu.as_deref())? {
            TypeRequest::Known(known) => all.extend(known.into_iter().map(choice)),
            TypeRequest::Newer(name) => {
                let driver = drivers::needed(&name, None);
                all.push(Choice { name, resources: None, driver, on_demand: None });
            }
        }
    }
    Ok(all)
}

/// Returns the cheapest types that meet the requirements, without those that the image has no driver for: they are
/// chosen by the program, not by the user.
///
/// # Errors
/// [`ErrorKind::Invalid`] where no type meets them, or no image has a driver for any that does.
pub fn served(
    needs: &InstanceRequirements,
    image: &Image,
) -> Result<Vec<&'static InstanceTypeInfo>, CloudError> {
    let (served, unserved) = by_image(fitting(needs)?, image);
    match unserved.first() {
        Some(facts) if served.is_empty() => Err(images::no_image(&[&facts.name], driver(facts))),
        _ => Ok(served),
    }
}

type Types = Vec<&'static InstanceTypeInfo>;

/// Splits types into those that the image has a driver for, and the others.
fn by_image(types: Types, image: &Image) -> (Types, Types) {
    types.into_iter().partition(|facts| images::has_image(image, driver(facts)))
}

fn driver(facts: &InstanceTypeInfo) -> Driver {
    drivers::needed(&facts.name, facts.resources.gpu.as_ref())
}

fn fitting(needs: &InstanceRequirements) -> Result<Vec<&'static InstanceTypeInfo>, CloudError> {
    let mut all: Vec<&InstanceTypeInfo> = catalog::all()
        .iter()
        .filter(|facts| facts.on_demand.is_some() && is_meant(&facts.name) && has(needs, &facts.resources))
        .collect();
    all.sort_by_key(|facts| facts.on_demand);
    all.truncate(TYPES_MAX);
    if all.is_empty() { Err(none(needs)) } else { Ok(all) }
}

fn is_meant(name: &str) -> bool {
    let family = name.split('.').next().unwrap_or_default();
    let generation: String =
        family.chars().skip_while(|c| !c.is_ascii_digit()).take_while(char::is_ascii_digit).collect();
    let is_graphics = family.starts_with(['g', 'p']);
    !name.contains(".metal")
        && !NOT_MEANT.iter().any(|beginning| family.starts_with(beginning))
        && (is_graphics || generation.parse::<u32>().is_ok_and(|number| number >= GENERATION_MIN))
}

fn has(needs: &InstanceRequirements, resources: &Resources) -> bool {
    let gpu = match (&needs.gpu, &resources.gpu) {
        (None, None) => true,
        (Some(models), Some(gpu)) => {
            let will_do = if models.is_empty() {
                gpu.runs_cuda()
            } else {
                models.iter().any(|model| model.eq_ignore_ascii_case(&gpu.name))
            };
            will_do && needs.gpus.contains(gpu.count.into()) && needs.gpu_memory_mib.contains(gpu.memory_mib)
        }
        _ => false,
    };
    gpu && needs.vcpus.contains(resources.vcpus.into())
        && needs.memory_mib.contains(resources.memory_mib)
        && needs.arch == resources.arch
}

fn none(needs: &InstanceRequirements) -> CloudError {
    let error =
        |cause: String| CloudError::new(ErrorKind::Invalid, "choosing instance types by needs", cause);
    let mut models: Vec<&str> =
        catalog::all().iter().filter_map(|facts| Some(facts.resources.gpu.as_ref()?.name.as_str())).collect();
    models.sort_unstable();
    models.dedup();
    let is_model = |model: &&String| models.iter().any(|known| known.eq_ignore_ascii_case(model));
    if let Some(unknown) = needs.gpu.iter().flatten().find(|model| !is_model(model)) {
        return error(format!("EC2 has no GPU called `{unknown}`"))
            .hint(format!("its GPUs are {}", models.join(", ")));
    }
    error("no instance type of EC2 has all of this".to_owned())
        .hint("ask for less or for a wider range, such as `vcpus: 4..` for four or more")
}

#[cfg(test)]
mod tests {
    use cml_cloud::{Arch, Range};

    use super::*;

    fn at_least(least: u64) -> Range {
        Range { least, most: None }
    }

    fn needs(gpu: Option<&[&str]>) -> InstanceRequirements {
        InstanceRequirements {
            gpu: gpu.map(|models| models.iter().map(|&model| model.to_owned()).collect()),
            gpus: at_least(1),
            gpu_memory_mib: at_least(0),
            vcpus: at_least(4),
            memory_mib: at_least(16 * 1024),
            arch: Arch::X64,
        }
    }

    fn names(needs: &InstanceRequirements) -> Vec<&'static str> {
        fitting(needs).expect("fits").iter().map(|facts| facts.name.as_str()).collect()
    }

    #[test]
    fn what_no_default_image_drives_is_not_chosen_where_there_is_something_else() {
        let types = |models: &[&str], image: Option<&str>| -> Result<Vec<&str>, CloudError> {
            let image = Image { name: image.map(str::to_owned) };
            Ok(served(&needs(Some(models)), &image)?.iter().map(|facts| facts.name.as_str()).collect())
        };
        assert!(types(&["v100"], None).expect_err("no image drives it").cause.contains("no default image"));
        assert!(types(&["v100"], Some("ami-1")).expect("an image of yours")[0].starts_with("p3"));
        let query = OfferQuery {
            regions: Vec::new(),
            types: Vec::new(),
            needs: Some(needs(Some(&["v100"]))),
            gpu: None,
            spot: cml_cloud::SpotPolicy::Prefer,
            spot_price_max: None,
            network: cml_cloud::Network::default(),
            image: Image::default(),
            disk_gib: None,
            cache_snapshot: None,
        };
        assert!(choices(&query).expect("a file with such a pool is valid")[0].name.starts_with("p3"));
        assert!(types(&["v100", "t4"], None).expect("t4").iter().all(|name| name.starts_with("g4dn")));
    }

    #[test]
    fn the_cheapest_types_that_have_it_are_chosen() {
        let a10g = names(&needs(Some(&["a10g"])));
        assert_eq!(a10g[0], "g5.xlarge");
        assert!(a10g.iter().all(|name| name.starts_with("g5.")), "{a10g:?}");
        let plain = fitting(&needs(None)).expect("fits");
        assert!(plain.iter().all(|facts| facts.resources.gpu.is_none() && facts.resources.vcpus >= 4));
        assert!(plain.is_sorted_by_key(|facts| facts.on_demand));
        let any = names(&needs(Some(&[])));
        assert!(any.contains(&"g4dn.xlarge") && any.iter().all(|name| !name.starts_with("g4ad")), "{any:?}");
        let four =
            InstanceRequirements { gpus: Range { least: 4, most: Some(4) }, ..needs(Some(&["a10g", "l4"])) };
        assert!(
            fitting(&four)
                .expect("fits")
                .iter()
                .all(|facts| { facts.resources.gpu.as_ref().is_some_and(|gpu| gpu.count == 4) })
        );
    }

    #[test]
    fn what_no_type_has_is_said() {
        let error = fitting(&needs(Some(&["a10"]))).expect_err("is none");
        assert!(error.to_string().contains("no GPU called `a10`"), "{error}");
        let error =
            fitting(&InstanceRequirements { vcpus: at_least(100_000), ..needs(None) }).expect_err("is none");
        assert!(error.to_string().contains("has all of this"), "{error}");
    }
}
