//! The pictures of the book: output of the program, made by running it.

use cml_e2e::browser;
use cml_e2e::desk::{Desk, sim_with_workflow_token};
use cml_e2e::front::Front;
use cml_e2e::runner::Runner;
use cml_e2e::secrets::TOKEN;
use cml_e2e::sim::Sim;
use cml_e2e::terminal;
use cml_world::{SimSettings, TokenGrant};

const WIDTH: u32 = 1180;
/// A line of the terminal, in pixels, and what is around its text.
const LINE: usize = 22;
const MARGIN: usize = 60;

/// Takes a picture of a terminal, and compares it with the book's.
async fn terminal(user: &Runner, name: &str, commands: &[(&str, &str)]) {
    let page = user.home().join(format!("{name}.html"));
    std::fs::write(&page, terminal::page(commands)).expect("written");
    // Long lines are broken where the window ends.
    let lines = |text: &str| text.lines().map(|line| 1 + line.chars().count() / 140).sum::<usize>();
    let lines: usize = commands.iter().map(|(_, printed)| lines(printed) + 2).sum();
    let height = u32::try_from(lines * LINE + MARGIN).expect("a window");
    let url = format!("file://{}", page.display());
    browser::photograph(user, &url, &format!("{name}.png"), (WIDTH, height), &[]).await;
    browser::is_in_the_book(&format!("{name}.png"), &format!("{name}.png"));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_demo_in_a_terminal() {
    let user = Runner::new();
    let ran = user.run(&["demo", "--output", "results"]).await.expect_code(0);
    // What people see is the one after the other.
    let seen =
        format!("{}{}", ran.stderr, ran.stdout).replace(&user.home().display().to_string(), "/home/ada");
    terminal(&user, "terminal-demo", &[("cml-runner demo --output results", &seen)]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_doctor_in_a_terminal() {
    let token = "github_pat_ada";
    let grant = TokenGrant { token: token.to_owned(), login: "ada".to_owned(), permissions: None };
    let sim =
        Sim::start_with(SimSettings { private: true, tokens: vec![grant], ..SimSettings::default() }).await;
    let front = Front::start().await;
    front.quota("L-3819A6DF", 0);
    front.lacks("ec2:GetConsoleOutput");
    let user = sim.user().on_aws(&front).with("REPO_TOKEN", token).with("TERM", "xterm-256color");
    assert_ne!(token, TOKEN);
    let line = "doctor --cloud aws --region us-east-1 --type g5.xlarge --spot only";
    // On a terminal it has its colours.
    let program = cml_e2e::paths::cml_runner().display().to_string();
    let typed = format!("{program} {line}");
    let ran = user
        .run_program("script", &["--quiet", "--return", "--command", &typed, "/dev/null"])
        .await
        .expect_code(1);
    let seen = ran.stdout.replace(&user.home().display().to_string(), "/home/ada");
    assert!(seen.contains("\x1b[32mok"), "{seen:?}");
    assert!(seen.contains("0 vCPUs of G and VT (spot)"), "{seen}");
    terminal(&user, "terminal-doctor", &[(&format!("cml-runner {line}"), &seen)]).await;
    let plain = user.with("NO_COLOR", "1");
    let ran = plain.run_program("script", &["--quiet", "--return", "--command", &typed, "/dev/null"]).await;
    assert!(!ran.stdout.contains('\x1b'), "{ran:#?}");
}

const LOG: &str = "step,loss,val_loss\n0,1.30,1.31\n1,0.92,0.99\n2,0.66,0.78\n3,0.49,0.66\n4,0.38,0.58\n5,0.31,0.54\n6,0.26,0.52\n7,0.23,0.51\n";

#[tokio::test(flavor = "multi_thread")]
async fn a_report_as_its_readers_see_it() {
    let sim = sim_with_workflow_token().await;
    let desk = Desk::on_push(&sim, "0000000000000000000000000000000000000000");
    desk.write("before.json", br#"{"accuracy": 0.912, "loss": 0.61, "f1": 0.905}"#);
    desk.write("metrics.json", br#"{"accuracy": 0.947, "loss": 0.51, "f1": 0.941}"#);
    desk.write("log.csv", LOG.as_bytes());
    let table = desk.says(&["cml-report", "metrics", "before.json", "metrics.json"]).await;
    let _ = desk
        .run(&["cml-report", "plot", "log.csv", "-x", "step", "-y", "loss,val_loss", "-o", "loss.png"])
        .await
        .expect_code(0);
    let report = format!("## Training\n\n{table}\n\n![loss and validation loss by step](loss.png)\n");
    desk.write("report.md", report.as_bytes());
    let _ = desk.run(&["cml-send-comment", "report.md", "--to", "preview"]).await.expect_code(0);
    let preview = std::fs::read_to_string(desk.path("preview/report.md")).expect("a preview");
    let parser = pulldown_cmark::Parser::new_ext(&preview, pulldown_cmark::Options::ENABLE_TABLES);
    let mut body = String::new();
    pulldown_cmark::html::push_html(&mut body, parser);
    let page = format!(
        "<!doctype html><meta charset=utf-8><style>body{{font:16px/1.5 sans-serif;color:#1f2328;margin:0;padding:24px;\
         background:#f6f8fa}}article{{background:#fff;border:1px solid #d1d9e0;border-radius:6px;max-width:860px}}\
         header{{background:#f6f8fa;border-bottom:1px solid #d1d9e0;padding:8px 16px;color:#59636e;font-size:14px;\
         border-radius:6px 6px 0 0}}main{{padding:4px 16px 16px}}table{{border-collapse:collapse}}\
         td,th{{border:1px solid #d1d9e0;padding:6px 13px}}img{{max-width:100%}}</style>\
         <article><header><b>github-actions</b> bot commented</header><main>{body}</main></article>"
    );
    std::fs::write(desk.path("preview/page.html"), page).expect("written");
    let url = format!("file://{}", desk.path("preview/page.html").display());
    browser::photograph(&desk.user, &url, "report.png", (940, 860), &[]).await;
    browser::is_in_the_book("report.png", "report.png");
}
