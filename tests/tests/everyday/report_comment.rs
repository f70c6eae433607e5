//! `cml-send-comment` against the simulated GitHub: targets of a report, and their content.

use std::time::Duration;

use cml_e2e::desk::{Desk, PNG, WORKFLOW_TOKEN, images, sim_with_workflow_token};
use cml_e2e::sim::Sim;
use cml_e2e::wait;
use cml_world::{CommentOn, Fault, FaultKind};
use rustix::process::Signal;

/// A commit, a pull request of it, and a step of a run on the pull request.
async fn pulled(sim: &Sim) -> (Desk, u64, String) {
    let sha = sim.commit_files(&[("train.py", b"pass\n")], "change");
    let number = sim.open_pull(Some(&sha));
    (Desk::on_pull(sim, number, &sha, Some("acme/vision")), number, sha)
}

fn bodies(sim: &Sim) -> Vec<String> {
    sim.comments().into_iter().map(|comment| comment.body).collect()
}

/// Returns the user's text, without our mark.
fn written(body: &str) -> &str {
    body.split_once("\n\n<!-- cml-watermark ").map_or(body, |(text, _)| text)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_report_goes_to_the_events_pull_request_with_images_that_can_be_seen() {
    let sim = Sim::start().await;
    let (desk, number, _) = pulled(&sim).await;
    desk.write("out/plots/roc.png", PNG);
    desk.write("out/report.md", b"# Report\n\n![ROC](plots/roc.png)\n");
    let url = desk.says(&["cml-send-comment", "out/report.md"]).await;
    let comments = sim.comments();
    assert_eq!(comments.len(), 1);
    assert_eq!((&comments[0].on, &comments[0].url), (&CommentOn::Issue(number), &url));
    let image = images(&comments[0].body).remove(0);
    assert_eq!(desk.fetch(&image, false).await, (200, PNG.to_vec()));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_target_is_found_as_cml_finds_it() {
    let sim = Sim::start().await;
    let alone = sim.commit_files(&[("a", b"1")], "lonely");
    let desk = Desk::on_push(&sim, &alone);
    desk.write("report.md", b"hello\n");
    let _ = desk.says(&["cml-send-comment", "report.md"]).await;
    assert_eq!(sim.comments()[0].on, CommentOn::Commit(alone.clone()), "no pull request: the commit");
    let ran = desk.run(&["cml-send-comment", "report.md", "--target", "pr"]).await.expect_code(1);
    assert!(ran.stderr.contains(&format!("PR for commit sha \"{alone}\" not found")), "{ran:#?}");

    let closed = sim.open_pull(Some(&alone));
    sim.close_pull(closed);
    let number = sim.open_pull(Some(&alone));
    for (line, on) in [
        (vec!["cml", "comment", "create", "report.md"], CommentOn::Issue(number)),
        (vec!["cml", "comment", "create", "report.md", "--target=PR"], CommentOn::Issue(number)),
        (vec!["cml", "send-comment", "report.md", "--target=commit"], CommentOn::Commit(alone.clone())),
        (
            vec!["cml-send-comment", "report.md", "--target", &format!("PR/{number}")],
            CommentOn::Issue(number),
        ),
        (
            vec!["cml-send-comment", "report.md", "--target", &format!("commit/{alone}")],
            CommentOn::Commit(alone.clone()),
        ),
    ] {
        let _ = desk.says(&line).await;
        assert_eq!(sim.comments().last().expect("written").on, on, "{line:?}");
    }
    let issue = sim.open_issue();
    let _ = desk.says(&["cml-send-comment", "report.md", "--target", &format!("issue/{issue}")]).await;
    assert_eq!(sim.comments().last().expect("written").on, CommentOn::Issue(issue));
    for (target, words) in [
        ("issue", "unsupported comment target \"issue\""),
        ("foo/9", "unsupported comment target \"foo/9\""),
        ("pr/999", "404"),
    ] {
        let ran = desk.run(&["cml-send-comment", "report.md", "--target", target]).await.expect_code(1);
        assert!(ran.stderr.contains(words), "{ran:#?}");
    }
    // CML's older flags say what to use, and work.
    let ran = desk.run(&["cml-send-comment", "report.md", "--commit-sha", &alone]).await.expect_code(0);
    assert!(ran.stderr.contains("use --target commit/SHA"), "{ran:#?}");
    let ran = desk.run(&["cml-send-comment", "report.md", "--pr"]).await.expect_code(0);
    assert!(ran.stderr.contains("use --target pr"), "{ran:#?}");
    let env = desk.with("CML_SEND_COMMENT_TARGET", "commit");
    let _ = env.says(&["cml-send-comment", "report.md"]).await;
    assert_eq!(sim.comments().last().expect("written").on, CommentOn::Commit(alone));
}

#[tokio::test(flavor = "multi_thread")]
async fn every_byte_of_the_markdown_stays_but_the_targets_of_its_links() {
    let sim = Sim::start().await;
    let (desk, _, _) = pulled(&sim).await;
    desk.write("a.png", PNG);
    desk.write("table.csv", b"a,b\n");
    let report = "*  one\r\n* two\r\n\r\n\r\n![a](a.png \"A\") and [t](table.csv) and [top](#top)\r\n\r\n```md\r\n![a](a.png)\r\n```\r\n\
                  <img src=\"a.png\">\r\n\r\n![gone](gone.png)\r\n***\r\n";
    desk.write("report.md", report.as_bytes());
    let ran = desk.run(&["cml-send-comment", "report.md"]).await.expect_code(0);
    assert!(ran.stderr.contains("::warning::gone.png, which the report shows, cannot be read"), "{ran:#?}");
    let body = bodies(&sim).remove(0);
    let text = written(&body);
    let image = images(text).remove(0);
    let table = text.split("[t](").nth(1).and_then(|rest| rest.split(')').next()).expect("a link").to_owned();
    assert_eq!(text, report.replacen("a.png", &image, 1).replacen("table.csv", &table, 1));
    // Without publishing it is the same to the byte.
    let _ = desk.says(&["cml-send-comment", "report.md", "--publish=false", "--rm-watermark"]).await;
    assert_eq!(bodies(&sim)[1], report);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_update_finds_the_last_version_on_any_page_cmls_own_too() {
    let sim = Sim::start().await;
    let (desk, number, _) = pulled(&sim).await;
    desk.write("report.md", b"one\n");
    desk.write("other.md", b"other\n");
    let first = desk.says(&["cml-send-comment", "report.md", "--update"]).await;
    let _ = desk.says(&["cml-send-comment", "other.md", "--watermark-title", "other of {workflow}"]).await;
    for _ in 0..110 {
        let _ = sim.say(number, "a word of somebody");
    }
    desk.write("report.md", b"two\n");
    assert_eq!(desk.says(&["cml", "comment", "update", "report.md"]).await, first);
    let all = bodies(&sim);
    assert_eq!((all.len(), written(&all[0]), written(&all[1])), (112, "two\n", "other\n"));
    let of_cml = "old\n\n![](https://cml.dev/watermark.png#3f2a \"CML watermark model\")";
    let url = sim.say(number, of_cml);
    let updated =
        desk.says(&["cml-send-comment", "report.md", "--update", "--watermark-title", "model"]).await;
    assert_eq!(updated, url);
    assert_eq!(written(bodies(&sim).last().expect("there")), "two\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_comment_with_our_mark_is_told_by_its_writer_and_a_copy_of_the_mark_is_left_alone() {
    let sim = sim_with_workflow_token().await;
    let (desk, number, _) = pulled(&sim).await;
    desk.write("report.md", b"one\n");
    let first = desk.says(&["cml-send-comment", "report.md", "--update"]).await;
    let posted = bodies(&sim).remove(0);
    assert!(posted.contains("\"by\":\"acme\""), "a person is named in the mark: {posted}");
    // A colleague quotes the report, mark and all: later than ours, and not ours.
    let copy = format!("> look\n\n{posted}");
    let _ = sim.say_as("bob", number, &copy);
    desk.write("report.md", b"two\n");
    assert_eq!(desk.says(&["cml-send-comment", "report.md", "--update"]).await, first);
    // The team switches to the workflow's own token: its comment is taken over, and stays with its author.
    let workflow = desk.with("REPO_TOKEN", WORKFLOW_TOKEN);
    workflow.write("report.md", b"three\n");
    assert_eq!(workflow.says(&["cml-send-comment", "report.md", "--update"]).await, first);
    // And back: by the author in the mark.
    let desk = workflow.with("REPO_TOKEN", cml_e2e::secrets::TOKEN);
    desk.write("report.md", b"four\n");
    assert_eq!(desk.says(&["cml-send-comment", "report.md", "--update"]).await, first);
    let all = bodies(&sim);
    assert_eq!((all.len(), written(&all[0]), all[1].as_str()), (2, "four\n", copy.as_str()));
    let asked = sim.calls().iter().filter(|call| *call == "GET /user").count();
    assert_eq!(asked, 3, "once in each process that has a person's token");

    // Sections are kept from copies, too: neither merged nor removed.
    let _ = desk.says(&["cml-send-comment", "report.md", "--section", "gpu"]).await;
    let shared = bodies(&sim).pop().expect("there");
    let _ = sim.say_as("bob", number, &shared.replace("four", "forged"));
    let workflow = desk.with("REPO_TOKEN", WORKFLOW_TOKEN);
    let _ = workflow.says(&["cml-send-comment", "report.md", "--section", "cpu"]).await;
    let all = bodies(&sim);
    assert_eq!(all.len(), 4, "{all:#?}");
    assert_eq!(all[2].matches("four").count(), 2, "both sections: {}", all[2]);
    assert!(!all[2].contains("forged") && all[3].contains("forged"), "{all:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn where_github_does_not_say_whose_the_token_is_the_house_is_believed() {
    let sim = Sim::start().await;
    let (desk, number, _) = pulled(&sim).await;
    let mute = || {
        let kind = FaultKind::Status(403, "{\"message\": \"Resource not accessible\"}".to_owned());
        sim.fail_next(Fault { method: "GET".to_owned(), path_contains: "/user".to_owned(), kind, times: 1 });
    };
    desk.write("report.md", b"one\n");
    mute();
    let _ = desk.says(&["cml-send-comment", "report.md"]).await;
    let nameless = bodies(&sim).remove(0);
    assert!(!nameless.contains("\"by\""), "{nameless}");
    let of_bob = sim.say_as("bob", number, &nameless);
    desk.write("report.md", b"two\n");
    mute();
    assert_eq!(desk.says(&["cml-send-comment", "report.md", "--update"]).await, of_bob, "the last one");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_report_that_is_too_long_is_cut_at_a_heading_with_a_link_to_the_whole() {
    let sim = Sim::start().await;
    let (desk, _, _) = pulled(&sim).await;
    let part = |name: &str| format!("## {name}\n\n{}\n\n", "A line of the report.\n".repeat(800));
    let report: String = ["one", "two", "three", "four", "five"].map(part).concat();
    desk.write("report.md", report.as_bytes());
    let ran = desk.run(&["cml-send-comment", "report.md"]).await.expect_code(0);
    assert!(ran.stderr.contains("::warning::the report is longer than GitHub takes"), "{ran:#?}");
    let body = bodies(&sim).remove(0);
    assert!(body.len() <= 65_536, "{}", body.len());
    let (kept, note) = written(&body).split_once("\n\n> The report goes on").expect("a note");
    assert!(
        report.starts_with(kept) && report[kept.len()..].trim_start().starts_with("## "),
        "cut at a heading"
    );
    let page = note.split("](").nth(1).and_then(|rest| rest.split(')').next()).expect("a link").to_owned();
    let (status, bytes) = desk.fetch(&format!("{page}?raw=true"), false).await;
    assert_eq!((status, String::from_utf8(bytes).expect("text")), (200, report));
}

#[tokio::test(flavor = "multi_thread")]
async fn jobs_that_share_a_comment_do_not_lose_each_others_sections() {
    let sim = Sim::start().await;
    let (desk, number, sha) = pulled(&sim).await;
    let names = ["cpu", "data", "gpu", "lint", "train on gpu-1"];
    let mut running = Vec::new();
    for name in names {
        let file = format!("{name}.md");
        desk.write(&file, format!("## {name}\n\nresult of {name}\n").as_bytes());
        running.push(desk.start(&["cml-send-comment", &file, "--section", name]));
    }
    let mut urls = Vec::new();
    for one in running {
        urls.push(one.finish().await.expect_code(0).stdout);
    }
    let comments = sim.comments();
    assert_eq!(comments.len(), 1, "{comments:#?}");
    assert_eq!(comments[0].on, CommentOn::Issue(number));
    let mut last = 0;
    for name in names {
        let at = comments[0]
            .body
            .find(&format!("result of {name}\n"))
            .unwrap_or_else(|| panic!("{name} is lost: {comments:#?}"));
        assert!(at >= last, "in order of their names: {comments:#?}");
        last = at;
    }
    // A later version replaces its own section.
    desk.write("gpu.md", b"## gpu\n\nbetter\n");
    let url = desk.says(&["cml-send-comment", "gpu.md", "--section", "gpu"]).await;
    assert!(urls.iter().any(|one| one.trim() == url));
    let body = bodies(&sim).remove(0);
    assert!(
        body.contains("better") && !body.contains("result of gpu\n") && body.contains("result of cpu"),
        "{body}"
    );
    // Another job's report is a comment of its own.
    desk.write("other.md", b"other\n");
    let other = desk.says(&["cml-send-comment", "other.md", "--update"]).await;
    assert!(other != url && bodies(&sim)[0].contains("result of cpu"), "{:#?}", sim.comments());
    desk.write("copied.md", bodies(&sim)[0].as_bytes());
    let ran = desk.run(&["cml-send-comment", "copied.md", "--section", "gpu"]).await.expect_code(1);
    assert!(ran.stderr.contains("marks of sections in it"), "{ran:#?}");
    let ran = desk.run(&["cml-send-comment", "gpu.md", "--section", "a-->"]).await.expect_code(1);
    assert!(ran.stderr.contains("a name is letters, digits"), "{ran:#?}");
    assert_eq!(sha.len(), 40);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_watched_report_is_followed_until_somebody_ends_it() {
    let sim = Sim::start().await;
    let (desk, _, _) = pulled(&sim).await;
    let watching = desk.start(&["cml-send-comment", "report.md", "--watch"]);
    desk.write("report.md", b"epoch 1\n");
    let says = async |text: &str| {
        wait::until_true(&format!("the comment says {text}"), Duration::from_secs(20), async || {
            bodies(&sim).iter().any(|body| written(body) == text)
        })
        .await;
    };
    says("epoch 1\n").await;
    desk.write("report.md", b"epoch 2\n");
    says("epoch 2\n").await;
    // The last version is written even when there was no time to settle.
    desk.write("report.md", b"epoch 3\n");
    watching.signal(Signal::TERM);
    let _ = watching.finish().await.expect_code(0);
    assert_eq!(bodies(&sim).iter().map(|body| written(body)).collect::<Vec<_>>(), ["epoch 3\n"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_report_in_another_encoding_is_read_or_said() {
    let sim = Sim::start().await;
    let (desk, _, _) = pulled(&sim).await;
    let powershell: Vec<u8> =
        [0xff, 0xfe].into_iter().chain("größer\r\n".encode_utf16().flat_map(u16::to_le_bytes)).collect();
    desk.write("report.md", &powershell);
    let _ = desk.says(&["cml-send-comment", "report.md"]).await;
    assert_eq!(written(&bodies(&sim)[0]), "größer\r\n");
    desk.write("report.md", b"gr\xf6\xdfer\n");
    let ran = desk.run(&["cml-send-comment", "report.md"]).await.expect_code(0);
    assert!(ran.stderr.contains("::warning::report.md: the report is no UTF-8: line 1"), "{ran:#?}");
    desk.write("report.md", b"  \n");
    let ran = desk.run(&["cml-send-comment", "report.md"]).await.expect_code(1);
    assert!(ran.stderr.contains("the report is empty"), "{ran:#?}");
    let ran = desk.run(&["cml-send-comment", "none.md"]).await.expect_code(1);
    assert!(ran.stderr.contains("cannot read none.md"), "{ran:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn data_in_the_text_is_published_as_a_file() {
    let sim = Sim::start().await;
    let (desk, _, _) = pulled(&sim).await;
    desk.write(
        "report.md",
        b"![](data:image/gif;base64,R0lGODlhAQABAAAAACH5BAEKAAEALAAAAAABAAEAAAICTAEAOw==)\n",
    );
    let _ = desk.says(&["cml-send-comment", "report.md"]).await;
    let image = images(&bodies(&sim)[0]).remove(0);
    let (status, bytes) = desk.fetch(&image, false).await;
    assert!(status == 200 && bytes.starts_with(b"GIF89a"), "{image}");
}

#[tokio::test(flavor = "multi_thread")]
async fn data_of_a_stranger_that_is_no_picture_is_not_published() {
    let sim = Sim::start().await;
    let (desk, number, _) = pulled(&sim).await;
    let desk = desk.with("GITHUB_EVENT_NAME", "issue_comment");
    // A page with a script.
    let report = "![](data:image/png;base64,PGh0bWw+PHNjcmlwdD4xPC9zY3JpcHQ+PC9odG1sPg==)\n";
    desk.write("report.md", report.as_bytes());
    let target = format!("pr/{number}");
    let ran = desk.run(&["cml-send-comment", "report.md", "--target", &target]).await.expect_code(0);
    assert!(ran.stderr.contains("data in the report's text may not be published"), "{ran:#?}");
    let note = "> Not published: `data:image/png;base64`. The job's log says why.";
    assert_eq!(written(&bodies(&sim)[0]), format!("{report}\n\n{note}\n"));
    assert!(sim.references().keys().all(|name| !name.starts_with("refs/cml/")), "{:#?}", sim.references());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_check_run_says_how_it_went() {
    let sim = sim_with_workflow_token().await;
    let (desk, _, sha) = pulled(&sim).await;
    desk.write("report.md", b"# Report\n");
    let ran = desk.run(&["cml-send-github-check", "report.md"]).await.expect_code(1);
    assert!(ran.stderr.contains("never a personal token"), "{ran:#?}");
    let desk = desk.with("REPO_TOKEN", WORKFLOW_TOKEN);
    desk.write("roc.png", PNG);
    desk.write("report.md", b"# Report\n\n![](roc.png)\n");
    assert_eq!(desk.says(&["cml-send-github-check", "report.md"]).await, "");
    let line =
        ["cml", "check", "create", "report.md", "--title=Model", "--conclusion=failure", "--head-sha", &sha];
    assert_eq!(desk.says(&line).await, "");
    let checks = sim.check_runs();
    let said = |index: usize| (checks[index].name.as_str(), checks[index].conclusion.as_deref());
    assert_eq!(said(0), ("CML Report", Some("success")));
    assert_eq!(said(1), ("Model", Some("failure")));
    assert_eq!(checks[0].head_sha, sha, "the head of the pull request, not GitHub's merge of it");
    let image = images(checks[0].summary.as_deref().unwrap_or_default()).remove(0);
    assert_eq!(desk.fetch(&image, false).await.0, 200);
    let ran = desk.run(&["cml-send-github-check", "report.md", "--conclusion", "fine"]).await.expect_code(1);
    assert!(ran.stderr.contains("[possible values: success, failure"), "{ran:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_may_not_be_shown_is_said_and_the_report_is_written() {
    let sim = Sim::start().await;
    let (desk, _, _) = pulled(&sim).await;
    desk.write("empty.log", b"");
    desk.write(".git/config", b"[http] extraheader = secret");
    let report = "[log](empty.log) [a](.git/config) [b](/proc/self/environ) [c](/etc/passwd) [d](plots)\n";
    desk.write("report.md", report.as_bytes());
    desk.write("plots/a.png", PNG);
    let ran = desk.run(&["cml-send-comment", "report.md"]).await.expect_code(0);
    for word in
        ["empty.log is empty", ".git/config, which", "/proc/self/environ, which", "/etc/passwd, which"]
    {
        assert!(ran.stderr.contains(word), "no {word:?} in {ran:#?}");
    }
    let note = "> Not published: `.git/config`, `/proc/self/environ`, `/etc/passwd`. The job's log says why.";
    assert_eq!(written(&bodies(&sim)[0]), format!("{report}\n\n{note}\n"));
    assert!(sim.references().keys().all(|name| !name.starts_with("refs/cml/")), "{:#?}", sim.references());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_preview_is_a_directory_and_nobody_is_asked() {
    let sim = Sim::start().await;
    let (desk, _, _) = pulled(&sim).await;
    let desk = desk.without("REPO_TOKEN");
    desk.write("a.png", PNG);
    desk.write("report.md", b"# Report\n\n![a](a.png)\n");
    assert_eq!(desk.says(&["cml-send-comment", "report.md", "--to", "preview"]).await, "preview/report.md");
    let text = std::fs::read_to_string(desk.path("preview/report.md")).expect("there");
    let image = images(&text).remove(0);
    assert_eq!(std::fs::read(desk.path("preview").join(image)).expect("beside it"), PNG);
    assert!(sim.calls().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_typed_wins_over_variables() {
    let sim = Sim::start().await;
    let (desk, _, sha) = pulled(&sim).await;
    desk.write("report.md", b"hello\n");
    desk.write("a.png", PNG);
    let desk = desk.with("CML_COMMENT_TARGET", "pr/999").with("CML_PUBLISH_TITLE", "B");
    let _ = desk.says(&["cml-send-comment", "report.md", "--target=commit"]).await;
    assert_eq!(sim.comments()[0].on, CommentOn::Commit(sha));
    assert!(desk.says(&["cml-publish", "-t", "A", "a.png", "--md"]).await.ends_with(" \"A\")"));
    let typo = desk.with("CML_COMMENT_TARGTE", "pr");
    let ran = typo.run(&["cml-send-comment", "report.md"]).await.expect_code(1);
    assert!(ran.stderr.contains("unknown environment variable CML_COMMENT_TARGTE"), "{ran:#?}");
}
