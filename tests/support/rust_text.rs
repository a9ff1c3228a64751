//! Rust source as text, as far as the architecture test must read it.

/// The source with comments removed and the contents of strings and characters left out; line breaks stay.
pub fn code(source: &str) -> String {
    let chars: Vec<char> = source.chars().collect();
    let mut out = String::new();
    let mut i = 0;
    while i < chars.len() {
        let rest = &chars[i..];
        let skip = match rest {
            ['/', '/', ..] => rest.iter().position(|c| *c == '\n').unwrap_or(rest.len()),
            ['/', '*', ..] => block_comment(rest),
            ['r', '"' | '#', ..] if !ends_in_name(&out) => raw_string(rest).unwrap_or(0),
            ['"', ..] => quoted(rest, '"'),
            ['\'', '\\', ..] | ['\'', _, '\'', ..] => quoted(rest, '\''),
            _ => 0,
        };
        if skip == 0 {
            out.push(rest[0]);
            i += 1;
        } else {
            out.extend(rest[..skip].iter().filter(|c| **c == '\n'));
            out.push(' ');
            i += skip;
        }
    }
    out
}

fn ends_in_name(out: &str) -> bool {
    out.ends_with(|c: char| c.is_alphanumeric() || c == '_')
}

fn block_comment(rest: &[char]) -> usize {
    let (mut depth, mut i) = (0, 0);
    while i < rest.len() {
        match rest[i..] {
            ['/', '*', ..] => (depth, i) = (depth + 1, i + 2),
            ['*', '/', ..] => (depth, i) = (depth - 1, i + 2),
            _ => i += 1,
        }
        if depth == 0 {
            break;
        }
    }
    i
}

fn raw_string(rest: &[char]) -> Option<usize> {
    let hashes = rest[1..].iter().take_while(|c| **c == '#').count();
    (rest.get(1 + hashes) == Some(&'"')).then_some(())?;
    let end: Vec<char> = std::iter::once('"').chain("#".repeat(hashes).chars()).collect();
    let body = 2 + hashes;
    let at = rest[body..].windows(end.len()).position(|w| w == end)?;
    Some(body + at + end.len())
}

fn quoted(rest: &[char], quote: char) -> usize {
    let mut i = 1;
    while i < rest.len() && rest[i] != quote {
        i += if rest[i] == '\\' { 2 } else { 1 };
    }
    (i + 1).min(rest.len())
}

/// Code without its `#[cfg(test)] mod name { ... }`, and the names of its `#[cfg(test)] mod name;`.
pub fn without_tests(code: &str) -> (String, Vec<String>) {
    let (mut out, mut files, mut rest) = (String::new(), Vec::new(), code);
    while let Some(at) = rest.find("#[cfg(test)]") {
        out.push_str(&rest[..at]);
        rest = &rest[at + "#[cfg(test)]".len()..];
        let item = rest.trim_start();
        let Some(module) = item.strip_prefix("mod ").or_else(|| item.strip_prefix("pub(crate) mod ")) else { continue };
        let end = module.find([';', '{']).unwrap_or(module.len());
        if module[end..].starts_with('{') {
            rest = &module[end + block(&module[end..])..];
        } else {
            files.push(module[..end].trim().to_owned());
            rest = &module[end..];
        }
    }
    out.push_str(rest);
    (out, files)
}

/// The length of what stands in braces at the beginning of the code.
fn block(code: &str) -> usize {
    let mut depth = 0;
    for (i, c) in code.char_indices() {
        match c {
            '{' => depth += 1,
            '}' => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return i + 1;
        }
    }
    code.len()
}

/// Every path that begins with `crate::`, in `use` lines and elsewhere, without that word; groups are taken apart.
pub fn crate_paths(code: &str) -> Vec<Vec<String>> {
    let mut all = Vec::new();
    for (at, word) in code.match_indices("crate::") {
        if !ends_in_name(&code[..at]) {
            let mut rest = &code[at + word.len()..];
            tree(&mut rest, &[], &mut all);
        }
    }
    all
}

fn tree(rest: &mut &str, before: &[String], all: &mut Vec<Vec<String>>) {
    *rest = rest.trim_start();
    if let Some(inner) = rest.strip_prefix('{') {
        *rest = inner;
        loop {
            *rest = rest.trim_start();
            if let Some(after) = rest.strip_prefix('}') {
                *rest = after;
                return;
            }
            let length = rest.len();
            tree(rest, before, all);
            *rest = rest.trim_start();
            // ` as name` and whatever else stands before the next entry.
            let next = rest.find([',', '}']).unwrap_or(rest.len());
            *rest = rest[next..].strip_prefix(',').unwrap_or(&rest[next..]);
            if rest.len() == length || rest.is_empty() {
                return;
            }
        }
    }
    let end = rest.find(|c: char| !(c.is_alphanumeric() || c == '_' || c == '*')).unwrap_or(rest.len());
    let mut path = before.to_vec();
    path.push(rest[..end].to_owned());
    *rest = &rest[end..];
    match rest.strip_prefix("::").filter(|r| !r.starts_with('<')) {
        Some(after) => {
            *rest = after;
            tree(rest, &path, all);
        }
        None => all.push(path),
    }
}

/// The statements of a file that has no blocks but those of `use`, without attributes.
pub fn statements(code: &str) -> Vec<String> {
    code.split(';').map(|s| without_attributes(s.trim()).to_owned()).filter(|s| !s.is_empty()).collect()
}

fn without_attributes(statement: &str) -> &str {
    let mut rest = statement;
    while let Some(end) = rest.strip_prefix('#').and_then(|_| rest.find(']')) {
        rest = rest[end + 1..].trim_start();
    }
    rest
}
