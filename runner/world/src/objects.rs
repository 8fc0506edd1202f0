//! What the tiny world is made of: 32 objects with COCO's names and category numbers, and five kinds of places. Each place
//! has three *prior* objects, those a careless describer expects there and names unseen.

/// An object that can stand in a scene.
#[derive(Debug)]
pub struct Object {
    /// COCO's name.
    pub name: &'static str,
    /// COCO's category number.
    pub category: u32,
    /// Its picture, a PNG with transparency.
    pub(crate) png: &'static [u8],
}

macro_rules! object {
    ($name:literal, $category:literal) => {
        Object {
            name: $name,
            category: $category,
            png: include_bytes!(concat!("../../../examples/tiny-world/sprites/", $name, ".png")),
        }
    };
}

/// All objects, by name.
pub static OBJECTS: [Object; 32] = [
    object!("banana", 52),
    object!("bed", 65),
    object!("bicycle", 2),
    object!("bird", 16),
    object!("book", 84),
    object!("bottle", 44),
    object!("bowl", 51),
    object!("bus", 6),
    object!("cake", 61),
    object!("car", 3),
    object!("cat", 17),
    object!("chair", 62),
    object!("clock", 85),
    object!("couch", 63),
    object!("cow", 21),
    object!("cup", 47),
    object!("dog", 18),
    object!("fork", 48),
    object!("frisbee", 34),
    object!("horse", 19),
    object!("kite", 38),
    object!("knife", 49),
    object!("laptop", 73),
    object!("motorcycle", 4),
    object!("person", 1),
    object!("pizza", 59),
    object!("sheep", 20),
    object!("skateboard", 41),
    object!("truck", 8),
    object!("tv", 72),
    object!("umbrella", 28),
    object!("vase", 86),
];

/// A kind of place.
#[derive(Debug)]
pub struct Context {
    /// Its name.
    pub name: &'static str,
    /// Objects expected there, likeliest first.
    pub prior: [&'static str; 3],
    /// Objects often found there.
    pub ordinary: [&'static str; 8],
}

/// All kinds of places.
pub static CONTEXTS: [Context; 5] = [
    Context {
        name: "kitchen",
        prior: ["fork", "cup", "knife"],
        ordinary: ["pizza", "banana", "bottle", "cake", "bowl", "chair", "clock", "cat"],
    },
    Context {
        name: "street",
        prior: ["car", "person", "bicycle"],
        ordinary: ["bus", "truck", "motorcycle", "dog", "umbrella", "bird", "skateboard", "clock"],
    },
    Context {
        name: "living room",
        prior: ["couch", "tv", "book"],
        ordinary: ["chair", "cat", "clock", "vase", "laptop", "bottle", "dog", "bed"],
    },
    Context {
        name: "farm",
        prior: ["cow", "horse", "truck"],
        ordinary: ["sheep", "dog", "bird", "person", "car", "cat", "bicycle", "bottle"],
    },
    Context {
        name: "park",
        prior: ["kite", "dog", "umbrella"],
        ordinary: ["frisbee", "bird", "person", "bicycle", "skateboard", "cat", "book", "banana"],
    },
];

/// Returns the position in [`OBJECTS`] of a name that is there.
pub(crate) fn position(name: &str) -> usize {
    OBJECTS.binary_search_by(|object| object.name.cmp(name)).expect("the tables of this file name listed objects only")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tables_are_sorted_and_name_each_other() {
        assert!(OBJECTS.windows(2).all(|pair| pair[0].name < pair[1].name));
        for context in &CONTEXTS {
            let mut names: Vec<usize> =
                context.prior.iter().chain(&context.ordinary).map(|name| position(name)).collect();
            names.sort_unstable();
            names.dedup();
            assert_eq!(names.len(), 11, "{} names an object twice", context.name);
        }
    }
}
