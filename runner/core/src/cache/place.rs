//! Where a store may lie. An index that several processes open at once needs locks that work, and those of network file systems
//! do not; there the store is refused.

use std::path::{Path, PathBuf};

/// Names of file systems whose locks cannot be trusted, by the number `statfs` gives.
const NETWORK: &[(u32, &str)] = &[
    (0x0000_564c, "NCP"),
    (0x0000_6969, "NFS"),
    (0x00c3_6400, "Ceph"),
    (0x0bd0_0bd0, "Lustre"),
    (0x1983_0326, "BeeGFS"),
    (0x4750_4653, "GPFS"),
    (0x5346_414f, "AFS"),
    (0x6b41_4653, "AFS"),
    (0x7375_7245, "Coda"),
    (0xaad7_aaea, "PanFS"),
    (0xfe53_4d42, "SMB"),
    (0xff53_4d42, "SMB"),
];

/// Returns the name of the network file system a path lies on, if it does. `path` need not exist yet.
pub(super) fn network(path: &Path) -> Option<&'static str> {
    let there: PathBuf = path.ancestors().find(|above| above.exists())?.to_owned();
    // The type's width differs between machines; the numbers have 32 bits.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "the numbers have 32 bits")]
    let found = rustix::fs::statfs(&there).ok()?.f_type as u32;
    NETWORK.iter().find(|(number, _)| *number == found).map(|(_, name)| *name)
}

/// Returns what of this machine can change bits: results kept here name it, so that a difference found later can be explained.
pub(super) fn platform() -> String {
    let cpu = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = cpu.lines().find_map(|line| line.strip_prefix("model name")?.split_once(':'));
    let model = model.map_or("unknown processor", |(_, name)| name.trim());
    format!("{} {}, {model}", std::env::consts::ARCH, std::env::consts::OS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn local_folders_are_taken_and_the_machine_has_a_name() {
        assert_eq!(network(&std::env::temp_dir().join("not/yet/there")), None);
        assert!(NETWORK.windows(2).all(|pair| pair[0].0 < pair[1].0), "the table is sorted");
        assert!(platform().starts_with(std::env::consts::ARCH));
    }
}
