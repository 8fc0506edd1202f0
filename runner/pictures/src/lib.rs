//! Pictures as the models' and the detectors' reference programs read them: decoding within limits, and Pillow's resizing to the
//! last bit. It knows no model; what a processor does with the pixels is its crate's business.

mod decode;
mod jpeg;
mod resize;

pub use decode::{PictureError, SIDE_MAX, Transparency, decode, dimensions};
pub use resize::{Filter, resize};
