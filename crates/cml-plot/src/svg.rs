//! A scene as SVG.
//!
//! Colours are attributes for a light background, so that programs without support for style sheets draw them right; a
//! style sheet changes them for dark screens. The background is painted: a page's theme need not be the one the browser
//! reports.

use std::collections::BTreeSet;
use std::fmt::Write;

use crate::scene::{Anchor, Item, Role, Scene, Shape, Text};
use crate::theme::{self, Rgb};

/// Fonts that are not wider than the one that the layout was measured with.
const FONTS: &str = "DejaVu Sans, Verdana, Segoe UI, Helvetica, Arial, sans-serif";

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Paint {
    Fill,
    Stroke,
}

/// Returns the whole document.
pub(crate) fn write(scene: &Scene) -> String {
    let mut svg = Svg::default();
    for item in &scene.items {
        svg.item(item);
    }
    let (width, height) = (scene.width, scene.height);
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\" \
         viewBox=\"0 0 {width} {height}\" role=\"img\" font-family=\"{FONTS}\">\n\
         <title>{}</title>\n<desc>{}</desc>\n{}{}</svg>\n",
        escaped(&scene.title),
        escaped(&scene.description),
        svg.style(),
        svg.body,
    )
}

#[derive(Default)]
struct Svg {
    body: String,
    used: BTreeSet<(Paint, Role)>,
}

impl Svg {
    fn item(&mut self, item: &Item) {
        let element = match item {
            Item::Polyline { points, role, width, dash } => {
                let dash = if dash.is_empty() {
                    String::new()
                } else {
                    format!(" stroke-dasharray=\"{}\"", list(dash))
                };
                let paint = self.paint(Paint::Stroke, *role);
                format!(
                    "<polyline points=\"{}\" fill=\"none\"{paint} stroke-width=\"{}\" stroke-linejoin=\"round\"{dash}/>",
                    points
                        .iter()
                        .map(|&(x, y)| format!("{},{}", Short(x), Short(y)))
                        .collect::<Vec<_>>()
                        .join(" "),
                    Short(*width),
                )
            }
            Item::Rect { x, y, width, height, role, opacity } => {
                let paint = self.paint(Paint::Fill, *role);
                let opacity =
                    if *opacity < 1.0 { format!(" fill-opacity=\"{opacity:.3}\"") } else { String::new() };
                format!(
                    "<rect x=\"{}\" y=\"{}\" width=\"{}\" height=\"{}\"{paint}{opacity}/>",
                    Short(*x),
                    Short(*y),
                    Short(*width),
                    Short(*height),
                )
            }
            Item::Markers { centres, shape, radius, role } => self.markers(centres, *shape, *radius, *role),
            Item::Text(text) => self.text(text),
        };
        self.body.push_str(&element);
        self.body.push('\n');
    }

    /// Writes one path for all of them, which is many times shorter than an element each.
    fn markers(&mut self, centres: &[(f64, f64)], shape: Shape, radius: f64, role: Role) -> String {
        let corners = shape.corners(radius);
        let Some(&(first_x, first_y)) = corners.first() else {
            // A line of length 0 with round ends is a circle.
            let path = path(centres, (0.0, 0.0), "h0");
            let paint = self.paint(Paint::Stroke, role);
            return format!(
                "<path d=\"{path}\" fill=\"none\"{paint} stroke-width=\"{}\" stroke-linecap=\"round\"/>",
                Short(radius * 2.0)
            );
        };
        let sides: Vec<_> = corners
            .windows(2)
            .map(|pair| format!("{},{}", Short(pair[1].0 - pair[0].0), Short(pair[1].1 - pair[0].1)))
            .collect();
        let path = path(centres, (first_x, first_y), &format!("l{}z", sides.join(" ")));
        format!("<path d=\"{path}\"{}/>", self.paint(Paint::Fill, role))
    }

    fn text(&mut self, text: &Text) -> String {
        let anchor = match text.anchor {
            Anchor::Start => "",
            Anchor::Middle => " text-anchor=\"middle\"",
            Anchor::End => " text-anchor=\"end\"",
        };
        let (x, y) = (Short(text.x), Short(text.y));
        let turned = match text.turned {
            0.0 => String::new(),
            degrees => format!(" transform=\"rotate({} {x} {y})\"", Short(degrees)),
        };
        let paint = self.paint(Paint::Fill, text.role);
        let size = Short(text.size);
        format!(
            "<text x=\"{x}\" y=\"{y}\" font-size=\"{size}\"{anchor}{paint}{turned}>{}</text>",
            escaped(&text.text)
        )
    }

    fn paint(&mut self, paint: Paint, role: Role) -> String {
        self.used.insert((paint, role));
        format!(" class=\"{}\" {}=\"{}\"", class(paint, role), attribute(paint), hex(theme::light(role)))
    }

    fn style(&self) -> String {
        let mut rules = String::new();
        for &(paint, role) in &self.used {
            // Writing to a string cannot fail.
            let _ =
                write!(rules, ".{}{{{}:{}}}", class(paint, role), attribute(paint), hex(theme::dark(role)));
        }
        format!("<style>@media (prefers-color-scheme: dark){{{rules}}}</style>\n")
    }
}

fn path(centres: &[(f64, f64)], (dx, dy): (f64, f64), then: &str) -> String {
    centres.iter().map(|(x, y)| format!("M{},{}{then}", Short(x + dx), Short(y + dy))).collect()
}

fn attribute(paint: Paint) -> &'static str {
    match paint {
        Paint::Fill => "fill",
        Paint::Stroke => "stroke",
    }
}

fn class(paint: Paint, role: Role) -> String {
    let role = match role {
        Role::Background => "background".to_owned(),
        Role::Ink => "ink".to_owned(),
        Role::Muted => "muted".to_owned(),
        Role::Grid => "grid".to_owned(),
        Role::Heat => "heat".to_owned(),
        Role::Series(index) => format!("series{index}"),
    };
    format!("{}-{role}", attribute(paint))
}

fn hex((red, green, blue): Rgb) -> String {
    format!("#{red:02x}{green:02x}{blue:02x}")
}

fn list(lengths: &[f64]) -> String {
    lengths.iter().map(|&length| Short(length).to_string()).collect::<Vec<_>>().join(" ")
}

/// A length with two decimals at most, which is finer than any screen.
struct Short(f64);

impl std::fmt::Display for Short {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let hundredths = (self.0 * 100.0).round() as i64;
        let (sign, size) = (if hundredths < 0 { "-" } else { "" }, hundredths.unsigned_abs());
        match (size / 100, size % 100) {
            (whole, 0) => write!(out, "{sign}{whole}"),
            (whole, part) if part % 10 == 0 => write!(out, "{sign}{whole}.{}", part / 10),
            (whole, part) => write!(out, "{sign}{whole}.{part:02}"),
        }
    }
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_are_short() {
        let short = |length: f64| Short(length).to_string();
        let written = [1.0, 1.5, 1.05, -0.25, -0.001, 123.456].map(short);
        assert_eq!(written, ["1", "1.5", "1.05", "-0.25", "0", "123.46"]);
    }
}
