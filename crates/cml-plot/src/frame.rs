//! The frame of the data: title, legend, axes.

use crate::axis::Axis;
use crate::chart::Chart;
use crate::font::Font;
use crate::scene::{Anchor, Item, Role, Scene, one_line};
use crate::ticks::{self, Tick};

/// Distance between the picture's edge and its content.
pub(crate) const MARGIN: f64 = 16.0;
pub(crate) const TITLE: f64 = 16.0;
pub(crate) const LABEL: f64 = 13.0;
pub(crate) const SMALL: f64 = 12.0;
/// Space for an axis' label next to or below its ticks.
pub(crate) const LABEL_ROOM: f64 = 24.0;
/// Least distance of axes' labels from the picture's edge.
const EDGE: f64 = 8.0;
/// Distance between the labels of two ticks side by side.
const APART: f64 = 16.0;
/// Distance between the middles of the labels of two ticks one above the other.
const LINE: f64 = 15.0;
/// Distance from the middle of a letter's height down to its baseline, as a share of the font size.
pub(crate) const TO_BASELINE: f64 = 0.36;

/// Area of the data.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Area {
    pub(crate) left: f64,
    pub(crate) top: f64,
    pub(crate) right: f64,
    pub(crate) bottom: f64,
}

impl Area {
    /// Returns the horizontal position of the value.
    pub(crate) fn x(&self, axis: &Axis, value: f64) -> f64 {
        self.left + axis.fraction(value) * (self.right - self.left)
    }

    /// Returns the vertical position of the value, from the top.
    pub(crate) fn y(&self, axis: &Axis, value: f64) -> f64 {
        self.bottom - axis.fraction(value) * (self.bottom - self.top)
    }
}

/// Creates an empty card with the chart's title, and returns the y below which it is free.
pub(crate) fn card(chart: &Chart, font: &Font, description: String) -> (Scene, f64) {
    let title = chart.title.as_deref().map(one_line).filter(|title| !title.is_empty());
    let (width, height) = (f64::from(chart.width), f64::from(chart.height));
    let mut scene = Scene {
        width: chart.width,
        height: chart.height,
        title: title.clone().unwrap_or_else(|| chart.kind.words().to_owned()),
        description,
        items: vec![Item::Rect { x: 0.0, y: 0.0, width, height, role: Role::Background, opacity: 1.0 }],
    };
    let mut top = MARGIN;
    if let Some(title) = title {
        let shown = font.fit(&title, TITLE, width - 2.0 * MARGIN);
        scene.text(shown, (MARGIN, top + 13.0), TITLE, Anchor::Start, Role::Ink);
        top += 30.0;
    }
    (scene, top)
}

/// Draws an axis' label in the middle of the area's width with its baseline at `y`.
pub(crate) fn x_label(scene: &mut Scene, font: &Font, area: Area, label: &str, y: f64) {
    let width = f64::from(scene.width);
    let label = font.fit(label, LABEL, width - 2.0 * EDGE);
    let half = font.width(&label, LABEL) / 2.0;
    let middle = within((area.left + area.right) / 2.0, half, (EDGE, width - EDGE));
    scene.text(label, (middle, y), LABEL, Anchor::Middle, Role::Ink);
}

/// Draws an axis' label in the middle of the area's height, upwards, with its baseline at `x`.
pub(crate) fn y_label(scene: &mut Scene, font: &Font, area: Area, label: &str, x: f64) {
    let end = f64::from(scene.height) - EDGE;
    let label = font.fit(label, LABEL, end - area.top);
    let half = font.width(&label, LABEL) / 2.0;
    let middle = within((area.top + area.bottom) / 2.0, half, (area.top, end));
    scene.turned_text(label, (x, middle), LABEL, Anchor::Middle, Role::Ink, -90.0);
}

/// Chooses and draws the axes with their grid below `top`, and returns the area of the data.
pub(crate) fn axes(
    scene: &mut Scene,
    font: &Font,
    top: f64,
    (x, x_name): (&Axis, Option<&str>),
    (y, y_name): (&Axis, Option<&str>),
) -> Area {
    let room = |name: Option<&str>| if name.is_some() { LABEL_ROOM } else { 0.0 };
    let (width, height) = (f64::from(scene.width), f64::from(scene.height));
    // Half a line above the highest tick's middle.
    let top = top + 6.0;
    let bottom = height - MARGIN - room(x_name) - 16.0;
    let mut area = Area { left: 0.0, top, right: width - MARGIN - 8.0, bottom };
    let fits = |ticks: &[Tick]| {
        ticks.windows(2).all(|pair| area.y(y, pair[0].value) - area.y(y, pair[1].value) >= LINE)
    };
    let y_ticks = ticks::ticks(y, ((bottom - top) / 44.0) as usize, fits);
    let widest = y_ticks.iter().map(|tick| font.width(&tick.label, SMALL)).fold(0.0, f64::max);
    area.left = MARGIN + room(y_name) + widest + 8.0;
    let fits = |ticks: &[Tick]| spread(x, ticks, font, area, width).iter().all(Option::is_some);
    let x_ticks = ticks::ticks(x, ((area.right - area.left) / 64.0) as usize, fits);

    for at in ticks::minor(x).into_iter().map(|value| area.x(x, value)) {
        scene.line((at, bottom), (at, bottom + 3.0), Role::Muted);
    }
    for at in ticks::minor(y).into_iter().map(|value| area.y(y, value)) {
        scene.line((area.left - 3.0, at), (area.left, at), Role::Muted);
    }
    for tick in &y_ticks {
        let at = area.y(y, tick.value);
        scene.line((area.left, at), (area.right, at), Role::Grid);
        let place = (area.left - 8.0, at + TO_BASELINE * SMALL);
        scene.text(&*tick.label, place, SMALL, Anchor::End, Role::Muted);
    }
    for (tick, middle) in x_ticks.iter().zip(spread(x, &x_ticks, font, area, width)) {
        let at = area.x(x, tick.value);
        scene.line((at, top), (at, bottom), Role::Grid);
        scene.line((at, bottom), (at, bottom + 5.0), Role::Muted);
        if let Some(middle) = middle {
            scene.text(&*tick.label, (middle, bottom + 18.0), SMALL, Anchor::Middle, Role::Muted);
        }
    }
    scene.line((area.left, top), (area.left, bottom), Role::Muted);
    scene.line((area.left, bottom), (area.right, bottom), Role::Muted);
    if let Some(name) = x_name {
        x_label(scene, font, area, name, height - MARGIN + 1.0);
    }
    if let Some(name) = y_name {
        y_label(scene, font, area, name, MARGIN + 9.0);
    }
    area
}

/// Returns the middles of the ticks' labels; `None` where one is too close to the one before.
fn spread(axis: &Axis, ticks: &[Tick], font: &Font, area: Area, width: f64) -> Vec<Option<f64>> {
    let mut end = f64::NEG_INFINITY;
    let place = |tick: &Tick| {
        let half = font.width(&tick.label, SMALL) / 2.0;
        let middle = within(area.x(axis, tick.value), half, (EDGE, width - EDGE));
        let apart = middle - half >= end + APART;
        end = if apart { middle + half } else { end };
        apart.then_some(middle)
    };
    ticks.iter().map(place).collect()
}

/// Returns the middle of something with length 2 × `half`, moved into the range; its start stays inside if it is
/// longer.
fn within(middle: f64, half: f64, (start, end): (f64, f64)) -> f64 {
    middle.min(end - half).max(start + half)
}
