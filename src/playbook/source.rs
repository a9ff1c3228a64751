//! Where playbooks and scripts come from: the binary, overridden file by file by a directory.

use include_dir::{include_dir, Dir};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The repository's `steps/`, as it was when relight was built.
static EMBEDDED: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/steps");

/// How a line of a script begins that sources a part of it: `. "${BASH_SOURCE[0]%/*}/harden/wanted.sh"`. It is Bash as it
/// stands, so that the file beside its parts runs, and shellcheck sees it whole.
pub const PART: &str = r#". "${BASH_SOURCE[0]%/*}/"#;

/// The playbooks (`*.yaml`) and scripts (`scripts/*`) of this binary; a file of the same name in the directory of `--steps`
/// takes the place of one, and may be new.
#[derive(Debug, Clone, Default)]
pub struct Source {
    dir: Option<PathBuf>,
}

/// A file as found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceFile {
    /// What messages call it: `steps/rebuild.yaml`, or the path in the directory of `--steps`.
    pub file: String,
    /// Its text.
    pub text: Arc<str>,
}

/// A misspelt script would be left out without a word, and the binary's own run instead.
fn no_script_is_misspelt(dir: &Path) -> Result<(), String> {
    let known = Source::embedded().scripts();
    for entry in std::fs::read_dir(dir.join("scripts")).into_iter().flatten().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let script = Path::new(&name).extension().is_some_and(|e| e == "sh");
        let meant = crate::config::nearest(&name, known.iter().map(String::as_str));
        if let Some(meant) = meant.filter(|meant| script && *meant != name) {
            let file = entry.path().display().to_string();
            return Err(format!("{file}: no step runs a script of this name; did you mean {meant}?"));
        }
    }
    Ok(())
}

/// A file where nothing looks would be passed over without a word, and the binary's own used instead.
fn no_file_is_out_of_place(dir: &Path) -> Result<(), String> {
    let known = Source::embedded();
    let names = |dir: &Path| -> Vec<String> {
        let entries = std::fs::read_dir(dir).into_iter().flatten().flatten();
        entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).filter(|name| is_name(name)).collect()
    };
    let parts = |name: &str| EMBEDDED.get_dir(Path::new("scripts").join(name)).is_some();
    let meant = |under: &str, name: &str| -> Option<PathBuf> {
        let (stem, end) = name.rsplit_once('.').unwrap_or((name, ""));
        let playbook = || dir.join(format!("{stem}.yaml"));
        match (under, end) {
            ("", "sh") => Some(dir.join("scripts").join(name)),
            ("", "") if parts(name) => Some(dir.join("scripts").join(name)),
            ("", "yml") => Some(playbook()),
            ("scripts", "yaml" | "yml") if known.names().iter().any(|known| known == stem) => Some(playbook()),
            _ => None,
        }
    };
    for under in ["", "scripts"] {
        let here = dir.join(under);
        for name in names(&here) {
            if let Some(meant) = meant(under, &name) {
                let (file, meant) = (here.join(&name), meant.display().to_string());
                return Err(format!("{}: nothing reads it there; move it to {meant}", file.display()));
            }
        }
    }
    Ok(())
}

impl Source {
    /// What the binary holds.
    pub fn embedded() -> Self {
        Self { dir: None }
    }
    /// What the binary holds, overridden by this directory where it is given.
    ///
    /// # Errors
    /// Where the directory cannot be read, or holds a script whose name is nearly one of the binary's, or a file where nothing
    /// looks; says so and what to do.
    pub fn new(dir: Option<&Path>) -> Result<Self, String> {
        if let Some(dir) = dir {
            std::fs::read_dir(dir).map_err(|e| {
                format!("the directory of playbooks {} cannot be read: {e}; give --steps a directory", dir.display())
            })?;
            no_script_is_misspelt(dir)?;
            no_file_is_out_of_place(dir)?;
        }
        Ok(Self { dir: dir.map(Path::to_owned) })
    }
    /// The playbook of this name (`rebuild`), `None` where there is none.
    ///
    /// # Errors
    /// Where the file exists and cannot be read as text.
    pub fn playbook(&self, name: &str) -> Result<Option<SourceFile>, String> {
        self.file(Path::new(""), &format!("{name}.yaml"))
    }
    /// The script of this file name (`harden.sh`) as nodes get it, `None` where there is none: a line that sources a part
    /// is replaced by the part's text, as one file alone goes to a node.
    ///
    /// # Errors
    /// Where the file, or a part that it names, cannot be read as text.
    pub fn script(&self, name: &str) -> Result<Option<Arc<str>>, String> {
        let Some(found) = self.file(Path::new("scripts"), name)? else { return Ok(None) };
        if !found.text.contains(PART) {
            return Ok(Some(found.text));
        }
        let mut whole = String::new();
        for line in found.text.split_inclusive('\n') {
            match line.strip_prefix(PART).and_then(|rest| rest.trim_end().strip_suffix('"')) {
                Some(part) => whole.push_str(&self.part(&found.file, part)?),
                None => whole.push_str(line),
            }
        }
        Ok(Some(whole.into()))
    }
    fn part(&self, of: &str, part: &str) -> Result<Arc<str>, String> {
        let gone = || format!("{of} sources {part}, which is not beside it; add it or mend the line");
        let (dir, name) = part.split_once('/').ok_or_else(gone)?;
        if !is_name(dir) {
            return Err(gone());
        }
        Ok(self.file(&Path::new("scripts").join(dir), name)?.ok_or_else(gone)?.text)
    }
    /// The names of all playbooks, sorted.
    pub fn names(&self) -> Vec<String> {
        let embedded = EMBEDDED.files().map(|f| f.path().to_owned());
        self.all(embedded, Path::new(""))
            .into_iter()
            .filter_map(|f| f.strip_suffix(".yaml").map(str::to_owned))
            .collect()
    }
    /// The file names of all scripts, sorted.
    pub fn scripts(&self) -> Vec<String> {
        let embedded = EMBEDDED.get_dir("scripts").into_iter().flat_map(Dir::files).map(|f| f.path().to_owned());
        self.all(embedded, Path::new("scripts"))
            .into_iter()
            .filter(|f| Path::new(f).extension().is_some_and(|e| e == "sh"))
            .collect()
    }

    fn all(&self, embedded: impl Iterator<Item = PathBuf>, under: &Path) -> BTreeSet<String> {
        let own = self.dir.iter().filter_map(|d| std::fs::read_dir(d.join(under)).ok()).flatten().flatten();
        let paths = embedded.chain(own.map(|entry| entry.path()));
        paths.filter_map(|p| Some(p.file_name()?.to_str()?.to_owned())).filter(|name| is_name(name)).collect()
    }
    /// A name comes from a playbook or a command line: it must not lead out of the directory.
    fn file(&self, under: &Path, name: &str) -> Result<Option<SourceFile>, String> {
        if !is_name(name) {
            return Ok(None);
        }
        let path = &under.join(name);
        if let Some(dir) = &self.dir {
            let own = dir.join(path);
            let file = own.display().to_string();
            match std::fs::read_to_string(&own) {
                Ok(text) => return Ok(Some(SourceFile { file, text: text.into() })),
                Err(e) if e.kind() == std::io::ErrorKind::NotFound => {}
                Err(e) => return Err(format!("{file} cannot be read: {e}; mend or remove it")),
            }
        }
        let Some(file) = EMBEDDED.get_file(path) else { return Ok(None) };
        let name = format!("steps/{}", path.display());
        match file.contents_utf8() {
            Some(text) => Ok(Some(SourceFile { file: name, text: text.into() })),
            None => Err(format!("{name} is not UTF-8; mend it and build relight again")),
        }
    }
}

/// One plain file name, not hidden.
fn is_name(name: &str) -> bool {
    !name.is_empty()
        && !name.starts_with('.')
        && name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_overrides_file_by_file_and_adds_new_ones() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("scripts")).unwrap();
        std::fs::write(dir.path().join("scripts/README.md"), "mine").unwrap();
        std::fs::write(dir.path().join("scripts/extra.sh"), "#!/bin/sh\n").unwrap();
        std::fs::write(dir.path().join("mine.yaml"), "playbook: mine\n").unwrap();
        let embedded = Source::embedded();
        let both = Source::new(Some(dir.path())).unwrap();
        let theirs = embedded.script("README.md").unwrap().unwrap();
        assert!(theirs.contains("Contract"), "the binary holds steps/scripts");
        assert_eq!(both.script("README.md").unwrap().as_deref(), Some("mine"));
        assert!(
            both.scripts().contains(&"extra.sh".to_owned()) && !embedded.scripts().contains(&"extra.sh".to_owned())
        );
        assert!(both.names().contains(&"mine".to_owned()));
        let found = both.playbook("mine").unwrap().unwrap();
        assert_eq!(&*found.text, "playbook: mine\n");
        assert!(found.file.ends_with("mine.yaml"));
        for name in embedded.names() {
            assert_eq!(both.playbook(&name).unwrap(), embedded.playbook(&name).unwrap(), "not overridden: {name}");
        }
    }

    #[test]
    fn a_script_goes_to_nodes_with_its_parts_in_place() {
        let whole = Source::embedded().script("harden.sh").unwrap().unwrap();
        assert!(!whole.contains(PART) && whole.contains("\nsshd_text() {\n") && whole.contains("\nrevert() {\n"));
        let scripts = Path::new(env!("CARGO_MANIFEST_DIR")).join("steps/scripts/harden.sh");
        let assemble = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/node/assemble");
        let theirs = std::process::Command::new("bash").arg(assemble).arg(scripts).output().unwrap();
        assert_eq!(&*whole, String::from_utf8(theirs.stdout).unwrap(), "what tests/node runs is what nodes get");
    }

    #[test]
    fn a_part_that_is_missing_or_elsewhere_is_told() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("scripts")).unwrap();
        for part in ["harden/none.sh", "../../etc/passwd", "none.sh"] {
            std::fs::write(dir.path().join("scripts/mine.sh"), format!("{PART}{part}\"\n")).unwrap();
            let told = Source::new(Some(dir.path())).unwrap().script("mine.sh").unwrap_err();
            assert!(told.contains("mine.sh sources") && told.contains("mend"), "{told}");
        }
    }

    #[test]
    fn a_script_whose_name_is_misspelt_is_told() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("scripts")).unwrap();
        std::fs::write(dir.path().join("scripts/hardn.sh"), "#!/bin/sh\n").unwrap();
        let told = Source::new(Some(dir.path())).unwrap_err();
        assert!(told.contains("scripts/hardn.sh") && told.contains("did you mean harden.sh?"), "{told}");
    }

    #[test]
    fn a_name_does_not_lead_out_of_the_directory() {
        let dir = tempfile::tempdir().unwrap();
        let inner = dir.path().join("inner");
        std::fs::create_dir(&inner).unwrap();
        std::fs::write(dir.path().join("out.yaml"), "secret").unwrap();
        let source = Source::new(Some(&inner)).unwrap();
        assert_eq!(source.playbook("../out").unwrap(), None);
        assert_eq!(source.script("../../out.yaml").unwrap(), None);
        assert_eq!(source.playbook("").unwrap(), None);
    }

    #[test]
    fn a_file_that_cannot_be_read_is_told_and_not_passed_over() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("rebuild.yaml"), [0xff, 0xfe]).unwrap();
        let told = Source::new(Some(dir.path())).unwrap().playbook("rebuild").unwrap_err();
        assert!(told.contains("rebuild.yaml") && told.contains("mend"), "{told}");
        assert!(Source::new(Some(&dir.path().join("none"))).is_err());
    }
}
