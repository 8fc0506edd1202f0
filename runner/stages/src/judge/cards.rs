//! What the report shows of verdicts: pictures with every detector's boxes, and what was said about them, toned by the verdicts.

use std::collections::{BTreeMap, BTreeSet};

use sentinel_core::digest::Digest;
use sentinel_core::report::{Card, PictureBox, ReportIo, ReportUnit, Tone};
use sentinel_core::stage::{StageError, parse_rows};
use sentinel_domain::records::{Detection, Mention, Sentence, Standing, Verdict};
use serde::Deserialize;

use crate::gallery::{self, CARDS_MAX};
use crate::lexicon::canonical;

#[derive(Deserialize)]
struct Pictured {
    picture: Digest,
}

/// Returns one card a record, at its most telling step: most different standings first, then earliest.
pub(super) fn cards(io: &dyn ReportIo) -> Result<(Vec<Card>, u64), StageError> {
    let by_unit = |slot| -> Result<BTreeMap<_, _>, StageError> {
        let units = io.some_rows(slot, CARDS_MAX)?.units;
        Ok(units.into_iter().map(|unit| ((unit.id.clone(), unit.step), unit)).collect())
    };
    let (descriptions, mentions) = (by_unit("descriptions")?, by_unit("mentions")?);
    let (detections, sentences) = (by_unit("detections")?, by_unit("sentences")?);
    let mut cards: Vec<(usize, Card)> = Vec::new();
    let some = io.some_rows("verdicts", CARDS_MAX)?;
    for unit in some.units {
        let key = (unit.id.clone(), unit.step);
        let (Some(description), Some(detections), Some(mentions)) =
            (descriptions.get(&key), detections.get(&key), mentions.get(&key))
        else {
            continue;
        };
        let verdicts: Vec<Verdict> = parse_rows("verdicts", &unit.rows)?;
        let standings: BTreeSet<Standing> = verdicts.iter().map(|verdict| verdict.standing).collect();
        let better = cards.last().is_some_and(|(told, card)| *card.id == *unit.id && *told < standings.len());
        let first = cards.last().is_none_or(|(_, card)| *card.id != *unit.id);
        if better {
            cards.pop();
        }
        if better || first {
            let card = card(&unit, description, detections, mentions, sentences.get(&key), &verdicts)?;
            cards.push((standings.len(), card));
        }
    }
    Ok((cards.into_iter().map(|(_, card)| card).collect(), some.records))
}

fn card(
    unit: &ReportUnit,
    description: &ReportUnit,
    detections: &ReportUnit,
    mentions: &ReportUnit,
    sentences: Option<&ReportUnit>,
    verdicts: &[Verdict],
) -> Result<Card, StageError> {
    let picture = parse_rows::<Pictured>("descriptions", &description.rows)?.pop().map(|Pictured { picture }| picture);
    let mut boxes = Vec::new();
    for Detection { detector, boxes: found, .. } in parse_rows::<Detection>("detections", &detections.rows)? {
        boxes.extend(found.into_iter().map(|found| PictureBox {
            xyxy: found.xyxy,
            label: found.name,
            group: detector.clone(),
        }));
    }
    let mentions: Vec<Mention> = parse_rows("mentions", &mentions.rows)?;
    let standing = |name: &str| {
        verdicts.iter().find(|verdict| verdict.name == canonical(name)).map(|verdict| tone(verdict.standing))
    };
    let mut lines = Vec::new();
    let mut told: Vec<String> = Vec::new();
    for sentence in sentences.map_or_else(|| Ok(Vec::new()), |unit| parse_rows::<Sentence>("sentences", &unit.rows))? {
        if sentence.text.is_empty() || told.contains(&sentence.text) {
            continue;
        }
        let own = mentions.iter().filter(|mention| mention.candidate == sentence.candidate);
        let pieces =
            own.filter_map(|mention| Some((mention.start as usize, mention.end as usize, standing(&mention.name)?)));
        lines.push(gallery::toned(None, &sentence.text, pieces));
        told.push(sentence.text);
    }
    Ok(Card { boxes, ..gallery::card(&unit.id, picture, lines) })
}

/// Returns how a standing is shown.
fn tone(standing: Standing) -> Tone {
    match standing {
        Standing::Factual => Tone::Good,
        Standing::Uncertain => Tone::Doubtful,
        Standing::Hallucinated => Tone::Bad,
    }
}
