//! Who has a device open: what a person wants to know when it is busy.

use std::path::Path;

use super::nodes::Roots;

/// A process that has a device open.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Holder {
    /// Its id.
    pub pid: u32,
    /// Its name.
    pub name: String,
}

impl std::fmt::Display for Holder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.pid == std::process::id() {
            return f.write_str("this very process, for another camera");
        }
        write!(f, "{} (pid {})", self.name, self.pid)
    }
}

/// The processes that have `node` open, `own` of whose openings are the caller's and don't count.
///
/// Only links are read: to look at the files themselves could hang on a dead network share. Without privileges the
/// processes of other users are not seen.
pub(super) fn holders(node: &Path, own: usize, roots: &Roots) -> Vec<Holder> {
    let node = node.canonicalize().unwrap_or_else(|_| node.to_owned());
    let mut found = Vec::new();
    for process in roots.proc.read_dir().into_iter().flatten().flatten() {
        let Some(pid) = process.file_name().to_str().and_then(|name| name.parse::<u32>().ok()) else {
            continue;
        };
        let files = process.path().join("fd").read_dir().into_iter().flatten().flatten();
        let open = files.filter(|file| std::fs::read_link(file.path()).is_ok_and(|to| to == node)).count();
        let ignored = if pid == std::process::id() { own } else { 0 };
        if open > ignored {
            let name = std::fs::read_to_string(process.path().join("comm")).unwrap_or_default();
            found.push(Holder { pid, name: name.trim().to_owned() });
        }
    }
    found.sort_by_key(|holder| holder.pid);
    found
}

/// The holders in words, for an error: `held by motion (pid 812)`.
pub(super) fn words(holders: &[Holder]) -> String {
    match holders {
        [] => "held by a process that can't be seen from here (of another user, or in another container)"
            .to_owned(),
        some => {
            let names: Vec<String> = some.iter().take(3).map(Holder::to_string).collect();
            format!("held by {}", names.join(", "))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::capture::v4l2::nodes::tests::system;
    use std::fs;
    use std::os::unix::fs::symlink;

    #[test]
    fn the_process_that_has_it_open_is_named() {
        let (_dir, roots) = system();
        let node = roots.dev.join("video2");
        let own = std::process::id();
        for (pid, name, target) in
            [(7, "motion", &node), (9, "other", &roots.dev.join("video0")), (own, "vigie", &node)]
        {
            let process = roots.proc.join(pid.to_string());
            fs::create_dir_all(process.join("fd")).unwrap();
            fs::write(process.join("comm"), format!("{name}\n")).unwrap();
            symlink(target, process.join("fd/3")).unwrap();
        }
        let motion = Holder { pid: 7, name: "motion".into() };
        assert_eq!(holders(&node, 1, &roots), std::slice::from_ref(&motion));
        assert_eq!(holders(&node, 0, &roots).len(), 2, "a second opening of our own counts");
        assert_eq!(words(&[motion]), "held by motion (pid 7)");
        assert!(words(&holders(&roots.dev.join("video10"), 0, &roots)).contains("can't be seen"));
    }

    #[test]
    fn a_file_that_is_really_open_is_found() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let found = holders(file.path(), 0, &Roots::system());
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].pid, std::process::id());
    }
}
