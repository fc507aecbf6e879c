//! Which video nodes there are, and what the system knows of them without opening one.

use std::path::{Path, PathBuf};

/// Where the system's file systems are mounted; tests bring their own.
#[derive(Clone, Debug)]
pub(super) struct Roots {
    pub(super) sys: PathBuf,
    pub(super) dev: PathBuf,
    pub(super) proc: PathBuf,
}

impl Roots {
    pub(super) fn system() -> Roots {
        Roots { sys: "/sys".into(), dev: "/dev".into(), proc: "/proc".into() }
    }
}

/// A video node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Node {
    /// Its path, `/dev/video0`.
    pub path: PathBuf,
    /// The name that the kernel gives it.
    pub name: String,
    /// The USB device behind it.
    pub usb: Option<Usb>,
    /// Lasting names: `/dev/v4l/by-id/…` and `/dev/v4l/by-path/…`.
    pub links: Vec<PathBuf>,
}

/// What identifies a USB device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Usb {
    /// Vendor and product id.
    pub id: (u16, u16),
    /// The serial number, if it has one.
    pub serial: Option<String>,
}

/// All video nodes, in the order of their numbers.
pub(super) fn list(roots: &Roots) -> Vec<Node> {
    let mut nodes: Vec<(u32, Node)> = names(roots)
        .into_iter()
        .filter_map(|name| {
            let number = name.strip_prefix("video")?.parse().ok()?;
            let class = roots.sys.join("class/video4linux").join(&name);
            let path = roots.dev.join(&name);
            let links = links_to(&path, roots);
            let label = read(&class.join("name")).unwrap_or_default();
            Some((number, Node { path, name: label, usb: usb_of(&class), links }))
        })
        .collect();
    nodes.sort_by_key(|(number, _)| *number);
    nodes.into_iter().map(|(_, node)| node).collect()
}

/// The names of the system's sub-devices, the chips that a camera port and its pipeline are made of: `imx219 10-0010`.
pub(super) fn subdevices(roots: &Roots) -> Vec<String> {
    let class = roots.sys.join("class/video4linux");
    let mut nodes = names(roots);
    nodes.retain(|name| name.starts_with("v4l-subdev"));
    nodes.sort_unstable();
    nodes.iter().filter_map(|name| read(&class.join(name).join("name"))).collect()
}

/// What is known of one path, which may be a link.
pub(super) fn describe(path: &Path, roots: &Roots) -> Node {
    let path = path.canonicalize().unwrap_or_else(|_| path.to_owned());
    let known = list(roots).into_iter().find(|node| node.path == path);
    known.unwrap_or(Node { path, name: String::new(), usb: None, links: Vec::new() })
}

/// The names of the nodes: from sysfs, or in a container that hides it, from the device folder.
fn names(roots: &Roots) -> Vec<String> {
    let in_folder = |folder: PathBuf| -> Vec<String> {
        let entries = folder.read_dir().into_iter().flatten().flatten();
        entries.filter_map(|entry| entry.file_name().into_string().ok()).collect()
    };
    let known = in_folder(roots.sys.join("class/video4linux"));
    if known.is_empty() { in_folder(roots.dev.clone()) } else { known }
}

fn links_to(node: &Path, roots: &Roots) -> Vec<PathBuf> {
    let folders = ["by-id", "by-path"].map(|folder| roots.dev.join("v4l").join(folder));
    let entries = folders.iter().flat_map(|folder| folder.read_dir().into_iter().flatten().flatten());
    let target = node.canonicalize().unwrap_or_else(|_| node.to_owned());
    let mut links: Vec<PathBuf> = entries
        .map(|entry| entry.path())
        .filter(|link| link.canonicalize().is_ok_and(|to| to == target))
        .collect();
    links.sort();
    links
}

/// The USB device that a node hangs on: the nearest folder above its device that has a vendor id.
fn usb_of(class: &Path) -> Option<Usb> {
    let device = class.join("device").canonicalize().ok()?;
    let hex = |path: PathBuf| u16::from_str_radix(&read(&path)?, 16).ok();
    device.ancestors().take(4).find_map(|folder| {
        let id = (hex(folder.join("idVendor"))?, hex(folder.join("idProduct"))?);
        Some(Usb { id, serial: read(&folder.join("serial")).filter(|serial| !serial.is_empty()) })
    })
}

fn read(path: &Path) -> Option<String> {
    std::fs::read(path).ok().map(|bytes| String::from_utf8_lossy(&bytes).trim().to_owned())
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::symlink;

    /// A system with a USB camera (a picture and a metadata node) and a platform device.
    pub(in crate::capture::v4l2) fn system() -> (tempfile::TempDir, Roots) {
        let dir = tempfile::tempdir().unwrap();
        // Links are resolved, so the folder's own name must be.
        let top = dir.path().canonicalize().unwrap();
        let roots = Roots { sys: top.join("sys"), dev: top.join("dev"), proc: top.join("proc") };
        let usb = roots.sys.join("devices/pci0/usb1/1-2");
        let class = roots.sys.join("class/video4linux");
        fs::create_dir_all(&class).unwrap();
        fs::create_dir_all(roots.dev.join("v4l/by-id")).unwrap();
        fs::create_dir_all(&roots.proc).unwrap();
        let add = |name: &str, device: &Path, label: &str| {
            let node = device.join("video4linux").join(name);
            fs::create_dir_all(&node).unwrap();
            fs::write(node.join("name"), format!("{label}\n")).unwrap();
            symlink(device, node.join("device")).unwrap();
            symlink(&node, class.join(name)).unwrap();
            fs::write(roots.dev.join(name), b"").unwrap();
        };
        add("video10", &usb.join("1-2:1.0"), "HD Webcam");
        add("video2", &usb.join("1-2:1.0"), "HD Webcam");
        add("video0", &roots.sys.join("devices/platform/isp"), "isp");
        fs::create_dir_all(class.join("v4l-subdev0")).unwrap();
        fs::write(class.join("v4l-subdev0/name"), "tc358743 11-000f\n").unwrap();
        fs::write(usb.join("idVendor"), "046d\n").unwrap();
        fs::write(usb.join("idProduct"), "0825\n").unwrap();
        fs::write(usb.join("serial"), "A1B2\n").unwrap();
        symlink("../../video2", roots.dev.join("v4l/by-id/usb-046d_HD_Webcam_A1B2-video-index0")).unwrap();
        (dir, roots)
    }

    #[test]
    fn nodes_come_in_the_order_of_their_numbers_with_what_identifies_them() {
        let (_dir, roots) = system();
        let nodes = list(&roots);
        let names: Vec<_> = nodes.iter().map(|n| n.path.file_name().unwrap().to_str().unwrap()).collect();
        assert_eq!(names, ["video0", "video2", "video10"]);
        assert_eq!((nodes[0].usb.clone(), nodes[0].name.as_str()), (None, "isp"));
        assert_eq!(nodes[1].usb, Some(Usb { id: (0x046d, 0x0825), serial: Some("A1B2".into()) }));
        assert_eq!(nodes[1].links, [roots.dev.join("v4l/by-id/usb-046d_HD_Webcam_A1B2-video-index0")]);
        assert_eq!(describe(&nodes[1].links[0], &roots), nodes[1]);
    }

    #[test]
    fn the_chips_behind_a_camera_port_are_known_by_name() {
        let (_dir, roots) = system();
        assert_eq!(subdevices(&roots), ["tc358743 11-000f"]);
    }

    #[test]
    fn without_sysfs_the_device_folder_will_do() {
        let (_dir, mut roots) = system();
        roots.sys = roots.sys.join("nowhere");
        assert_eq!(list(&roots).len(), 3);
        assert!(list(&Roots { dev: "/nowhere".into(), ..roots }).is_empty());
    }
}
