//! What a workflow may read: the folder tree it lives in, what the command line named, and nothing else, however the path is
//! spelled and wherever a symbolic link leads. Existence is not checked here; a missing file is found when it is needed.

use std::path::{Component, Path, PathBuf};

/// A path longer than this many bytes is refused.
pub const PATH_BYTES_MAX: usize = 4096;

/// Dangling links are followed this far.
const LINK_HOPS_MAX: u32 = 8;

/// The folders and files below which reading is allowed; all absolute, links resolved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Roots {
    allowed: Vec<PathBuf>,
    /// Why the first of them is the workflow's own.
    because: &'static str,
}

/// Why a path may not be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PathError {
    /// Nothing is named.
    #[error("the path is empty")]
    Empty,
    /// Longer than any file system takes.
    #[error("the path is {0} bytes long; the limit is {PATH_BYTES_MAX}")]
    TooLong(usize),
    /// A NUL byte.
    #[error("the path holds a NUL byte")]
    Nul,
    /// Outside of every root.
    #[error("`{path}` lies outside `{root}`")]
    Outside {
        /// Where the path leads.
        path: PathBuf,
        /// The workflow's root.
        root: PathBuf,
    },
    /// Inside by its spelling, but a symbolic link leads out.
    #[error("`{path}` leads through a symbolic link to `{real}`, outside `{root}`")]
    Escape {
        /// As spelled.
        path: PathBuf,
        /// Where the link leads.
        real: PathBuf,
        /// The workflow's root.
        root: PathBuf,
    },
}

impl Roots {
    /// Returns the root of a workflow in `folder` (absolute): the nearest folder at or above it that holds `.git` or
    /// `sentinel.lock`, else the one around the nearest folder called `workflows`, else `folder` itself.
    pub fn of(folder: &Path) -> Self {
        let marked = |above: &Path| {
            let marks = [(".git", "it holds `.git`"), ("sentinel.lock", "it holds `sentinel.lock`")];
            marks.into_iter().find_map(|(mark, because)| above.join(mark).exists().then_some(because))
        };
        let marked = || folder.ancestors().find_map(|above| Some((above, marked(above)?)));
        let around = || folder.ancestors().find(|above| above.ends_with("workflows"))?.parent();
        let around = || Some((around()?, "it holds the folder `workflows`"));
        let (own, because) = marked().or_else(around).unwrap_or((folder, "the workflow lies in it"));
        Self { allowed: vec![real_path(&tidy(own))], because }
    }

    /// Allows reading at and below an absolute path.
    pub fn allow(&mut self, path: &Path) {
        let real = real_path(&tidy(path));
        if !self.allowed.contains(&real) {
            self.allowed.push(real);
        }
    }

    /// Returns the workflow's own root.
    pub fn own(&self) -> &Path {
        &self.allowed[0]
    }

    /// Returns why that is its root: "it holds `.git`".
    pub fn because(&self) -> &'static str {
        self.because
    }

    /// Returns `path`, taken relative to `base` (absolute) and tidied of `.` and `..`, if it may be read.
    pub fn admit(&self, base: &Path, path: &str) -> Result<PathBuf, PathError> {
        match path {
            "" => return Err(PathError::Empty),
            long if long.len() > PATH_BYTES_MAX => return Err(PathError::TooLong(long.len())),
            nul if nul.contains('\0') => return Err(PathError::Nul),
            _ => {}
        }
        let spelled = tidy(&base.join(path));
        let real = real_path(&spelled);
        if self.holds(&real) {
            return Ok(spelled);
        }
        let root = self.own().to_owned();
        // The base may itself be reached through a link, so the spelling counts as inside when its folder's real path is.
        let by_spelling = self.holds(&spelled) || self.holds(&tidy(&real_path(base).join(path)));
        Err(if by_spelling {
            PathError::Escape { path: spelled, real, root }
        } else {
            PathError::Outside { path: spelled, root }
        })
    }

    /// Returns `path` relative to `folder`, both absolute, if both lie in the workflow's own root; else the path.
    pub fn seen_from(&self, folder: &Path, path: &Path) -> PathBuf {
        let (from, to) = (real_path(folder), real_path(path));
        if !from.starts_with(self.own()) || !to.starts_with(self.own()) {
            return path.to_owned();
        }
        let shared = from.components().zip(to.components()).take_while(|(one, other)| one == other).count();
        let up = from.components().skip(shared).map(|_| Component::ParentDir);
        let seen: PathBuf = up.chain(to.components().skip(shared)).collect();
        if seen.as_os_str().is_empty() { PathBuf::from(".") } else { seen }
    }

    fn holds(&self, path: &Path) -> bool {
        self.allowed.iter().any(|root| path.starts_with(root))
    }
}

/// Returns the path without `.` and `..`, by spelling alone; `..` at the top stays there.
pub fn tidy(path: &Path) -> PathBuf {
    let mut tidied = PathBuf::new();
    for part in path.components() {
        match part {
            Component::CurDir => {}
            Component::ParentDir => {
                tidied.pop();
            }
            other => tidied.push(other),
        }
    }
    tidied
}

/// Returns the path with the links of its longest existing part resolved; a dangling link is followed, too.
fn real_path(path: &Path) -> PathBuf {
    follow(path, LINK_HOPS_MAX)
}

fn follow(path: &Path, hops: u32) -> PathBuf {
    for above in path.ancestors() {
        let rest = path.strip_prefix(above).expect("an ancestor is a prefix");
        if let Ok(real) = above.canonicalize() {
            return if rest.as_os_str().is_empty() { real } else { real.join(rest) };
        }
        if let (Ok(target), Some(folder)) = (above.read_link(), above.parent()) {
            let beyond = tidy(&folder.join(target)).join(rest);
            return if hops == 0 { beyond } else { follow(&beyond, hops - 1) };
        }
    }
    path.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_project_is_found_from_within() {
        let dir = tempfile::tempdir().unwrap();
        let top = dir.path().canonicalize().unwrap();
        let own = |below: &str| {
            let roots = Roots::of(&top.join(below));
            (roots.own().strip_prefix(&top).unwrap().to_str().unwrap().to_owned(), roots.because())
        };
        let is = |below: &str, because| (below.to_owned(), because);
        for folder in ["a/workflows/more", "a/other", "a/repository/workflows", "a/locked/b"] {
            std::fs::create_dir_all(top.join(folder)).unwrap();
        }
        assert_eq!(own("a/other"), is("a/other", "the workflow lies in it"));
        assert_eq!(own("a/workflows"), is("a", "it holds the folder `workflows`"));
        assert_eq!(own("a/workflows/more"), is("a", "it holds the folder `workflows`"));
        std::fs::create_dir(top.join("a/repository/.git")).unwrap();
        std::fs::write(top.join("a/locked/sentinel.lock"), "").unwrap();
        assert_eq!(own("a/repository/workflows"), is("a/repository", "it holds `.git`"));
        assert_eq!(own("a/locked/b"), is("a/locked", "it holds `sentinel.lock`"));
    }

    #[test]
    fn a_path_is_told_as_the_workflow_could_name_it() {
        let dir = tempfile::tempdir().unwrap();
        let top = dir.path().canonicalize().unwrap();
        let folder = top.join("project/workflows");
        std::fs::create_dir_all(&folder).unwrap();
        let roots = Roots::of(&folder);
        for (below, told) in [
            ("project/models/base", "../models/base"),
            ("project/workflows/data.jsonl", "data.jsonl"),
            ("project/workflows", "."),
            ("project", ".."),
        ] {
            assert_eq!(roots.seen_from(&folder, &top.join(below)), Path::new(told));
        }
        let outside = top.join("elsewhere/base");
        assert_eq!(roots.seen_from(&folder, &outside), outside, "what lies outside is told whole");
    }
}
