//! CHAIR (Rohrbach et al. 2018) by its classic text path: COCO's objects by synonym, every mention counted, against the objects
//! annotated in the picture. Checked against an independent implementation by `tests/reference/chair.py`.

use std::collections::BTreeSet;

use sentinel_domain::records::Measurement;

use super::{Told, share};

/// Returns the share of captions with a hallucinated object (CHAIR_s), of mentions that are hallucinated (CHAIR_i), and of
/// objects annotated that are named.
pub(super) fn chair(told: &[Told<'_>]) -> Vec<Measurement> {
    let absent = |one: &Told<'_>| one.named().filter(|name| !one.is_there(name)).count();
    let with_absent = told.iter().filter(|one| absent(one) > 0).count();
    let mentions = told.iter().map(|one| one.named().count()).sum();
    let there = told.iter().map(|one| one.scene.objects.len()).sum();
    vec![
        share("chair_s", "CHAIR_s", with_absent, told.len(), Some(true)),
        share("chair_i", "CHAIR_i", told.iter().map(absent).sum(), mentions, Some(true)),
        share(
            "recall",
            "object recall",
            told.iter().map(|one| recalled(one, &one.scene.objects)).sum(),
            there,
            Some(false),
        ),
    ]
}

/// Returns the share of expected objects that are there which are named: what suppressing the likely words costs.
pub(super) fn expected_recall(told: &[Told<'_>]) -> Result<Measurement, String> {
    let (mut recalled_sum, mut there_sum) = (0, 0);
    for one in told {
        let expected = one.scene.expected.as_ref();
        let expected =
            expected.ok_or_else(|| format!("the annotations tell no `expected` objects of `{}`", one.caption.id))?;
        let there: BTreeSet<String> = expected.intersection(&one.scene.objects).cloned().collect();
        recalled_sum += recalled(one, &there);
        there_sum += there.len();
    }
    Ok(share("expected_recall", "recall of expected objects", recalled_sum, there_sum, Some(false)))
}

fn recalled(one: &Told<'_>, there: &BTreeSet<String>) -> usize {
    let named: BTreeSet<&str> = one.named().collect();
    there.iter().filter(|name| named.contains(name.as_str())).count()
}
