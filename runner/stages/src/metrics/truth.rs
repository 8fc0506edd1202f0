//! Ground truth in COCO's instances format: which objects are in which picture.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use sentinel_domain::records::Caption;
use serde::Deserialize;

use crate::lexicon::canonical;

/// What is in every picture.
#[derive(Debug)]
pub(crate) struct Truth {
    scenes: Vec<Scene>,
    /// File names without folder and ending, and image numbers → scene; `None` where several have that name.
    names: BTreeMap<String, Option<usize>>,
}

/// What is in a picture.
#[derive(Debug, Default)]
pub(crate) struct Scene {
    /// Canonical names.
    pub(crate) objects: BTreeSet<String>,
    /// Objects one would expect in such a place, there or not; an addition to COCO's format.
    pub(crate) expected: Option<BTreeSet<String>>,
}

#[derive(Deserialize)]
struct Instances {
    images: Vec<Image>,
    annotations: Vec<Instance>,
    categories: Vec<Category>,
}

#[derive(Deserialize)]
struct Image {
    id: u64,
    file_name: String,
    expected: Option<Vec<String>>,
}

#[derive(Deserialize)]
struct Instance {
    image_id: u64,
    category_id: u64,
}

#[derive(Deserialize)]
struct Category {
    id: u64,
    name: String,
}

impl Truth {
    /// Reads COCO instances; the error says what is wrong with them.
    pub(crate) fn parse(json: &[u8]) -> Result<Self, String> {
        let Instances { images, annotations, categories } =
            serde_json::from_slice(json).map_err(|error| error.to_string())?;
        let categories: BTreeMap<u64, String> =
            categories.into_iter().map(|category| (category.id, canonical(&category.name))).collect();
        let (mut scenes, mut by_number, mut names) =
            (Vec::with_capacity(images.len()), BTreeMap::new(), BTreeMap::new());
        for (index, Image { id, file_name, expected }) in images.into_iter().enumerate() {
            if by_number.insert(id, index).is_some() {
                return Err(format!("two images have the id {id}"));
            }
            for name in BTreeSet::from([stem(&file_name), id.to_string()]) {
                names.entry(name).and_modify(|several| *several = None).or_insert(Some(index));
            }
            let expected = expected.map(|names| names.iter().map(|name| canonical(name)).collect());
            scenes.push(Scene { objects: BTreeSet::new(), expected });
        }
        for Instance { image_id, category_id } in annotations {
            let category = categories
                .get(&category_id)
                .ok_or_else(|| format!("an annotation is of unknown category {category_id}"))?;
            let index =
                by_number.get(&image_id).ok_or_else(|| format!("an annotation is of unknown image {image_id}"))?;
            scenes[*index].objects.insert(category.clone());
        }
        Ok(Self { scenes, names })
    }

    /// Returns what is in a caption's picture: found by the picture's file name, else by the caption's id.
    pub(crate) fn scene(&self, caption: &Caption) -> Option<&Scene> {
        let by_name = |name: &str| self.names.get(name).copied().flatten();
        let index = by_name(&stem(&caption.image_path))
            .or_else(|| by_name(&caption.id))
            .or_else(|| by_name(&stem(&caption.id)))?;
        self.scenes.get(index)
    }
}

fn stem(path: &str) -> String {
    Path::new(path).file_stem().map_or_else(|| path.to_owned(), |stem| stem.to_string_lossy().into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use sentinel_core::digest::Digest;

    fn caption(id: &str, image_path: &str) -> Caption {
        let (id, image_path, question) = (id.to_owned(), image_path.to_owned(), "?".to_owned());
        Caption { id, picture: Digest::of(b""), image_path, question, sentences: Vec::new(), cut: false, tokens: 0 }
    }

    #[test]
    fn captions_find_their_picture_by_file_name_or_id() {
        let json = r#"{"images": [{"id": 42, "file_name": "COCO_val2014_000000000042.jpg"}, {"id": 7, "file_name": "a/7.png", "expected": ["Sofa"]}],
            "annotations": [{"image_id": 42, "category_id": 1}, {"image_id": 42, "category_id": 1}], "categories": [{"id": 1, "name": "tv"}]}"#;
        let truth = Truth::parse(json.as_bytes()).unwrap();
        for (id, path, found) in [
            ("x", "val2014/COCO_val2014_000000000042.jpg", Some(1)),
            ("42", "y.jpg", Some(1)),
            ("7.png", "y", Some(0)),
            ("8", "8.png", None),
        ] {
            assert_eq!(truth.scene(&caption(id, path)).map(|scene| scene.objects.len()), found, "{id} {path}");
        }
        let expected = truth.scene(&caption("7", "")).and_then(|scene| scene.expected.clone()).unwrap();
        assert_eq!(expected.into_iter().collect::<Vec<_>>(), ["couch"]);
    }

    #[test]
    fn broken_annotations_are_told() {
        for (json, told) in [
            ("[]", "expected"),
            (
                r#"{"images": [], "annotations": [{"image_id": 1, "category_id": 1}], "categories": []}"#,
                "unknown category 1",
            ),
            (
                r#"{"images": [], "annotations": [{"image_id": 3, "category_id": 1}], "categories": [{"id": 1, "name": "tv"}]}"#,
                "unknown image 3",
            ),
            (
                r#"{"images": [{"id": 1, "file_name": "a"}, {"id": 1, "file_name": "b"}], "annotations": [], "categories": []}"#,
                "id 1",
            ),
        ] {
            let error = Truth::parse(json.as_bytes()).unwrap_err();
            assert!(error.contains(told), "{error}");
        }
    }
}
