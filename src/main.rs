//! The `vigie` program: everything is in the library, see [`vigie::cli`].

use std::process::ExitCode;

fn main() -> ExitCode {
    vigie::cli::main()
}
