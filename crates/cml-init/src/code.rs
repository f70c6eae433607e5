//! Detection of languages, of how to install their packages, and of the need for a GPU.

use serde::Serialize;

use crate::folder::{Folder, Skipped};

/// A language of the repository.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Language {
    /// Name of the language.
    pub name: LanguageName,
    /// File that lists its packages.
    pub needs: Option<Needs>,
}

/// The file that lists the packages of a language.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Needs {
    /// Its path.
    pub file: String,
    /// Tool that reads it.
    pub installer: Installer,
    /// Name of the environment, for conda.
    pub environment: Option<String>,
}

/// Known languages.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum LanguageName {
    /// Python.
    Python,
    /// R.
    R,
    /// Julia.
    Julia,
}

/// Tool that installs packages.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Installer {
    /// `pip install -r FILE`.
    Pip,
    /// `pip install .`.
    PipProject,
    /// uv, by its lock file.
    Uv,
    /// Poetry, by its lock file.
    Poetry,
    /// A conda environment.
    Conda,
    /// R's renv.
    Renv,
    /// An R package's DESCRIPTION.
    Description,
    /// Julia's package manager.
    Pkg,
}

/// Files that list packages, the most exact first.
const NEEDS: [(&str, LanguageName, Installer); 11] = [
    ("uv.lock", LanguageName::Python, Installer::Uv),
    ("poetry.lock", LanguageName::Python, Installer::Poetry),
    ("requirements.txt", LanguageName::Python, Installer::Pip),
    ("environment.yml", LanguageName::Python, Installer::Conda),
    ("environment.yaml", LanguageName::Python, Installer::Conda),
    ("conda.yaml", LanguageName::Python, Installer::Conda),
    ("pyproject.toml", LanguageName::Python, Installer::PipProject),
    ("setup.py", LanguageName::Python, Installer::PipProject),
    ("renv.lock", LanguageName::R, Installer::Renv),
    ("DESCRIPTION", LanguageName::R, Installer::Description),
    ("Project.toml", LanguageName::Julia, Installer::Pkg),
];

pub(crate) fn languages(folder: &Folder, files: &[String], skipped: &mut Vec<Skipped>) -> Vec<Language> {
    let is_there = |path: &str| files.iter().any(|file| file == path);
    let has = |endings: &[&str]| {
        files.iter().any(|file| endings.iter().any(|ending| file.to_lowercase().ends_with(ending)))
    };
    let named = [
        (LanguageName::Python, has(&[".py", ".ipynb"])),
        (LanguageName::R, has(&[".r", ".rmd"])),
        (LanguageName::Julia, has(&[".jl"])),
    ];
    named
        .into_iter()
        .filter_map(|(name, has_files)| {
            // A DESCRIPTION alone may be of another kind; a requirements.txt is Python's.
            let by = |installer| installer != Installer::Description || has_files;
            let needs = NEEDS
                .iter()
                .find(|(file, language, installer)| *language == name && is_there(file) && by(*installer))
                .map(|(file, _, installer)| Needs {
                    file: (*file).to_owned(),
                    installer: *installer,
                    environment: (*installer == Installer::Conda)
                        .then(|| environment(folder, file, skipped))
                        .flatten(),
                });
            (has_files || needs.is_some()).then_some(Language { name, needs })
        })
        .collect()
}

/// Returns the name of a conda environment, if it needs no quoting.
fn environment(folder: &Folder, file: &str, skipped: &mut Vec<Skipped>) -> Option<String> {
    let text = folder.text(file, skipped)?;
    let name = text.lines().find_map(|line| line.strip_prefix("name:"))?.trim();
    let is_plain = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    (name.starts_with(|c: char| c.is_ascii_alphabetic()) && name.chars().all(is_plain))
        .then(|| name.to_owned())
}

/// Returns true when a package is listed already.
pub(crate) fn lists(folder: &Folder, package: &str, skipped: &mut Vec<Skipped>) -> bool {
    let lists = ["requirements.txt", "environment.yml", "environment.yaml", "conda.yaml", "pyproject.toml"];
    lists.iter().any(|file| {
        let text = folder.text(file, skipped).unwrap_or_default();
        let is_name = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
        let mut lines = text.lines().map(|line| line.split('#').next().unwrap_or_default());
        lines.any(|line| line.split(|c| !is_name(c)).find(|word| !word.is_empty()) == Some(package))
    })
}

/// Packages that are slow without a GPU.
const GPU_PACKAGES: [&str; 22] = [
    "torch",
    "pytorch",
    "torchvision",
    "pytorch-lightning",
    "lightning",
    "tensorflow",
    "tensorflow-gpu",
    "keras",
    "jax",
    "jaxlib",
    "flax",
    "cupy",
    "transformers",
    "diffusers",
    "accelerate",
    "vllm",
    "ultralytics",
    "fastai",
    "rapids",
    "cudf",
    "cudatoolkit",
    "flux",
];

/// Returns why a GPU is likely to be useful: `torch in requirements.txt`.
pub(crate) fn gpu(folder: &Folder, skipped: &mut Vec<Skipped>) -> Option<String> {
    let lists = [
        "requirements.txt",
        "environment.yml",
        "environment.yaml",
        "conda.yaml",
        "pyproject.toml",
        "setup.py",
        "DESCRIPTION",
        "Project.toml",
        "Dockerfile",
    ];
    lists.iter().find_map(|file| {
        let text = folder.text(file, skipped)?;
        // The build without CUDA was chosen.
        if text.contains("whl/cpu") || text.contains("+cpu") || text.contains("cpuonly") {
            return None;
        }
        text.lines().find_map(gpu_package).map(|package| format!("{package} in {file}"))
    })
}

fn gpu_package(line: &str) -> Option<String> {
    let line = line.split('#').next().unwrap_or_default().to_lowercase();
    let is_name = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    line.split(|c: char| !is_name(c))
        .find(|word| GPU_PACKAGES.contains(word) || word.starts_with("nvidia-") || word.starts_with("cuda"))
        .map(str::to_owned)
        .or_else(|| line.contains("nvidia/cuda").then(|| "nvidia/cuda".to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gpu_is_told_by_the_packages_that_want_one() {
        for (line, package) in [
            ("torch==2.5.1", Some("torch")),
            ("  - pytorch::pytorch>=2", Some("pytorch")),
            ("\"tensorflow[and-cuda]>=2.16\",", Some("tensorflow")),
            ("FROM nvidia/cuda:12.4.1-base", Some("cuda")),
            ("jax[cuda12]", Some("jax")),
            ("# torch", None),
            ("torchless==1", None),
            ("tensorflow-cpu", None),
            ("scikit-learn", None),
        ] {
            assert_eq!(gpu_package(line).as_deref(), package, "{line}");
        }
    }
}
