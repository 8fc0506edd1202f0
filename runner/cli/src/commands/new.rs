//! `new`: a folder to start from: a workflow with everything it names, out of the binary.

use std::fs;
use std::io;
use std::path::Path;

use super::{Told, shown};
use crate::args::Template;
use crate::exit::Exit;
use crate::printer;

/// Files of a new folder: where they stand there, and their content.
type Files = &'static [(&'static str, &'static [u8])];

/// Lists files of the repository: where each stands in a new folder, and where here.
macro_rules! files {
    ($($name:literal: $here:literal),* $(,)?) => {
        &[$(($name, include_bytes!(concat!("../../../../", $here)))),*]
    };
}

/// What every new folder has.
const COMMON: Files = files! {
    "workflow.schema.json": "schemas/workflow.json",
    "plugins/coco-objects.wasm": "plugins/dist/coco-objects.wasm",
    "plugins/hadpo.wasm": "plugins/dist/hadpo.wasm",
    "plugins/llama-factory.wasm": "plugins/dist/llama-factory.wasm",
    "plugins/pair-filter.wasm": "plugins/dist/pair-filter.wasm",
};

const OWN_PICTURES: &str = include_str!("../../../../workflows/own-pictures.yaml");
const QUICKSTART: &str = include_str!("../../../../workflows/quickstart.yaml");

/// What the quickstart reads.
const TINY_WORLD: Files = files! {
    "tiny-world/detr.onnx": "examples/tiny-world/detr.onnx",
    "tiny-world/yolo.onnx": "examples/tiny-world/yolo.onnx",
    "tiny-world/labels.txt": "examples/tiny-world/labels.txt",
    "tiny-world/model/chat_template.jinja": "examples/tiny-world/model/chat_template.jinja",
    "tiny-world/model/config.json": "examples/tiny-world/model/config.json",
    "tiny-world/model/generation_config.json": "examples/tiny-world/model/generation_config.json",
    "tiny-world/model/model.safetensors": "examples/tiny-world/model/model.safetensors",
    "tiny-world/model/preprocessor_config.json": "examples/tiny-world/model/preprocessor_config.json",
    "tiny-world/model/processor_config.json": "examples/tiny-world/model/processor_config.json",
    "tiny-world/model/tokenizer.json": "examples/tiny-world/model/tokenizer.json",
    "tiny-world/model/tokenizer_config.json": "examples/tiny-world/model/tokenizer_config.json",
};

/// Where files stand here, and where they stand in a new folder, as a workflow names them.
const MOVED: [(&str, &str); 3] =
    [("../schemas/workflow.json", "workflow.schema.json"), ("../plugins/dist/", "plugins/"), ("../examples/", "")];

const IGNORED: &[u8] = b"# What runs compute and keep.\n/.sentinel\n/runs\n";

pub(super) fn run(folder: &Path, template: Template) -> Told {
    let (text, own): (&str, Files) = match template {
        Template::OwnPictures => (OWN_PICTURES, &[]),
        Template::Quickstart => (QUICKSTART, TINY_WORLD),
    };
    let text = MOVED.iter().fold(text.to_owned(), |text, (from, to)| text.replace(from, to));
    let text = text.replace("own-pictures.yaml", "workflow.yaml");
    let beside: [(&str, &[u8]); 2] = [("workflow.yaml", text.as_bytes()), (".gitignore", IGNORED)];
    if let Err(error) = lay_out(folder, &[&beside, COMMON, own]) {
        let hint = match error.kind() {
            io::ErrorKind::DirectoryNotEmpty | io::ErrorKind::NotADirectory => {
                "; choose a folder that is not there yet"
            }
            _ => "",
        };
        printer::say(&format!("error: `{}` cannot be made: {error}{hint}", folder.display()));
        return Err(Exit::Failed);
    }
    let workflow = shown(&folder.join("workflow.yaml"));
    printer::data(&format!("{workflow}\n"))?;
    printer::say(&match template {
        Template::OwnPictures => format!(
            "next: read it, give its parameters (`sentinel run {workflow} --help` lists them), and `sentinel validate {workflow}`"
        ),
        Template::Quickstart => format!("next: `sentinel run {workflow}`; a few minutes on two cores"),
    });
    Ok(Exit::Done)
}

/// Writes files into a folder that is empty or not there, all or none.
fn lay_out(folder: &Path, files: &[&[(&str, &[u8])]]) -> io::Result<()> {
    let name = folder.file_name().ok_or_else(|| io::Error::other("it has no name"))?;
    let mut aside = folder.to_owned();
    aside.set_file_name(format!(".{}.new", name.display()));
    fs::create_dir_all(aside.parent().unwrap_or(folder))?;
    fs::create_dir(&aside)?;
    let written = files.iter().copied().flatten().try_for_each(|(name, content)| {
        let path = aside.join(name);
        fs::create_dir_all(path.parent().unwrap_or(&aside))?;
        fs::write(path, content)
    });
    // An empty folder gives way, a full one does not.
    written.and_then(|()| fs::rename(&aside, folder)).inspect_err(|_| {
        // What could not be moved is of no use; an error here would hide the one that is told.
        let _ = fs::remove_dir_all(&aside);
    })
}
