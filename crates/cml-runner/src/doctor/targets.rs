//! What is to be bought, as far as a check must know it: the pools of a cml.yaml, or the values of the flags.

use std::collections::BTreeMap;
use std::path::Path;

use cml_cloud::{Arch, Driver, Image, Market, Network, OfferQuery, SpotPolicy};
use cml_ec2::Choice;
use cml_spec::{Config, Proxy};

use crate::args::{CloudName, Doctor, Spot};
use crate::context;
use crate::daemon::query;
use crate::exit::CliError;

/// The default file.
const USUAL_FILE: &str = "cml.yaml";

/// What one pool, or a launch, would buy.
#[derive(Clone, Debug)]
pub(crate) struct LaunchTarget {
    /// The pool's name, or `launch`.
    pub(crate) name: String,
    pub(crate) is_local: bool,
    pub(crate) query: OfferQuery,
    pub(crate) image: Image,
    /// Limit on concurrent machines.
    pub(crate) max: u64,
    /// Types.
    pub(crate) types: Vec<Choice>,
    /// Whether machines reach the Internet through a proxy.
    pub(crate) has_proxy: bool,
    /// The user's own tags.
    pub(crate) tags: BTreeMap<String, String>,
    /// The instance profile of the job.
    pub(crate) instance_profile: Option<String>,
}

/// All targets.
pub(crate) struct Wants {
    pub(crate) config: Option<Config>,
    pub(crate) all: Vec<LaunchTarget>,
}

impl Wants {
    pub(crate) fn read(args: &Doctor) -> Result<Self, CliError> {
        let no_flags = args.cloud.is_none()
            && args.regions.is_empty()
            && args.types.is_empty()
            && args.image.is_none()
            && args.disk_gib.is_none()
            && args.spot.is_none()
            && args.subnets.is_empty()
            && args.security_group.is_none();
        let usual = Path::new(USUAL_FILE);
        let file = args.config.as_deref().or_else(|| (no_flags && usual.is_file()).then_some(usual));
        let region = context::default_region();
        let Some(file) = file else { return Ok(Self { config: None, all: vec![launch(args, &region)?] }) };
        let config = crate::validate::read(file)?;
        let mut all = Vec::new();
        for runners in &config.runners {
            let query = query(runners, &region);
            let is_local = runners.cloud == cml_spec::CloudName::Local;
            let types = if is_local { Vec::new() } else { cml_ec2::choices(&query)? };
            all.push(LaunchTarget {
                name: runners.spec.name.clone(),
                is_local,
                query,
                image: Image { name: runners.image.clone() },
                max: u64::from(runners.spec.max),
                types,
                has_proxy: runners.setup.proxy != Proxy::default(),
                tags: runners.tags.clone(),
                instance_profile: runners.instance_profile.clone(),
            });
        }
        Ok(Self { config: Some(config), all })
    }

    pub(crate) fn on_aws(&self) -> Vec<&LaunchTarget> {
        self.all.iter().filter(|want| !want.is_local).collect()
    }
}

fn launch(args: &Doctor, region: &str) -> Result<LaunchTarget, CliError> {
    let is_local = args.cloud == Some(CloudName::Local);
    let named = |values: &[String], usual: &str| {
        if values.is_empty() { vec![usual.to_owned()] } else { values.to_vec() }
    };
    let query = OfferQuery {
        regions: named(&args.regions, region),
        types: named(&args.types, "m"),
        needs: None,
        gpu: None,
        spot: match args.spot {
            Some(Spot::Only) => SpotPolicy::Only,
            Some(Spot::Prefer) => SpotPolicy::Prefer,
            // As `launch` does.
            Some(Spot::Never) | None => SpotPolicy::Never,
        },
        spot_price_max: None,
        network: Network { subnets: args.subnets.clone(), security_group: args.security_group.clone() },
        image: Image { name: args.image.clone() },
        disk_gib: args.disk_gib,
        cache_snapshot: None,
    };
    let types = if is_local { Vec::new() } else { cml_ec2::choices(&query)? };
    let image = Image { name: args.image.clone() };
    Ok(LaunchTarget {
        name: "launch".to_owned(),
        is_local,
        query,
        image,
        max: 1,
        types,
        has_proxy: false,
        tags: BTreeMap::new(),
        instance_profile: None,
    })
}

impl LaunchTarget {
    /// Returns the markets that it may be bought in.
    pub(crate) fn markets(&self) -> &'static [Market] {
        match self.query.spot {
            SpotPolicy::Only => &[Market::Spot],
            SpotPolicy::Prefer => &[Market::Spot, Market::OnDemand],
            SpotPolicy::Never => &[Market::OnDemand],
        }
    }

    /// Returns the kinds of images that it boots: architecture, and the driver of its accelerators.
    pub(crate) fn kinds(&self) -> Vec<(Arch, Driver)> {
        let known =
            self.types.iter().filter_map(|choice| Some((choice.resources.as_ref()?.arch, choice.driver)));
        let mut kinds: Vec<(Arch, Driver)> = known.collect();
        kinds.sort_unstable();
        kinds.dedup();
        if kinds.is_empty() { vec![(Arch::X64, Driver::None)] } else { kinds }
    }
}
