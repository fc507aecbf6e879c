//! V4L2 devices.
