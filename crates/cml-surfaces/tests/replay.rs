//! Replay of every input that the fuzzer has kept, through the same functions that it calls.

use std::path::{Path, PathBuf};

use cml_surfaces::SURFACES;

fn files(dir: &Path) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(dir) else { return Vec::new() };
    let mut all: Vec<PathBuf> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
    all.sort();
    all
}

fn fuzz() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz")
}

#[test]
fn every_input_of_the_corpora_is_taken_by_its_surface() {
    for surface in SURFACES {
        let corpus = files(&fuzz().join("corpus").join(surface.name));
        assert!(!corpus.is_empty(), "{} has no corpus", surface.name);
        for file in corpus {
            let bytes = std::fs::read(&file).expect("a file");
            let run = std::panic::catch_unwind(|| (surface.run)(&bytes));
            assert!(run.is_ok(), "{} {}", surface.name, file.display());
        }
    }
}

#[test]
fn every_surface_has_a_fuzz_target_that_runs_it_and_no_other() {
    let mut targets: Vec<String> = files(&fuzz().join("fuzz_targets"))
        .iter()
        .filter_map(|file| Some(file.file_stem()?.to_str()?.to_owned()))
        .collect();
    let mut names: Vec<String> = SURFACES.iter().map(|surface| surface.name.to_owned()).collect();
    targets.sort();
    names.sort();
    assert_eq!(targets, names);
    let manifest = std::fs::read_to_string(fuzz().join("Cargo.toml")).expect("fuzz/Cargo.toml");
    for name in names {
        let target = fuzz().join("fuzz_targets").join(format!("{name}.rs"));
        let text = std::fs::read_to_string(target).expect("a target");
        assert!(text.contains(&format!("cml_surfaces::run(\"{name}\", bytes)")), "{name}");
        assert!(manifest.contains(&format!("name = \"{name}\"")), "{name} is not in fuzz/Cargo.toml");
    }
}
