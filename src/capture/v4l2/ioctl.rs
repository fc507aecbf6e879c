//! One ioctl: a request code that is bound to the structure it takes, so that nobody can pair them wrongly.

#![allow(unsafe_code)]

use std::io;
use std::marker::PhantomData;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::os::raw::c_int;

use v4l::v4l_sys as raw;
use v4l::v4l2::vidioc::{self, _IOC_TYPE as Code};

/// A structure of the V4L2 interface: plain numbers, for which all bits zero is a value.
///
/// # Safety
/// Implemented for `repr(C)` types of integers, arrays and unions of them, and null-able pointers only.
pub(super) unsafe trait Plain: Sized {
    fn zeroed() -> Self {
        // SAFETY: the implementor promises that all bits zero is a value of it.
        unsafe { std::mem::zeroed() }
    }
}

/// A [`Plain`] structure without pointers: whatever its fields say, the kernel writes to nothing but the structure.
///
/// # Safety
/// Implemented for types in which no field, and no arm of a union, is an address in our memory.
pub(super) unsafe trait Flat: Plain {}

macro_rules! plain {
    ($($type:ty),* $(,)?) => {$(
        // SAFETY: a `repr(C)` structure of `linux/videodev2.h`, or an integer; its only pointers may be null.
        unsafe impl Plain for $type {}
    )*};
}

macro_rules! flat {
    ($($type:ty),* $(,)?) => {
        plain!($($type),*);
        $(
            // SAFETY: `linux/videodev2.h` gives it no pointer.
            unsafe impl Flat for $type {}
        )*
    };
}

// These hold pointers: a buffer to its planes, a format of the overlay family to its clips, a plane to user memory.
plain!(raw::v4l2_buffer, raw::v4l2_format, raw::v4l2_plane);
flat!(
    raw::v4l2_capability,
    raw::v4l2_fmtdesc,
    raw::v4l2_frmsizeenum,
    raw::v4l2_frmivalenum,
    raw::v4l2_streamparm,
    raw::v4l2_requestbuffers,
    raw::v4l2_input,
    c_int,
);

/// A request code whose argument is a `T`.
pub(super) struct Ioctl<T> {
    code: Code,
    argument: PhantomData<fn(&mut T)>,
}

impl<T: Plain> Ioctl<T> {
    /// Binds a code to its structure. One of another size than the code says does not compile.
    ///
    /// # Safety
    /// The kernel must take the code's argument for a `T`.
    const unsafe fn new(code: Code) -> Ioctl<T> {
        // The size lies in 14 bits above the first 16; 13 of them are the same on all architectures.
        assert!((code >> 16) & 0x1FFF == size_of::<T>() as Code, "the code is one of another structure");
        Ioctl { code, argument: PhantomData }
    }

    /// Calls it, anew when a signal interrupts it.
    ///
    /// # Safety
    /// Pointers in `argument` that this code makes the kernel follow must be those of live memory of the length that
    /// `argument` says. A buffer that the code hands to the driver must not be read before it comes back.
    pub(super) unsafe fn call_with_pointers(&self, fd: BorrowedFd<'_>, argument: &mut T) -> io::Result<()> {
        loop {
            // SAFETY: `fd` is open; `argument` is writable and of the code's own structure; what it points to, the
            // caller vouches for.
            let done =
                unsafe { v4l::v4l2::ioctl(fd.as_raw_fd(), self.code, std::ptr::from_mut(argument).cast()) };
            match done {
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                done => return done,
            }
        }
    }
}

impl<T: Flat> Ioctl<T> {
    /// Calls it, anew when a signal interrupts it.
    pub(super) fn call(&self, fd: BorrowedFd<'_>, argument: &mut T) -> io::Result<()> {
        // SAFETY: there are no pointers, and no code with such an argument hands over a buffer.
        unsafe { self.call_with_pointers(fd, argument) }
    }
}

macro_rules! ioctls {
    ($($name:ident = $code:ident($argument:ty);)*) => {$(
        // SAFETY: `linux/videodev2.h` gives the code this structure.
        pub(super) const $name: Ioctl<$argument> = unsafe { Ioctl::new(vidioc::$code) };
    )*};
}

ioctls! {
    QUERYCAP = VIDIOC_QUERYCAP(raw::v4l2_capability);
    ENUM_FMT = VIDIOC_ENUM_FMT(raw::v4l2_fmtdesc);
    ENUM_FRAMESIZES = VIDIOC_ENUM_FRAMESIZES(raw::v4l2_frmsizeenum);
    ENUM_FRAMEINTERVALS = VIDIOC_ENUM_FRAMEINTERVALS(raw::v4l2_frmivalenum);
    G_FMT = VIDIOC_G_FMT(raw::v4l2_format);
    S_FMT = VIDIOC_S_FMT(raw::v4l2_format);
    G_PARM = VIDIOC_G_PARM(raw::v4l2_streamparm);
    S_PARM = VIDIOC_S_PARM(raw::v4l2_streamparm);
    G_INPUT = VIDIOC_G_INPUT(c_int);
    ENUMINPUT = VIDIOC_ENUMINPUT(raw::v4l2_input);
    REQBUFS = VIDIOC_REQBUFS(raw::v4l2_requestbuffers);
    QUERYBUF = VIDIOC_QUERYBUF(raw::v4l2_buffer);
    QBUF = VIDIOC_QBUF(raw::v4l2_buffer);
    DQBUF = VIDIOC_DQBUF(raw::v4l2_buffer);
    STREAMON = VIDIOC_STREAMON(c_int);
    STREAMOFF = VIDIOC_STREAMOFF(c_int);
}
