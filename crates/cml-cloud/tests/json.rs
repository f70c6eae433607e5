//! Keys that scripts read (`ls --json`) stay, whatever the fields are called.
#![allow(missing_docs)]

use cml_cloud::{Instance, InstanceId, InstanceState, Market};
use jiff::Timestamp;

#[test]
fn an_instance_keeps_its_keys() {
    let instance = Instance {
        id: InstanceId("i-1".to_owned()),
        launch: None,
        spec: None,
        state: InstanceState::Running,
        region: "us-east-1".to_owned(),
        zone: None,
        instance_type: "t3.micro".to_owned(),
        market: Market::Spot,
        started_at: Timestamp::UNIX_EPOCH,
        ended_at: None,
        deadline: None,
        owner: None,
        controller: None,
        runner_name: None,
        ended_because: None,
        is_interrupted: true,
    };
    let json = serde_json::to_value(&instance).expect("is JSON");
    let keys: Vec<&str> = json.as_object().expect("an object").keys().map(String::as_str).collect();
    let mut expected = [
        "id",
        "launch",
        "spec",
        "state",
        "region",
        "zone",
        "instance_type",
        "market",
        "started_at",
        "ended_at",
        "deadline",
        "owner",
        "controller",
        "runner_name",
        "ended_because",
        "taken_back",
    ];
    expected.sort_unstable();
    assert_eq!(keys, expected);
}
