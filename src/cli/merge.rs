//! Merging a kubeconfig into the operator's own: structurally, atomically, 0600, with a backup beside it, and never over an
//! entry that is somebody else's.
//!
//! What is ours is said by an extension named `relight` in each entry (kubeconfigs have them for such marks): cluster, world and
//! the world's uid. Comments of the file are lost, as they are when kubectl writes it; the backup has them.

use super::exit::{Exit, Stop};
use serde_json::json;
use serde_yaml::{Mapping, Value};
use std::collections::BTreeSet;
use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

/// The extension's name.
const MARK: &str = "relight";
/// The lists of a kubeconfig, and what each of their entries holds.
const LISTS: [(&str, &str); 3] = [("clusters", "cluster"), ("users", "user"), ("contexts", "context")];

/// Whose an entry is.
pub struct Mark {
    /// The cluster's name, which is the entries' too.
    pub cluster: String,
    /// `real`, `sandbox`.
    pub world: String,
    /// Tells one project or sandbox from another.
    pub uid: String,
}

/// What was done.
pub struct Merged {
    file: PathBuf,
    backup: Option<PathBuf>,
    changed: bool,
    name: String,
}

impl Merged {
    /// In words, a line each.
    pub fn told(&self) -> Vec<String> {
        let file = self.file.display();
        if !self.changed {
            return vec![format!("{file} has cluster, user and context {} already", self.name)];
        }
        let mut lines = vec![format!("cluster, user and context {} are in {file} now", self.name)];
        lines.extend(self.backup.iter().map(|b| format!("as it was before: {}", b.display())));
        lines
    }
}

fn unusable(file: &Path, why: impl std::fmt::Display, remedy: &str) -> Stop {
    Stop::usage(format!("{}: {why}", file.display()), remedy)
}

/// kubectl's own lock of a kubeconfig, held while it is changed. Source: client-go, tools/clientcmd/config.go, `lockFile`.
struct Held(PathBuf);

impl Held {
    fn take(file: &Path) -> Result<Self, Stop> {
        let mut name = file.as_os_str().to_owned();
        name.push(".lock");
        let lock = PathBuf::from(name);
        match OpenOptions::new().write(true).create_new(true).mode(0o600).open(&lock) {
            Ok(_) => Ok(Self(lock)),
            Err(e) if e.kind() == ErrorKind::AlreadyExists => {
                Err(unusable(&lock, "somebody else is changing it", "wait, or delete that file where nobody is"))
            }
            Err(e) => Err(unusable(&lock, e, "make its directory writable")),
        }
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        // Nothing more can be done about it; whoever finds it is told to delete it.
        let _ = std::fs::remove_file(&self.0);
    }
}

/// Merges into the file that has our entries, else into the first that exists, else into the last, as kubectl does. `known`:
/// the uids of this world whose runs the state directory keeps; entries of those may be replaced.
pub fn merge(files: &[PathBuf], ours: &str, mark: &Mark, known: &BTreeSet<String>) -> Result<Merged, Stop> {
    let mut chosen = None;
    let mut existing = None;
    for file in files {
        let Some(text) = read(file)? else { continue };
        let config = parsed(file, &text)?;
        existing.get_or_insert_with(|| file.clone());
        if owned(file, &config, mark, known)? {
            chosen.get_or_insert_with(|| file.clone());
        }
    }
    let file = chosen.or(existing).or_else(|| files.last().cloned());
    let file = file.ok_or_else(|| Stop::usage("there is no kubeconfig to merge into", "export KUBECONFIG"))?;
    // Where it is a link, what it leads to is replaced and the link stays.
    let file = std::fs::canonicalize(&file).unwrap_or(file);
    directory_of(&file)?;
    let _held = Held::take(&file)?;
    let before = read(&file)?;
    let mut config = parsed(&file, before.as_deref().unwrap_or_default())?;
    owned(&file, &config, mark, known)?;
    put(&mut config, ours, mark)
        .map_err(|why| unusable(&file, why, "mend it, or merge into another file by KUBECONFIG"))?;
    let text = written(&config)?;
    let name = mark.cluster.clone();
    if before.as_deref().is_some_and(|b| parsed(&file, b).is_ok_and(|b| b == config)) {
        return Ok(Merged { file, backup: None, changed: false, name });
    }
    let failed = |e: std::io::Error| unusable(&file, e, "make its directory writable; the file is as it was");
    let backup = before.as_deref().map(|text| backup(&file, text)).transpose().map_err(failed)?;
    replace(&file, text.as_bytes()).map_err(failed)?;
    Ok(Merged { file, backup, changed: true, name })
}

/// A kubeconfig that relight holds as JSON, as people read it.
pub fn yaml(json: &str) -> Result<String, Stop> {
    let value: Value = serde_yaml::from_str(json).map_err(|e| Stop::usage(e.to_string(), ""))?;
    written(&value)
}

fn written(config: &Value) -> Result<String, Stop> {
    serde_yaml::to_string(config).map_err(|e| Stop::usage(format!("the kubeconfig cannot be written: {e}"), ""))
}

fn read(file: &Path) -> Result<Option<String>, Stop> {
    match std::fs::read_to_string(file) {
        Ok(text) => Ok(Some(text)),
        Err(e) if e.kind() == ErrorKind::NotFound => Ok(None),
        Err(e) => Err(unusable(file, e, "make it readable, or merge into another file by KUBECONFIG")),
    }
}

fn parsed(file: &Path, text: &str) -> Result<Value, Stop> {
    let remedy = "mend it, or merge into another file by KUBECONFIG";
    // The place alone: the parser's message could quote a key.
    let broken = |e: serde_yaml::Error| {
        let at = e.location().map(|at| format!(" at line {}, column {}", at.line(), at.column())).unwrap_or_default();
        unusable(file, format!("it is no YAML that can be read{at}"), remedy)
    };
    match serde_yaml::from_str(text).map_err(broken)? {
        Value::Null => Ok(Value::Mapping(Mapping::new())),
        config @ Value::Mapping(_) => Ok(config),
        _ => Err(unusable(file, "it is no kubeconfig", remedy)),
    }
}

fn entry<'a>(config: &'a Value, list: &str, name: &str) -> Option<&'a Value> {
    let entries = config.get(list)?.as_sequence()?;
    entries.iter().find(|entry| entry.get("name").and_then(Value::as_str) == Some(name))
}

/// Whether the file has our entries; an error where it has entries of the name that are not ours.
fn owned(file: &Path, config: &Value, mark: &Mark, known: &BTreeSet<String>) -> Result<bool, Stop> {
    let mut any = false;
    for (list, inner) in LISTS {
        let Some(entry) = entry(config, list, &mark.cluster) else { continue };
        let extensions = entry.get(inner).and_then(|c| c.get("extensions")).and_then(Value::as_sequence);
        let said = extensions.into_iter().flatten().find(|e| e.get("name").and_then(Value::as_str) == Some(MARK));
        let word = |key: &str| said.and_then(|e| e.get("extension")?.get(key)?.as_str()).unwrap_or_default();
        let ours = word("cluster") == mark.cluster && word("world") == mark.world;
        if !ours || !(word("uid") == mark.uid || known.contains(word("uid"))) {
            let whose = match said {
                None => "somebody else made it".to_owned(),
                Some(_) => format!("it is of another cluster {} ({})", word("cluster"), word("world")),
            };
            return Err(Stop::new(
                Exit::Refused,
                format!("{} has an entry {} in {list} already, and {whose}", file.display(), mark.cluster),
                format!(
                    "rename or delete it (`kubectl config delete-{inner} {}`), or merge into another file by KUBECONFIG",
                    mark.cluster
                ),
            ));
        }
        any = true;
    }
    Ok(any)
}

/// Puts our entries into the lists, each in its own place where it has one.
fn put(config: &mut Value, ours: &str, mark: &Mark) -> Result<(), String> {
    let ours: Value = serde_yaml::from_str(ours).map_err(|e| e.to_string())?;
    let root = config.as_mapping_mut().ok_or("it is no kubeconfig")?;
    for (key, value) in [("apiVersion", "v1"), ("kind", "Config")] {
        root.entry(key.into()).or_insert_with(|| value.into());
    }
    for (list, inner) in LISTS {
        let mut new = entry(&ours, list, &mark.cluster).ok_or_else(|| format!("the new one has no {list}"))?.clone();
        let said = json!({ "cluster": mark.cluster, "world": mark.world, "uid": mark.uid });
        let said = serde_yaml::to_value(json!([{ "name": MARK, "extension": said }])).map_err(|e| e.to_string())?;
        if let Some(content) = new.get_mut(inner).and_then(Value::as_mapping_mut) {
            content.insert("extensions".into(), said);
        }
        let entries = root.entry(list.into()).or_insert(Value::Null);
        if entries.is_null() {
            *entries = Value::Sequence(Vec::new());
        }
        let entries = entries.as_sequence_mut().ok_or_else(|| format!("its {list} are no list"))?;
        match entries.iter_mut().find(|e| e.get("name").and_then(Value::as_str) == Some(&mark.cluster)) {
            Some(old) => *old = new,
            None => entries.push(new),
        }
    }
    Ok(())
}

fn directory_of(file: &Path) -> Result<(), Stop> {
    match file.parent().filter(|above| !above.as_os_str().is_empty() && !above.exists()) {
        Some(above) => DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(above)
            .map_err(|e| unusable(above, e, "make it, or merge into another file by KUBECONFIG")),
        None => Ok(()),
    }
}

/// A copy beside the file, under a name that no earlier copy has.
fn backup(file: &Path, text: &str) -> std::io::Result<PathBuf> {
    let seconds = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    let mut counter = 0;
    loop {
        let mut name = file.as_os_str().to_owned();
        name.push(if counter == 0 { format!(".before-{seconds}") } else { format!(".before-{seconds}-{counter}") });
        let path = PathBuf::from(name);
        match OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path) {
            Err(e) if e.kind() == ErrorKind::AlreadyExists => counter += 1,
            Err(e) => return Err(e),
            Ok(mut copy) => {
                copy.write_all(text.as_bytes())?;
                copy.sync_all()?;
                return Ok(path);
            }
        }
    }
}

/// Atomically and durably; 0600 from the first byte on.
fn replace(file: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let above = file.parent().filter(|above| !above.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut new = tempfile::Builder::new().prefix(".relight-").tempfile_in(above)?;
    new.write_all(bytes)?;
    new.as_file().sync_all()?;
    new.persist(file).map_err(|e| e.error)?;
    File::open(above)?.sync_all()
}
