//! The pools of a simulated world, and its jobs.

use std::collections::BTreeMap;

use cml_bootstrap::RunnerPackage;
use cml_cloud::{Image, Network, OfferQuery, SpotPolicy, Usd};
use cml_controller::{MachineTemplate, RunnerMode, RunnerPackageSource};
use cml_github::RunnerGroup;
use cml_spec::{Allow, Idle, Limits, Reruns, Setup, Spec, Warm};
use jiff::SignedDuration;
use rust_decimal::Decimal;

use super::github_model::{Phase, SimJob};
use super::market::{CPU_TYPE, GPU_TYPE, SAME_LETTER_TYPE, SHARED_TYPE};
use super::rng::Rng;
use super::stranger::Stranger;

/// Root disk of every machine, GiB.
const DISK_GIB: u32 = 50;

/// Seconds within which jobs are queued.
pub(crate) const JOBS_WITHIN: i64 = 3 * 3600;

/// Draws the pools of a seed: a GPU pool that prefers spot, a CPU pool, sometimes a third one that overlaps with
/// others.
pub(crate) fn draw(chance: &mut Rng, two_types: bool) -> Vec<Spec> {
    let mut gpu = spec("gpu", &["cml", "gpu"], 6);
    let mut cpu = spec("cpu", &["cml", "cpu"], 3);
    if chance.per_mille(300) {
        let dollars = chance.between(20, 90);
        gpu.budget = Some(Limits::of_day(Usd(Decimal::from(dollars))));
    }
    if chance.per_mille(300) {
        let count = u32::try_from(chance.between(1, 3)).unwrap_or(1);
        cpu.warm = vec![Warm { count, hours: None }];
    }
    if chance.per_mille(200) {
        cpu.min = 1;
    }
    if chance.per_mille(200) {
        gpu.idle =
            Idle::Auto { cold_start: SignedDuration::from_mins(4), max: SignedDuration::from_mins(10) };
    }
    if chance.per_mille(300) {
        gpu.spot = if chance.per_mille(500) { SpotPolicy::Only } else { SpotPolicy::Never };
    }
    if chance.per_mille(200) {
        gpu.allow.actors = vec!["mona".to_owned()];
    }
    let mut specs = vec![gpu, cpu];
    if chance.per_mille(300) {
        let mut big = spec("gpu-big", &["cml", "gpu", "big"], 2);
        big.spot = SpotPolicy::Never;
        specs.push(big);
    }
    if two_types {
        specs.push(spec("trn", &["cml", "trn"], 2));
    }
    specs
}

pub(crate) fn spec(name: &str, labels: &[&str], max: u32) -> Spec {
    Spec {
        name: name.to_owned(),
        labels: labels.iter().map(|label| (*label).to_owned()).collect(),
        default_labels: true,
        group: None,
        spot: SpotPolicy::Prefer,
        max,
        min: 0,
        warm: Vec::new(),
        idle: Idle::After(SignedDuration::from_mins(5)),
        max_lifetime: SignedDuration::from_hours(2),
        boot_timeout: SignedDuration::from_mins(10),
        budget: None,
        allow: Allow::default(),
        reruns: Reruns { max: 2, last_on_demand: true },
    }
}

pub(crate) fn query(spec: &Spec, regions: &[String]) -> OfferQuery {
    let has = |label: &str| spec.labels.iter().any(|known| known == label);
    let types: &[&str] = match () {
        () if has("gpu") => &[GPU_TYPE],
        () if has("trn") => &[SAME_LETTER_TYPE],
        () => &[CPU_TYPE, SHARED_TYPE],
    };
    OfferQuery {
        regions: regions.to_vec(),
        types: types.iter().map(|name| (*name).to_owned()).collect(),
        needs: None,
        gpu: None,
        spot: spec.spot,
        spot_price_max: None,
        network: Network::default(),
        image: Image::default(),
        disk_gib: Some(DISK_GIB),
        cache_snapshot: None,
    }
}

pub(crate) fn recipes(specs: &[Spec], regions: &[String]) -> BTreeMap<String, MachineTemplate> {
    specs.iter().map(|spec| (spec.name.clone(), recipe(spec, query(spec, regions)))).collect()
}

/// Returns a machine template of this pool, bought by this query.
pub(crate) fn recipe(spec: &Spec, query: OfferQuery) -> MachineTemplate {
    MachineTemplate {
        spec: spec.name.clone(),
        labels: spec.labels.clone(),
        default_labels: spec.default_labels,
        group: RunnerGroup::Id(1),
        mode: RunnerMode::Ephemeral,
        query,
        image: Image::default(),
        network: Network::default(),
        instance_profile: None,
        tags: BTreeMap::new(),
        boot_timeout: spec.boot_timeout,
        idle_timeout: match spec.idle {
            // A machine that is kept warm must not end itself when it has no job.
            _ if spec.min > 0 || !spec.warm.is_empty() => None,
            Idle::After(timeout) | Idle::Auto { max: timeout, .. } => Some(timeout),
            Idle::Never => None,
        },
        setup: Setup::default(),
        packages: RunnerPackageSource::Pinned(RunnerPackage {
            url: "https://example.invalid/runner.tar.gz".to_owned(),
            sha256: None,
            token: None,
        }),
    }
}

/// Draws the jobs of a seed, in runs of one to three.
pub(crate) fn jobs(chance: &mut Rng, specs: &[Spec], count: usize, strangers: &[Stranger]) -> Vec<SimJob> {
    let has = |label: &str| specs.iter().any(|spec| spec.labels.iter().any(|known| known == label));
    let mut jobs = Vec::new();
    let mut run = 0;
    while jobs.len() < count {
        run += 1;
        let queued = chance.below(JOBS_WITHIN);
        let stranger = Stranger::draw(strangers, chance);
        for number in 0..chance.between(1, 4) {
            let wanted = match chance.below(10) {
                0..6 => "gpu",
                6 if has("big") => "big",
                7 if has("trn") => "trn",
                _ => "cpu",
            };
            // Most are short, some are long: as jobs are.
            let length =
                if chance.per_mille(200) { chance.between(600, 3600) } else { chance.between(20, 600) };
            jobs.push(SimJob {
                run,
                attempt: 1,
                name: format!("job-{number}"),
                labels: vec!["self-hosted".to_owned(), wanted.to_owned()],
                stranger,
                phase: Phase::Hidden,
                queued: queued + chance.below(30),
                length,
                runner: None,
                started: None,
                succeeded: false,
                cancelled: false,
                lost_by: None,
            });
        }
    }
    jobs.truncate(count);
    jobs
}
