//! Says what this machine lacks for building Vigie, before a dependency's build script fails with less helpful words.
//!
//! Cargo runs this beside the dependencies' own scripts, usually first: it needs nothing but the standard library.

use std::env;
use std::path::{Path, PathBuf};

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-env-changed=LIBCLANG_PATH");
    let mut packages = Vec::new();
    if env::var_os("LIBCLANG_PATH").is_none() && !has_libclang() {
        println!(
            "cargo::error=libclang is not here; bindgen reads the kernel's camera interface (videodev2.h) with it. \
             If it is in a folder of its own, name that: LIBCLANG_PATH=FOLDER"
        );
        packages.push("libclang-dev");
    }
    if env::var_os("CMAKE").is_none() && !has_program("cmake") {
        println!(
            "cargo::error=cmake is not here; libjpeg-turbo, which decodes Motion-JPEG, is built with it"
        );
        packages.push("cmake");
    }
    let arch = env::var("CARGO_CFG_TARGET_ARCH").unwrap_or_default();
    if arch == "x86_64" && !has_program("nasm") && !has_program("yasm") {
        println!("cargo::error=nasm is not here; libjpeg-turbo's fast code for x86_64 is assembled with it");
        packages.push("nasm");
    }
    if !packages.is_empty() {
        println!(
            "cargo::error=on Debian, Ubuntu and Raspberry Pi OS: sudo apt-get install gcc libc6-dev make {}",
            packages.join(" ")
        );
    }
}

fn has_program(name: &str) -> bool {
    let path = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&path).any(|folder| folder.join(name).is_file())
}

/// Looks where bindgen will look (the crate clang-sys): the folders of libraries, LLVM's own, the dynamic linker's.
fn has_libclang() -> bool {
    let mut folders: Vec<PathBuf> =
        env::var_os("LD_LIBRARY_PATH").map(|paths| env::split_paths(&paths).collect()).unwrap_or_default();
    for root in ["/usr/lib", "/usr/local/lib", "/usr/lib64", "/usr/local/lib64", "/lib", "/lib64", "/opt"] {
        let root = Path::new(root);
        folders.push(root.to_owned());
        // one level down: lib/x86_64-linux-gnu and its like; two: lib/llvm-14/lib
        for below in children(root) {
            folders.push(below.join("lib"));
            folders.push(below.join("lib64"));
            folders.push(below);
        }
    }
    // llvm-config knows about an LLVM anywhere else; bindgen asks it too.
    let elsewhere = env::var_os("LLVM_CONFIG_PATH").is_some() || has_program("llvm-config");
    elsewhere || folders.iter().any(|folder| children(folder).iter().any(|file| is_libclang(file)))
}

fn is_libclang(file: &Path) -> bool {
    let name = file.file_name().unwrap_or_default().to_string_lossy();
    name == "libclang.so"
        || name.starts_with("libclang.so.")
        || (name.starts_with("libclang-") && name.contains(".so"))
}

fn children(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    entries.map(|entry| entry.path()).collect()
}
