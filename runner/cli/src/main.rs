//! `sentinel`: the door. Arguments are parsed here and handed to one file of `commands` each; what they return decides the exit
//! code.

mod args;
mod ci;
mod commands;
mod engines;
mod events;
mod exit;
mod pace;
mod printer;
mod progress;
mod secrets;

use std::process::ExitCode;

fn main() -> ExitCode {
    quiet_candle();
    match args::parse() {
        Ok(args) => {
            printer::log(args.verbose);
            commands::dispatch(&args).into()
        }
        Err(exit) => exit.into(),
    }
}

/// Keeps candle 0.11 from two habits it has by itself: pointwise operations on threads of its own that spin while they wait (training
/// is six times slower), and reading `/proc/cpuinfo` at every product. Neither changes a bit of a result.
fn quiet_candle() {
    let threads = std::thread::available_parallelism().map_or(1, usize::from).to_string();
    for (name, value) in [("CANDLE_NUM_THREADS", "1"), ("RAYON_NUM_THREADS", threads.as_str())] {
        if std::env::var_os(name).is_none() {
            // SAFETY: nothing else runs yet, so that nobody reads the environment meanwhile.
            #[expect(unsafe_code, reason = "the environment is the only way to tell candle")]
            unsafe {
                std::env::set_var(name, value);
            }
        }
    }
}
