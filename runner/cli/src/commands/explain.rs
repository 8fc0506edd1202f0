//! `explain`: what a code stands for.

use sentinel_core::diag::{CODES, codes, did_you_mean};

use super::Told;
use crate::exit::Exit;
use crate::printer;

pub(super) fn run(code: Option<&str>) -> Told {
    let Some(code) = code else {
        let all: String = CODES.iter().map(|code| format!("{}  {}\n", code.code, code.title)).collect();
        printer::data(&all)?;
        return Ok(Exit::Done);
    };
    let code = code.to_ascii_uppercase();
    let Some(found) = codes::find(&code) else {
        printer::say(&format!("error: there is no code `{code}`"));
        let advice = did_you_mean(&code, CODES.iter().map(|code| code.code));
        printer::say(&format!("hint: {}", advice.unwrap_or_else(|| "`sentinel explain` lists all".to_owned())));
        return Err(Exit::Wrong);
    };
    printer::data(&format!("{}: {}\n\n{}\n", found.code, found.title, found.explanation))?;
    Ok(Exit::Done)
}
