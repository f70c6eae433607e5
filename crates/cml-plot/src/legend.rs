//! The legend: names of series with their samples.

use crate::font::Font;
use crate::frame::{MARGIN, SMALL, TO_BASELINE};
use crate::scene::{Anchor, Item, Role, Scene};
use crate::theme;

const LINE_SAMPLE: f64 = 26.0;
const MARKER_SAMPLE: f64 = 9.0;
const GAP: f64 = 7.0;
const BETWEEN: f64 = 20.0;
const ROW: f64 = 19.0;
/// Longer entries are truncated, unless they are alone.
const LONGEST: f64 = 320.0;
/// Least height that is left to the data and their axis, absolute and as a share of the picture.
const LEFT: f64 = 160.0;
const LEFT_SHARE: f64 = 0.6;

/// One series.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    /// Its name, which is truncated if there is no room.
    pub(crate) name: String,
    /// Text after the name that is never truncated.
    pub(crate) suffix: String,
    pub(crate) dash: &'static [f64],
    pub(crate) has_line: bool,
    pub(crate) has_markers: bool,
}

impl Entry {
    fn sample_width(&self) -> f64 {
        if self.has_line { LINE_SAMPLE } else { MARKER_SAMPLE }
    }

    fn text(&self, font: &Font, room: f64) -> String {
        let room = room - self.sample_width() - GAP - font.width(&self.suffix, SMALL);
        format!("{}{}", font.fit(&self.name, SMALL, room), self.suffix)
    }

    fn width(&self, font: &Font, text: &str) -> f64 {
        self.sample_width() + GAP + font.width(text, SMALL)
    }
}

/// Draws the legend from `top` down, and returns the y below which the scene is free. Entries are in one row if they
/// fit, else in columns; where there are too many for the picture, the last one is the number of those omitted.
pub(crate) fn draw(scene: &mut Scene, font: &Font, top: f64, entries: &[Entry]) -> f64 {
    let room = f64::from(scene.width) - 2.0 * MARGIN;
    let longest = if entries.len() == 1 { room } else { room.min(LONGEST) };
    let texts: Vec<String> = entries.iter().map(|entry| entry.text(font, longest)).collect();
    let widths: Vec<f64> = entries.iter().zip(&texts).map(|(entry, text)| entry.width(font, text)).collect();
    let one_row = widths.iter().sum::<f64>() + BETWEEN * (widths.len() as f64 - 1.0) <= room;
    let column = widths.iter().copied().fold(0.0, f64::max) + BETWEEN;
    let columns = if one_row { entries.len() } else { (((room + BETWEEN) / column) as usize).max(1) };
    let height = f64::from(scene.height);
    let rows = ((height - top - LEFT.max(height * LEFT_SHARE)) / ROW).max(1.0) as usize;
    let all_fit = entries.len() <= rows * columns;
    // The last place is for the note.
    let shown = if all_fit { entries.len() } else { rows * columns - 1 };
    let place = |index: usize| {
        let x = if one_row {
            widths[..index].iter().map(|width| width + BETWEEN).sum()
        } else {
            (index % columns) as f64 * column
        };
        (MARGIN + x, top + ((index / columns) as f64 + 0.5) * ROW)
    };
    for (series, (entry, text)) in entries.iter().zip(texts).take(shown).enumerate() {
        let (x, y) = place(series);
        sample(scene, entry, series, (x, y));
        let start = (x + entry.sample_width() + GAP, y + TO_BASELINE * SMALL);
        scene.text(text, start, SMALL, Anchor::Start, Role::Ink);
    }
    if !all_fit {
        let (x, y) = place(shown);
        let left = entries.len() - shown;
        let note = if shown == 0 { format!("{left} series") } else { format!("and {left} more") };
        let note = font.fit(&note, SMALL, column);
        scene.text(note, (x, y + TO_BASELINE * SMALL), SMALL, Anchor::Start, Role::Muted);
    }
    top + entries.len().div_ceil(columns).min(rows) as f64 * ROW + 4.0
}

fn sample(scene: &mut Scene, entry: &Entry, series: usize, (x, y): (f64, f64)) {
    let role = Role::Series(series % theme::COLOURS);
    if entry.has_line {
        let points = vec![(x, y), (x + LINE_SAMPLE, y)];
        scene.items.push(Item::Polyline { points, role, width: 2.0, dash: entry.dash });
    }
    if entry.has_markers {
        let centres = vec![(x + entry.sample_width() / 2.0, y)];
        scene.items.push(Item::Markers { centres, shape: theme::shape(series), radius: 3.5, role });
    }
}
