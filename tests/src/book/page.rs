//! A page of Markdown: its fenced blocks with their directives, its links, its anchors.

use std::collections::HashMap;
use std::ops::Range;

use pulldown_cmark::{CodeBlockKind, Event, Options, Parser, Tag, TagEnd};

/// A page.
#[derive(Debug)]
pub struct Page {
    /// Its path from the root of the workspace.
    pub name: String,
    /// Its fenced blocks, in order.
    pub blocks: Vec<Block>,
    /// Targets of its links and images, with the line of each.
    pub links: Vec<(usize, String)>,
    /// Anchors in it.
    pub anchors: Vec<String>,
}

/// A fenced block.
#[derive(Clone, Debug)]
pub struct Block {
    /// `docs/pool.md:12`.
    pub place: String,
    /// `sh`; empty when none is named.
    pub language: String,
    /// Its content.
    pub text: String,
    /// Directive in the comment above it.
    pub directive: Option<Directive>,
}

/// Directive in a comment directly above a block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Directive {
    /// It is not run here, and why. It must still be a valid command line.
    NotRun(String),
    /// The keys of one spec of a `cml.yaml`.
    Spec,
    /// YAML that is neither a workflow nor a `cml.yaml`: what it is.
    Other(String),
}

impl Directive {
    fn read(comment: &str) -> Option<Self> {
        let (kind, rest) = comment.split_once(':').map(|(kind, rest)| (kind.trim(), rest.trim()))?;
        match (kind, rest) {
            ("not run", why) if !why.is_empty() => Some(Self::NotRun(why.to_owned())),
            ("block", "spec") => Some(Self::Spec),
            ("block", other) => {
                let what = other.strip_prefix("other,")?.trim();
                (!what.is_empty()).then(|| Self::Other(what.to_owned()))
            }
            _ => None,
        }
    }
}

impl Page {
    /// Parses a page.
    ///
    /// # Panics
    /// When a comment above a block is not a directive.
    #[must_use]
    pub fn read(name: &str, text: &str) -> Self {
        let mut reading = Reading {
            page: Self { name: name.to_owned(), blocks: Vec::new(), links: Vec::new(), anchors: Vec::new() },
            text,
            comment: None,
            block: None,
            heading: None,
            seen: HashMap::new(),
        };
        let options = Options::ENABLE_TABLES | Options::ENABLE_STRIKETHROUGH | Options::ENABLE_FOOTNOTES;
        for (event, at) in Parser::new_ext(text, options).into_offset_iter() {
            reading.event(event, &at);
        }
        reading.page
    }
}

struct Reading<'a> {
    page: Page,
    text: &'a str,
    comment: Option<String>,
    block: Option<Block>,
    heading: Option<String>,
    seen: HashMap<String, usize>,
}

impl Reading<'_> {
    fn line(&self, at: &Range<usize>) -> usize {
        self.text[..at.start].matches('\n').count() + 1
    }

    fn event(&mut self, event: Event<'_>, at: &Range<usize>) {
        match event {
            Event::Html(html) => {
                let inside = html.trim().strip_prefix("<!--").and_then(|rest| rest.strip_suffix("-->"));
                self.comment = inside.map(|words| words.trim().to_owned());
            }
            Event::Start(Tag::HtmlBlock) | Event::End(TagEnd::HtmlBlock) => {}
            Event::Start(Tag::CodeBlock(kind)) => {
                let place = format!("{}:{}", self.page.name, self.line(at));
                let directive = self.comment.take().map(|words| {
                    Directive::read(&words).unwrap_or_else(|| {
                        panic!("{place}: `<!-- {words} -->` is no directive of CONTRIBUTING.md")
                    })
                });
                let language = match kind {
                    CodeBlockKind::Fenced(language) => language.to_string(),
                    CodeBlockKind::Indented => String::new(),
                };
                self.block = Some(Block { place, language, text: String::new(), directive });
            }
            Event::End(TagEnd::CodeBlock) => self.page.blocks.extend(self.block.take()),
            Event::Text(text) | Event::Code(text) => {
                if let Some(block) = &mut self.block {
                    block.text.push_str(&text);
                } else if let Some(heading) = &mut self.heading {
                    heading.push_str(&text);
                }
                self.comment = None;
            }
            Event::Start(Tag::Heading { .. }) => self.heading = Some(String::new()),
            Event::End(TagEnd::Heading(_)) => {
                let anchor = anchor(&self.heading.take().unwrap_or_default());
                let count = self.seen.entry(anchor.clone()).or_insert(0);
                let number = *count;
                *count += 1;
                self.page.anchors.push(if number == 0 { anchor } else { format!("{anchor}-{number}") });
            }
            Event::Start(Tag::Link { dest_url, .. } | Tag::Image { dest_url, .. }) => {
                let line = self.line(at);
                self.page.links.push((line, dest_url.to_string()));
                self.comment = None;
            }
            _ => self.comment = None,
        }
    }
}

/// Returns the anchor of a heading, as GitHub and mdBook generate it.
fn anchor(heading: &str) -> String {
    let kept = heading.chars().filter_map(|letter| match letter {
        ' ' => Some('-'),
        '-' | '_' => Some(letter),
        _ => letter.is_alphanumeric().then_some(letter),
    });
    kept.collect::<String>().to_lowercase()
}
