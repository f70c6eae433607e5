//! Pages as headless Chromium renders them: their width, overlapping labels, and screenshots under the target
//! directory.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde::Deserialize;

/// Flags for an environment without network access.
const QUIET: [&str; 9] = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--hide-scrollbars",
];

/// Each page is in a frame of its own; scripts run outside the frames.
const MEASURE: &str = r##"
const shown = (frame, selector) => [...frame.contentDocument.querySelectorAll(selector)].filter(it => it.offsetWidth > 0);
const overlaps = (frame, selector) => {
  const boxes = shown(frame, selector).map(it => it.getBoundingClientRect());
  return boxes.filter((one, at) => boxes.some((other, then) => then > at && one.left < other.right && other.left < one.right
    && one.top < other.bottom && other.top < one.bottom)).length;
};
const measured = frame => {
  const page = frame.contentDocument.documentElement;
  const paper = frame.contentWindow.getComputedStyle(frame.contentDocument.body).backgroundColor;
  const tall = page.scrollHeight;
  frame.contentDocument.querySelectorAll("details").forEach(it => it.open = true);
  return { wider: page.scrollWidth - page.clientWidth, tall, paper,
    overlaps: overlaps(frame, "#days .at") + overlaps(frame, "#jobs .at") + overlaps(frame, ".mark span"),
    names: shown(frame, "#days .at").length, text: frame.contentDocument.body.innerText };
};
addEventListener("load", () => {
  const all = [...document.querySelectorAll("iframe")].map(measured);
  document.body.textContent = "MEASURED" + JSON.stringify(all) + "DONE";
});
"##;

/// Measurements of a page in a window.
#[derive(Debug, Deserialize)]
pub(crate) struct Measured {
    /// Pixels by which it is wider than the window, with everything unfolded.
    pub(crate) wider: i64,
    /// Its height when folded, as loaded.
    pub(crate) tall: i64,
    /// The background colour of the page.
    pub(crate) paper: String,
    /// Number of plot labels that overlap others.
    pub(crate) overlaps: usize,
    /// Number of labelled days or months.
    pub(crate) names: usize,
    /// The visible text.
    pub(crate) text: String,
}

/// A theme that the reader prefers.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Theme {
    Dark,
    Light,
}

impl Theme {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Dark => "dark",
            Self::Light => "light",
        }
    }

    /// `--force-dark-mode` does not change the media query of a page.
    fn flag(self) -> String {
        format!("--blink-settings=preferredColorScheme={}", u8::from(self == Self::Light))
    }
}

pub(crate) struct Browser {
    dir: tempfile::TempDir,
}

impl Browser {
    /// Finds Chromium; `None` where there is none.
    pub(crate) fn find() -> Option<Self> {
        Command::new("chromium").arg("--version").output().ok()?;
        Some(Self { dir: tempfile::tempdir().expect("a directory") })
    }

    /// Measures each page in a window of that width.
    pub(crate) fn measure(&self, pages: &[(&str, u32)], theme: Theme) -> Vec<Measured> {
        let mut html =
            r#"<!doctype html><meta charset="utf-8"><meta name="color-scheme" content="light dark">"#
                .to_owned();
        for (page, width) in pages {
            let page = page.replace('&', "&amp;").replace('"', "&quot;");
            write!(
                html,
                r#"<iframe width="{width}" height="800" style="border:0" srcdoc="{page}"></iframe>"#
            )
            .expect("is text");
        }
        write!(html, "<script>{MEASURE}</script>").expect("is text");
        let answer =
            self.run(&html, theme, &["--dump-dom", "--virtual-time-budget=10000", "--window-size=1400,900"]);
        let dom = String::from_utf8(answer.stdout).expect("is text");
        let measured = dom.split_once("MEASURED").and_then(|(_, rest)| rest.rsplit_once("DONE"));
        let (json, _) = measured.unwrap_or_else(|| panic!("nothing was measured: {dom}"));
        let json =
            json.replace("&lt;", "<").replace("&gt;", ">").replace("&nbsp;", "\u{a0}").replace("&amp;", "&");
        serde_json::from_str(&json).expect("measures")
    }

    pub(crate) fn photograph(&self, page: &str, (width, height): (u32, i64), theme: Theme, name: &str) {
        let picture = pictures().join(format!("cost-{name}-{width}-{}.png", theme.name()));
        let (shot, size) =
            (format!("--screenshot={}", picture.display()), format!("--window-size={width},{height}"));
        let _ = self.run(page, theme, &[&shot, &size]);
        let bytes = std::fs::read(&picture).expect("a picture was made");
        // The size is in a PNG's first lines: <https://www.w3.org/TR/png-3/#11IHDR>.
        let number = |at: usize| u32::from_be_bytes(bytes[at..at + 4].try_into().expect("four bytes"));
        assert_eq!((number(16), i64::from(number(20))), (width, height), "{}", picture.display());
    }

    /// Compares a picture with the one in the documentation; `UPDATE_PICTURES=1` updates that one.
    pub(crate) fn is_in_the_book(made: &str, shown: &str) {
        let made = pictures().join(made);
        let shown = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/images").join(shown);
        #[allow(
            clippy::disallowed_methods,
            reason = "whoever runs the test says whether the book is to be changed"
        )]
        if std::env::var_os("UPDATE_PICTURES").is_some() {
            std::fs::copy(&made, &shown).expect("copied");
        }
        let width = |picture: &Path| std::fs::read(picture).ok().map(|bytes| bytes[16..20].to_vec());
        assert_eq!(width(&made), width(&shown), "UPDATE_PICTURES=1 makes {} anew", shown.display());
    }

    fn run(&self, page: &str, theme: Theme, more: &[&str]) -> Output {
        let file = self.dir.path().join("page.html");
        std::fs::write(&file, page).expect("is written");
        let mut chromium = Command::new("chromium");
        chromium.args(QUIET).arg(theme.flag()).args(more);
        chromium.arg(format!("--user-data-dir={}", self.dir.path().join("profile").display()));
        let answer = chromium.arg(format!("file://{}", file.display())).output().expect("chromium runs");
        assert!(answer.status.success(), "{}", String::from_utf8_lossy(&answer.stderr));
        answer
    }
}

fn pictures() -> PathBuf {
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().expect("the target directory");
    let dir = target.join("screenshots");
    std::fs::create_dir_all(&dir).expect("a directory");
    dir
}
