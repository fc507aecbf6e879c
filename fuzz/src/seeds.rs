//! `seeds DIR` writes small quantized models to begin with: everything that the importer knows, in several sizes of damage.
#![allow(missing_docs)]

#[path = "../../tests/int8_common/mod.rs"]
mod int8_common;

use std::path::PathBuf;

use int8_common::damage::damage;
use int8_common::{Rng, whole_net};
use prost::Message;

fn main() -> std::io::Result<()> {
    let Some(folder) = std::env::args_os().nth(1).map(PathBuf::from) else {
        eprintln!("usage: seeds DIR");
        std::process::exit(2);
    };
    std::fs::create_dir_all(&folder)?;
    for seed in 0..64 {
        let mut model = whole_net(seed);
        for _ in 0..seed / 8 {
            damage(&mut model, &mut Rng(seed));
        }
        std::fs::write(folder.join(format!("net{seed}.onnx")), model.encode_to_vec())?;
    }
    Ok(())
}
