//! Ground truth in COCO's instances format, for evaluation alone: nothing inside the loop reads it.

use serde::Serialize;

use crate::objects::{CONTEXTS, OBJECTS};
use crate::scene::{SIDE, Truth, WorldError};

#[derive(Serialize)]
struct Instances {
    info: Info,
    images: Vec<Picture>,
    annotations: Vec<Instance>,
    categories: Vec<Category>,
}

#[derive(Serialize)]
struct Info {
    description: &'static str,
}

#[derive(Serialize)]
struct Picture {
    id: u64,
    file_name: String,
    width: usize,
    height: usize,
    /// Objects one expects in such a place, there or not: an addition to COCO's format.
    expected: [&'static str; 3],
}

#[derive(Serialize)]
struct Instance {
    id: u64,
    image_id: u64,
    category_id: u32,
    bbox: [i32; 4],
    area: u32,
    iscrowd: u8,
}

#[derive(Serialize)]
struct Category {
    id: u32,
    name: &'static str,
}

/// Returns COCO instances JSON of some scenes, given their ids and truths. `file_name` is `<id>.png`; `expected` names the objects
/// one expects in such a place; pictures and instances
/// are numbered from 1 in the order given, categories have COCO's own numbers.
///
/// # Errors
/// When a truth names an object that is not of this world.
pub fn annotations<'a>(scenes: impl IntoIterator<Item = (&'a str, &'a Truth)>) -> Result<Vec<u8>, WorldError> {
    let mut file = Instances {
        info: Info { description: "scenes of the tiny world" },
        images: Vec::new(),
        annotations: Vec::new(),
        categories: categories(),
    };
    for (image_id, (scene, truth)) in (1..).zip(scenes) {
        let context = CONTEXTS.iter().find(|context| context.name == truth.context).ok_or_else(|| {
            WorldError::ForeignTruth { reason: format!("unknown context `{}` of `{scene}`", truth.context) }
        })?;
        let (file_name, expected) = (format!("{scene}.png"), context.prior);
        file.images.push(Picture { id: image_id, file_name, width: SIDE, height: SIDE, expected });
        for placed in &truth.objects {
            let id = file.annotations.len() as u64 + 1;
            let object = OBJECTS.iter().find(|object| object.name == placed.name).ok_or_else(|| {
                WorldError::ForeignTruth { reason: format!("unknown object `{}` in `{scene}`", placed.name) }
            })?;
            let (bbox, area) = (placed.bbox, placed.area);
            file.annotations.push(Instance { id, image_id, category_id: object.category, bbox, area, iscrowd: 0 });
        }
    }
    Ok(serde_json::to_vec(&file).expect("the format is plain structs, which always serialise"))
}

fn categories() -> Vec<Category> {
    let mut categories: Vec<Category> =
        OBJECTS.iter().map(|object| Category { id: object.category, name: object.name }).collect();
    categories.sort_unstable_by_key(|category| category.id);
    categories
}
