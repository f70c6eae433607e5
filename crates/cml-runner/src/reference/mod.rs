//! The pages of docs/reference, generated from the program itself. A page with another content fails its test;
//! `UPDATE_REFERENCE=1 cargo test -p cml-runner reference` regenerates them.

mod commands;
mod environment;
mod exit_codes;
mod keys;
mod metrics;
mod permissions;

use std::path::Path;

/// Checks or writes the page's text, below a line that names its source.
fn page(name: &str, title: &str, text: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/reference").join(name);
    let made = format!(
        "# {title}\n\n<!-- Made from the program: UPDATE_REFERENCE=1 cargo test -p cml-runner reference -->\n\n{}\n",
        text.trim_end()
    );
    if crate::context::env("UPDATE_REFERENCE").is_some() {
        std::fs::write(&path, &made).expect("docs/reference can be written");
    }
    let stands = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        stands == made,
        "docs/reference/{name} says something else than the program: UPDATE_REFERENCE=1 cargo test -p cml-runner reference"
    );
}

/// Returns text as it is in a cell of a table.
fn cell(text: &str) -> String {
    text.replace('|', "\\|").replace('\n', " ")
}
