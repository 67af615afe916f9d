//! The last good copy of fetched metadata, in `data_dir`: what is believed when the source is away at start.

use std::fs::{self, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use aws_lc_rs::digest::{SHA256, digest};

use super::source::{Place, Source};
use crate::saml::metadata::MAX_OCTETS;

/// Copies of metadata, one a source.
#[derive(Clone, Debug)]
pub struct Kept {
    folder: PathBuf,
}

impl Kept {
    /// In `metadata` below `data_dir`.
    pub fn new(data_dir: &Path) -> Self {
        Self { folder: data_dir.join("metadata") }
    }

    /// Puts a copy in the place of the one before: whoever reads sees the old one or the new one, whole.
    ///
    /// # Errors
    /// When it can't be written.
    pub fn write(&self, source: &Source, octets: &[u8]) -> io::Result<()> {
        let Some(path) = self.path(source) else { return Ok(()) };
        fs::DirBuilder::new().recursive(true).mode(0o700).create(&self.folder)?;
        let new = path.with_extension("new");
        match fs::remove_file(&new) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&new)?;
        file.write_all(octets)?;
        file.sync_all()?;
        fs::rename(&new, &path)?;
        // The new name is on the disk only when the folder is.
        fs::File::open(&self.folder)?.sync_all()
    }

    /// The copy, if there is one. It is as good as what verifies it: whoever reads it applies the same rules as to a fresh one.
    ///
    /// # Errors
    /// When it can't be read.
    pub fn read(&self, source: &Source) -> io::Result<Option<Vec<u8>>> {
        let Some(path) = self.path(source) else { return Ok(None) };
        let file = match fs::File::open(path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        let mut octets = Vec::new();
        file.take(MAX_OCTETS as u64 + 1).read_to_end(&mut octets)?;
        Ok(Some(octets))
    }

    /// Named after the IdP, and after where it came from: with another address in the configuration, the copy is another one.
    fn path(&self, source: &Source) -> Option<PathBuf> {
        use std::fmt::Write as _;
        let Place::Url(url) = &source.place else { return None };
        let from = format!("{url}\0{}", source.entity_id.as_deref().unwrap_or_default());
        let mut name = format!("{}.", source.id);
        for octet in digest(&SHA256, from.as_bytes()).as_ref().iter().take(8) {
            let _ = write!(name, "{octet:02x}");
        }
        Some(self.folder.join(name + ".xml"))
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;
    use std::time::Duration;

    use super::*;
    use crate::metadata::source::{MetadataUrl, Template};

    fn source(url: &str) -> Source {
        Source {
            id: "corp".to_owned(),
            place: Place::Url(MetadataUrl::parse(url, None).unwrap()),
            entity_id: None,
            signers: None,
            must_end: false,
            refresh: Duration::from_secs(3600),
            template: Template::new(|_| Err("unused".to_owned())),
        }
    }

    #[test]
    fn a_copy_is_private_replaced_whole_and_that_of_one_address() {
        let folder = tempfile::tempdir().unwrap();
        let kept = Kept::new(folder.path());
        let (one, other) = (source("https://idp.example/1"), source("https://idp.example/2"));
        assert_eq!(kept.read(&one).unwrap(), None);
        kept.write(&one, b"first").unwrap();
        // What a crash left behind is in nobody's way.
        let path = kept.path(&one).unwrap();
        fs::write(path.with_extension("new"), b"half").unwrap();
        kept.write(&one, b"second").unwrap();
        assert_eq!(kept.read(&one).unwrap().as_deref(), Some(b"second".as_slice()));
        assert_eq!(kept.read(&other).unwrap(), None);
        assert!(path.file_name().unwrap().to_str().unwrap().starts_with("corp."));
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(&path), mode(path.parent().unwrap())), (0o600, 0o700));
        assert_eq!(fs::read_dir(path.parent().unwrap()).unwrap().count(), 1);
    }
}
