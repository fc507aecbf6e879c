//! Loading a model reads, rewrites and packs it: several copies of the weights that are free afterwards, and that glibc keeps
//! (20 of 41 MiB with the default model). One call when loading is done gives them back to the system.
#![allow(unsafe_code)]

/// Returns free memory of the heap to the system, where the C library can.
pub fn release_free() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    // SAFETY: `malloc_trim` takes no pointer, may be called at any time from any thread, and moves nothing that is in use.
    unsafe {
        libc::malloc_trim(0);
    }
}
