//! A directory of its own for the binary.

use std::fs;
use std::path::{Path, PathBuf};

/// A temporary directory with the example's configuration and manifests.
pub struct Desk(pub tempfile::TempDir);

impl Desk {
    pub fn new() -> Self {
        let desk = Self(tempfile::tempdir().unwrap());
        let example = Path::new(env!("CARGO_MANIFEST_DIR"));
        fs::copy(example.join("relight.yaml"), desk.path("relight.yaml")).unwrap();
        fs::create_dir(desk.path("manifests")).unwrap();
        for entry in fs::read_dir(example.join("manifests")).unwrap() {
            let from = entry.unwrap().path();
            fs::copy(&from, desk.path("manifests").join(from.file_name().unwrap())).unwrap();
        }
        desk
    }
    pub fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }
}
