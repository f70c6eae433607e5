//! The pages of docs/reference, made from what the program itself knows. A page that says something else fails its test;
//! `UPDATE_REFERENCE=1 cargo test -p cml-runner reference` writes them anew.

mod commands;
mod environment;
mod exit_codes;
mod keys;
mod metrics;
mod permissions;

use std::path::Path;

/// The page's text, below a line that says where it comes from.
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

/// Text as it stands in a cell of a table.
fn cell(text: &str) -> String {
    text.replace('|', "\\|").replace('\n', " ")
}
