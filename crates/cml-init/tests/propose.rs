//! Findings in small repositories, and the proposals for them.
#![allow(missing_docs)]

mod support;

use cml_init::{CONFIG, Cloud, WORKFLOW, findings_text, next_steps, propose, steps_text, tell};
use serde_yaml::Value;
use support::{FIXTURES, plan};

const WAYS: [(Cloud, bool); 3] = [(Cloud::Aws, false), (Cloud::Aws, true), (Cloud::Local, false)];

#[test]
fn findings_and_their_consequences() {
    for fixture in FIXTURES {
        let findings = fixture.look();
        let plan = plan(&findings, Cloud::Aws, false);
        insta::assert_snapshot!(format!("findings-{}", fixture.name), findings_text(&tell(&findings, &plan)));
    }
}

#[test]
fn proposed_files_of_each_repository() {
    for fixture in FIXTURES {
        let findings = fixture.look();
        let plan = plan(&findings, Cloud::Aws, false);
        let texts: Vec<String> = propose(&findings, &plan)
            .into_iter()
            .map(|file| format!("=== {}\n{}", file.path, file.text))
            .collect();
        insta::assert_snapshot!(format!("files-{}", fixture.name), texts.join("\n"));
    }
}

#[test]
fn proposed_files_of_a_pool_and_of_a_machine_of_ones_own() {
    let findings = FIXTURES[1].look();
    for (cloud, pool) in &WAYS[1..] {
        let plan = plan(&findings, *cloud, *pool);
        let texts: Vec<String> = propose(&findings, &plan)
            .into_iter()
            .map(|file| format!("=== {}\n{}", file.path, file.text))
            .collect();
        insta::assert_snapshot!(format!("files-{cloud:?}-pool"), texts.join("\n"));
    }
}

#[test]
fn next_steps_of_each_way() {
    let findings = FIXTURES[1].look();
    for (cloud, pool) in WAYS {
        let plan = plan(&findings, cloud, pool);
        insta::assert_snapshot!(format!("steps-{cloud:?}-{pool}"), steps_text(&next_steps(&findings, &plan)));
    }
    let findings = FIXTURES[3].look();
    let plan = plan(&findings, Cloud::Aws, false);
    insta::assert_snapshot!("steps-other-s3", steps_text(&next_steps(&findings, &plan)));
}

#[test]
fn every_proposed_configuration_is_right_and_without_a_warning() {
    for fixture in FIXTURES {
        let findings = fixture.look();
        for (cloud, pool) in WAYS {
            let plan = plan(&findings, cloud, pool);
            let files = propose(&findings, &plan);
            let config = files.iter().find(|file| file.path == CONFIG).expect("is proposed");
            let read = cml_spec::read(CONFIG, &config.text, &|_| Ok(Vec::new()))
                .unwrap_or_else(|bad| panic!("{}: {bad}\n{}", fixture.name, config.text));
            assert_eq!(read.warnings, [], "{}", fixture.name);
            assert_eq!(read.github.map(|github| github.scope), plan.repository.map(|one| one.full_name()));
        }
    }
}

/// Returns the labels that a job asks for.
fn labels(job: &Value) -> Vec<&str> {
    match &job["runs-on"] {
        Value::String(label) => vec![label],
        labels => labels.as_sequence().expect("a list").iter().filter_map(Value::as_str).collect(),
    }
}

#[test]
fn every_proposed_workflow_has_limits_least_permissions_and_the_label_of_its_machine() {
    for fixture in FIXTURES {
        let findings = fixture.look();
        for (cloud, pool) in WAYS {
            let plan = plan(&findings, cloud, pool);
            let files = propose(&findings, &plan);
            let text = &files.iter().find(|file| file.path == WORKFLOW).expect("is proposed").text;
            let workflow: Value =
                serde_yaml::from_str(text).unwrap_or_else(|error| panic!("{error}\n{text}"));
            assert_eq!(workflow["permissions"].as_mapping().map(serde_yaml::Mapping::len), Some(0), "{text}");
            let jobs = workflow["jobs"].as_mapping().expect("jobs");
            for (name, job) in jobs {
                assert!(
                    job["timeout-minutes"].is_u64() && job["permissions"].is_mapping(),
                    "{name:?}\n{text}"
                );
                assert!(
                    job["steps"].as_sequence().is_some_and(|steps| !steps.is_empty()),
                    "{name:?}\n{text}"
                );
                let is_known = |step: &Value| step["uses"].is_string() != step["run"].is_string();
                assert!(job["steps"].as_sequence().is_some_and(|steps| steps.iter().all(is_known)), "{text}");
            }
            let train = &workflow["jobs"]["train"];
            let launch = &workflow["jobs"]["launch"];
            if pool || cloud == Cloud::Local {
                assert!(launch.is_null(), "{text}");
                let config = &files.iter().find(|file| file.path == CONFIG).expect("is proposed").text;
                let config = cml_spec::read(CONFIG, config, &|_| Ok(Vec::new())).expect("is right");
                let served = &config.runners[0].spec.labels;
                assert!(
                    labels(train)
                        .iter()
                        .all(|label| *label == "self-hosted" || served.iter().any(|own| own == label))
                );
            } else {
                let with = &launch["steps"].as_sequence().expect("steps")[1]["with"];
                assert_eq!(
                    labels(train),
                    ["self-hosted", with["labels"].as_str().expect("labels")],
                    "{text}"
                );
                assert_eq!(
                    launch["permissions"],
                    serde_yaml::from_str::<Value>("id-token: write").expect("yaml")
                );
                assert_eq!(train["needs"].as_str(), Some("launch"));
            }
            assert!(cloud == Cloud::Aws || !text.contains("aws-actions"), "{text}");
            assert!(!text.contains("AWS_SECRET_ACCESS_KEY") || fixture.name == "guide", "{text}");
        }
    }
}
