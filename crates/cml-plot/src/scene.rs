//! A plot as shapes, before it is SVG or PNG: few kinds of shapes, colours by role, lengths in CSS pixels, y downwards.

/// Role of a colour; `theme` defines the colour.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Role {
    Background,
    Ink,
    Muted,
    Grid,
    /// Full cells of a confusion matrix; less full ones are more transparent.
    Heat,
    /// One of `theme::COLOURS` colours.
    Series(usize),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Anchor {
    Start,
    Middle,
    End,
}

/// The shape of a marker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shape {
    Circle,
    Square,
    Triangle,
    Diamond,
    Cross,
    Down,
}

impl Shape {
    /// Returns the corners around (0, 0); none for a circle.
    pub(crate) fn corners(self, radius: f64) -> Vec<(f64, f64)> {
        let unit: &[(f64, f64)] = match self {
            Self::Circle => &[],
            // All have about the same area as the circle of radius 1.
            Self::Square => &[(-0.9, -0.9), (0.9, -0.9), (0.9, 0.9), (-0.9, 0.9)],
            Self::Triangle => &[(0.0, -1.3), (1.25, 0.9), (-1.25, 0.9)],
            Self::Diamond => &[(0.0, -1.3), (1.3, 0.0), (0.0, 1.3), (-1.3, 0.0)],
            Self::Cross => &[
                (-1.2, -0.7),
                (-0.7, -1.2),
                (0.0, -0.5),
                (0.7, -1.2),
                (1.2, -0.7),
                (0.5, 0.0),
                (1.2, 0.7),
                (0.7, 1.2),
                (0.0, 0.5),
                (-0.7, 1.2),
                (-1.2, 0.7),
                (-0.5, 0.0),
            ],
            Self::Down => &[(0.0, 1.3), (1.25, -0.9), (-1.25, -0.9)],
        };
        unit.iter().map(|(x, y)| (x * radius, y * radius)).collect()
    }
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Item {
    Polyline {
        points: Vec<(f64, f64)>,
        role: Role,
        width: f64,
        /// Lengths of dashes and gaps alternately; empty: no gaps.
        dash: &'static [f64],
    },
    Rect {
        x: f64,
        y: f64,
        width: f64,
        height: f64,
        role: Role,
        opacity: f64,
    },
    Markers {
        centres: Vec<(f64, f64)>,
        shape: Shape,
        radius: f64,
        role: Role,
    },
    Text(Text),
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Text {
    /// Position of the anchor.
    pub(crate) x: f64,
    /// Position of the baseline.
    pub(crate) y: f64,
    pub(crate) text: String,
    pub(crate) size: f64,
    pub(crate) anchor: Anchor,
    /// Rotation in degrees clockwise around (x, y).
    pub(crate) turned: f64,
    pub(crate) role: Role,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Scene {
    pub(crate) width: u32,
    pub(crate) height: u32,
    /// Title for screen readers.
    pub(crate) title: String,
    /// Description for screen readers.
    pub(crate) description: String,
    pub(crate) items: Vec<Item>,
}

impl Scene {
    pub(crate) fn line(&mut self, from: (f64, f64), to: (f64, f64), role: Role) {
        self.items.push(Item::Polyline { points: vec![from, to], role, width: 1.0, dash: &[] });
    }

    pub(crate) fn text(
        &mut self,
        text: impl Into<String>,
        (x, y): (f64, f64),
        size: f64,
        anchor: Anchor,
        role: Role,
    ) {
        self.turned_text(text, (x, y), size, anchor, role, 0.0);
    }

    pub(crate) fn turned_text(
        &mut self,
        text: impl Into<String>,
        (x, y): (f64, f64),
        size: f64,
        anchor: Anchor,
        role: Role,
        turned: f64,
    ) {
        self.items.push(Item::Text(Text { x, y, text: text.into(), size, anchor, turned, role }));
    }
}

/// Returns text as one line without characters that XML does not allow.
pub(crate) fn one_line(text: &str) -> String {
    let visible = |letter: char| {
        if letter.is_control() || matches!(letter, '\u{fffe}' | '\u{ffff}') { ' ' } else { letter }
    };
    text.chars().map(visible).collect::<String>().trim().to_owned()
}
