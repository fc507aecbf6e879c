//! `vigie man`.

use super::{Failure, Outcome, output};

/// Arguments of `vigie man`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Write the page and one a subcommand into this folder, instead of printing the main page
    #[arg(long, value_name = "DIR")]
    dir: Option<std::path::PathBuf>,
}

/// Prints the page in roff, or writes all of them.
pub fn run(args: Args) -> Outcome {
    if let Some(dir) = args.dir {
        std::fs::create_dir_all(&dir).map_err(Failure::runtime)?;
        return clap_mangen::generate_to(super::command(), dir).map_err(Failure::runtime);
    }
    let mut page = Vec::new();
    clap_mangen::Man::new(super::command()).render(&mut page)?;
    Ok(output::text(&String::from_utf8_lossy(&page))?)
}
