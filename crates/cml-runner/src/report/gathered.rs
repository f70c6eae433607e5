//! Artifacts of a report, each file once: a report can link to one file a thousand times, and to a thousand files.

use std::collections::HashMap;
use std::ops::Range;
use std::path::{Path, PathBuf};

use cml_report::{Artifact, ArtifactError, COUNT_LIMIT, Link, TOTAL_LIMIT, local_links};

use crate::report::linked::{Found, MayShow, Read, Unshown, of_data};

/// Limit on the warnings of one report; the rest is counted.
const WARNINGS_MAX: usize = 20;

/// Artifacts of a report, and the targets that cannot be published.
#[derive(Default)]
pub(crate) struct Gathered {
    /// Files and data, all distinct.
    pub(crate) assets: Vec<Artifact>,
    /// Positions of targets in the text, in order, and the index of the asset of each.
    pub(crate) targets: Vec<(Range<usize>, usize)>,
    /// Targets that may not be published, as in the report.
    pub(crate) refused: Vec<String>,
    pub(crate) flaws: Flaws,
}

/// Reasons why links are unchanged.
#[derive(Default)]
pub(crate) struct Flaws {
    first: Vec<String>,
    more: usize,
}

/// Source of an asset.
enum Source<'a> {
    File(Found),
    Data(&'a str),
}

/// Sources of a report's links.
#[derive(Default)]
struct Sources<'a> {
    all: Vec<Source<'a>>,
    by_target: HashMap<&'a str, Option<usize>>,
    by_path: HashMap<PathBuf, usize>,
}

/// Reads the files that a report links to.
///
/// # Errors
/// When there are too many files, before any of them is read, or when they are too large together.
pub(crate) fn gather(
    text: &str,
    base: &Path,
    may_show: &MayShow,
    read: &Read<'_>,
) -> Result<Gathered, ArtifactError> {
    let mut gathered = Gathered::default();
    let mut sources = Sources::default();
    let links = local_links(text);
    let mut targets: Vec<(Range<usize>, usize)> = Vec::new();
    for Link { range, target } in &links {
        let source = sources.of(target, base, may_show, &mut gathered);
        targets.extend(source.map(|source| (range.clone(), source)));
    }
    if sources.all.len() > COUNT_LIMIT {
        return Err(ArtifactError::TooMany(sources.all.len()));
    }
    let placed = gathered.read(&sources.all, may_show, read)?;
    gathered.targets =
        targets.into_iter().filter_map(|(range, source)| Some((range, placed[source]?))).collect();
    Ok(gathered)
}

impl<'a> Sources<'a> {
    /// Returns the source of a target; `None` when there is no such file, or when it may not be published.
    fn of(
        &mut self,
        target: &'a str,
        base: &Path,
        may_show: &MayShow,
        gathered: &mut Gathered,
    ) -> Option<usize> {
        if let Some(known) = self.by_target.get(target) {
            return *known;
        }
        let source = if target.starts_with("data:") {
            Some(self.added(Source::Data(target)))
        } else {
            match Found::of(base, target, may_show) {
                Ok(found) => Some(self.of_file(found)),
                Err(why) => {
                    gathered.leave(why);
                    None
                }
            }
        };
        self.by_target.insert(target, source);
        source
    }

    fn of_file(&mut self, found: Found) -> usize {
        if let Some(known) = self.by_path.get(&found.real) {
            return *known;
        }
        self.by_path.insert(found.real.clone(), self.all.len());
        self.added(Source::File(found))
    }

    fn added(&mut self, source: Source<'a>) -> usize {
        self.all.push(source);
        self.all.len() - 1
    }
}

impl Source<'_> {
    /// Returns its size, bytes, or for data an upper limit.
    fn size(&self) -> Result<usize, Unshown> {
        match self {
            Self::File(found) => found.size(),
            Self::Data(uri) => Ok(uri.len() / 4 * 3),
        }
    }

    fn asset(&self, may_show: &MayShow, read: &Read<'_>) -> Result<Artifact, Unshown> {
        match self {
            Self::File(found) => found.asset(may_show, read),
            Self::Data(uri) => of_data(uri, may_show),
        }
    }
}

impl Gathered {
    /// Reads sources one by one, and returns the asset of each that can be published.
    fn read(
        &mut self,
        sources: &[Source<'_>],
        may_show: &MayShow,
        read: &Read<'_>,
    ) -> Result<Vec<Option<usize>>, ArtifactError> {
        let mut total = 0;
        let mut placed = Vec::new();
        for source in sources {
            let asset = match source.size() {
                Ok(size) if total + size > TOTAL_LIMIT => return Err(ArtifactError::TooLargeTogether),
                Ok(size) => source.asset(may_show, read).inspect(|_| total += size),
                Err(why) => Err(why),
            };
            placed.push(match asset {
                Ok(asset) => {
                    self.assets.push(asset);
                    Some(self.assets.len() - 1)
                }
                Err(why) => {
                    self.leave(why);
                    None
                }
            });
        }
        Ok(placed)
    }

    /// Leaves a link unchanged: a report with a flaw is better than none.
    fn leave(&mut self, why: Unshown) {
        let why = match why {
            Unshown::Refused(target, why) => {
                self.refused.push(target);
                why
            }
            Unshown::Flawed(why) => why,
        };
        self.flaws.add(&why);
    }
}

impl Flaws {
    fn add(&mut self, why: &str) {
        if self.first.len() < WARNINGS_MAX {
            self.first.push(format!("{why}; the report shows it as it is"));
        } else {
            self.more += 1;
        }
    }

    /// Returns a line for each of the first ones, and one for all others.
    pub(crate) fn lines(&self) -> Vec<String> {
        let more = (self.more > 0)
            .then(|| format!("{} more of the report's links are not published; mend these first", self.more));
        self.first.iter().cloned().chain(more).collect()
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use base64::Engine;
    use base64::engine::general_purpose::STANDARD;
    use tempfile::TempDir;

    use super::*;
    use crate::exit::{CliError, ExitCode};
    use crate::report::files;

    const PNG: &[u8] = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR";

    fn workspace() -> TempDir {
        tempfile::tempdir().expect("a directory")
    }

    fn may_show(dir: &TempDir, may_be_strangers: bool) -> MayShow {
        MayShow { roots: vec![dir.path().canonicalize().expect("is there")], may_be_strangers }
    }

    /// Returns the files of a report, and how many were read.
    fn gathered(dir: &TempDir, text: &str) -> (Result<Gathered, ArtifactError>, usize) {
        let reads = Cell::new(0);
        let read = |_: &Path| {
            reads.set(reads.get() + 1);
            Ok::<_, CliError>(PNG.to_vec())
        };
        (gather(text, dir.path(), &may_show(dir, false), &read), reads.get())
    }

    #[test]
    fn many_links_to_one_file_read_and_publish_it_once() {
        let dir = workspace();
        std::fs::create_dir(dir.path().join("plots")).expect("is made");
        std::fs::write(dir.path().join("plots/roc.png"), PNG).expect("is written");
        std::os::unix::fs::symlink("plots/roc.png", dir.path().join("same.png")).expect("a link");
        let links = "![](plots/roc.png) ".repeat(150);
        let text = format!("{links} ![](./plots/roc.png) ![](plots/roc.png?raw=1) ![](same.png)\n");
        let (gathered, reads) = gathered(&dir, &text);
        let gathered = gathered.expect("is gathered");
        assert_eq!((gathered.assets.len(), reads), (1, 1));
        assert_eq!(gathered.targets.len(), 153);
        assert!(gathered.targets.iter().all(|(_, asset)| *asset == 0));
        assert_eq!(gathered.flaws.lines(), Vec::<String>::new());
    }

    #[test]
    fn too_many_files_are_refused_before_any_of_them_is_read() {
        let dir = workspace();
        let mut text = String::new();
        for number in 0..=COUNT_LIMIT {
            std::fs::write(dir.path().join(format!("{number}.png")), PNG).expect("is written");
            text.push_str(&format!("![]({number}.png)\n"));
        }
        let (refused, reads) = gathered(&dir, &text);
        let error = refused.err().map(|error| error.to_string()).unwrap_or_default();
        assert!(error.starts_with("the report has 201 files, and at most 200 are taken"), "{error}");
        assert_eq!(reads, 0);
        let (taken, reads) = gathered(&dir, &text.replace("![](200.png)\n", ""));
        assert_eq!((taken.expect("is gathered").assets.len(), reads), (200, 200));
    }

    #[test]
    fn files_that_are_too_large_together_are_not_read_on() {
        let dir = workspace();
        let mut text = String::new();
        for number in 0..6 {
            let file = std::fs::File::create(dir.path().join(format!("{number}.png"))).expect("is made");
            // A sparse file, without blocks on the disk.
            file.set_len(45 << 20).expect("has a size");
            text.push_str(&format!("![]({number}.png)\n"));
        }
        let (refused, reads) = gathered(&dir, &text);
        let error = refused.err().map(|error| error.to_string()).unwrap_or_default();
        assert!(error.starts_with("the report's files have more than 200 MiB together"), "{error}");
        assert_eq!(reads, 4);
    }

    #[test]
    fn a_file_that_is_too_large_is_told_and_not_read() {
        let dir = workspace();
        for (name, mib) in [("60.png", 60), ("101.png", 101)] {
            let file = std::fs::File::create(dir.path().join(name)).expect("is made");
            file.set_len(mib << 20).expect("has a size");
        }
        let (gathered, reads) = gathered(&dir, "![](60.png) ![](101.png)\n");
        let lines = gathered.expect("is gathered").flaws.lines();
        assert!(lines[0].starts_with("60.png has 60 MiB, and at most 50 MiB are taken"), "{lines:#?}");
        assert!(lines[1].contains("101.png: it has 101 MiB, and at most 100 are read"), "{lines:#?}");
        assert_eq!(reads, 0);
    }

    #[test]
    fn a_thousand_missing_files_are_told_in_some_lines() {
        let dir = workspace();
        let text: String = (0..1000).map(|number| format!("![]({number}.png) ![]({number}.png)\n")).collect();
        let lines = gathered(&dir, &text).0.expect("is gathered").flaws.lines();
        assert_eq!(lines.len(), 21, "{lines:#?}");
        assert!(lines[0].contains("0.png, which the report shows, cannot be read"), "{lines:#?}");
        assert_eq!(lines[20], "980 more of the report's links are not published; mend these first");
    }

    #[test]
    fn data_in_a_strangers_report_is_a_picture_a_video_or_a_table() {
        let dir = workspace();
        let of = |kind: &str, bytes: &[u8], strangers| {
            let text = format!("![](data:{kind};base64,{})\n", STANDARD.encode(bytes));
            let read = |_: &Path| Err(CliError::new(ExitCode::Failed, "no file is asked for"));
            gather(&text, dir.path(), &may_show(&dir, strangers), &read).expect("is gathered")
        };
        for (kind, bytes) in [("image/png", PNG), ("image/csv", b"a,b\n1,2\n")] {
            for strangers in [false, true] {
                assert_eq!(of(kind, bytes, strangers).assets.len(), 1, "{kind}");
            }
        }
        for (kind, bytes) in [
            ("image/png", &b"<html><script>1</script></html>"[..]),
            ("image/csv", b"<!DOCTYPE html><script>1</script>"),
            ("image/x", b"some text"),
        ] {
            assert_eq!(of(kind, bytes, false).assets.len(), 1, "{kind}");
            let refused = of(kind, bytes, true);
            assert!(refused.assets.is_empty(), "{kind}");
            assert_eq!(refused.refused, [format!("data:{kind};base64")]);
            let lines = refused.flaws.lines();
            assert!(
                lines[0].starts_with("data in the report's text may not be published: in a run"),
                "{lines:#?}"
            );
        }
        let key = of("image/x", b"-----BEGIN PRIVATE KEY-----\n", false);
        assert!(key.assets.is_empty(), "a private key is one in data, too");
    }

    #[test]
    fn a_strangers_file_is_refused_by_its_content_and_noted() {
        let dir = workspace();
        std::fs::write(dir.path().join("settings.json"), b"{\"a\": 1}").expect("is written");
        std::fs::write(dir.path().join("prod.env"), b"A=1").expect("is written");
        let text = "[a](settings.json) [b](prod.env)\n";
        let gathered = gather(text, dir.path(), &may_show(&dir, true), &files::read).expect("is gathered");
        assert!(gathered.assets.is_empty() && gathered.targets.is_empty());
        assert_eq!(gathered.refused, ["prod.env", "settings.json"]);
    }
}
