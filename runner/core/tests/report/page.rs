//! The page of the sample.

use std::path::Path;

use crate::{of_class, render, sample, text_of, with_document};

#[test]
fn equal_models_give_equal_bytes_and_none_of_their_time() {
    let page = render(&sample::model());
    assert_eq!(page, render(&sample::model()));
    let mut later = sample::model();
    later.run.started += 1;
    assert_eq!(page, render(&later));
    std::fs::write(Path::new(env!("CARGO_TARGET_TMPDIR")).join("report.html"), page).unwrap();
}
