//! Code quoted from the files themselves, by its first line: it cannot drift.

/// The most lines that a reader is asked to read.
const MOST_LINES: usize = 24;

/// The block of `FILE "FIRST"`, or of `FILE "FIRST" "LAST"`: the code, and where it is from.
pub(super) fn block(asked: &str, file: &dyn Fn(&str) -> std::io::Result<String>) -> Result<String, String> {
    let (path, rest) = asked.split_once(' ').ok_or("write a file and the first line: src/x.rs \"fn run\"")?;
    let texts: Vec<&str> = rest.split('"').skip(1).step_by(2).collect();
    let text = file(path).map_err(|error| format!("{path}: {error}"))?;
    let code = match texts.as_slice() {
        [first] => quoted(&text, first, None),
        [first, last] => quoted(&text, first, Some(last)),
        _ => Err("one first line in quotation marks, and perhaps a last one".into()),
    };
    let code = code.map_err(|why| format!("{path}: {why}"))?;
    let language = if path.ends_with(".rs") { "rust" } else { "" };
    Ok(format!("```{language}\n{code}\n```\n\nFrom [`{path}`](../../{path})."))
}

/// The lines from the one that holds `first`, which must be the only one, to the end of what it begins, or to the next
/// one that holds `last`. What all of them are indented by is left out.
fn quoted(text: &str, first: &str, last: Option<&str>) -> Result<String, String> {
    let lines: Vec<&str> = text.lines().collect();
    let found: Vec<usize> = (0..lines.len()).filter(|line| lines[*line].contains(first)).collect();
    let [begins] = found[..] else {
        return Err(format!("{} lines hold `{first}`, and one should", found.len()));
    };
    let indent = |line: &str| line.len() - line.trim_start().len();
    let depth = indent(lines[begins]);
    let is_end = |line: &&usize| match last {
        Some(last) => lines[**line].contains(last),
        None => {
            // `) -> Result<(), Failure> {` closes the arguments of a function and begins its body.
            let line = lines[**line];
            indent(line) == depth && line.trim_start().starts_with(['}', ')', ']']) && !line.trim_end().ends_with('{')
        }
    };
    let rest: Vec<usize> = (begins + 1..lines.len()).collect();
    let ends = rest.iter().find(is_end).ok_or_else(|| format!("`{first}` has no end"))?;
    let count = ends - begins + 1;
    if count > MOST_LINES {
        return Err(format!("`{first}` has {count} lines, and {MOST_LINES} are the most that are quoted"));
    }
    let kept = lines[begins..=*ends].iter().map(|line| line.get(depth..).unwrap_or("").trim_end());
    Ok(kept.collect::<Vec<_>>().join("\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = "impl X {\n    fn a() {\n        b();\n    }\n\n    fn c() {\n        b();\n    }\n}\n";

    #[test]
    fn what_a_line_begins_is_quoted_to_its_end() {
        assert_eq!(quoted(FILE, "fn a(", None).unwrap(), "fn a() {\n    b();\n}");
        assert_eq!(quoted(FILE, "fn a(", Some("b();")).unwrap(), "fn a() {\n    b();");
    }

    #[test]
    fn a_function_whose_arguments_take_several_lines_is_quoted_with_its_body() {
        let file = "fn a(\n    b: u8,\n) -> u8 {\n    b\n}\n\nfn c() {}\n";
        assert_eq!(quoted(file, "fn a(", None).unwrap(), "fn a(\n    b: u8,\n) -> u8 {\n    b\n}");
    }

    #[test]
    fn code_that_is_gone_or_stands_there_twice_is_refused() {
        assert!(quoted(FILE, "fn gone(", None).unwrap_err().starts_with("0 lines"));
        assert!(quoted(FILE, "b();", None).unwrap_err().starts_with("2 lines"));
        assert!(quoted(FILE, "fn a(", Some("gone")).unwrap_err().contains("no end"));
        let long = format!("fn long() {{\n{}}}\n", "    b();\n".repeat(40));
        assert!(quoted(&long, "fn long", None).unwrap_err().contains("42 lines"));
    }
}
