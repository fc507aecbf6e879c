//! From a camera to the tensor that a detector reads: `cargo run --example camera_to_tensor -- /dev/video0`. Without an
//! argument the frames are those of a test card.
#![allow(clippy::print_stdout)] // its result

use std::sync::Arc;
use std::time::Duration;

use vigie::capture::{self, DeviceMatcher, Request, SourceSpec};
use vigie::clock::{Clock, SystemClock};
use vigie::frame::{Frame, PixelFormat};
use vigie::geometry::Size;
use vigie::vision::{Preprocessor, Tensor};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let spec = match std::env::args().nth(1) {
        Some(path) => SourceSpec::Device(DeviceMatcher::Path(path.into())),
        None => SourceSpec::TestCard { fps: 10.0 },
    };
    let model = Size::new(320, 320);
    let request = Request {
        size: None,
        fps: None,
        enough_fps: 10.0,
        format: None,
        stall_after: Duration::from_secs(5),
    };
    let mut camera = capture::open(&spec, &request, model, Arc::new(SystemClock))?;
    let mut frame = Frame::packed(PixelFormat::Grey, Size::default(), SystemClock.now());
    let (mut preprocessor, mut tensor) = (Preprocessor::new(model), Tensor::new(model));
    for _ in 0..10 {
        camera.next(&mut frame)?;
        let prepared = preprocessor.prepare(&frame, &mut tensor)?;
        println!(
            "{} {} -> {} bytes for {model} in {:?}",
            frame.format,
            frame.size,
            tensor.data.len(),
            prepared.decode + prepared.prepare,
        );
    }
    Ok(())
}
