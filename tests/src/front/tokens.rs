//! Idempotent client tokens as AWS keeps them; the emulator does not.

use std::collections::{BTreeMap, HashMap};

use super::wire::{Answer, Ask, Refusal};

/// Key of a token: an action of a region.
#[derive(PartialEq, Eq, Hash)]
struct Key {
    region: String,
    action: String,
    token: String,
}

/// Request and answer of a token.
struct Kept {
    params: BTreeMap<String, String>,
    answer: Answer,
}

/// The answers given under a token. A refused call is not kept: its token may be used again.
#[derive(Default)]
pub(super) struct Tokens {
    kept: HashMap<Key, Kept>,
}

impl Tokens {
    /// The kept answer, or the refusal of a token used for something else.
    pub(super) fn kept(&self, ask: &Ask) -> Option<Answer> {
        let kept = self.kept.get(&key(ask)?)?;
        if kept.params == ask.params {
            return Some(kept.answer.clone());
        }
        let differs = ask
            .params
            .iter()
            .find(|(name, value)| kept.params.get(*name) != Some(value))
            .map_or("a missing one", |(name, _)| name.as_str());
        let message = format!("Client token already used before with other parameters (first: {differs})");
        Some(Refusal::new(400, "IdempotentParameterMismatch", message).answer(&ask.service))
    }

    pub(super) fn keep(&mut self, ask: &Ask, answer: &Answer) {
        if let (Some(key), 200) = (key(ask), answer.status) {
            self.kept.insert(key, Kept { params: ask.params.clone(), answer: answer.clone() });
        }
    }
}

/// The token of a request, for the actions that have one.
fn key(ask: &Ask) -> Option<Key> {
    let has_one = matches!(ask.action.as_str(), "CreateFleet" | "RunInstances" | "CreateLaunchTemplate");
    let token = ask.params.get("ClientToken").filter(|_| has_one)?;
    Some(Key { region: ask.region.clone(), action: ask.action.clone(), token: token.clone() })
}
