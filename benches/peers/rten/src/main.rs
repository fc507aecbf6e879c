//! rten (the other pure-Rust runtime) as a contestant of `benches/peers/int8.py`: `rten-peer MODEL.onnx [THREADS]` prints "ready", then for
//! each line of standard input runs a frame and prints nanoseconds of wall time.

use std::io::{BufRead, Write};
use std::sync::Arc;
use std::time::Instant;

use rten::{Dimension, Model, RunOptions, ThreadPool, ValueOrView};
use rten_tensor::Tensor;
use rten_tensor::prelude::*;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut args = std::env::args().skip(1);
    let path = args.next().ok_or("usage: rten-peer MODEL.onnx [THREADS]")?;
    let threads = args.next().map_or(Ok(1), |n| n.parse())?;
    let model = Model::load_file(path)?;
    let options =
        RunOptions::default().with_thread_pool(Some(Arc::new(ThreadPool::with_num_threads(threads))));
    let id = model.input_ids()[0];
    let shape: Vec<usize> = model
        .node_info(id)
        .and_then(|n| n.shape())
        .ok_or("the input has no shape")?
        .iter()
        .map(|d| match d {
            Dimension::Fixed(n) => *n,
            Dimension::Symbolic(_) => 1,
        })
        .collect();
    let bytes = (0..shape.iter().product::<usize>()).map(|i| (i * 7 % 251) as u8).collect::<Vec<u8>>();
    let picture = Tensor::from_data(shape.as_slice(), bytes);
    let frame = || -> Result<u128, Box<dyn std::error::Error>> {
        let start = Instant::now();
        model.run(
            vec![(id, ValueOrView::from(picture.view()))],
            model.output_ids(),
            Some(options.clone()),
        )?;
        Ok(start.elapsed().as_nanos())
    };
    frame()?;
    println!("ready");
    for line in std::io::stdin().lock().lines() {
        line?;
        let took = frame()?;
        println!("{took} {took}");
        std::io::stdout().flush()?;
    }
    Ok(())
}
