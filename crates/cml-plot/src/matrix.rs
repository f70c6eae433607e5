//! Drawing of confusion matrices.

use crate::axis::Axis;
use crate::chart::Chart;
use crate::confusion::ConfusionMatrix;
use crate::error::PlotError;
use crate::font::Font;
use crate::frame::{self, Area, LABEL_ROOM, MARGIN, SMALL, TO_BASELINE};
use crate::scene::{Anchor, Item, Role, Scene, one_line};
use crate::theme::HEAT_TURNS;
use crate::ticks;

/// Least font size of numbers in cells; if they would be smaller, a colour scale is drawn next to the matrix.
const LEAST_NUMBER: f64 = 7.0;
/// Least font size of the classes' names; if they would be smaller, only some of them are shown.
const LEAST_NAME: f64 = 9.0;
/// Width of the colour scale with its labels.
const SCALE: f64 = 78.0;
/// Least opacity: an empty cell is still a cell.
const FAINTEST: f64 = 0.04;

/// Positions and sizes.
struct Layout {
    area: Area,
    cell: f64,
    /// Gap between cells; 0 where they are too small for it.
    gap: f64,
    names: Vec<String>,
    /// Space for the names on the left and at the bottom.
    beside: f64,
    below: f64,
    name_size: f64,
    slanted: bool,
    /// Font size of the numbers; `None`: they have no room.
    number_size: Option<f64>,
}

pub(crate) fn draw(chart: &Chart, confusion: &ConfusionMatrix, font: &Font) -> Result<Scene, PlotError> {
    confusion.check()?;
    let values = confusion.values();
    let numbers: Vec<Vec<String>> = values
        .iter()
        .map(|row| row.iter().map(|value| number(*value, confusion.normalised)).collect())
        .collect();
    let (mut scene, top) = frame::card(chart, font, description(confusion));
    let label = |given: &Option<String>, own: &str| one_line(given.as_deref().unwrap_or(own));
    let (x_label, y_label) = (label(&chart.x_label, "Predicted"), label(&chart.y_label, "Actual"));
    let widest = numbers.iter().flatten().map(|number| font.width(number, 1.0)).fold(0.0, f64::max);
    let layout = Layout::new(&scene, font, top, &confusion.classes, widest);
    let area = layout.area;
    if layout.gap == 0.0 {
        // One shape instead of thousands of empty cells.
        let (width, height) = (area.right - area.left, area.bottom - area.top);
        let (x, y, role) = (area.left, area.top, Role::Heat);
        scene.items.push(Item::Rect { x, y, width, height, role, opacity: FAINTEST });
    }
    for (row, (values, numbers)) in values.iter().zip(&numbers).enumerate() {
        for (column, (value, number)) in values.iter().zip(numbers).enumerate() {
            draw_cell(&mut scene, &layout, (row, column), value / confusion.top(), number);
        }
    }
    draw_names(&mut scene, &layout, font);
    frame::x_label(&mut scene, font, area, &x_label, area.bottom + layout.below + 14.0);
    frame::y_label(&mut scene, font, area, &y_label, area.left - layout.beside - 10.0);
    if layout.number_size.is_none() {
        draw_scale(&mut scene, font, layout.area, confusion);
    }
    Ok(scene)
}

impl Layout {
    /// `widest` is the widest number's width at font size 1.
    fn new(scene: &Scene, font: &Font, top: f64, classes: &[String], widest: f64) -> Self {
        let (width, height) = (f64::from(scene.width), f64::from(scene.height));
        let longest = width.min(height) / 4.0;
        let names: Vec<String> =
            classes.iter().map(|name| font.fit(&one_line(name), SMALL, longest)).collect();
        let name_width = names.iter().map(|name| font.width(name, SMALL)).fold(0.0, f64::max);
        let count = classes.len() as f64;
        let beside = name_width + 8.0;
        let (left, right) = (MARGIN + LABEL_ROOM + beside, width - MARGIN);
        let below = |slanted: bool| if slanted { name_width * 0.71 + 18.0 } else { 22.0 };
        let fitting = |slanted: bool, right: f64| {
            let across = right - left;
            let down = height - MARGIN - LABEL_ROOM - below(slanted) - top;
            (across.min(down) / count).max(1.0)
        };
        let slanted = name_width > fitting(false, right) - 6.0;
        let mut cell = fitting(slanted, right);
        let number_size = (cell * 0.34).min((cell - 4.0) / widest).min(14.0);
        let number_size = (number_size >= LEAST_NUMBER).then_some(number_size);
        let scale = if number_size.is_none() { SCALE } else { 0.0 };
        cell = cell.min(fitting(slanted, right - scale));
        // The rest of the width is shared by both sides.
        let left = left + (right - scale - left - cell * count).max(0.0) / 2.0;
        let area = Area { left, top, right: left + cell * count, bottom: top + cell * count };
        let name_size = (cell * 0.85).clamp(LEAST_NAME, SMALL);
        let gap = if cell > 8.0 { 1.0 } else { 0.0 };
        Self { area, cell, gap, names, beside, below: below(slanted), name_size, slanted, number_size }
    }
}

fn number(value: f64, normalised: bool) -> String {
    match value {
        0.0 => "0".to_owned(),
        share if normalised => format!("{share:.2}"),
        count => format!("{count:.0}"),
    }
}

fn description(confusion: &ConfusionMatrix) -> String {
    let names: Vec<_> = confusion.classes.iter().map(|name| one_line(name)).collect();
    let right = confusion.counts.iter().enumerate().map(|(at, row)| row[at] as f64).sum::<f64>();
    let all = confusion.counts.iter().flatten().map(|&count| count as f64).sum::<f64>();
    format!(
        "A confusion matrix of {} classes ({}); {right:.0} of {all:.0} examples are on its diagonal.",
        names.len(),
        names.join(", ")
    )
}

fn draw_cell(scene: &mut Scene, layout: &Layout, (row, column): (usize, usize), share: f64, number: &str) {
    let (cell, gap) = (layout.cell, layout.gap);
    let (x, y) = (layout.area.left + column as f64 * cell, layout.area.top + row as f64 * cell);
    let side = cell - gap;
    let opacity = if gap == 0.0 { share } else { FAINTEST + (1.0 - FAINTEST) * share };
    if opacity > 0.0 {
        scene.items.push(Item::Rect { x, y, width: side, height: side, role: Role::Heat, opacity });
    }
    if let Some(size) = layout.number_size {
        let role = if opacity >= HEAT_TURNS { Role::Background } else { Role::Ink };
        let place = (x + side / 2.0, y + side / 2.0 + TO_BASELINE * size);
        scene.text(number, place, size, Anchor::Middle, role);
    }
}

fn draw_names(scene: &mut Scene, layout: &Layout, font: &Font) {
    let (area, size) = (layout.area, layout.name_size);
    // A line needs a little more than its font size.
    let every = ((size * 1.15 / layout.cell).ceil() as usize).max(1);
    for (index, name) in layout.names.iter().enumerate().step_by(every) {
        let along = (index as f64 + 0.5) * layout.cell;
        let place = (area.left - 7.0, area.top + along + TO_BASELINE * size);
        scene.text(&**name, place, size, Anchor::End, Role::Ink);
        let x = area.left + along;
        if layout.slanted {
            scene.turned_text(&**name, (x + 4.0, area.bottom + 12.0), size, Anchor::End, Role::Ink, -45.0);
        } else {
            scene.text(
                font.fit(name, size, layout.cell),
                (x, area.bottom + 16.0),
                size,
                Anchor::Middle,
                Role::Ink,
            );
        }
    }
}

/// Draws the colour scale.
fn draw_scale(scene: &mut Scene, font: &Font, area: Area, confusion: &ConfusionMatrix) {
    const STEPS: usize = 32;
    let (x, height) = (area.right + 18.0, area.bottom - area.top);
    let step = height / STEPS as f64;
    for index in 0..STEPS {
        let share = (index as f64 + 0.5) / STEPS as f64;
        let opacity = FAINTEST + (1.0 - FAINTEST) * share;
        let y = area.bottom - (index as f64 + 1.0) * step;
        scene.items.push(Item::Rect { x, y, width: 12.0, height: step, role: Role::Heat, opacity });
    }
    let axis = Axis { whole: !confusion.normalised, ..Axis::from_zero(confusion.top()) };
    for tick in ticks::ticks(&axis, 6, |_| true) {
        let y = area.bottom - axis.fraction(tick.value) * height;
        scene.line((x + 12.0, y), (x + 16.0, y), Role::Muted);
        let label = font.fit(&tick.label, SMALL - 1.0, SCALE - 36.0);
        scene.text(label, (x + 19.0, y + TO_BASELINE * SMALL), SMALL - 1.0, Anchor::Start, Role::Muted);
    }
}
