//! Translations of CML's workflows.
#![allow(missing_docs)]

mod support;

use cml_init::{Refused, changes_text, translate};
use serde_yaml::Value;
use support::SEED;

/// The example of CML's own documentation, with an owner's comments.
const CLOUD: &str = r###"name: CML
on: [push]   # every push

jobs:
  launch-runner:
    runs-on: ubuntu-latest
    steps:
      - uses: actions/checkout@v3

      # The version that worked last year
      - uses: iterative/setup-cml@v2
        with:
          version: 0.20.6   # not newer
      - name: Deploy runner on EC2
        env:
          REPO_TOKEN: ${{ secrets.PERSONAL_ACCESS_TOKEN }}
          AWS_ACCESS_KEY_ID: ${{ secrets.AWS_ACCESS_KEY_ID }}
          AWS_SECRET_ACCESS_KEY: ${{ secrets.AWS_SECRET_ACCESS_KEY }}
        run: |
          cml runner launch \
            --cloud=aws \
            --cloud-region=us-west \
            --cloud-type=p2.xlarge \
            --cloud-spot \
            --labels=cml-gpu
  train-model:
    needs: launch-runner
    runs-on: [self-hosted, cml-gpu]   # [gpu]
    timeout-minutes: 50400 # 35 days
    container:
      image: docker://iterativeai/cml:0-dvc2-base1-gpu
      options: --gpus all
    steps:
      - uses: actions/checkout@v3
      # Trains and tells
      - name: Train model
        env:
          REPO_TOKEN: ${{ secrets.PERSONAL_ACCESS_TOKEN }}
        run: |
          pip install -r requirements.txt
          python train.py

          echo "## Report" >> report.md
          cml publish plot.png --md >> report.md
          cml comment create report.md
  lint:
    runs-on: ubuntu-latest
    steps: [{ run: make lint }]
"###;

const OLDER: &str = r###"on: push
env:
  AWS_ACCESS_KEY_ID: ${{ secrets.AWS_ACCESS_KEY_ID }}
permissions:
  packages: read
jobs:
  deploy:
    runs-on: [ubuntu-latest]
    steps:
    - name: Install
      run: npm i -g @dvcorg/cml
    - shell: bash
      env:
        repo_token: ${{ secrets.GITHUB_TOKEN }}
      run: cml-runner --cloud aws --cloud-region eu-west --cloud-type=m --cloud-gpu=t4
  run:
    needs: deploy
    runs-on: self-hosted
    steps:
    - uses: actions/checkout@v2
    - run: |
        npm install -g @dvcorg/cml
        make train
        cml-send-comment report.md
"###;

fn shown(text: &str) -> String {
    let done = translate(text, "0.1.0").unwrap_or_else(|refused| panic!("{refused}"));
    format!("{}\n=== changes\n{}", done.text, changes_text(&done.changes))
}

#[test]
fn the_guides_first_workflow_has_nothing_of_cml_and_stays() {
    let done = translate(SEED[0], "0.1.0").expect("is a workflow");
    assert_eq!((done.text.as_str(), done.changes.as_slice()), (SEED[0], [].as_slice()));
}

#[test]
fn the_guides_second_workflow() {
    insta::assert_snapshot!(shown(SEED[1]));
}

#[test]
fn a_workflow_that_launches_and_trains() {
    insta::assert_snapshot!(shown(CLOUD));
}

#[test]
fn a_workflow_of_older_spellings() {
    insta::assert_snapshot!(shown(OLDER));
}

/// Returns the lines of the original that are not in the translation, in the same order.
fn gone(text: &str, translated: &str) -> Vec<String> {
    let mut rest: Vec<&str> = translated.lines().collect();
    let mut gone = Vec::new();
    for line in text.lines() {
        match rest.iter().position(|there| *there == line) {
            Some(at) => drop(rest.drain(..=at)),
            None => gone.push(line.trim().to_owned()),
        }
    }
    gone
}

#[test]
fn every_line_of_the_rest_stays_as_it_is() {
    let translated = |text: &str| translate(text, "0.1.0").expect("is a workflow").text;
    assert_eq!(gone(SEED[1], &translated(SEED[1])), [""; 0]);
    let expected = [
        "- uses: iterative/setup-cml@v2",
        "version: 0.20.6   # not newer",
        "AWS_ACCESS_KEY_ID: ${{ secrets.AWS_ACCESS_KEY_ID }}",
        "AWS_SECRET_ACCESS_KEY: ${{ secrets.AWS_SECRET_ACCESS_KEY }}",
        "cml runner launch \\",
        "--labels=cml-gpu",
        "runs-on: [self-hosted, cml-gpu]   # [gpu]",
    ];
    assert_eq!(gone(CLOUD, &translated(CLOUD)), expected);
}

#[test]
fn with_line_ends_of_windows_only_edited_lines_differ() {
    let text = CLOUD.replace('\n', "\r\n");
    let done = translate(&text, "0.1.0").expect("is a workflow");
    assert_eq!(done.text.replace("\r\n", "\n"), translate(CLOUD, "0.1.0").expect("is a workflow").text);
    assert_eq!(done.text.matches('\n').count(), done.text.matches("\r\n").count());
}

#[test]
fn a_translated_workflow_needs_no_second_translation() {
    for text in [SEED[1], CLOUD] {
        let once = translate(text, "0.1.0").expect("is a workflow");
        let twice = translate(&once.text, "0.1.0").expect("is a workflow");
        assert_eq!(once.text, twice.text, "{:#?}", twice.changes);
        assert!(once.has_changes() && !twice.has_changes());
    }
}

#[test]
fn the_training_job_asks_for_the_label_that_the_launch_gives_and_the_machine_outlives_it() {
    let done = translate(CLOUD, "0.1.0").expect("is a workflow");
    let yaml: Value = serde_yaml::from_str(&done.text).expect("is YAML");
    let asked = yaml["jobs"]["train-model"]["runs-on"]
        .as_sequence()
        .expect("a list")
        .last()
        .cloned()
        .expect("a label");
    let command = done.text.lines().find(|line| line.contains("--labels=")).expect("is there");
    assert!(command.ends_with(&format!("--labels=cml-gpu,{}", asked.as_str().expect("a text"))), "{command}");
    assert!(done.text.contains("cml runner launch --max-lifetime=50400m"), "{}", done.text);
    assert_eq!(yaml["jobs"]["launch-runner"]["permissions"]["id-token"].as_str(), Some("write"));
    assert_eq!(yaml["jobs"]["lint"]["permissions"], Value::Null);
}

#[test]
fn machines_that_are_shared_on_purpose_stay_shared() {
    let text = CLOUD.replace("--cloud-spot", "--reuse");
    let done = translate(&text, "0.1.0").expect("is a workflow");
    assert!(
        done.text.contains("--labels=cml-gpu\n")
            && done.text.contains("runs-on: [self-hosted, cml-gpu]   # [gpu]")
    );
}

#[test]
fn other_clouds_are_refused_by_name_and_line() {
    for cloud in ["gcp", "azure", "kubernetes"] {
        let text = CLOUD.replace("--cloud=aws", &format!("--cloud={cloud}"));
        let refused = translate(&text, "0.1.0").expect_err("is refused");
        assert_eq!(refused, Refused::Cloud { line: 20, cloud: cloud.to_owned() });
        assert!(
            refused.to_string().contains(cloud) && refused.help().contains("cml-runner init --cloud local")
        );
    }
}

#[test]
fn what_is_no_workflow_is_refused_with_the_place() {
    assert_eq!(
        translate("a: [", "0.1.0").expect_err("is refused").to_string().split(':').next(),
        Some("line 2")
    );
    assert_eq!(translate("a: b\n", "0.1.0"), Err(Refused::NotAWorkflow));
    assert_eq!(translate("", "0.1.0"), Err(Refused::NotYaml("the file is empty".to_owned())));
}

#[test]
fn keys_of_awss_own_action_become_a_role() {
    let text = "jobs:
  deploy:
    runs-on: ubuntu-latest
    timeout-minutes: 10
    permissions: write-all
    steps:
      - uses: iterative/setup-cml@v1
      - uses: aws-actions/configure-aws-credentials@v1
        with:
          aws-access-key-id: ${{ secrets.ID }}
          aws-secret-access-key: ${{ secrets.KEY }}
          aws-region: eu-west-1
      - run: cml runner launch --cloud aws --labels ${{ github.run_id }}
";
    let done = translate(text, "0.1.0").expect("is a workflow");
    let expected = text
        .replace("iterative/setup-cml@v1", "cml-runner/cml-runner@v0.1.0")
        .replace("aws-access-key-id: ${{ secrets.ID }}", "role-to-assume: ${{ vars.CML_AWS_ROLE }}")
        .replace("          aws-secret-access-key: ${{ secrets.KEY }}\n", "");
    assert_eq!(done.text, expected);
}
