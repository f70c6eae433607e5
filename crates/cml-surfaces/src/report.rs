//! Reports, which may contain untrusted text.

use std::ops::Range;

use cml_report::{BODY_LIMIT, Machine, Media, Watermark, decoded, fit, local_links, replaced, with_footer};
use jiff::Timestamp;

pub(crate) fn report(bytes: &[u8]) {
    let _ = Media::of(bytes);
    let text = decoded(bytes).text;
    let links = local_links(&text);
    for pair in links.windows(2) {
        assert!(pair[0].range.end <= pair[1].range.start, "two targets overlap: {pair:?}");
    }
    let same: Vec<(Range<usize>, String)> =
        links.iter().map(|link| (link.range.clone(), text[link.range.clone()].to_owned())).collect();
    assert_eq!(replaced(&text, &same), text, "more than the targets was replaced");
    for limit in [128, BODY_LIMIT] {
        if let Some(kept) = fit(&text, limit) {
            assert!(kept.len() <= limit, "{} bytes were kept of {limit}", kept.len());
        }
    }
    if let Some(mark) = Watermark::find(&text) {
        assert_eq!(Watermark::find(&mark.text()).as_ref(), Some(&mark), "a mark does not find itself");
    }
    let machine = Machine::read(&text);
    let _ = with_footer(&text, Some(&machine), &[], Timestamp::UNIX_EPOCH);
}
