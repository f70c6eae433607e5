//! The font with which texts are measured, and drawn in PNGs. Its source: `data/README.md`.

use skrifa::instance::{LocationRef, Size};
use skrifa::outline::{DrawSettings, OutlinePen};
use skrifa::{FontRef, GlyphId, MetadataProvider};
use tiny_skia::{Path, PathBuilder};

use crate::PlotError;

static BYTES: &[u8] = include_bytes!("../data/DejaVuSans-subset.ttf");

/// Width of characters that the font lacks: of a CJK character, which the reader's font will draw in an SVG.
const UNKNOWN_EM: f64 = 1.0;

/// DejaVu Sans: among the widest of the fonts that an SVG may be shown with, so that what fits in it fits in all.
pub(crate) struct Font(FontRef<'static>);

impl Font {
    pub(crate) fn embedded() -> Result<Self, PlotError> {
        FontRef::new(BYTES).map(Self).map_err(|error| PlotError::Font(error.to_string()))
    }

    /// Returns the text's width in pixels at this font size.
    pub(crate) fn width(&self, text: &str, size: f64) -> f64 {
        let metrics = self.0.glyph_metrics(Size::new(size as f32), LocationRef::default());
        let charmap = self.0.charmap();
        let advance = |glyph: GlyphId| metrics.advance_width(glyph).map(f64::from);
        text.chars().map(|letter| charmap.map(letter).and_then(advance).unwrap_or(size * UNKNOWN_EM)).sum()
    }

    /// Returns the text, shortened with … if it is wider than `room`.
    pub(crate) fn fit(&self, text: &str, size: f64, room: f64) -> String {
        if self.width(text, size) <= room {
            return text.to_owned();
        }
        let mut room = room - self.width("…", size);
        let fits = |letter: &char| {
            room -= self.width(letter.encode_utf8(&mut [0; 4]), size);
            room >= 0.0
        };
        let start: String = text.chars().take_while(fits).collect();
        format!("{}…", start.trim_end())
    }

    /// Returns the text's outlines, from (0, 0) on the baseline to the right. Characters that the font lacks become its
    /// replacement box.
    pub(crate) fn outlines(&self, text: &str, size: f64) -> Option<Path> {
        let (charmap, glyphs) = (self.0.charmap(), self.0.outline_glyphs());
        let mut pen = Pen { path: PathBuilder::new(), x: 0.0 };
        for letter in text.chars() {
            let glyph = charmap.map(letter).unwrap_or(GlyphId::NOTDEF);
            if let Some(outline) = glyphs.get(glyph) {
                let settings = DrawSettings::unhinted(Size::new(size as f32), LocationRef::default());
                // Only a broken font fails here; then only a letter is missing.
                let _ = outline.draw(settings, &mut pen);
            }
            pen.x += self.width(letter.encode_utf8(&mut [0; 4]), size) as f32;
        }
        pen.path.finish()
    }
}

/// Turns glyphs, whose y points upwards, into shapes, whose y points downwards.
struct Pen {
    path: PathBuilder,
    x: f32,
}

impl OutlinePen for Pen {
    fn move_to(&mut self, x: f32, y: f32) {
        self.path.move_to(self.x + x, -y);
    }

    fn line_to(&mut self, x: f32, y: f32) {
        self.path.line_to(self.x + x, -y);
    }

    fn quad_to(&mut self, cx: f32, cy: f32, x: f32, y: f32) {
        self.path.quad_to(self.x + cx, -cy, self.x + x, -y);
    }

    fn curve_to(&mut self, cx0: f32, cy0: f32, cx1: f32, cy1: f32, x: f32, y: f32) {
        self.path.cubic_to(self.x + cx0, -cy0, self.x + cx1, -cy1, self.x + x, -y);
    }

    fn close(&mut self) {
        self.path.close();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_that_plots_say_by_themselves_is_in_the_font() {
        let font = Font::embedded().unwrap();
        let own = "0123456789.−×⁰¹²³⁴⁵⁶⁷⁸⁹⁻…=()αβγλμ±≤≥äéžŁ";
        assert!(own.chars().all(|letter| font.0.charmap().map(letter).is_some()));
    }

    #[test]
    fn texts_are_cut_to_the_room_that_there_is() {
        let font = Font::embedded().unwrap();
        assert_eq!(font.fit("loss", 12.0, 100.0), "loss");
        let cut = font.fit("validation loss of the larger model", 12.0, 100.0);
        assert!(cut.starts_with("validation") && cut.ends_with('…'), "{cut}");
        assert!(font.width(&cut, 12.0) <= 100.0);
        assert_eq!(font.fit("loss", 12.0, -5.0), "…");
    }

    #[test]
    fn unknown_letters_become_boxes() {
        let font = Font::embedded().unwrap();
        let (known, unknown) = (font.outlines("a", 12.0), font.outlines("漢", 12.0));
        assert!(known.is_some() && unknown.is_some() && known != unknown);
        assert_eq!(font.outlines("漢", 12.0), font.outlines("字", 12.0));
        assert_eq!(font.outlines(" ", 12.0), None);
    }
}
