//! Walls, floors, skies and grounds: what stands behind the objects. Each place is one pure function from a position to a
//! colour, with a few drawn numbers for its mood; pale on purpose, so that objects stand out.

use crate::random::Stream;
use crate::scene::SIDE;

type Colour = [f32; 3];

/// The drawn numbers of one background.
struct Mood {
    /// Row where wall and floor, or sky and ground, meet.
    horizon: f32,
    /// Brightness of the whole.
    light: f32,
    /// Shift of the hue, −1 to 1: warm to cool.
    warmth: f32,
    /// Offsets of patterns, in pixels.
    shift: [f32; 8],
}

/// Paints the background of a place: (SIDE, SIDE) colours, 0 to 1.
pub(crate) fn paint(context: &str, stream: &mut Stream) -> Vec<Colour> {
    let mut mood = Mood {
        horizon: stream.range(78.0, 108.0),
        light: stream.range(0.95, 1.03),
        warmth: stream.range(-1.0, 1.0),
        shift: [0.0; 8],
    };
    for shift in &mut mood.shift {
        *shift = stream.range(0.0, SIDE as f32);
    }
    let place: fn(&Mood, f32, f32) -> Colour = match context {
        "kitchen" => kitchen,
        "street" => street,
        "living room" => living_room,
        "farm" => farm,
        _ => park,
    };
    let mottle = Mottle::draw(stream);
    let mut pixels = Vec::with_capacity(SIDE * SIDE);
    for y in 0..SIDE {
        for x in 0..SIDE {
            let [red, green, blue] = place(&mood, x as f32, y as f32);
            let light = mood.light + mottle.at(x, y);
            let warm = 0.015 * mood.warmth;
            pixels.push([red * (light + warm), green * light, blue * (light - warm)]);
        }
    }
    pixels
}

/// Tiles above a wooden worktop.
fn kitchen(mood: &Mood, x: f32, y: f32) -> Colour {
    if y < mood.horizon {
        let (column, row) = ((x + mood.shift[0]) % 28.0, (mood.horizon - y) % 28.0);
        let tile = mix([0.93, 0.93, 0.87], [0.86, 0.90, 0.86], y / mood.horizon);
        return if column < 1.5 || row < 1.5 { shade(tile, 0.93) } else { shade(tile, 1.0 + 0.015 * (row / 28.0)) };
    }
    let depth = (y - mood.horizon) / (SIDE as f32 - mood.horizon);
    let wood = mix([0.83, 0.70, 0.54], [0.76, 0.61, 0.45], depth);
    if y < mood.horizon + 5.0 {
        return shade(wood, 1.12);
    }
    let board = (y + mood.shift[1]) % 24.0;
    shade(wood, if board < 1.2 { 0.90 } else { 1.0 - 0.03 * triangle((x + mood.shift[2]) / 37.0 + board / 24.0) })
}

/// Houses, a kerb and a road with a dashed line.
fn street(mood: &Mood, x: f32, y: f32) -> Colour {
    if y < mood.horizon {
        let sky = mix([0.72, 0.84, 0.94], [0.88, 0.92, 0.95], y / mood.horizon);
        let house = ((x + mood.shift[0]) / 38.0) as usize % 8;
        let roof = mood.horizon - 26.0 - (mood.shift[house] * 0.17);
        if y < roof {
            return sky;
        }
        let (column, row) = ((x + mood.shift[0]) % 38.0, y - roof);
        let wall = shade([0.80, 0.80, 0.84], 0.94 + 0.012 * house as f32);
        let window = column % 12.0 > 4.0 && column > 4.0 && column < 35.0 && row % 13.0 > 6.0 && row % 13.0 < 12.0;
        return if window { shade(wall, 1.08) } else { wall };
    }
    let depth = y - mood.horizon;
    if depth < 14.0 {
        return shade(
            [0.74, 0.73, 0.72],
            if depth > 11.0 {
                0.86
            } else if (x + mood.shift[1]) % 20.0 < 1.2 {
                0.94
            } else {
                1.0
            },
        );
    }
    let asphalt = mix([0.52, 0.53, 0.56], [0.45, 0.46, 0.49], depth / 140.0);
    let middle = mood.horizon + 14.0 + (SIDE as f32 - mood.horizon - 14.0) * 0.5;
    if y > middle && y < middle + 4.0 && (x + mood.shift[2]) % 36.0 < 20.0 { [0.86, 0.83, 0.66] } else { asphalt }
}

/// Striped wallpaper above a wooden floor.
fn living_room(mood: &Mood, x: f32, y: f32) -> Colour {
    if y < mood.horizon - 5.0 {
        let paper = mix([0.88, 0.82, 0.80], [0.83, 0.77, 0.77], y / mood.horizon);
        return if (x + mood.shift[0]) % 22.0 < 11.0 { paper } else { shade(paper, 0.965) };
    }
    if y < mood.horizon {
        return [0.92, 0.89, 0.85];
    }
    let depth = y - mood.horizon;
    let wood = mix([0.66, 0.48, 0.36], [0.57, 0.40, 0.30], depth / 146.0);
    let plank = depth % 17.0;
    let row = (depth / 17.0) as usize % 8;
    let seam = (x + mood.shift[row]) % 74.0;
    shade(wood, if plank < 1.0 || seam < 1.0 { 0.88 } else { 0.98 + 0.02 * (row % 3) as f32 })
}

/// Hills under a sky, and a field in furrows.
fn farm(mood: &Mood, x: f32, y: f32) -> Colour {
    let hill = |centre: f32, width: f32, height: f32| {
        let away = (x - centre) / width;
        mood.horizon - height * (1.0 - away * away)
    };
    if y < mood.horizon {
        let near = hill(mood.shift[0], 95.0, 22.0).min(hill(mood.shift[0] - SIDE as f32 * 0.8, 90.0, 18.0));
        let far = hill(mood.shift[1], 130.0, 36.0);
        if y > near {
            return mix([0.66, 0.77, 0.52], [0.72, 0.80, 0.55], (y - near) / 22.0);
        }
        if y > far {
            return [0.74, 0.83, 0.70];
        }
        return mix([0.62, 0.81, 0.93], [0.86, 0.93, 0.94], y / mood.horizon);
    }
    let depth = (y - mood.horizon) / (SIDE as f32 - mood.horizon);
    let field = mix([0.78, 0.74, 0.47], [0.68, 0.62, 0.36], depth);
    // Furrows run towards a point on the horizon: constant x / depth.
    let across = (x - mood.shift[2]) / (0.35 + depth);
    shade(field, 0.97 + 0.05 * triangle(across / 30.0 + 40.0))
}

/// Clouds, a row of trees and a mown lawn.
fn park(mood: &Mood, x: f32, y: f32) -> Colour {
    let inside = |centre_x: f32, centre_y: f32, wide: f32, tall: f32| {
        let (across, down) = ((x - centre_x) / wide, (y - centre_y) / tall);
        across * across + down * down < 1.0
    };
    if y < mood.horizon {
        let tree = (0..8).any(|tree| {
            inside(
                tree as f32 * 32.0 + mood.shift[tree] * 0.1,
                mood.horizon,
                17.0 + mood.shift[tree] * 0.04,
                14.0 + mood.shift[tree] * 0.06,
            )
        });
        if tree {
            return mix([0.60, 0.76, 0.55], [0.52, 0.70, 0.48], y / mood.horizon);
        }
        let cloud = (0..3).any(|cloud| {
            let (left, top) = (mood.shift[cloud], 14.0 + mood.shift[cloud + 3] * 0.16);
            inside(left, top, 24.0, 7.0) || inside(left + 12.0, top - 4.0, 13.0, 8.0)
        });
        return if cloud { [0.95, 0.96, 0.98] } else { mix([0.60, 0.80, 0.94], [0.83, 0.92, 0.96], y / mood.horizon) };
    }
    let depth = (y - mood.horizon) / (SIDE as f32 - mood.horizon);
    let grass = mix([0.55, 0.75, 0.42], [0.45, 0.66, 0.34], depth);
    let stripe = ((x - mood.shift[6]) / (0.5 + depth) / 34.0 + 40.0) as usize;
    shade(grass, if stripe.is_multiple_of(2) { 1.0 } else { 0.96 })
}

/// Soft irregular brightness: random heights on a coarse lattice, smoothly joined.
struct Mottle {
    heights: Vec<f32>,
}

impl Mottle {
    const STEP: usize = 16;
    const ACROSS: usize = SIDE / Self::STEP + 1;

    fn draw(stream: &mut Stream) -> Self {
        Self { heights: (0..Self::ACROSS * Self::ACROSS).map(|_| stream.range(-0.02, 0.02)).collect() }
    }

    fn at(&self, x: usize, y: usize) -> f32 {
        let (column, row) = (x / Self::STEP, y / Self::STEP);
        let ease = |offset: usize| {
            let t = offset as f32 / Self::STEP as f32;
            t * t * (3.0 - 2.0 * t)
        };
        let (right, down) = (ease(x % Self::STEP), ease(y % Self::STEP));
        let height = |column: usize, row: usize| self.heights[row * Self::ACROSS + column];
        let above = height(column, row) + (height(column + 1, row) - height(column, row)) * right;
        let below = height(column, row + 1) + (height(column + 1, row + 1) - height(column, row + 1)) * right;
        above + (below - above) * down
    }
}

fn mix(from: Colour, to: Colour, share: f32) -> Colour {
    let share = share.clamp(0.0, 1.0);
    [0, 1, 2].map(|channel| from[channel] + (to[channel] - from[channel]) * share)
}

fn shade(colour: Colour, light: f32) -> Colour {
    colour.map(|channel| channel * light)
}

/// Rises from 0 to 1 and falls again once per unit of `position`, which is at least 0.
fn triangle(position: f32) -> f32 {
    let part = position % 1.0;
    if part < 0.5 { 2.0 * part } else { 2.0 - 2.0 * part }
}
