//! Composes scenes: which objects, where, and how the picture looks. The same seed, split and index give the same bytes on any
//! machine: integers, single IEEE operations in a fixed order, one random stream a purpose.

use sentinel_domain::ports::SPLITS;
use serde::{Deserialize, Serialize};

use crate::background;
use crate::objects::{CONTEXTS, OBJECTS, position};
use crate::random::{Purpose, Stream};
use crate::sprite::{self, Sprite};

/// Width and height of a picture in pixels.
pub const SIDE: usize = 224;
/// Rows of cells.
pub const ROWS: usize = 3;
/// Columns of cells.
pub const COLUMNS: usize = 4;

/// How likely each prior object of a place is really there.
const PRIOR_SHARE: f32 = 0.35;
/// How likely a further object is one from elsewhere.
const STRANGER_SHARE: f32 = 0.22;
/// An object's shadow falls this far to the right and down.
const SHADOW_OFFSET: (i32, i32) = (1, 4);
const SHADOW_DARKNESS: f32 = 0.22;
/// Opacity from which a pixel belongs to an object's box.
const VISIBLE: f32 = 0.25;

/// A composed scene.
#[derive(Debug, Clone, PartialEq)]
pub struct Scene {
    /// `<split>-<index>`.
    pub id: String,
    /// What is in it.
    pub truth: Truth,
    /// (SIDE, SIDE, 3) bytes, red, green, blue.
    pub rgb: Vec<u8>,
}

/// What is in a scene.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Truth {
    /// The split the scene belongs to.
    pub split: String,
    /// Its number in the split.
    pub index: u32,
    /// The kind of place.
    pub context: String,
    /// The objects in reading order.
    pub objects: Vec<Placed>,
}

/// An object in its place.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Placed {
    /// COCO's name.
    pub name: String,
    /// The cell it stands in, counted row by row from the top left.
    pub cell: usize,
    /// Left, top, width and height of its visible pixels.
    pub bbox: [i32; 4],
    /// Number of its visible pixels.
    pub area: u32,
}

/// Why a scene cannot be composed.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum WorldError {
    /// No such split.
    #[error("unknown split `{name}`, expected one of {}", SPLITS.map(|split| format!("`{split}`")).join(", "))]
    UnknownSplit {
        /// The name given.
        name: String,
    },
    /// The truth of a scene is not this composer's own.
    #[error("not a scene's truth: {reason}")]
    ForeignTruth {
        /// What is wrong with it.
        reason: String,
    },
}

/// Composes scene `index` of a split.
///
/// # Errors
/// When there is no such split.
pub fn compose(seed: u64, split: &str, index: u32) -> Result<Scene, WorldError> {
    let number = split_number(split)?;
    let mut layout = Stream::open(seed, number, index, Purpose::Layout);
    let mut look = Stream::open(seed, number, index, Purpose::Look);

    let context = layout.pick(&CONTEXTS);
    let names = choose(&mut layout, context);
    let mut cells: Vec<usize> = (0..ROWS * COLUMNS).collect();
    layout.shuffle(&mut cells);
    let mut standing: Vec<(usize, usize)> = cells.into_iter().zip(names).collect();
    standing.sort_unstable();

    let mut canvas = background::paint(context.name, &mut look);
    let objects = standing.into_iter().map(|(cell, object)| place(&mut canvas, cell, object, &mut look)).collect();
    let rgb = canvas.iter().flatten().map(|value| (value.clamp(0.0, 1.0) * 255.0 + 0.5) as u8).collect();
    let truth = Truth { split: split.to_owned(), index, context: context.name.to_owned(), objects };
    Ok(Scene { id: format!("{split}-{index:06}"), truth, rgb })
}

/// Returns the number that names a split's streams.
pub(crate) fn split_number(split: &str) -> Result<u32, WorldError> {
    let number = SPLITS.iter().position(|known| *known == split);
    number.map(|number| number as u32).ok_or_else(|| WorldError::UnknownSplit { name: split.to_owned() })
}

/// Chooses six to nine different objects: priors by their share, then ordinary ones and strangers.
fn choose(stream: &mut Stream, context: &crate::objects::Context) -> Vec<usize> {
    let count = stream.between(6, 9) as usize;
    let mut chosen: Vec<usize> =
        context.prior.iter().filter(|_| stream.chance(PRIOR_SHARE)).map(|name| position(name)).collect();
    let mut ordinary: Vec<usize> = context.ordinary.iter().map(|name| position(name)).collect();
    let mut strangers: Vec<usize> = (0..OBJECTS.len())
        .filter(|object| !ordinary.contains(object) && !context.prior.contains(&OBJECTS[*object].name))
        .collect();
    stream.shuffle(&mut ordinary);
    stream.shuffle(&mut strangers);
    while chosen.len() < count {
        let from = if ordinary.is_empty() || stream.chance(STRANGER_SHARE) { &mut strangers } else { &mut ordinary };
        chosen.extend(from.pop());
    }
    stream.shuffle(&mut chosen);
    chosen
}

/// Draws one object and its shadow into its cell.
fn place(canvas: &mut [[f32; 3]], cell: usize, object: usize, look: &mut Stream) -> Placed {
    let sprite = sprite::scaled(object, look.between(44, 62) as usize, look.chance(0.5));
    let light = look.range(0.9, 1.06);
    let centre = |cells: usize, cell: usize| ((2 * cell + 1) * SIDE / (2 * cells)) as i32;
    let (row, column) = (cell / COLUMNS, cell % COLUMNS);
    let keep = |start: i32, length: usize| start.clamp(1, (SIDE - length - 1) as i32);
    let left = keep(centre(COLUMNS, column) - sprite.width as i32 / 2 + look.between(-3, 3), sprite.width);
    let top = keep(centre(ROWS, row) - sprite.height as i32 / 2 + look.between(-5, 5), sprite.height);
    darken(canvas, &sprite, left, top);
    overlay(canvas, &sprite, left, top, light);
    let (bbox, area) = extent(&sprite, left, top);
    Placed { name: OBJECTS[object].name.to_owned(), cell, bbox, area }
}

fn overlay(canvas: &mut [[f32; 3]], sprite: &Sprite, left: i32, top: i32, light: f32) {
    for y in 0..sprite.height {
        for x in 0..sprite.width {
            let [red, green, blue, opacity] = sprite.pixels[y * sprite.width + x];
            let below = &mut canvas[(top as usize + y) * SIDE + left as usize + x];
            for (channel, value) in below.iter_mut().zip([red, green, blue]) {
                *channel = *channel * (1.0 - opacity) + value * light;
            }
        }
    }
}

/// Casts a sprite's shadow: its opacity, blurred over 5 × 5 pixels and moved a little.
fn darken(canvas: &mut [[f32; 3]], sprite: &Sprite, left: i32, top: i32) {
    let (width, height) = (sprite.width as i32, sprite.height as i32);
    let opacity = |x: i32, y: i32| {
        if x < 0 || y < 0 || x >= width || y >= height { 0.0 } else { sprite.pixels[(y * width + x) as usize][3] }
    };
    for y in -2..height + 2 {
        for x in -2..width + 2 {
            let (canvas_x, canvas_y) = (left + x + SHADOW_OFFSET.0, top + y + SHADOW_OFFSET.1);
            if !(0..SIDE as i32).contains(&canvas_x) || !(0..SIDE as i32).contains(&canvas_y) {
                continue;
            }
            let mut sum = 0.0_f32;
            for dy in -2..=2 {
                for dx in -2..=2 {
                    sum += opacity(x + dx, y + dy);
                }
            }
            let light = 1.0 - SHADOW_DARKNESS * sum / 25.0;
            for channel in &mut canvas[canvas_y as usize * SIDE + canvas_x as usize] {
                *channel *= light;
            }
        }
    }
}

/// Returns the box and the number of a sprite's visible pixels.
fn extent(sprite: &Sprite, left: i32, top: i32) -> ([i32; 4], u32) {
    let visible = |at: &(usize, &[f32; 4])| at.1[3] >= VISIBLE;
    let (mut low, mut high, mut area) = ((i32::MAX, i32::MAX), (i32::MIN, i32::MIN), 0);
    for (at, _) in sprite.pixels.iter().enumerate().filter(visible) {
        let (x, y) = ((at % sprite.width) as i32, (at / sprite.width) as i32);
        low = (low.0.min(x), low.1.min(y));
        high = (high.0.max(x), high.1.max(y));
        area += 1;
    }
    ([left + low.0, top + low.1, high.0 - low.0 + 1, high.1 - low.1 + 1], area)
}

impl Scene {
    /// Encodes the picture as PNG; the same scene gives the same bytes.
    pub fn png(&self) -> Vec<u8> {
        use image::ImageEncoder as _;
        use image::codecs::png::{CompressionType, FilterType, PngEncoder};
        let mut bytes = Vec::new();
        PngEncoder::new_with_quality(&mut bytes, CompressionType::Default, FilterType::Adaptive)
            .write_image(&self.rgb, SIDE as u32, SIDE as u32, image::ExtendedColorType::Rgb8)
            .expect("writing to memory does not fail and the buffer has the picture's size");
        bytes
    }
}
