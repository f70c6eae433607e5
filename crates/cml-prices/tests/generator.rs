//! `data/generate.py`, which generates the shipped tables: on small sources, since the large ones are not in this
//! repository.

use std::path::Path;
use std::process::{Command, Output};

const TYPES: &str = "\
instance_type,arch,vcpu,memory_mib,gpu_name,gpu_count,gpu_memory_mib,network_mbps,on_demand_usd_per_h_us_east_1
z9.large,arm64,2,4096,,,,750,0.051000
";
const ADVISOR: &str = "\
region,instance_type,vcpu,ram_gb,savings_pct,interruption_band
us-west-9,z9.large,2,4.0,71,>20%
eu-north-9,z9.large,2,4.0,-5,<5%
eu-north-9,a1.large,2,4.0,60,10-15%
";

fn generate(arguments: &[&str], sources: &Path, output: &Path) -> Output {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("data/generate.py");
    let mut command = Command::new("python3");
    command.arg(script).args(arguments).arg(sources).arg(output).output().expect("python3 is there")
}

fn rows(path: &Path) -> String {
    let text = std::fs::read_to_string(path).expect("is written");
    assert!(text.starts_with("# ") && text.contains("\n# as-of: 20"), "{text}");
    text.lines().filter(|line| !line.starts_with('#')).map(|line| format!("{line}\n")).collect()
}

#[test]
fn sources_become_tables_and_a_check_tells_when_they_are_stale() {
    let (sources, output) = (tempfile::tempdir().expect("one"), tempfile::tempdir().expect("one"));
    let source = |name: &str, text: &str| std::fs::write(sources.path().join(name), text).expect("written");
    source("aws_instance_types_us-east-1_2026-07.csv", TYPES);
    source("aws_spot_advisor_linux_2025-07.csv", ADVISOR);
    assert_eq!(generate(&["--check"], sources.path(), output.path()).status.code(), Some(1));
    assert_eq!(std::fs::read_dir(output.path()).expect("is there").count(), 0, "a check writes nothing");

    assert_eq!(generate(&[], sources.path(), output.path()).status.code(), Some(0));
    assert_eq!(
        rows(&output.path().join("instance_types.csv")),
        "instance_type,arch,vcpus,memory_mib,gpu_name,gpu_count,gpu_memory_mib,usd_per_hour\n\
         z9.large,arm64,2,4096,,,,0.051000\n"
    );
    assert_eq!(
        rows(&output.path().join("spot_advisor.csv")),
        "instance_type,eu-north-9,us-west-9\na1.large,60c,\nz9.large,-5a,71e\n"
    );
    assert_eq!(generate(&["--check"], sources.path(), output.path()).status.code(), Some(0));

    source("aws_spot_advisor_linux_2025-07.csv", &format!("{ADVISOR}us-west-9,z9.large,2,4.0,72,<5%\n"));
    let twice = generate(&[], sources.path(), output.path());
    assert_eq!(twice.status.code(), Some(1), "a row that is there twice is no table");
}
