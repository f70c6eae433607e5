//! `cml-runner prices`: known prices on this machine, and fetching more from AWS.

pub(crate) mod args;
mod refresh;
mod show;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use cml_cloud::{Network, OfferQuery, SpotPolicy};
use cml_prices::StoreError;
use cml_spec::{CloudName, Config};

use self::args::PricesCommand;
use crate::args::{Global, State};
use crate::context;
use crate::daemon::query;
use crate::exit::{CliError, ExitCode};

pub(crate) use refresh::{Refreshed, refresh_all};

/// Types by region.
pub(crate) type Wanted = BTreeMap<String, BTreeSet<String>>;

pub(crate) async fn prices(global: &Global, command: &PricesCommand) -> Result<String, CliError> {
    match command {
        PricesCommand::Refresh(args) => refresh::refresh(global, args).await,
        PricesCommand::Show(args) => show::show(global, args),
    }
}

/// Returns the file of fetched prices.
pub(crate) fn store_path(state_dir: &Path) -> PathBuf {
    state_dir.join(crate::cost::PRICES)
}

fn path(state: &State) -> PathBuf {
    store_path(&state.state_dir.clone().unwrap_or_else(context::default_state_dir))
}

/// Returns the types that a configuration buys.
pub(crate) fn of_config(config: &Config, default_region: &str) -> Result<Wanted, CliError> {
    let mut wanted = Wanted::new();
    for runners in config.runners.iter().filter(|runners| runners.cloud == CloudName::Aws) {
        let query = query(runners, default_region);
        let types: Vec<String> = cml_ec2::choices(&query)?.into_iter().map(|choice| choice.name).collect();
        for region in &query.regions {
            wanted.entry(cml_ec2::region(region)?).or_default().extend(types.iter().cloned());
        }
    }
    Ok(wanted)
}

/// Returns the types and regions of the flags, or without them those of the cml.yaml.
fn wanted(types: &[String], args: &args::Wanted) -> Result<Wanted, CliError> {
    let default_region = context::default_region();
    let of_file = match args.config.is_file() {
        true if types.is_empty() || args.regions.is_empty() => {
            of_config(&crate::validate::read(&args.config)?, &default_region)?
        }
        _ => Wanted::new(),
    };
    let all_of_file: BTreeSet<String> = of_file.values().flatten().cloned().collect();
    if types.is_empty() && all_of_file.is_empty() {
        let what = format!("no types are given, and {} names none", args.config.display());
        return Err(CliError::new(ExitCode::Usage, what)
            .hint("name instance types, such as g5.xlarge, or a cml.yaml of yours with --config"));
    }
    let types = named(types)?;
    let regions: Vec<String> = match (&args.regions[..], of_file.is_empty()) {
        ([], true) => vec![cml_ec2::region(&default_region)?],
        ([], false) => of_file.keys().cloned().collect(),
        (regions, _) => regions.iter().map(|name| cml_ec2::region(name)).collect::<Result<_, _>>()?,
    };
    let of_region = |region: &String| match (types.is_empty(), args.regions.is_empty()) {
        (false, _) => types.clone(),
        (true, true) => of_file.get(region).cloned().unwrap_or_default(),
        (true, false) => all_of_file.clone(),
    };
    Ok(regions.into_iter().map(|region| (region.clone(), of_region(&region))).collect())
}

/// Returns types by name, also those of sizes.
fn named(types: &[String]) -> Result<BTreeSet<String>, CliError> {
    let query = OfferQuery {
        regions: Vec::new(),
        types: types.to_vec(),
        needs: None,
        gpu: None,
        spot: SpotPolicy::Prefer,
        spot_price_max: None,
        network: Network::default(),
        image: cml_cloud::Image::default(),
        disk_gib: None,
        cache_snapshot: None,
    };
    Ok(cml_ec2::choices(&query)?.into_iter().map(|choice| choice.name).collect())
}

fn not_kept(error: &StoreError) -> CliError {
    CliError::new(ExitCode::Failed, format!("the prices on this machine cannot be read or written: {error}"))
        .hint("name a directory that can be written with --state-dir")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(keys: &str) -> Config {
        let text = format!("runners:\n  it:\n    labels: [gpu]\n    max: 2\n{keys}");
        cml_spec::read("cml.yaml", &text, &|_| Ok(Vec::new())).expect("is right")
    }

    fn of(keys: &str) -> Vec<String> {
        let wanted = of_config(&config(keys), "eu-west-1").expect("is understood");
        wanted
            .into_iter()
            .flat_map(|(region, types)| types.into_iter().map(move |it| format!("{region} {it}")))
            .collect()
    }

    #[test]
    fn a_configuration_wants_the_types_that_its_machines_are_bought_from() {
        assert_eq!(of("    cloud: aws\n    instance_types: [g5.xlarge]\n"), ["eu-west-1 g5.xlarge"]);
        let zone = "    cloud: aws\n    regions: [us-east-1b, us-west]\n    instance_types: [g5.xlarge]\n";
        assert_eq!(of(zone), ["us-east-1 g5.xlarge", "us-west-1 g5.xlarge"]);
        let needs = of("    cloud: aws\n    needs: { gpu: t4 }\n");
        assert!(needs.contains(&"eu-west-1 g4dn.xlarge".to_owned()), "{needs:?}");
        assert!(of("    cloud: local\n").is_empty());
    }
}
