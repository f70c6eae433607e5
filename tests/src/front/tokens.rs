//! Idempotent client tokens as AWS keeps them, and the emulator does not.

use std::collections::{BTreeMap, HashMap};

use super::wire::{Answer, Ask, Refusal};

/// The answers given under a token. A refused call is not kept: its token may be used again.
#[derive(Default)]
pub(super) struct Tokens {
    kept: HashMap<(String, String, String), (BTreeMap<String, String>, Answer)>,
}

impl Tokens {
    /// The token of a request, for the actions that have one.
    pub(super) fn key(ask: &Ask) -> Option<(String, String, String)> {
        let token = ask.params.get("ClientToken")?;
        let has_one = matches!(ask.action.as_str(), "CreateFleet" | "RunInstances" | "CreateLaunchTemplate");
        has_one.then(|| (ask.region.clone(), ask.action.clone(), token.clone()))
    }

    /// The kept answer, or the refusal of a token used for something else.
    pub(super) fn kept(&self, ask: &Ask) -> Option<Answer> {
        let (params, answer) = self.kept.get(&Self::key(ask)?)?;
        if *params == ask.params {
            return Some(answer.clone());
        }
        let differs = ask
            .params
            .iter()
            .find(|(key, value)| params.get(*key) != Some(value))
            .map_or("a missing one", |(key, _)| key.as_str());
        let message = format!("Client token already used before with other parameters (first: {differs})");
        Some(Refusal::new(400, "IdempotentParameterMismatch", message).answer(&ask.service))
    }

    pub(super) fn keep(&mut self, ask: &Ask, answer: &Answer) {
        if let (Some(key), 200) = (Self::key(ask), answer.status) {
            self.kept.insert(key, (ask.params.clone(), answer.clone()));
        }
    }
}
