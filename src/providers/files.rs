//! The run's own files, durable on the operator's disk.

use crate::world::Files;
use async_trait::async_trait;
use std::collections::BTreeMap;
use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Component, Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

/// The files of one run's directory. Directories are 0700, files 0600.
///
/// All work is done by threads that may block; two calls for the same file are to be made one after the other.
#[derive(Clone)]
pub struct RunFiles(Arc<Inner>);

struct Inner {
    root: PathBuf,
    /// Files open for appending; `false` until the directory that names them has been synced.
    open: Mutex<BTreeMap<String, (Arc<File>, bool)>>,
}

impl RunFiles {
    /// The files of this directory, which is made (0700) and made durable where it does not exist. Blocks, briefly.
    pub fn open(root: impl Into<PathBuf>) -> io::Result<Self> {
        let root = root.into();
        make_directory(&root)?;
        Ok(Self(Arc::new(Inner { root, open: Mutex::default() })))
    }

    async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Inner) -> io::Result<T> + Send + 'static,
    ) -> io::Result<T> {
        let inner = self.0.clone();
        tokio::task::spawn_blocking(move || work(&inner)).await.map_err(io::Error::other)?
    }
}

/// Makes a directory and those above it, and makes their names durable.
fn make_directory(path: &Path) -> io::Result<()> {
    if path.is_dir() {
        return Ok(());
    }
    if let Some(above) = path.parent().filter(|above| !above.as_os_str().is_empty()) {
        make_directory(above)?;
    }
    match DirBuilder::new().mode(0o700).create(path) {
        Err(e) if e.kind() == ErrorKind::AlreadyExists && path.is_dir() => Ok(()),
        Err(e) => Err(e),
        Ok(()) => sync_name(path),
    }
}

/// Makes the name of a file or directory durable: fsync of the directory that holds it.
fn sync_name(path: &Path) -> io::Result<()> {
    let above = path.parent().filter(|above| !above.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(above)?.sync_all()
}

/// Bytes on the disk that the next process does not find are not durable: somebody may have removed the directory meanwhile, and
/// an open file outlives its name.
fn still_named(file: &File, place: &Path) -> io::Result<()> {
    let gone = || io::Error::new(ErrorKind::NotFound, format!("{} is gone or another file", place.display()));
    let named = std::fs::metadata(place).map_err(|e| if e.kind() == ErrorKind::NotFound { gone() } else { e })?;
    let own = file.metadata()?;
    if (named.dev(), named.ino()) == (own.dev(), own.ino()) {
        return Ok(());
    }
    Err(gone())
}

impl Inner {
    /// The absolute place of a path inside the run; what leads out of it is refused.
    fn place(&self, path: &str) -> io::Result<PathBuf> {
        let relative = Path::new(path);
        let inside = relative.components().all(|part| matches!(part, Component::Normal(_)));
        if path.is_empty() || !inside {
            return Err(io::Error::new(ErrorKind::InvalidInput, format!("`{path}` is no path inside a run")));
        }
        Ok(self.root.join(relative))
    }

    fn appending(&self, path: &str) -> io::Result<Arc<File>> {
        let place = self.place(path)?;
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((file, _)) = open.get(path) {
            return Ok(file.clone());
        }
        if let Some(above) = place.parent() {
            make_directory(above)?;
        }
        let file = Arc::new(OpenOptions::new().append(true).create(true).mode(0o600).open(&place)?);
        open.insert(path.to_owned(), (file.clone(), false));
        Ok(file)
    }

    fn sync(&self, path: &str) -> io::Result<()> {
        let file = self.appending(path)?;
        file.sync_data()?;
        still_named(&file, &self.place(path)?)?;
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, named)) = open.get_mut(path) {
            if !*named {
                sync_name(&self.place(path)?)?;
                *named = true;
            }
        }
        Ok(())
    }

    fn write(&self, path: &str, bytes: &[u8]) -> io::Result<()> {
        let place = self.place(path)?;
        let above = place.parent().unwrap_or(&self.root);
        make_directory(above)?;
        // 0600 from the first byte on; gone by itself where anything below fails.
        let mut temporary = tempfile::Builder::new().prefix(".new-").tempfile_in(above)?;
        temporary.write_all(bytes)?;
        temporary.as_file().sync_all()?;
        temporary.persist(&place).map_err(|e| e.error)?;
        self.open.lock().unwrap_or_else(PoisonError::into_inner).remove(path);
        sync_name(&place)
    }

    fn list(&self, directory: &str) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        let entries = match std::fs::read_dir(self.place(directory)?) {
            Err(e) if e.kind() == ErrorKind::NotFound => return Ok(names),
            entries => entries?,
        };
        for entry in entries {
            let entry = entry?;
            if !entry.file_type()?.is_dir() {
                names.push(entry.file_name().to_string_lossy().into_owned());
            }
        }
        names.sort();
        Ok(names)
    }

    fn remove(&self, path: &str) -> io::Result<()> {
        let place = self.place(path)?;
        self.open.lock().unwrap_or_else(PoisonError::into_inner).remove(path);
        match std::fs::remove_file(&place) {
            Err(e) if e.kind() == ErrorKind::NotFound => Ok(()),
            Err(e) => Err(e),
            Ok(()) => sync_name(&place),
        }
    }

    fn cut(&self, path: &str, length: u64) -> io::Result<()> {
        let file = OpenOptions::new().write(true).open(self.place(path)?)?;
        if length > file.metadata()?.len() {
            return Err(io::Error::new(ErrorKind::InvalidInput, format!("`{path}` is shorter than {length} bytes")));
        }
        file.set_len(length)?;
        file.sync_all()
    }
}

#[async_trait]
impl Files for RunFiles {
    async fn append(&self, path: &str, bytes: &[u8]) -> io::Result<()> {
        let (path, bytes) = (path.to_owned(), bytes.to_vec());
        self.blocking(move |inner| inner.appending(&path)?.as_ref().write_all(&bytes)).await
    }
    async fn sync(&self, path: &str) -> io::Result<()> {
        let path = path.to_owned();
        self.blocking(move |inner| inner.sync(&path)).await
    }
    async fn read(&self, path: &str) -> io::Result<Option<Vec<u8>>> {
        let path = path.to_owned();
        self.blocking(move |inner| match std::fs::read(inner.place(&path)?) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(e) if e.kind() == ErrorKind::NotFound => Ok(None),
            Err(e) => Err(e),
        })
        .await
    }
    async fn cut(&self, path: &str, length: u64) -> io::Result<()> {
        let path = path.to_owned();
        self.blocking(move |inner| inner.cut(&path, length)).await
    }
    async fn write(&self, path: &str, bytes: &[u8]) -> io::Result<()> {
        let (path, bytes) = (path.to_owned(), bytes.to_vec());
        self.blocking(move |inner| inner.write(&path, &bytes)).await
    }
    async fn list(&self, directory: &str) -> io::Result<Vec<String>> {
        let directory = directory.to_owned();
        self.blocking(move |inner| inner.list(&directory)).await
    }
    async fn remove(&self, path: &str) -> io::Result<()> {
        let path = path.to_owned();
        self.blocking(move |inner| inner.remove(&path)).await
    }
    fn place(&self) -> String {
        self.0.root.display().to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    fn mode(path: &Path) -> u32 {
        std::fs::metadata(path).unwrap().permissions().mode() & 0o777
    }

    #[tokio::test]
    async fn what_is_appended_is_read_again_by_the_next_process_and_only_the_owner_may() {
        let place = tempfile::tempdir().unwrap();
        let root = place.path().join("real/demo/aaaa");
        let files = RunFiles::open(&root).unwrap();
        files.append("journal.jsonl", b"one\n").await.unwrap();
        files.sync("journal.jsonl").await.unwrap();
        files.append("journal.jsonl", b"tw").await.unwrap();
        let again = RunFiles::open(&root).unwrap();
        assert_eq!(again.read("journal.jsonl").await.unwrap().unwrap(), b"one\ntw");
        again.cut("journal.jsonl", 4).await.unwrap();
        again.append("journal.jsonl", b"two\n").await.unwrap();
        assert_eq!(files.read("journal.jsonl").await.unwrap().unwrap(), b"one\ntwo\n");
        assert_eq!((mode(&root), mode(&root.join("journal.jsonl"))), (0o700, 0o600));
        assert_eq!(files.read("absent").await.unwrap(), None);
    }

    #[tokio::test]
    async fn a_whole_write_replaces_at_once_and_leaves_nothing_behind() {
        let place = tempfile::tempdir().unwrap();
        let files = RunFiles::open(place.path()).unwrap();
        files.write("secrets/token", b"first").await.unwrap();
        files.write("secrets/token", b"second").await.unwrap();
        assert_eq!(files.read("secrets/token").await.unwrap().unwrap(), b"second");
        let secrets = place.path().join("secrets");
        assert_eq!((mode(&secrets), mode(&secrets.join("token"))), (0o700, 0o600));
        assert_eq!(std::fs::read_dir(&secrets).unwrap().count(), 1, "no temporary file is left");
    }

    #[tokio::test]
    async fn a_write_that_fails_leaves_the_earlier_file_whole() {
        let place = tempfile::tempdir().unwrap();
        let files = RunFiles::open(place.path()).unwrap();
        files.write("proof.json", b"first").await.unwrap();
        std::fs::create_dir(place.path().join("taken")).unwrap();
        assert!(files.write("taken", b"x").await.is_err(), "a directory cannot be replaced by a file");
        assert_eq!(files.read("proof.json").await.unwrap().unwrap(), b"first");
        assert_eq!(std::fs::read_dir(place.path()).unwrap().count(), 2, "no temporary file is left");
    }

    #[tokio::test]
    async fn appending_after_a_whole_write_goes_to_the_new_file() {
        let place = tempfile::tempdir().unwrap();
        let files = RunFiles::open(place.path()).unwrap();
        files.append("f", b"old").await.unwrap();
        files.write("f", b"new").await.unwrap();
        files.append("f", b"+").await.unwrap();
        files.sync("f").await.unwrap();
        assert_eq!(files.read("f").await.unwrap().unwrap(), b"new+");
    }

    #[tokio::test]
    async fn what_is_appended_to_a_file_that_lost_its_name_is_not_called_durable() {
        let place = tempfile::tempdir().unwrap();
        let root = place.path().join("run");
        let files = RunFiles::open(&root).unwrap();
        files.append("journal.jsonl", b"one\n").await.unwrap();
        files.sync("journal.jsonl").await.unwrap();
        // Moved away: it still has a name, but not the one that the next process looks under.
        std::fs::rename(&root, place.path().join("elsewhere")).unwrap();
        files.append("journal.jsonl", b"two\n").await.unwrap();
        assert_eq!(files.sync("journal.jsonl").await.unwrap_err().kind(), ErrorKind::NotFound);
        std::fs::create_dir(&root).unwrap();
        std::fs::write(root.join("journal.jsonl"), "another's").unwrap();
        let error = files.sync("journal.jsonl").await.unwrap_err();
        assert!(error.kind() == ErrorKind::NotFound && error.to_string().contains("journal.jsonl"), "{error}");
        std::fs::remove_dir_all(&root).unwrap();
        std::fs::remove_dir_all(place.path().join("elsewhere")).unwrap();
        assert_eq!(files.sync("journal.jsonl").await.unwrap_err().kind(), ErrorKind::NotFound);
    }

    #[tokio::test]
    async fn no_path_leads_out_of_the_run() {
        let place = tempfile::tempdir().unwrap();
        let files = RunFiles::open(place.path().join("run")).unwrap();
        for path in ["../x", "/etc/passwd", "a/../../x", "", "./x/.."] {
            assert!(files.write(path, b"x").await.is_err(), "{path}");
            assert!(files.append(path, b"x").await.is_err(), "{path}");
            assert!(files.read(path).await.is_err(), "{path}");
        }
        assert_eq!(std::fs::read_dir(place.path()).unwrap().count(), 1);
    }

    #[tokio::test]
    async fn what_is_removed_is_listed_no_more_and_may_be_removed_again() {
        let place = tempfile::tempdir().unwrap();
        let files = RunFiles::open(place.path()).unwrap();
        assert!(files.list("secrets").await.unwrap().is_empty());
        for name in ["secrets/b", "secrets/a"] {
            files.write(name, b"x").await.unwrap();
        }
        assert_eq!(files.list("secrets").await.unwrap(), ["a", "b"]);
        files.remove("secrets/a").await.unwrap();
        files.remove("secrets/a").await.unwrap();
        assert_eq!(files.list("secrets").await.unwrap(), ["b"]);
        assert!(files.remove("../x").await.is_err() && files.list("..").await.is_err());
    }

    #[tokio::test]
    async fn a_cut_never_lengthens() {
        let place = tempfile::tempdir().unwrap();
        let files = RunFiles::open(place.path()).unwrap();
        files.append("f", b"abc").await.unwrap();
        assert!(files.cut("f", 4).await.is_err());
        assert!(files.cut("absent", 0).await.is_err());
    }

    #[cfg(target_os = "linux")]
    #[tokio::test]
    async fn a_full_disk_reads_as_one() {
        let place = tempfile::tempdir().unwrap();
        let files = RunFiles::open(place.path()).unwrap();
        std::os::unix::fs::symlink("/dev/full", place.path().join("journal.jsonl")).unwrap();
        let error = files.append("journal.jsonl", b"x").await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::StorageFull);
    }
}
