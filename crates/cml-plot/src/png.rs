//! A scene as PNG: on light paper, since pixels cannot follow a theme.

use tiny_skia::{
    Color, FillRule, LineCap, LineJoin, Paint, Path, PathBuilder, Pixmap, Rect, Stroke, StrokeDash, Transform,
};

use crate::error::PlotError;
use crate::font::Font;
use crate::scene::{Anchor, Item, Role, Scene, Shape, Text};
use crate::theme;

/// Pixels for each CSS pixel: sharp on common screens.
const SCALE: u32 = 2;

/// Returns the file's bytes.
pub(crate) fn write(scene: &Scene, font: &Font) -> Result<Vec<u8>, PlotError> {
    let (width, height) = (scene.width * SCALE, scene.height * SCALE);
    let pixmap =
        Pixmap::new(width, height).ok_or_else(|| PlotError::Png(format!("no {width}×{height} picture")))?;
    let mut canvas = Canvas { pixmap, font };
    for item in &scene.items {
        canvas.item(item);
    }
    canvas.pixmap.encode_png().map_err(|error| PlotError::Png(error.to_string()))
}

struct Canvas<'a> {
    pixmap: Pixmap,
    font: &'a Font,
}

impl Canvas<'_> {
    fn item(&mut self, item: &Item) {
        match item {
            Item::Polyline { points, role, width, dash } => {
                let mut path = PathBuilder::new();
                for (index, &(x, y)) in points.iter().enumerate() {
                    let draw = if index == 0 { PathBuilder::move_to } else { PathBuilder::line_to };
                    draw(&mut path, x as f32, y as f32);
                }
                let lengths = dash.iter().map(|&length| length as f32).collect();
                let stroke = Stroke {
                    width: *width as f32,
                    line_cap: LineCap::Butt,
                    line_join: LineJoin::Round,
                    dash: StrokeDash::new(lengths, 0.0),
                    ..Stroke::default()
                };
                if let Some(path) = path.finish() {
                    self.pixmap.stroke_path(&path, &paint(*role, 1.0), &stroke, scale(), None);
                }
            }
            Item::Rect { x, y, width, height, role, opacity } => {
                let [x, y, width, height] = [*x, *y, *width, *height].map(|length| length as f32);
                if let Some(rect) = Rect::from_xywh(x, y, width, height) {
                    self.pixmap.fill_rect(rect, &paint(*role, *opacity), scale(), None);
                }
            }
            Item::Markers { centres, shape, radius, role } => {
                if let Some(path) = marker(*shape, *radius) {
                    for &(x, y) in centres {
                        self.fill(&path, *role, scale().pre_translate(x as f32, y as f32));
                    }
                }
            }
            Item::Text(text) => self.text(text),
        }
    }

    fn text(&mut self, text: &Text) {
        let Some(path) = self.font.outlines(&text.text, text.size) else {
            return;
        };
        let width = self.font.width(&text.text, text.size);
        let back = match text.anchor {
            Anchor::Start => 0.0,
            Anchor::Middle => width / 2.0,
            Anchor::End => width,
        };
        let place = scale()
            .pre_translate(text.x as f32, text.y as f32)
            .pre_concat(Transform::from_rotate(text.turned as f32))
            .pre_translate(-back as f32, 0.0);
        self.fill(&path, text.role, place);
    }

    fn fill(&mut self, path: &Path, role: Role, place: Transform) {
        self.pixmap.fill_path(path, &paint(role, 1.0), FillRule::Winding, place, None);
    }
}

fn scale() -> Transform {
    Transform::from_scale(SCALE as f32, SCALE as f32)
}

fn paint(role: Role, opacity: f64) -> Paint<'static> {
    let (red, green, blue) = theme::light(role);
    let mut paint = Paint { anti_alias: true, ..Paint::default() };
    paint.set_color(Color::from_rgba8(red, green, blue, (opacity.clamp(0.0, 1.0) * 255.0).round() as u8));
    paint
}

fn marker(shape: Shape, radius: f64) -> Option<Path> {
    if shape == Shape::Circle {
        return PathBuilder::from_circle(0.0, 0.0, radius as f32);
    }
    let mut path = PathBuilder::new();
    for (index, (x, y)) in shape.corners(radius).into_iter().enumerate() {
        let draw = if index == 0 { PathBuilder::move_to } else { PathBuilder::line_to };
        draw(&mut path, x as f32, y as f32);
    }
    path.close();
    path.finish()
}
