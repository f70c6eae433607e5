//! The book and the other pages: every block is run or validated, every link has a target.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use cml_e2e::book::page::{Block, Directive, Page};
use cml_e2e::book::yaml::Kind;
use cml_e2e::book::{self, LANGUAGES, links, messages, session, shell, workflow, yaml};
use cml_e2e::desk::{Desk, WORKFLOW_TOKEN, sim_with_workflow_token};
use cml_e2e::front::Front;
use cml_e2e::runner::Runner;
use cml_e2e::sim::Sim;
use tempfile::TempDir;

/// Pages whose blocks are run here, each by its test below.
const RUN: [&str; 4] = ["docs/cost.md", "docs/operations.md", "docs/pool.md", "docs/reports.md"];
/// Pages whose blocks other tests run unmodified: here they are checked against the command line only.
const RUN_ELSEWHERE: [(&str, &str); 2] = [
    ("docs/quick-start.md", "followed in a bare Debian"),
    ("docs/first-gpu-job.md", "followed against the emulators of AWS and GitHub"),
];

fn all_blocks(pages: &[Page]) -> impl Iterator<Item = &Block> {
    pages.iter().flat_map(|page| &page.blocks)
}

/// The program under all its names, for as long as the directory lives.
fn programs() -> (TempDir, PathBuf) {
    let dir = TempDir::with_prefix("cml-e2e-book-").expect("a directory");
    let bin = dir.path().join("bin");
    book::link_names(&bin);
    (dir, bin)
}

#[track_caller]
fn none(what: &str, wrong: &[String]) {
    assert!(wrong.is_empty(), "{what}:\n{}", wrong.join("\n"));
}

#[allow(clippy::print_stderr, reason = "who reads the test's output is to know what was not run, and why")]
fn tell(text: &str) {
    eprintln!("{text}");
}

#[test]
fn every_block_says_what_it_is_and_directives_stand_where_they_mean_something() {
    let pages = book::pages();
    let mut wrong = Vec::new();
    for block in all_blocks(&pages) {
        let Block { place, language, directive, .. } = block;
        if !LANGUAGES.contains(&language.as_str()) {
            wrong.push(format!("{place}: the language {language:?} is none of {LANGUAGES:?}"));
        }
        let fits = match directive {
            None => true,
            Some(Directive::NotRun(_)) => book::shell_text(block).is_some(),
            Some(Directive::Spec | Directive::Other(_)) => language == "yaml",
        };
        if !fits {
            wrong.push(format!("{place}: {directive:?} means nothing for {language}"));
        }
    }
    none("blocks", &wrong);
    let shells =
        pages.iter().filter(|page| page.blocks.iter().any(|block| book::shell_text(block).is_some()));
    let names: BTreeSet<&str> = shells.map(|page| page.name.as_str()).collect();
    for name in RUN.iter().chain(RUN_ELSEWHERE.iter().map(|(name, _)| name)) {
        assert!(names.contains(name), "{name} has nothing to run");
    }
    for (name, why) in RUN_ELSEWHERE {
        tell(&format!("{name}: {why}"));
    }
    let parsed: Vec<&str> = names.into_iter().filter(|name| !RUN.contains(name)).collect();
    tell(&format!("held against the command line only: {}", parsed.join(", ")));
}

#[test]
fn every_command_is_one_that_the_program_takes() {
    let (_dir, bin) = programs();
    let mut wrong = Vec::new();
    let mut count = 0;
    let pages = book::pages();
    for block in all_blocks(&pages) {
        for text in shell_texts(block) {
            if let Some(why) = not_shell(&text) {
                wrong.push(format!("{}: no shell: {why}", block.place));
            }
            for words in shell::ours(&text) {
                count += 1;
                if let Some(why) = book::refused(&bin, &words) {
                    wrong.push(format!("{}: `{}`: {why}", block.place, words.join(" ")));
                }
            }
        }
    }
    none("commands that are refused", &wrong);
    assert!(count > 50, "{count} commands are hardly all");
    tell(&format!("{count} commands of the pages are taken"));
}

/// What of a block is for a shell: the block, or what the steps of its workflow run.
fn shell_texts(block: &Block) -> Vec<String> {
    match book::shell_text(block) {
        Some(text) => vec![text],
        None if block.language == "yaml" => match yaml::kind(block) {
            Ok(Kind::Workflow(all)) => workflow::scripts(&all),
            _ => Vec::new(),
        },
        None => Vec::new(),
    }
}

fn not_shell(text: &str) -> Option<String> {
    let mut bash = Command::new("bash");
    let output = bash.args(["-n", "-c", text]).stdin(Stdio::null()).output().expect("bash starts");
    let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    (!output.status.success()).then_some(said)
}

#[test]
fn every_workflow_configuration_and_document_is_right() {
    let (_dir, bin) = programs();
    let mut wrong = Vec::new();
    let mut add = |block: &Block, why: Vec<String>| {
        wrong.extend(why.into_iter().map(|why| format!("{}: {why}", block.place)));
    };
    let pages = book::pages();
    for block in all_blocks(&pages) {
        match block.language.as_str() {
            "yaml" => add(block, wrong_yaml(&bin, block)),
            "json" => {
                let read = serde_json::from_str::<serde_json::Value>(&block.text);
                add(block, read.err().iter().map(ToString::to_string).collect());
            }
            "toml" => {
                let read = toml::from_str::<toml::Table>(&block.text);
                add(block, read.err().iter().map(ToString::to_string).collect());
            }
            _ => {}
        }
    }
    none("blocks", &wrong);
}

fn wrong_yaml(bin: &Path, block: &Block) -> Vec<String> {
    match yaml::kind(block) {
        Err(why) => vec![why],
        Ok(Kind::Other) => Vec::new(),
        Ok(Kind::Workflow(all)) => workflow::wrong(&all, &block.text),
        Ok(Kind::Config(text)) => yaml::invalid(bin, &text).into_iter().collect(),
    }
}

#[test]
fn every_link_leads_somewhere_and_the_book_has_every_page() {
    let pages = book::pages();
    let wrong: Vec<String> = pages.iter().flat_map(|page| links::broken(page, &pages)).collect();
    none("links", &wrong);
    let summary = pages.iter().find(|page| page.name == "docs/SUMMARY.md").expect("the table of contents");
    let listed: BTreeSet<String> = summary.links.iter().map(|(_, link)| format!("docs/{link}")).collect();
    let in_book = |page: &&Page| page.name.starts_with("docs/") && page.name != summary.name;
    let left_out: Vec<String> = pages
        .iter()
        .filter(in_book)
        .map(|page| page.name.clone())
        .filter(|name| !listed.contains(name))
        .collect();
    none("pages that SUMMARY.md leaves out", &left_out);
}

#[test]
fn every_message_of_the_troubleshooting_page_is_one_that_the_program_has() {
    let text = std::fs::read_to_string(book::root().join("docs/troubleshooting.md")).expect("the page");
    let named = messages::named(&text);
    assert!(named.len() > 60, "{named:#?}");
    let wrong: Vec<String> = named.into_iter().filter_map(|message| messages::unknown(&message)).collect();
    none("messages that are not in the sources", &wrong);
}

/// Runs a page, and prints the blocks that were not run.
async fn follow(name: &str, user: Runner, at: &str) {
    let pages = book::pages();
    let page = pages.iter().find(|page| page.name == name).unwrap_or_else(|| panic!("no {name}"));
    let told = session::run(page, user, at).await;
    for (place, why) in &told.not_run {
        tell(&format!("not run: {place}: {why}"));
    }
    tell(&format!("{name}: {} blocks were run, {} were not", told.ran, told.not_run.len()));
    none("console blocks", &told.differs);
    assert!(told.ran > 0, "nothing of {name} was run");
}

/// Creates a checkout with one commit on `main`, as a workflow's step finds it.
async fn checkout(user: &Runner, files: &[(&str, &str)]) {
    let work = user.home().join("vision");
    std::fs::create_dir_all(&work).expect("a directory");
    for (name, text) in files {
        std::fs::write(work.join(name), text).expect("written");
    }
    let git =
        "git init -q -b main && git add . && git -c user.name=A -c user.email=a@example.com commit -qm first";
    let script = format!("cd '{}' && {git}", work.display());
    let _ = user.run_program("bash", &["-euc", &script]).await.expect_code(0);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_page_on_reports_is_followed_in_a_step_of_a_pull_request() {
    let sim = sim_with_workflow_token().await;
    let sha = sim.commit_files(&[("train.py", b"pass\n")], "change");
    let number = sim.open_pull(Some(&sha));
    let desk = Desk::on_pull(&sim, number, &sha, Some("acme/vision")).with("REPO_TOKEN", WORKFLOW_TOKEN);
    checkout(&desk.user, &[("metrics.json", "{\"accuracy\": 0.87, \"loss\": 0.31}\n")]).await;
    follow("docs/reports.md", desk.user, "vision").await;
    assert!(!sim.comments().is_empty(), "the page writes a comment");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_page_on_the_pool_is_followed_with_machines_on_this_machine() {
    let sim = Sim::start().await;
    let user = sim.user();
    let job = sim.queue("small", "echo a job that waits for the pool");
    follow("docs/pool.md", user, "pool").await;
    let _ = sim.succeeds(job).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_page_on_cost_is_followed_after_a_launch() {
    let sim = Sim::start().await;
    let front = Front::start().await;
    front.boot_instances();
    let user = sim.user().on_aws(&front);
    let job = sim.queue("gpu", "true");
    let launch = [
        "launch",
        "--cloud",
        "aws",
        "--type",
        "g4dn.xlarge",
        "--spot",
        "prefer",
        "--labels",
        "gpu",
        "--wait",
    ];
    let _ = user.run(&launch).await.expect_code(0);
    let _ = sim.succeeds(job).await;
    follow("docs/cost.md", user, "vision").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_page_on_operations_is_followed_where_a_daemon_has_lived() {
    let sim = Sim::start().await;
    let user = sim.user();
    follow("docs/operations.md", user, "operations").await;
}
