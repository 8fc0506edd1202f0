//! The page in a browser, where one is found: it opens without an error.

use std::path::PathBuf;
use std::process::Command;

use crate::{render, sample};

fn chromium() -> Option<PathBuf> {
    let folders = std::env::split_paths(&std::env::var_os("PATH")?).collect::<Vec<_>>();
    let names = ["chromium", "chromium-browser", "google-chrome"];
    folders.iter().flat_map(|folder| names.map(|name| folder.join(name))).find(|path| path.is_file())
}

#[test]
fn the_page_opens_without_an_error() {
    let Some(chromium) = chromium() else { return };
    let folder = tempfile::tempdir().unwrap();
    let page = folder.path().join("report.html");
    // What the page's own script throws ends up in its title, where the dump shows it.
    let watched = render(&sample::model()).replacen(
        "<head>",
        "<head><script>window.onerror=m=>{document.title='ERROR '+m}</script>",
        1,
    );
    std::fs::write(&page, watched).unwrap();
    let dump = Command::new(chromium)
        .args(["--headless", "--no-sandbox", "--disable-gpu", "--virtual-time-budget=4000", "--dump-dom"])
        .arg(format!("--user-data-dir={}", folder.path().join("profile").display()))
        .arg(format!("file://{}", page.display()))
        .output()
        .unwrap();
    let dom = String::from_utf8_lossy(&dump.stdout);
    assert!(dom.contains("<h2"), "{}", String::from_utf8_lossy(&dump.stderr));
    assert!(!dom.contains("<title>ERROR"), "{dom:.2000}");
}
