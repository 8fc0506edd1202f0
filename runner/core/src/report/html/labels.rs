//! Where the labels of boxes stand: whole, inside the picture, none over another, each as near to its box as the others leave room.

/// A label to be placed.
pub(super) struct Wanted {
    /// Where its upper left corner may stand: two columns, the first is the better.
    pub(super) columns: [f64; 2],
    /// Where its upper edge stands best.
    pub(super) top: f64,
    /// Width and height.
    pub(super) size: (f64, f64),
}

/// Returns the upper left corner of every label, in the order in which they are wanted; `None` for one there is no room for.
pub(super) fn place(picture: (f64, f64), wanted: &[Wanted]) -> Vec<Option<(f64, f64)>> {
    let mut taken: Vec<Plate> = Vec::new();
    let mut places = Vec::new();
    for label in wanted {
        let place = label.nearest(picture, &taken);
        taken.extend(place.map(|at| Plate { at, size: label.size }));
        places.push(place);
    }
    places
}

struct Plate {
    at: (f64, f64),
    size: (f64, f64),
}

impl Plate {
    fn overlaps(&self, other: &Self) -> bool {
        // Plates that touch do not overlap, whatever rounding says.
        const TOUCH: f64 = 1e-6;
        let apart = |at: f64, size: f64, other_at: f64, other_size: f64| {
            at + size <= other_at + TOUCH || other_at + other_size <= at + TOUCH
        };
        !(apart(self.at.0, self.size.0, other.at.0, other.size.0)
            || apart(self.at.1, self.size.1, other.at.1, other.size.1))
    }
}

impl Wanted {
    /// Returns the nearest free place: the best one, or one that touches a taken place from above or below.
    fn nearest(&self, picture: (f64, f64), taken: &[Plate]) -> Option<(f64, f64)> {
        let (width, height) = self.size;
        let room = (picture.0 - width, picture.1 - height);
        if room.0 < 0.0 || room.1 < 0.0 {
            return None;
        }
        let best = self.top.clamp(0.0, room.1);
        let touching = taken.iter().flat_map(|plate| [plate.at.1 - height, plate.at.1 + plate.size.1]);
        let rows: Vec<f64> = std::iter::once(best).chain(touching.filter(|top| (0.0..=room.1).contains(top))).collect();
        let columns = self.columns.map(|left| left.clamp(0.0, room.0));
        let places = rows.iter().flat_map(|top| columns.map(|left| (left, *top)));
        let far = |(left, top): &(f64, f64)| (left - columns[0]).abs() + (top - best).abs();
        places
            .filter(|at| {
                let plate = Plate { at: *at, size: self.size };
                !taken.iter().any(|other| plate.overlaps(other))
            })
            .min_by(|one, other| far(one).total_cmp(&far(other)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wanted(left: f64, top: f64) -> Wanted {
        Wanted { columns: [left, left + 5.0], top, size: (30.0, 10.0) }
    }

    #[test]
    fn a_label_stands_where_it_is_wanted_inside_the_picture() {
        let places = place((100.0, 50.0), &[wanted(20.0, 20.0), wanted(-9.0, -9.0), wanted(99.0, 99.0)]);
        assert_eq!(places, [Some((20.0, 20.0)), Some((0.0, 0.0)), Some((70.0, 40.0))]);
        assert_eq!(place((29.0, 50.0), &[wanted(0.0, 0.0)]), [None], "a label is whole or it is not there");
    }

    #[test]
    fn labels_that_collide_are_stacked_until_there_is_no_room() {
        let places = place((40.0, 30.0), &[wanted(0.0, 1.0), wanted(2.0, 3.0), wanted(4.0, 2.0), wanted(0.0, 0.0)]);
        assert_eq!(places, [Some((0.0, 1.0)), Some((2.0, 11.0)), None, None]);
    }

    #[test]
    fn no_two_labels_overlap() {
        let scattered = |number: u32| wanted(f64::from(number * 37 % 200), f64::from(number * 61 % 150));
        let places = place((200.0, 150.0), &(0..40).map(scattered).collect::<Vec<_>>());
        let plates: Vec<Plate> = places.iter().flatten().map(|at| Plate { at: *at, size: (30.0, 10.0) }).collect();
        assert!(plates.len() > 30, "{}", plates.len());
        for (number, plate) in plates.iter().enumerate() {
            assert!(!plates[..number].iter().any(|other| plate.overlaps(other)));
        }
    }
}
