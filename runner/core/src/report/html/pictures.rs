//! Pictures inside the page: each is written once, however often it is shown, as a data URI among the page's definitions. Those
//! shown first get in first; when the room is used up the others are counted and left out.

use std::collections::{BTreeMap, BTreeSet};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use imagesize::ImageType;

use super::element::{Element, el};
use super::gather::{Gallery, Gathered, Piece};
use crate::digest::Digest;

/// A side longer than this belongs to no picture a page can show.
const SIDE_MAX: usize = 65_535;

/// The pictures of a page.
#[derive(Default)]
pub(super) struct Pictures {
    embedded: BTreeMap<Digest, Picture>,
    absent: BTreeMap<Digest, Absence>,
}

/// An embedded picture.
pub(super) struct Picture {
    /// Its number among the page's definitions.
    pub(super) number: usize,
    /// In pixels.
    pub(super) width: f64,
    /// In pixels.
    pub(super) height: f64,
    uri: String,
}

/// Why a picture is not shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Absence {
    /// The page is full.
    NoRoom,
    /// Its content was not found.
    NotFound,
    /// It is neither a PNG nor a JPEG file.
    Unreadable,
}

impl Pictures {
    /// Takes in what the galleries show: all their first pictures before all their second ones, while the room lasts.
    pub(super) fn take(gathered: &Gathered<'_>, blob: &dyn Fn(Digest) -> Option<Vec<u8>>, room_bytes: usize) -> Self {
        let mut pictures = Self::default();
        let mut left = room_bytes;
        for digest in wanted(gathered) {
            match blob(digest).ok_or(Absence::NotFound).and_then(|bytes| pictures.picture(&bytes, left)) {
                Ok(picture) => {
                    left -= picture.uri.len();
                    pictures.embedded.insert(digest, picture);
                }
                Err(absence) => {
                    pictures.absent.insert(digest, absence);
                }
            }
        }
        pictures
    }

    fn picture(&self, bytes: &[u8], room: usize) -> Result<Picture, Absence> {
        let format = match imagesize::image_type(bytes) {
            Ok(ImageType::Png) => "png",
            Ok(ImageType::Jpeg) => "jpeg",
            Ok(_) | Err(_) => return Err(Absence::Unreadable),
        };
        let size = imagesize::blob_size(bytes).map_err(|_| Absence::Unreadable)?;
        if !(1..=SIDE_MAX).contains(&size.width) || !(1..=SIDE_MAX).contains(&size.height) {
            return Err(Absence::Unreadable);
        }
        let start = format!("data:image/{format};base64,");
        if start.len() + bytes.len().div_ceil(3) * 4 > room {
            return Err(Absence::NoRoom);
        }
        let (width, height) = (size.width as f64, size.height as f64);
        Ok(Picture { number: self.embedded.len(), width, height, uri: start + &STANDARD.encode(bytes) })
    }

    /// Returns a picture, or why it is not there.
    pub(super) fn get(&self, digest: Digest) -> Result<&Picture, Absence> {
        let absence = || self.absent.get(&digest).copied().unwrap_or(Absence::NotFound);
        self.embedded.get(&digest).ok_or_else(absence)
    }

    /// Returns how many pictures are absent for a reason.
    pub(super) fn absent(&self, reason: Absence) -> usize {
        self.absent.values().filter(|absence| **absence == reason).count()
    }

    /// Writes the definitions all pictures are shown from.
    pub(super) fn definitions(&self) -> Element {
        let mut pictures: Vec<&Picture> = self.embedded.values().collect();
        pictures.sort_by_key(|picture| picture.number);
        let definition = |picture: &Picture| {
            el("image")
                .attr("id", format_args!("p{}", picture.number))
                .attr("width", picture.width)
                .attr("height", picture.height)
                .attr("href", &picture.uri)
        };
        let definitions = el("defs").all(pictures.into_iter().map(definition));
        el("svg").class("definitions").attr("aria-hidden", "true").with(definitions)
    }
}

/// Returns every picture the galleries show, each once: rank by rank.
fn wanted(gathered: &Gathered<'_>) -> Vec<Digest> {
    let own = gathered.stages.iter().flat_map(|show| &show.pieces).filter_map(|piece| match piece {
        Piece::Gallery(gallery) => Some(gallery),
        Piece::Table { .. } | Piece::Curve { .. } => None,
    });
    let galleries: Vec<&Gallery<'_>> = gathered.together.iter().chain(own).collect();
    let ranks = galleries.iter().map(|gallery| gallery.exhibits.len()).max().unwrap_or(0);
    let mut seen = BTreeSet::new();
    (0..ranks)
        .flat_map(|rank| galleries.iter().filter_map(move |gallery| gallery.exhibits.get(rank)?.picture))
        .filter(|digest| seen.insert(*digest))
        .collect()
}
