//! `sentinel`: the door. Arguments are parsed here and handed to one file of `commands` each; what they return decides the exit
//! code.

mod args;
mod commands;
mod engines;
mod exit;
mod printer;
mod progress;

use std::process::ExitCode;

fn main() -> ExitCode {
    match args::parse() {
        Ok(args) => {
            printer::log(args.verbose);
            commands::dispatch(args).into()
        }
        Err(exit) => exit.into(),
    }
}
