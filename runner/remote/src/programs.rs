//! What is known of server programs. A program is known by what it says of itself in its list of models; of one that is not in the
//! table only the least is expected.

/// What a server program can do beyond the least.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Program {
    /// Its name.
    pub name: &'static str,
    /// `owned_by` in its list of models.
    pub owned_by: &'static str,
    /// Whether it goes on with an unfinished assistant turn (`continue_final_message`).
    pub continues: bool,
    /// Whether it draws several answers to one request (`n`), the picture encoded once.
    pub several: bool,
}

/// The programs known, sorted by name. A new one is a line here.
pub static PROGRAMS: &[Program] = &[
    Program { name: "SGLang", owned_by: "sglang", continues: true, several: true },
    Program { name: "llama.cpp", owned_by: "llamacpp", continues: true, several: false },
    Program { name: "vLLM", owned_by: "vllm", continues: true, several: true },
];

/// Any other server: transformers serve, mistral.rs, hosted ones.
pub static OTHER: Program = Program { name: "another program", owned_by: "", continues: false, several: false };

/// Returns what is known of the program that says this of itself.
#[must_use]
pub fn known(owned_by: &str) -> Program {
    PROGRAMS.iter().find(|program| program.owned_by == owned_by).copied().unwrap_or(OTHER)
}
