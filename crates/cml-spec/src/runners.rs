//! One pool of a `cml.yaml`.

use std::collections::BTreeMap;

use cml_cloud::{InstanceRequirements, SpotPolicy, UsdPerHour};
use jiff::SignedDuration;
use rust_decimal::Decimal;

use crate::budget;
use crate::checks;
use crate::fields::{Fields, name, pairs};
use crate::file::{CloudName, Runners};
use crate::problem::{Place, Problems};
use crate::setup::{Cache, Proxy, Setup, is_package_name};
use crate::spec::{Allow, Forks, Idle, Reruns, Spec, Warm};
use crate::tree::{Kind, Node};
use crate::users;

pub(crate) const KEYS: &[&str] = &[
    "labels",
    "default_labels",
    "group",
    "cloud",
    "regions",
    "instance_types",
    "needs",
    "image",
    "disk",
    "spot",
    "spot_price_max",
    "max",
    "min",
    "warm",
    "idle_timeout",
    "max_lifetime",
    "boot_timeout",
    "budget",
    "allow",
    "reruns",
    "subnets",
    "security_group",
    "instance_profile",
    "tags",
    "startup_script",
    "packages",
    "pre_job",
    "post_job",
    "on_interruption",
    "scratch",
    "cache",
    "imds",
    "proxy",
    "ca_certificates",
    "ssh_authorized_key",
    "user",
];
pub(crate) const CACHE_KEYS: &[&str] = &["snapshot", "path"];
pub(crate) const PROXY_KEYS: &[&str] = &["http", "https", "no"];
pub(crate) const WARM_KEYS: &[&str] = &["count", "hours"];
pub(crate) const ALLOW_KEYS: &[&str] = &["events", "forks", "actors", "repositories"];
pub(crate) const RERUNS_KEYS: &[&str] = &["max", "last_on_demand"];

/// Cost of a cold start before anything is learned, as seconds of the machine's price.
const COLD_START: SignedDuration = SignedDuration::from_mins(3);
/// Maximum time that `idle_timeout: auto` keeps an idle machine.
const AUTO_IDLE_MAX: SignedDuration = SignedDuration::from_mins(30);
/// GitHub ends a workflow run after this; no machine is of use for longer.
/// <https://docs.github.com/en/actions/reference/limits>
const LIFETIME_MAX: SignedDuration = SignedDuration::from_hours(35 * 24);

/// Parses one pool; `None` when a required field is missing.
pub(crate) fn read(name: &str, fields: &Fields<'_>, problems: &mut Problems<'_>) -> Option<Runners> {
    for (key, help) in [
        ("labels", "such as `labels: [cml, gpu]`: a job that asks for these gets such a machine"),
        ("cloud", "`cloud: aws` or `cloud: local`"),
        ("max", "such as `max: 8`: the most machines that it may have at once"),
    ] {
        if fields.node(key).is_none() {
            fields.missing(key, help, problems);
        }
    }
    let labels = labels(fields, problems);
    let cloud = fields.choice("cloud", &[("aws", CloudName::Aws), ("local", CloudName::Local)], problems);
    let instance_types = words(fields, "instance_types", "[g5.xlarge, g6.xlarge]", problems);
    let needs = crate::needs::read(fields, problems);
    match (fields.node("instance_types").is_some(), fields.node("needs").is_some()) {
        (true, true) => problems.wrong(
            fields.place("needs"),
            &fields.path("needs"),
            "stands beside `instance_types`, which say it all",
            "leave one of them out",
        ),
        (false, false) if cloud == Some(CloudName::Aws) => fields.missing(
            "instance_types",
            "such as `instance_types: [g5.xlarge, g6.xlarge]`, CML's sizes: `[m+t4]`, or `needs: { gpu: any, vcpus: 4.. }`",
            problems,
        ),
        _ => {}
    }
    if cloud == Some(CloudName::Local) {
        for key in [
            "regions",
            "instance_types",
            "needs",
            "image",
            "disk",
            "spot",
            "spot_price_max",
            "subnets",
            "security_group",
            "instance_profile",
        ] {
            if fields.node(key).is_some() {
                problems.doubtful(
                    fields.place(key),
                    &fields.path(key),
                    "means nothing for `cloud: local`",
                    "leave it out",
                );
            }
        }
    }
    gpus(&labels, needs.as_ref(), fields, problems);
    let spec = spec(name, labels, fields, problems);
    let spot_price_max =
        fields.value("spot_price_max", "0.50 USD", problems, |text| Ok(UsdPerHour(usd(text)?)));
    let disk_gib = fields.value("disk", "100GiB", problems, gib);
    let one =
        |key, example, problems: &mut Problems<'_>| fields.text(key, example, problems).map(str::to_owned);
    Some(Runners {
        spec: spec?,
        cloud: cloud?,
        regions: words(fields, "regions", "[us-east-1, us-west-2]", problems),
        instance_types,
        needs,
        spot_price_max,
        image: one("image", "ubuntu-24.04", problems),
        disk_gib,
        subnets: words(fields, "subnets", "[subnet-0a1b]", problems),
        security_group: one("security_group", "sg-0a1b", problems),
        instance_profile: one("instance_profile", "training", problems),
        tags: tags(fields, problems),
        setup: setup(cloud == Some(CloudName::Local), fields, problems),
    })
}

fn setup(is_local: bool, fields: &Fields<'_>, problems: &mut Problems<'_>) -> Setup {
    let script =
        |key, problems: &mut Problems<'_>| fields.block(key, problems).map(|text| text.as_bytes().to_vec());
    let mut packages = Vec::new();
    for (word, place) in fields.words("packages", "[git-lfs, ffmpeg]", problems) {
        if is_package_name(word) {
            packages.push(word.to_owned());
        } else {
            let what = format!("{word:?} is no name of a package");
            problems.wrong(place, &fields.path("packages"), what, "such as `packages: [git-lfs, ffmpeg]`");
        }
    }
    let ca_certificates = fields.block("ca_certificates", problems).map(str::to_owned);
    if ca_certificates.as_ref().is_some_and(|text| !text.contains("-----BEGIN CERTIFICATE-----")) {
        problems.wrong(
            fields.place("ca_certificates"),
            &fields.path("ca_certificates"),
            "holds no certificate in PEM form",
            "`ca_certificates: |` and below it, indented, `-----BEGIN CERTIFICATE-----` and so on",
        );
    }
    if is_local {
        for key in [
            "packages",
            "on_interruption",
            "scratch",
            "cache",
            "imds",
            "ca_certificates",
            "ssh_authorized_key",
        ] {
            if fields.node(key).is_some() {
                let what = "means nothing for `cloud: local`: the machine is yours already";
                problems.doubtful(fields.place(key), &fields.path(key), what, "leave it out");
            }
        }
    }
    Setup {
        startup_script: script("startup_script", problems),
        packages,
        pre_job: script("pre_job", problems),
        post_job: script("post_job", problems),
        on_interruption: script("on_interruption", problems),
        scratch: fields.choice("scratch", &[("auto", true), ("none", false)], problems).unwrap_or_default(),
        cache: cache(fields, problems),
        // An instance profile is for the job's own use.
        metadata_open: fields
            .choice("imds", &[("open", true), ("closed", false)], problems)
            .unwrap_or(fields.node("instance_profile").is_some()),
        proxy: proxy(fields, problems),
        ca_certificates,
        ssh_authorized_key: ssh_authorized_key(fields, problems),
        users: users::read(is_local, fields, problems),
    }
}

fn ssh_authorized_key(fields: &Fields<'_>, problems: &mut Problems<'_>) -> Option<String> {
    let key = "ssh_authorized_key";
    match crate::setup::authorized_keys(fields.block(key, problems)?) {
        Ok(keys) => Some(keys),
        Err(what) => {
            let help = "such as `ssh_authorized_key: ssh-ed25519 AAAA… me`";
            problems.wrong(fields.place(key), &fields.path(key), what, help);
            None
        }
    }
}

fn cache(fields: &Fields<'_>, problems: &mut Problems<'_>) -> Option<Cache> {
    let cache = fields.open("cache", CACHE_KEYS, problems)?;
    let snapshot = cache.text("snapshot", "snap-0123456789abcdef0", problems).unwrap_or_default();
    let path = cache.text("path", "/cache", problems).unwrap_or_default();
    let read = Cache::new(snapshot, path);
    if read.is_none() {
        problems.wrong(
            fields.place("cache"),
            &fields.path("cache"),
            "wants the id of a snapshot and where its volume is mounted",
            "such as `cache: { snapshot: snap-0123456789abcdef0, path: /cache }`",
        );
    }
    read
}

fn proxy(fields: &Fields<'_>, problems: &mut Problems<'_>) -> Proxy {
    let Some(proxy) = fields.open("proxy", PROXY_KEYS, problems) else { return Proxy::default() };
    let one =
        |key, example, problems: &mut Problems<'_>| proxy.text(key, example, problems).map(str::to_owned);
    Proxy {
        http: one("http", "http://proxy.example.com:3128", problems),
        https: one("https", "http://proxy.example.com:3128", problems),
        not_for: one("no", "169.254.169.254,.example.com", problems),
    }
}

fn words(fields: &Fields<'_>, key: &str, example: &str, problems: &mut Problems<'_>) -> Vec<String> {
    fields.words(key, example, problems).into_iter().map(|(word, _)| word.to_owned()).collect()
}

fn spec(name: &str, labels: Vec<String>, fields: &Fields<'_>, problems: &mut Problems<'_>) -> Option<Spec> {
    let max = fields.number("max", "8", problems);
    let min = fields.number("min", "1", problems).unwrap_or(0);
    if let Some(max) = max {
        if max == 0 {
            problems.wrong(
                fields.place("max"),
                &fields.path("max"),
                "with 0 machines no job is ever served",
                "leave the spec out instead",
            );
        } else if min > max {
            let what = format!("{min} is more than max, which is {max}");
            problems.wrong(
                fields.place("min"),
                &fields.path("min"),
                what,
                "min is kept at all times, busy machines included",
            );
        }
    }
    let max_lifetime =
        fields.duration("max_lifetime", "12h", problems).unwrap_or(SignedDuration::from_hours(12));
    let boot_timeout =
        fields.duration("boot_timeout", "10m", problems).unwrap_or(SignedDuration::from_mins(10));
    if max_lifetime > LIFETIME_MAX {
        let what = "is longer than 35 days, after which GitHub ends every run";
        problems.wrong(
            fields.place("max_lifetime"),
            &fields.path("max_lifetime"),
            what,
            "such as `max_lifetime: 12h`",
        );
    }
    if boot_timeout >= max_lifetime {
        let key = if fields.node("boot_timeout").is_some() { "boot_timeout" } else { "max_lifetime" };
        let what = "the machine would end before it may count as never booted";
        problems.wrong(
            fields.place(key),
            &fields.path(key),
            what,
            "boot_timeout has to be shorter than max_lifetime",
        );
    }
    let spot = [("prefer", SpotPolicy::Prefer), ("only", SpotPolicy::Only), ("never", SpotPolicy::Never)];
    Some(Spec {
        name: name.to_owned(),
        labels,
        default_labels: fields.truth("default_labels", problems).unwrap_or(true),
        group: fields.text("group", "gpus", problems).map(str::to_owned),
        spot: fields.choice("spot", &spot, problems).unwrap_or(SpotPolicy::Prefer),
        min,
        warm: warm(fields, problems),
        idle: idle(fields, problems),
        max_lifetime,
        boot_timeout,
        budget: budget::of_spec(fields, problems),
        allow: allow(fields, problems),
        reruns: reruns(fields, problems),
        max: max?,
    })
}

fn labels(fields: &Fields<'_>, problems: &mut Problems<'_>) -> Vec<String> {
    let words = fields.words("labels", "[cml, gpu]", problems);
    let path = fields.path("labels");
    if fields.node("labels").is_some_and(|node| matches!(&node.kind, Kind::List(all) if all.is_empty())) {
        problems.wrong(
            fields.place("labels"),
            &path,
            "names none, so no job could ever be served",
            "such as `labels: [cml, gpu]`",
        );
    }
    let total = words.len();
    let mut all: Vec<String> = Vec::new();
    // Labels beyond the limit are wrong already, and each is compared with all before it.
    for (label, place) in words.into_iter().take(checks::LABELS_MAX) {
        match checks::label(label, &all) {
            Err(wrong) => problems.wrong(place, &path, wrong.what, wrong.help),
            Ok(()) => {
                hosted(label, place, &path, problems);
                all.push(label.to_owned());
            }
        }
    }
    let default_labels = fields.truth("default_labels", &mut Problems::of("")).unwrap_or(true);
    if total > checks::LABELS_MAX {
        let what = format!("{total} labels; GitHub takes {}", checks::LABELS_MAX);
        problems.wrong(fields.place("labels"), &path, what, "leave some of them out");
    } else if let Err(wrong) = checks::label_count(&all, default_labels) {
        problems.wrong(fields.place("labels"), &path, wrong.what, wrong.help);
    }
    all
}

/// Warns about a label of GitHub-hosted runners: jobs that ask for it alone may run there as well.
fn hosted(label: &str, place: Place, path: &str, problems: &mut Problems<'_>) {
    let lower = label.to_lowercase();
    if ["ubuntu-", "windows-", "macos-"].iter().any(|system| lower.starts_with(system)) {
        let what = format!("GitHub's own machines have `{label}` too: jobs meant for them would come here");
        problems.doubtful(place, path, what, "a label of your own tells them apart");
    }
}

/// Warns about GPU labels: a job that asks for a GPU by its label should not get a machine without one.
fn gpus(
    labels: &[String],
    needs: Option<&InstanceRequirements>,
    fields: &Fields<'_>,
    problems: &mut Problems<'_>,
) {
    if !labels.iter().any(|label| label.to_lowercase().split(['-', '_']).any(|word| word == "gpu")) {
        return;
    }
    if needs.is_some_and(|needs| needs.gpu.is_none()) {
        let what = "names no GPU, and the labels promise one";
        problems.doubtful(
            fields.place("needs"),
            &fields.path("needs"),
            what,
            "such as `needs: { gpu: any }`",
        );
    }
    for (kind, place) in fields.words("instance_types", "[g5.xlarge]", &mut Problems::of("")) {
        let family = kind.split('.').next().unwrap_or_default();
        let mut chars = family.chars();
        let has_gpu =
            matches!(chars.next(), Some('g' | 'p')) && chars.next().is_some_and(|c| c.is_ascii_digit());
        // CML's sizes have their GPU after a plus sign.
        if kind.contains('.') && !has_gpu || !kind.contains('.') && !kind.contains('+') {
            let what = format!("`{kind}` has no GPU, and the labels promise one");
            problems.doubtful(
                place,
                &fields.path("instance_types"),
                what,
                "types with one begin with g or p: g5.xlarge",
            );
        }
    }
}

fn warm(fields: &Fields<'_>, problems: &mut Problems<'_>) -> Vec<Warm> {
    let Some(node) = fields.node("warm") else { return Vec::new() };
    let (path, place) = (fields.path("warm"), fields.place("warm"));
    let nodes: &[Node] = match &node.kind {
        Kind::List(nodes) => nodes,
        _ => std::slice::from_ref(node),
    };
    let mut all = Vec::new();
    for node in nodes {
        let place = if matches!(node.kind, Kind::Map(_)) {
            Place { line: node.place.line, ..place }
        } else {
            node.place
        };
        let place = if place.line == fields.place("warm").line { place } else { node.place };
        let Some(one) = crate::fields::open(node, place, &path, WARM_KEYS, problems) else { continue };
        let hours = one.value("hours", "Mon-Fri 08:00-19:00 Europe/Berlin", problems, |text| {
            text.parse().map_err(|error: crate::BadHours| error.to_string())
        });
        match one.number("count", "1", problems) {
            Some(count) => all.push(Warm { count, hours }),
            None if one.node("count").is_none() => one.missing("count", "such as `count: 1`", problems),
            None => {}
        }
    }
    all
}

fn idle(fields: &Fields<'_>, problems: &mut Problems<'_>) -> Idle {
    let usual = Idle::After(SignedDuration::from_mins(5));
    match fields.node("idle_timeout").map(|node| &node.kind) {
        Some(Kind::Text { text, .. }) if text == "never" => Idle::Never,
        Some(Kind::Text { text, .. }) if text == "auto" => {
            Idle::Auto { cold_start: COLD_START, max: AUTO_IDLE_MAX }
        }
        Some(_) => fields.duration("idle_timeout", "5m", problems).map_or(usual, Idle::After),
        None => usual,
    }
}

fn allow(fields: &Fields<'_>, problems: &mut Problems<'_>) -> Allow {
    let Some(allow) = fields.open("allow", ALLOW_KEYS, problems) else { return Allow::default() };
    let forks = [("never", Forks::Never), ("always", Forks::Always)];
    for (repository, place) in allow.words("repositories", "[acme/vision]", problems) {
        if repository.split('/').count() != 2 {
            let what = format!("`{repository}` is no repository");
            problems.wrong(place, &allow.path("repositories"), what, "write owner/name, such as acme/vision");
        }
    }
    Allow {
        events: words(&allow, "events", "[push, pull_request]", problems),
        forks: allow.choice("forks", &forks, problems).unwrap_or(Forks::Never),
        actors: words(&allow, "actors", "[mona]", problems),
        repositories: words(&allow, "repositories", "[acme/vision]", &mut Problems::of("")),
    }
}

fn reruns(fields: &Fields<'_>, problems: &mut Problems<'_>) -> Reruns {
    let usual = Reruns { max: 2, last_on_demand: true };
    let Some(reruns) = fields.open("reruns", RERUNS_KEYS, problems) else { return usual };
    Reruns {
        max: reruns.number("max", "2", problems).unwrap_or(usual.max),
        last_on_demand: reruns.truth("last_on_demand", problems).unwrap_or(usual.last_on_demand),
    }
}

fn tags(fields: &Fields<'_>, problems: &mut Problems<'_>) -> BTreeMap<String, String> {
    let (Some(node), path) = (fields.node("tags"), fields.path("tags")) else { return BTreeMap::new() };
    let mut all = BTreeMap::new();
    for (key, value) in pairs(node, &path, problems).unwrap_or_default() {
        let (Some(word), Kind::Text { text, .. }) = (name(key, &path, problems), &value.kind) else {
            problems.wrong(value.place, &path, "a tag's value is a word", "such as `tags: { team: vision }`");
            continue;
        };
        if let Err(wrong) = checks::tag(word, text, &all) {
            problems.wrong(key.place, &path, wrong.what, wrong.help);
        }
        all.insert(word.to_owned(), text.clone());
    }
    if let Err(wrong) = checks::tag_count(&all) {
        problems.wrong(fields.place("tags"), &path, wrong.what, wrong.help);
    }
    all
}

/// Parses `60 USD`.
pub(crate) fn usd(text: &str) -> Result<Decimal, String> {
    let amount = text.trim().strip_suffix("USD").and_then(|amount| amount.trim().parse::<Decimal>().ok());
    amount
        // More than a billion is a mistake, and sums of it would overflow.
        .filter(|amount| *amount > Decimal::ZERO && *amount <= Decimal::from(1_000_000_000))
        .ok_or_else(|| format!("invalid amount `{text}`"))
}

/// Parses `100GiB`.
fn gib(text: &str) -> Result<u32, String> {
    let size = text.trim().strip_suffix("GiB").and_then(|size| size.trim().parse().ok());
    size.filter(|size| (8..=16_384).contains(size))
        .ok_or_else(|| format!("`{text}` is no size from 8GiB to 16384GiB"))
}
