//! Registers runners and writes their configuration in the real form: files `.runner`, `.credentials`,
//! `.credentials_rsaparams`; a JIT configuration is all three in base64 in one JSON object in base64.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::clock;
use crate::world::{Label, Runner, Scope, World};

/// Parameters of a new runner.
pub(crate) struct NewRunner {
    pub(crate) name: String,
    pub(crate) scope: Scope,
    pub(crate) group: u64,
    pub(crate) labels: Vec<String>,
    /// How many of the labels, from the first, the runner program adds by itself.
    pub(crate) system_labels: usize,
    pub(crate) ephemeral: bool,
}

/// Registers a runner; `None` when its name is taken in its scope.
pub(crate) fn register(world: &mut World, new: NewRunner, now: Timestamp) -> Option<u64> {
    let taken = |runner: &Runner| runner.scope == new.scope && runner.name.eq_ignore_ascii_case(&new.name);
    if world.runners.values().any(taken) {
        return None;
    }
    let id = world.next_id();
    let mut labels: Vec<Label> = Vec::new();
    for (index, name) in new.labels.into_iter().enumerate() {
        if !labels.iter().any(|label| label.name.eq_ignore_ascii_case(&name)) {
            labels.push(Label { id: world.next_id(), name, custom: index >= new.system_labels });
        }
    }
    let runner = Runner {
        id,
        name: new.name,
        scope: new.scope,
        group: new.group,
        labels,
        ephemeral: new.ephemeral,
        secret: clock::fresh_word(40),
        session: false,
        connections: 0,
        seen: now,
        job: None,
    };
    world.runners.insert(id, runner);
    world.changed();
    Some(id)
}

/// Returns the `.runner` and `.credentials` files of a runner.
pub(crate) fn files(world: &World, runner: &Runner, work_folder: &str) -> (String, String) {
    let settings = json!({
        "AgentId": runner.id.to_string(),
        "AgentName": runner.name,
        "DisableUpdate": "True",
        "Ephemeral": if runner.ephemeral { "True" } else { "False" },
        "PoolId": runner.group.to_string(),
        "PoolName": world.groups().into_iter().find(|group| group.0 == runner.group).map(|group| group.1),
        "GitHubUrl": match runner.scope {
            Scope::Repository => world.repo_web(),
            scope => format!("{}/{}", world.web, world.scope_name(scope)),
        },
        "ServerUrl": format!("{}/_runner", world.web),
        "ServerUrlV2": format!("{}/_runner", world.web),
        "UseV2Flow": "True",
        "WorkFolder": work_folder,
    });
    let credentials = json!({
        "Scheme": "OAuth",
        "Data": {
            "ClientId": runner.id.to_string(),
            "AuthorizationUrl": format!("{}/_runner", world.web),
            "Secret": runner.secret,
        },
    });
    (settings.to_string(), credentials.to_string())
}

/// Returns the JIT configuration of a runner: as long as a real one, for it must fit into user data.
pub(crate) fn jit(world: &World, runner: &Runner, work_folder: &str) -> String {
    let (settings, credentials) = files(world, runner, work_folder);
    let number = |bytes| Value::from(clock::fresh_number(bytes));
    let key = json!({
        "d": number(256), "dp": number(128), "dq": number(128), "exponent": "AQAB", "inverseQ": number(128),
        "modulus": number(256), "p": number(128), "q": number(128),
    });
    let blob = json!({
        ".runner": STANDARD.encode(settings),
        ".credentials": STANDARD.encode(credentials),
        ".credentials_rsaparams": STANDARD.encode(key.to_string()),
    });
    STANDARD.encode(blob.to_string())
}
