//! Untrusted files: the messages about them are short, whatever their contents.

use cml_spec::BadFile;

fn refused(text: &str) -> BadFile {
    cml_spec::read("cml.yaml", text, &|_| Ok(Vec::new())).expect_err("is wrong")
}

/// Returns the first problem's text, from its line on.
fn shown(bad: &BadFile) -> String {
    bad.problems[0].to_string()
}

#[test]
fn a_megabyte_of_mistakes_is_told_in_some_lines() {
    let many_on_one_line = format!("github: {{ scope: [{}] }}\n", "a,".repeat(500_000));
    let equal = format!("runners:\n  gpu:\n    max: 1\n    labels: [{}]\n", "a,".repeat(500_000));
    let a_key_that_is_wrong_in_many_ways =
        format!("runners:\n  {}:\n{}", "k".repeat(400_000), "    x: 1\n".repeat(60_000));
    let one_long_value = format!("runners: {{ gpu: {{ max: {} }} }}\n", "9".repeat(1_000_000));
    for text in [many_on_one_line, equal, a_key_that_is_wrong_in_many_ways, one_long_value] {
        let bad = refused(&text);
        let told = bad.to_string();
        assert!(told.len() < 64 * 1024, "{} bytes", told.len());
        assert!(bad.problems.len() <= 50);
    }
}

#[test]
fn what_is_not_told_is_counted() {
    let keys: String = (0..80).map(|number| format!("wrong{number}: 1\n")).collect();
    let bad = refused(&keys);
    // `runners` is missing, too.
    assert_eq!((bad.problems.len(), bad.more), (50, 31));
    assert!(bad.to_string().ends_with("cml.yaml: 31 more; mend these first"), "{bad}");
}

#[test]
fn many_labels_take_no_longer_than_their_length() {
    let labels: String = (0..120_000).map(|number| format!("l{number},")).collect();
    let bad = refused(&format!("runners: {{ gpu: {{ labels: [{labels}] }} }}\n"));
    assert!(bad.to_string().contains("120000 labels; GitHub takes"), "{bad}");
}

#[test]
fn as_many_users_as_a_computer_has_room_for_are_taken() {
    let read = |number: usize| {
        let names: String = (0..number).map(|number| format!("u{number},u0,")).collect();
        let text = format!("runners: {{ gpu: {{ labels: [a], cloud: local, max: 1, user: [{names}] }} }}\n");
        cml_spec::read("cml.yaml", &text, &|_| Ok(Vec::new()))
    };
    assert!(read(500).is_ok());
    let bad = read(100_000).expect_err("is wrong");
    assert!(bad.to_string().contains("names 200000 users, and at most 1000 are taken"), "{bad}");
    assert_eq!(bad.problems.len(), 1, "{bad}");
}

#[test]
fn a_long_line_is_shown_around_its_mistake_with_the_mark_below_it() {
    let text = format!("runners: {{ {} wrong: 1 }}\n", "gpu: {}, ".repeat(200));
    let bad = refused(&text);
    let last = bad.problems.iter().find(|one| one.source.contains("wrong")).unwrap_or(&bad.problems[0]);
    let told = last.to_string();
    let lines: Vec<&str> = told.lines().collect();
    assert!(lines.iter().all(|line| line.chars().count() < 320), "{told}");
    let mark = lines[3].find('^').expect("a mark");
    assert!(lines[2][mark..].starts_with("gpu") || lines[2][mark..].starts_with("{}"), "{told}");
}

#[test]
fn a_token_is_hidden_wherever_the_line_is_cut() {
    for before in 0..140 {
        let token = format!("ghp_{}", "canary".repeat(20));
        let text = format!("{}: {{ {token}{}: 1 }}\n", "x".repeat(before), "y".repeat(300));
        let bad = refused(&text);
        let shown = bad.problems.iter().map(|one| one.source.clone()).collect::<String>();
        assert!(!shown.contains("canary"), "{shown}");
    }
    let line = format!("{}: 1\n", "ghp_ab github_pat_c gx ".repeat(3));
    assert!(shown(&refused(&line)).contains("****** ************ gx"), "{line}");
}

#[test]
fn the_token_goes_to_no_host_that_only_looks_like_this_machine() {
    let read = |url: &str| {
        let text = format!("github: {{ url: \"{url}\", scope: acme/vision }}\nreports: {{ to: repo }}\n");
        cml_spec::read("cml.yaml", &text, &|_| Ok(Vec::new()))
            .map(|config| config.github.map(|github| github.url))
    };
    for good in
        ["https://github.com", "https://ghes.example.com/", "http://127.0.0.1:8080", "http://localhost:1"]
    {
        assert_eq!(read(good).expect(good), Some(good.trim_end_matches('/').to_owned()));
    }
    for bad in [
        "http://127.0.0.1.evil.example",
        "http://localhost.evil.example",
        "http://127.0.0.1@evil.example",
        "http://localhost:1@evil.example",
        "http://ghes.example.com",
        "https://",
        "https://user:password@github.com",
        "https://github.com?x=1",
        "file:///etc/passwd",
        "github.com",
    ] {
        let error = read(bad).expect_err(bad).to_string();
        assert!(error.contains("github.url"), "{error}");
    }
}
