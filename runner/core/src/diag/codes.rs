//! Every diagnostic code, for `sentinel explain` and the docs. A code never changes its meaning; the suite has a case for each.

/// One kind of mistake.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Code {
    /// `E` for errors, `W` for warnings; the first two digits are the topic.
    pub code: &'static str,
    /// A few words.
    pub title: &'static str,
    /// What it means, why it is a mistake, what to write instead.
    pub explanation: &'static str,
}

/// Returns the entry of a code.
pub fn find(code: &str) -> Option<&'static Code> {
    CODES.binary_search_by_key(&code, |entry| entry.code).ok().map(|at| &CODES[at])
}

const fn code(code: &'static str, title: &'static str, explanation: &'static str) -> Code {
    Code { code, title, explanation }
}

/// The table, sorted by code.
pub static CODES: &[Code] = &[
    // The text itself.
    code(
        "E0101",
        "not YAML",
        "The text cannot be read as YAML. The place is where reading stopped; an unclosed quote or bracket starts where it was opened.",
    ),
    code(
        "E0102",
        "too large",
        "A limit on size, depth, values, aliases or the length of a scalar is passed. Limits are checked before the work, so that no file can exhaust the machine.",
    ),
    code(
        "E0103",
        "key given twice",
        "A mapping has the same key twice. YAML readers disagree on which one counts, so neither does.",
    ),
    code(
        "E0104",
        "tag",
        "Tags such as `!!str` or `!custom` are not part of the language: the field that receives a value decides its type.",
    ),
    code("E0105", "not one document", "A workflow is exactly one YAML document that holds a mapping."),
    code(
        "E0106",
        "unknown alias",
        "An alias `*name` needs an anchor `&name` that is complete before it; an anchor cannot contain itself.",
    ),
    code(
        "E0107",
        "expression not quoted",
        "To YAML an unquoted `{{` opens a mapping. An expression is a whole scalar in quotes: `\"${{ params.name }}\"`.",
    ),
    code("E0108", "key is not a word", "Keys are plain words, not lists or mappings."),
    code(
        "E0109",
        "merge key without a mapping",
        "`<<` merges a mapping or a list of mappings, given by aliases or in place.",
    ),
    code("E0110", "cannot be read", "The file is missing, not readable, or not UTF-8 text."),
    // The shape of blocks.
    code(
        "E0201",
        "unknown key",
        "Nothing here has this name. Unknown keys are errors, because a misspelt option that is ignored costs days.",
    ),
    code(
        "E0202",
        "missing key",
        "A key that has no default is not given. A wrong key beside it may be a misspelling of it.",
    ),
    code(
        "E0203",
        "wrong type",
        "The value cannot be read as what its field takes. The field decides: `no` is text in a text field and a mistake in a bool field, where only `true` and `false` count.",
    ),
    code("E0204", "not one of the choices", "The field takes one of a few words, and this is not one of them."),
    code(
        "E0205",
        "out of range",
        "The value lies outside the bounds of its field, or a list is shorter or longer than it may be.",
    ),
    code(
        "E0206",
        "not an id",
        "Ids of stages, models, plugins and parameters are `[a-z][a-z0-9-]*` (parameters may also use `_`), at most 64 characters; `loop` is taken.",
    ),
    code("E0207", "unsupported version", "`version:` names the version of the language; this program reads version 1."),
    code(
        "E0208",
        "not yet",
        "The key belongs to the language, but this version of the program does not have it yet. It is refused rather than ignored.",
    ),
    code(
        "E0209",
        "refused by its owner",
        "The stage or model itself refuses its configuration: each value is well-formed, but together or in this program they make no sense.",
    ),
    code(
        "E0210",
        "neither stage nor loop",
        "An entry of `stages:` has either `kind:` (a native stage) or `loop:` (a loop with a body).",
    ),
    // Parameters and expressions.
    code(
        "E0301",
        "malformed expression",
        "An expression is built of `params.NAME`, numbers, quoted texts, `true`, `false`, comparisons, `and`, `or`, `not` and parentheses.",
    ),
    code("E0302", "unknown parameter", "The expression names a parameter that `params:` does not declare."),
    code(
        "E0303",
        "types do not fit",
        "Operands of a comparison have different types, or `and`, `or`, `not` got something that is not a bool. Nothing is converted silently.",
    ),
    code(
        "E0304",
        "expression not allowed here",
        "Ids, kinds and references are written out, so that the graph can be read from the file; expressions stand only in values.",
    ),
    code(
        "E0305",
        "expression among text",
        "An expression is a whole scalar; text around it is not supported. Make the whole text a parameter.",
    ),
    code(
        "E0306",
        "parameter declared wrongly",
        "A declaration in `params:` contradicts itself, for example a default outside its bounds.",
    ),
    code(
        "E0307",
        "parameter value refused",
        "A value given with `--set` or `--params` does not satisfy the parameter's declaration.",
    ),
    code(
        "E0308",
        "parameter without a value",
        "The parameter has no default and no value was given with `--set` or `--params`.",
    ),
    code(
        "E0309",
        "no such parameter",
        "A value was given for a parameter that the workflow does not declare, or `--set` is not of the form `name=value`.",
    ),
    code(
        "E0310",
        "several combinations",
        "The workflow has a `matrix:`. `run` and `plan` take all of it; other commands look at one combination, which `--set` names.",
    ),
    code(
        "E0311",
        "matrix that cannot run",
        "`matrix:` gives declared parameters a list of values each: at least one, each as the declaration wants it, none twice; at most 256 combinations.",
    ),
    // Names and paths.
    code("E0401", "unknown stage kind", "No stage has this kind. `sentinel list` prints all kinds."),
    code("E0402", "unknown model kind", "No model has this kind. `sentinel list` prints all kinds."),
    code("E0403", "no such model or plugin", "The name is in neither `models:` nor `plugins:`."),
    code("E0404", "wrong kind of model or plugin", "The name exists, but stands for something this field cannot use."),
    code(
        "E0405",
        "path not allowed",
        "A workflow reads only below its own root (the nearest folder above it with `.git` or `sentinel.lock`, else the one around a folder `workflows`, else its own), what the command line names, and `--root` folders; symbolic links do not lead out.",
    ),
    code("E0406", "not a plugin", "The file is missing, is no plugin, or its manifest cannot be read."),
    code(
        "E0407",
        "name taken",
        "A name stands for one thing: an entry of `models:`, one of `plugins:`; a stage outside a loop, one inside.",
    ),
    code(
        "E0408",
        "path not found",
        "The file or folder does not exist, or is a file where a folder is needed or the reverse.",
    ),
    // The graph.
    code("E0501", "no such stage", "A reference names a stage that does not exist, or that cannot be seen from here."),
    code("E0502", "no such output", "The stage exists but has no output of this name."),
    code("E0503", "no such input", "`needs:` names a slot the stage does not have."),
    code("E0504", "input not connected", "The stage has a required input that `needs:` does not connect."),
    code(
        "E0505",
        "wrong kind of records",
        "What flows out at one end of the reference is not what the other end takes.",
    ),
    code("E0506", "cycle", "Stages need each other in a circle. What must repeat belongs in a `loop:`."),
    code(
        "E0507",
        "whole stage in a loop",
        "In a loop each record goes its own way, so its body takes only stages that work record by record. Put this stage before or after the loop.",
    ),
    code(
        "E0508",
        "cannot be carried",
        "`carry` must have the same kind as `over`, come from a body stage, and be a kind that can end a loop.",
    ),
    code("E0509", "loop in a loop", "The body of a loop holds stages, not loops."),
    code(
        "E0510",
        "no loop here",
        "`loop.state` exists only in the body of a loop, `loop.final` only in its `collect`.",
    ),
    code("E0511", "nothing to compare", "`report.compare` takes two or more stages by name."),
    code(
        "E0512",
        "cannot be tested",
        "`tests:` try stages that open no model and take records: a loop's body is tested stage by stage.",
    ),
    // Warnings.
    code("W0601", "never used", "The parameter, model or plugin is declared, but nothing names it."),
    code("W0602", "will not run", "A part of the report names a stage that is skipped."),
];
