//! A store with no room left: what was kept stays kept, and the run goes on when there is room.

use std::process::Command;

use crate::desk::{Desk, QUICKSTART, Told};

/// Gives the store a disk of its own, too small, and keeps what came onto it.
const SMALL_DISK: &str = "mkdir -p store disk && mount -t tmpfs -o size=$SIZE tmpfs disk && cp -a store/. disk/ && \
    { SENTINEL_STORE=disk \"$0\" \"$@\"; code=$?; rm -rf store; cp -a disk store; exit $code; }";
/// Lets no file grow beyond so many blocks of 512 bytes, and writes fail as they do on a full disk.
const SMALL_FILES: &str = "trap '' XFSZ; ulimit -f $SIZE; exec \"$0\" \"$@\"";

fn run(desk: &Desk, before: &[&str], script: &str, size: &str) -> Told {
    let own = desk.command(&["run", "quickstart.yaml"], &QUICKSTART);
    let mut shell = Command::new(before.first().copied().unwrap_or("sh"));
    shell.args(before.iter().skip(1)).args(["-c", script]).arg(own.get_program()).args(own.get_args());
    shell.envs(own.get_envs().filter_map(|(name, value)| Some((name, value?))));
    shell.env("SIZE", size).current_dir(desk.path()).output().unwrap().into()
}

#[test]
fn a_store_without_room_loses_nothing() {
    let undisturbed = Desk::new();
    assert_eq!(undisturbed.run(&QUICKSTART).code, 0);
    // Who may not mount anything has no small disk.
    let namespace = ["unshare", "--user", "--map-root-user", "--mount", "sh"];
    let may = Command::new(namespace[0]).args(&namespace[1..]).args(["-c", "mount -t tmpfs tmpfs /tmp"]).output();
    let may = may.is_ok_and(|told| told.status.success());
    let ways: &[(&[&str], &str, &[&str], &str)] = &[
        (&[], SMALL_FILES, &["128", "600", "1024"], "the store `"),
        (
            &namespace,
            SMALL_DISK,
            &["100k", "600k", "2m", "4m"],
            "no space is left for the store `disk`; what was kept stays kept",
        ),
    ];
    for (before, script, sizes, story) in ways.iter().filter(|(before, ..)| may || before.is_empty()) {
        let desk = Desk::new();
        for size in *sizes {
            let told = run(&desk, before, script, size);
            assert!(told.code == 2 && told.stderr.contains(story), "{size}: {told}");
        }
        let last = desk.run(&QUICKSTART);
        assert_eq!(last.code, 0, "{last}");
        assert!(desk.results() == undisturbed.results(), "{script}");
        let verified = desk.sentinel(&["cache", "verify"], &[]);
        assert!(verified.code == 0 && !verified.stdout.contains("damaged"), "{verified}");
    }
}
