//! Boxes: from centre and size to corners, and which of them say the same thing.

/// A box a detector proposes: corners in input pixels or picture pixels, a class by its number.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Candidate {
    pub(crate) class: usize,
    pub(crate) score: f32,
    /// Left, top, right, bottom.
    pub(crate) xyxy: [f32; 4],
}

/// Boxes of different classes are moved this far apart, a multiple each, so that they never overlap: ultralytics' `max_wh`.
const CLASS_OFFSET: f32 = 7680.0;

/// Returns the corners of a box given by its centre and size.
pub(crate) fn corners([cx, cy, w, h]: [f32; 4]) -> [f32; 4] {
    [cx - w / 2.0, cy - h / 2.0, cx + w / 2.0, cy + h / 2.0]
}

/// Sorts candidates by score, best first; equal scores stay in their order.
pub(crate) fn best_first(candidates: &mut [Candidate]) {
    candidates.sort_by(|a, b| b.score.total_cmp(&a.score));
}

/// Drops every box that overlaps a better one of its class by more than `iou`. Candidates come and go best first.
///
/// Source: `torchvision.ops.nms` on boxes offset by class, as ultralytics calls it.
pub(crate) fn suppress(candidates: &[Candidate], iou: f32) -> Vec<Candidate> {
    let offset = |candidate: &Candidate| candidate.xyxy.map(|side| side + candidate.class as f32 * CLASS_OFFSET);
    let mut kept: Vec<(Candidate, [f32; 4])> = Vec::new();
    for candidate in candidates {
        let moved = offset(candidate);
        let same = |(other, moved_other): &(Candidate, [f32; 4])| {
            other.class == candidate.class && overlap(moved_other, &moved) > iou
        };
        if !kept.iter().any(same) {
            kept.push((*candidate, moved));
        }
    }
    kept.into_iter().map(|(candidate, _)| candidate).collect()
}

/// Returns intersection over union.
fn overlap(a: &[f32; 4], b: &[f32; 4]) -> f32 {
    let area = |[left, top, right, bottom]: &[f32; 4]| (right - left) * (bottom - top);
    let width = (a[2].min(b[2]) - a[0].max(b[0])).max(0.0);
    let height = (a[3].min(b[3]) - a[1].max(b[1])).max(0.0);
    let common = width * height;
    common / (area(a) + area(b) - common)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn candidate(class: usize, score: f32, xyxy: [f32; 4]) -> Candidate {
        Candidate { class, score, xyxy }
    }

    #[test]
    fn suppresses_within_a_class_only() {
        let best = candidate(0, 0.9, [0.0, 0.0, 10.0, 10.0]);
        let twin = candidate(0, 0.8, [0.0, 0.0, 10.0, 9.0]);
        let other = candidate(1, 0.7, [0.0, 0.0, 10.0, 10.0]);
        assert_eq!(suppress(&[best, twin, other], 0.7), [best, other]);
        assert_eq!(suppress(&[best, twin, other], 0.95), [best, twin, other]);
    }

    #[test]
    fn equal_scores_keep_their_order() {
        let mut candidates = [candidate(0, 0.5, [0.0; 4]), candidate(1, 0.9, [0.0; 4]), candidate(2, 0.5, [0.0; 4])];
        best_first(&mut candidates);
        assert_eq!(candidates.map(|candidate| candidate.class), [1, 0, 2]);
    }

    #[test]
    fn empty_boxes_do_not_suppress() {
        let point = candidate(0, 0.9, [1.0, 1.0, 1.0, 1.0]);
        assert_eq!(suppress(&[point, point], 0.7), [point, point]);
    }
}
