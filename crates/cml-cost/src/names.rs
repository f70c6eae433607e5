//! Names and their numbers.

use std::collections::BTreeMap;

use crate::piece::NameId;

/// Names that pieces are made of: specs, types, places, repositories, people. Number 0 is none.
#[derive(Clone, Debug, Default)]
pub struct Names {
    by_id: BTreeMap<NameId, String>,
    by_name: BTreeMap<String, NameId>,
}

impl Names {
    pub(crate) fn of(all: Vec<(NameId, String)>) -> Self {
        let mut names = Self::default();
        for (id, name) in all {
            names.add(id, &name);
        }
        names
    }

    pub(crate) fn add(&mut self, id: NameId, name: &str) {
        self.by_id.insert(id, name.to_owned());
        self.by_name.insert(name.to_owned(), id);
    }

    pub(crate) fn id(&self, name: &str) -> Option<NameId> {
        self.by_name.get(name).copied()
    }

    /// The name; `–` where there is none.
    #[must_use]
    pub fn name(&self, id: NameId) -> &str {
        self.by_id.get(&id).map_or("–", |name| if name.is_empty() { "–" } else { name.as_str() })
    }
}
