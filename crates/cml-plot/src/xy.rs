//! Plots on two axes: lines, scatter plots, curves of classifiers.

use crate::axis::{Axis, Scale};
use crate::chart::{Chart, Kind};
use crate::data::{Series, is_finite};
use crate::error::PlotError;
use crate::font::Font;
use crate::frame::{self, Area};
use crate::legend::{self, Entry};
use crate::scene::{Item, Role, Scene, one_line};
use crate::{theme, thin};

/// A line of at most this many points has a marker for each of them.
const FEW_POINTS: usize = 30;
/// A line which goes up and down by more than this many times the plot's height is noisy.
const NOISY: f64 = 8.0;
/// With more points than this markers are small.
const MANY_POINTS: usize = 300;

/// One series, ready to be drawn.
struct Trace {
    name: String,
    suffix: String,
    points: Vec<(f64, f64)>,
    style: Style,
    /// Whether it goes up and down so much that dashes would be a fog, and a thick line a wall.
    noisy: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Style {
    Line,
    LineWithMarkers,
    Markers,
}

pub(crate) fn draw(chart: &Chart, font: &Font) -> Result<Scene, PlotError> {
    let mut traces = traces(&chart.kind);
    check(chart, &traces)?;
    let (x, y) = match chart.kind {
        Kind::Roc(_) | Kind::PrecisionRecall(_) => (Axis::from_zero(1.0), Axis::from_zero(1.0)),
        _ => (
            Axis::around(finite(&traces).map(|(x, _)| x), chart.x_scale),
            Axis::around(finite(&traces).map(|(_, y)| y), chart.y_scale),
        ),
    };
    for trace in &mut traces {
        trace.noisy = trace.style == Style::Line && climbs(trace, &y) > NOISY;
    }
    let (x_label, y_label) = labels(chart, &traces);
    let description = description(chart, &traces, x_label.as_deref(), y_label.as_deref());
    let (mut scene, mut top) = frame::card(chart, font, description);
    // A single series without a number of its own is named by the axis.
    let own_label = traces.len() == 1 && traces.iter().all(|trace| trace.suffix.is_empty());
    if !own_label {
        let entries: Vec<_> = traces.iter().enumerate().map(|(series, trace)| entry(series, trace)).collect();
        top = legend::draw(&mut scene, font, top, &entries);
    }
    let area = frame::axes(&mut scene, font, top, (&x, x_label.as_deref()), (&y, y_label.as_deref()));
    if matches!(chart.kind, Kind::Roc(_)) {
        let points = vec![(area.left, area.bottom), (area.right, area.top)];
        scene.items.push(Item::Polyline { points, role: Role::Muted, width: 1.0, dash: &[4.0, 4.0] });
    }
    // The first series last: it is drawn on top of the others, as it is first in the legend.
    for (series, trace) in traces.iter().enumerate().rev() {
        plot(&mut scene, series, trace, (&x, &y), area);
    }
    Ok(scene)
}

fn traces(kind: &Kind) -> Vec<Trace> {
    let trace = |series: &Series, suffix: String, points: Vec<(f64, f64)>, style| Trace {
        name: one_line(&series.name),
        suffix,
        points,
        style,
        noisy: false,
    };
    let mut traces: Vec<Trace> = match kind {
        Kind::Line(series) => series
            .iter()
            .map(|series| {
                let points = along_x(&series.points);
                let few = points.iter().filter(|point| is_finite(point)).count() <= FEW_POINTS;
                trace(series, String::new(), points, if few { Style::LineWithMarkers } else { Style::Line })
            })
            .collect(),
        Kind::Scatter(series) => series
            .iter()
            .map(|series| trace(series, String::new(), series.points.clone(), Style::Markers))
            .collect(),
        Kind::Roc(curves) => curves
            .iter()
            .map(|curve| {
                let suffix = format!(" (AUC = {:.3})", curve.auc());
                trace(&curve.series, suffix, curve.series.points.clone(), Style::Line)
            })
            .collect(),
        Kind::PrecisionRecall(curves) => curves
            .iter()
            .map(|curve| {
                let suffix = format!(" (AP = {:.3})", curve.average_precision());
                trace(&curve.series, suffix, stairs(&curve.series.points), Style::Line)
            })
            .collect(),
        Kind::Confusion(_) => Vec::new(),
    };
    let alone = traces.len() == 1;
    for (index, trace) in traces.iter_mut().enumerate().filter(|(_, trace)| trace.name.is_empty()) {
        // A single curve without a name shows only its area.
        trace.name = if alone { String::new() } else { format!("series {}", index + 1) };
        if alone {
            trace.suffix = trace.suffix.trim_matches([' ', '(', ')']).to_owned();
        }
    }
    traces
}

/// Returns the points in the order of x. A point without x follows the one before it, where it leaves its gap.
fn along_x(points: &[(f64, f64)]) -> Vec<(f64, f64)> {
    let mut last = f64::NEG_INFINITY;
    let mut keyed: Vec<_> = points
        .iter()
        .map(|&(x, y)| {
            last = if x.is_finite() { x } else { last };
            // Adding 0 makes -0 and 0 one place.
            (last + 0.0, (x, y))
        })
        .collect();
    keyed.sort_by(|(left, _), (right, _)| left.total_cmp(right));
    keyed.into_iter().map(|(_, point)| point).collect()
}

/// Returns the points as stairs. Between two points the precision is that of the second one: a straight line would
/// promise more than was measured.
fn stairs(points: &[(f64, f64)]) -> Vec<(f64, f64)> {
    let steps = points.windows(2).flat_map(|pair| [(pair[0].0, pair[1].1), pair[1]]);
    points.first().copied().into_iter().chain(steps).collect()
}

fn finite(traces: &[Trace]) -> impl Iterator<Item = (f64, f64)> + '_ {
    traces.iter().flat_map(|trace| trace.points.iter().copied().filter(is_finite))
}

fn check(chart: &Chart, traces: &[Trace]) -> Result<(), PlotError> {
    if finite(traces).next().is_none() {
        return Err(PlotError::NothingToDraw);
    }
    for trace in traces {
        for (x, y) in trace.points.iter().copied().filter(is_finite) {
            for (axis, scale, value) in [("x", chart.x_scale, x), ("y", chart.y_scale, y)] {
                if scale == Scale::Log && value <= 0.0 {
                    return Err(PlotError::NotPositive { axis, series: trace.name.clone(), value });
                }
            }
        }
    }
    Ok(())
}

fn labels(chart: &Chart, traces: &[Trace]) -> (Option<String>, Option<String>) {
    let (x, y) = match &chart.kind {
        Kind::Roc(_) => ("False positive rate", "True positive rate"),
        Kind::PrecisionRecall(_) => ("Recall", "Precision"),
        _ => match traces {
            [only] => ("", only.name.as_str()),
            _ => ("", ""),
        },
    };
    let chosen = |given: &Option<String>, own: &str| {
        let label = one_line(given.as_deref().unwrap_or(own));
        (!label.is_empty()).then_some(label)
    };
    (chosen(&chart.x_label, x), chosen(&chart.y_label, y))
}

fn description(chart: &Chart, traces: &[Trace], x: Option<&str>, y: Option<&str>) -> String {
    let names: Vec<_> = traces.iter().map(|trace| format!("{}{}", trace.name, trace.suffix)).collect();
    let (x, y) = (x.unwrap_or("x"), y.unwrap_or("y"));
    format!("A {} of {y} over {x}: {}.", chart.kind.words(), names.join(", "))
}

/// Returns how often the line crosses the plot's height, all ups and downs added.
fn climbs(trace: &Trace, y: &Axis) -> f64 {
    let heights: Vec<f64> =
        trace.points.iter().filter(|point| is_finite(point)).map(|point| y.fraction(point.1)).collect();
    heights.windows(2).map(|pair| (pair[1] - pair[0]).abs()).sum()
}

fn dash(series: usize, trace: &Trace) -> &'static [f64] {
    if trace.noisy { &[] } else { theme::dash(series) }
}

fn entry(series: usize, trace: &Trace) -> Entry {
    Entry {
        dash: dash(series, trace),
        name: trace.name.clone(),
        suffix: trace.suffix.clone(),
        has_line: trace.style != Style::Markers,
        has_markers: trace.style != Style::Line,
    }
}

fn plot(scene: &mut Scene, series: usize, trace: &Trace, (x, y): (&Axis, &Axis), area: Area) {
    let place = |point: &(f64, f64)| (area.x(x, point.0), area.y(y, point.1));
    let role = Role::Series(series % theme::COLOURS);
    let width = if trace.noisy { 1.5 } else { 2.0 };
    let (mut centres, mut lone) = (Vec::new(), Vec::new());
    if trace.style != Style::Line {
        centres = thin::markers(trace.points.iter().filter(|point| is_finite(point)).map(place).collect());
    }
    if trace.style != Style::Markers {
        for run in trace.points.split(|point| !is_finite(point)) {
            let points = thin::line(&run.iter().map(place).collect::<Vec<_>>());
            if let [point] = points[..] {
                lone.push(point);
            } else if !points.is_empty() {
                scene.items.push(Item::Polyline { points, role, width, dash: dash(series, trace) });
            }
        }
    }
    let radius = if centres.len() > MANY_POINTS { 2.0 } else { 3.5 };
    if !centres.is_empty() {
        scene.items.push(Item::Markers { centres, shape: theme::shape(series), radius, role });
    } else if !lone.is_empty() {
        // Between two gaps there is no line to draw, but a point to show.
        scene.items.push(Item::Markers { centres: lone, shape: theme::shape(series), radius: 1.5, role });
    }
}
