//! What a video node is, what it offers, and whether pictures can be captured from it; if not, why, and the way out.

use std::time::Duration;

use super::driver::Driver as _;
use super::holder::{Holder, holders};
use super::listing::{Listing, offers};
use super::nodes::{self, Node, Roots};
use super::open::{Handle, Opened};
use super::refusal::busy;
use super::sys::Capability;
use crate::capture::negotiate::{Choice, choose};
use crate::capture::{Error, Request};
use crate::geometry::Size;

/// Everything that is known of a video node.
#[derive(Debug)]
pub struct Report {
    /// The node and its names.
    pub node: Node,
    /// The driver's name; empty where the node can't be opened.
    pub driver: String,
    /// The card's name.
    pub card: String,
    /// The bus.
    pub bus: String,
    /// What it offers, understood or not.
    pub formats: Vec<Listing>,
    /// The processes that have it open, as far as they can be seen.
    pub holders: Vec<Holder>,
    /// Whether it can be used as a camera.
    pub verdict: Result<(), Error>,
}

impl Report {
    /// What would be asked of the device where the configuration asks for nothing; `model` is the detector's input size,
    /// `enough_fps` how many frames a second are looked at.
    pub fn choice(&self, model: Size, enough_fps: f32) -> Option<Choice> {
        self.verdict.as_ref().ok()?;
        let (_, offers) = offers(&self.formats);
        let request = Request { size: None, fps: None, enough_fps, format: None, stall_after: Duration::MAX };
        choose(&offers, &request, model).ok().map(|choices| choices.best)
    }
}

/// Looks at every video node of the system.
pub fn survey() -> Vec<Report> {
    let roots = Roots::system();
    nodes::list(&roots).into_iter().map(|node| report(node, &roots)).collect()
}

fn report(node: Node, roots: &Roots) -> Report {
    let holders = holders(&node.path, 0, roots);
    let opened = match Opened::new(node.clone()) {
        Ok(opened) => opened,
        Err(e) => {
            let (card, driver, bus) = (node.name.clone(), String::new(), String::new());
            return Report { node, driver, card, bus, formats: Vec::new(), holders, verdict: Err(e) };
        }
    };
    let Capability { driver, card, bus, .. } = opened.capability.clone();
    let (formats, verdict) = match opened.into_handle() {
        Ok(handle) => {
            let verdict = handle.judge().and_then(|()| if_free(&handle, &holders));
            (handle.listings, verdict)
        }
        Err(e) => (Vec::new(), Err(e)),
    };
    Report { node, driver, card, bus, formats, holders, verdict }
}

/// Whether nobody else streams from it. Asking for no buffers changes nothing on a device that is free, and fails on one
/// whose buffers somebody else has; loopback devices serve several readers and are not asked.
fn if_free(handle: &Handle, holders: &[Holder]) -> Result<(), Error> {
    if handle.capability.driver.contains("loopback") {
        return Ok(());
    }
    match handle.request_buffers(0) {
        Err(e) if e.raw_os_error() == Some(libc::EBUSY) => Err(busy(&handle.node, holders)),
        _ => Ok(()),
    }
}
