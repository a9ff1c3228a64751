//! Images are named by tag or digest: a rebuild must start what ran before, not what is newest today.

use super::super::problem::Problems;
use super::super::yaml::Yaml;
use super::Document;

pub(super) fn check(document: &Document, problems: &mut Problems) {
    for container in document.containers() {
        let Some(image) = container.get("image") else {
            let name = container.get("name").and_then(Yaml::text).unwrap_or("without a name");
            let what = format!("{document}: container {name} has no image");
            problems.add(&document.file, container.place, what, "name its image with a tag or digest");
            continue;
        };
        let text = image.text().unwrap_or_default();
        if let Err(why) = pinned(text) {
            let what = format!("{document}: image \"{text}\" {why}");
            problems.add(
                &document.file,
                image.place,
                what,
                "name the release it should run: image:1.2.3 or image@sha256:...",
            );
        }
    }
}

/// Whether a reference always means the same release. A registry's port is no tag.
fn pinned(image: &str) -> Result<(), &'static str> {
    if image.contains("@sha256:") {
        return Ok(());
    }
    let last = image.rsplit('/').next().unwrap_or_default();
    match last.split_once(':').map(|(_, tag)| tag) {
        None | Some("") => Err("has neither tag nor digest"),
        Some("latest") => Err("is tagged latest"),
        Some(_) => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::pinned;

    #[test]
    fn a_registrys_port_is_no_tag() {
        assert!(pinned("registry.example.org:5000/app").is_err());
        assert!(pinned("registry.example.org:5000/app:1.2").is_ok());
        assert!(pinned("app@sha256:00").is_ok() && pinned("app:latest").is_err() && pinned("app").is_err());
    }
}
