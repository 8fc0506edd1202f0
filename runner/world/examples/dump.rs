//! Writes scenes of the tiny world as files: `<id>.png`, `annotations.json` (COCO instances) and `labels.txt` (class names in
//! the order of their COCO numbers, one a line).
//!
//!     cargo run --release -p sentinel-world --example dump -- --seed 1 --count 100 --split detectors-a --out scenes

#![expect(clippy::print_stderr, reason = "an example talks to its terminal")]

use std::path::PathBuf;
use std::process::ExitCode;

use sentinel_world::{annotations, compose, objects::OBJECTS};

struct Args {
    seed: u64,
    count: u32,
    split: String,
    out: PathBuf,
}

fn main() -> ExitCode {
    match args().and_then(|args| dump(&args)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(reason) => {
            eprintln!("{reason}\nusage: dump --seed N --count N --split NAME --out DIR");
            ExitCode::FAILURE
        }
    }
}

fn dump(args: &Args) -> Result<(), String> {
    let write = |name: String, bytes: &[u8]| {
        let path = args.out.join(name);
        std::fs::write(&path, bytes).map_err(|error| format!("cannot write `{}`: {error}", path.display()))
    };
    std::fs::create_dir_all(&args.out).map_err(|error| format!("cannot make `{}`: {error}", args.out.display()))?;
    let mut truths = Vec::new();
    for index in 0..args.count {
        let scene = compose(args.seed, &args.split, index).map_err(|error| error.to_string())?;
        write(format!("{}.png", scene.id), &scene.png())?;
        truths.push((scene.id, scene.truth));
    }
    let instances = annotations(truths.iter().map(|(id, truth)| (id.as_str(), truth)));
    write("annotations.json".to_owned(), &instances.map_err(|error| error.to_string())?)?;
    let mut objects: Vec<_> = OBJECTS.iter().collect();
    objects.sort_unstable_by_key(|object| object.category);
    write(
        "labels.txt".to_owned(),
        objects.iter().map(|object| format!("{}\n", object.name)).collect::<String>().as_bytes(),
    )
}

fn args() -> Result<Args, String> {
    let mut args = Args { seed: 0, count: 0, split: "pilot".to_owned(), out: PathBuf::from("scenes") };
    let mut words = std::env::args().skip(1);
    while let Some(flag) = words.next() {
        let value = words.next().ok_or_else(|| format!("`{flag}` needs a value"))?;
        let number = || value.parse::<u64>().map_err(|error| format!("`{flag} {value}`: {error}"));
        match flag.as_str() {
            "--seed" => args.seed = number()?,
            "--count" => args.count = u32::try_from(number()?).map_err(|error| format!("`{flag} {value}`: {error}"))?,
            "--split" => args.split = value,
            "--out" => args.out = PathBuf::from(value),
            _ => return Err(format!("unknown flag `{flag}`")),
        }
    }
    Ok(args)
}
