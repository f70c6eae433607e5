//! Interned names.

use std::collections::BTreeMap;

use crate::usage_row::Symbol;

/// Names that rows refer to: pools, types, zones, repositories, actors. Number 0 is none.
#[derive(Clone, Debug, Default)]
pub struct Interner {
    by_id: BTreeMap<Symbol, String>,
    by_name: BTreeMap<String, Symbol>,
}

impl Interner {
    pub(crate) fn of(all: Vec<(Symbol, String)>) -> Self {
        let mut names = Self::default();
        for (id, name) in all {
            names.add(id, &name);
        }
        names
    }

    pub(crate) fn add(&mut self, id: Symbol, name: &str) {
        self.by_id.insert(id, name.to_owned());
        self.by_name.insert(name.to_owned(), id);
    }

    pub(crate) fn id(&self, name: &str) -> Option<Symbol> {
        self.by_name.get(name).copied()
    }

    /// Returns the name; `–` where there is none.
    #[must_use]
    pub fn name(&self, id: Symbol) -> &str {
        self.by_id.get(&id).map_or("–", |name| if name.is_empty() { "–" } else { name.as_str() })
    }
}
