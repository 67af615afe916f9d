//! The assertion's key: configured, kept in `data_dir`, or in memory for as long as the process lives.

use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use tracing::{info, warn};

const FILE: &str = "assertion.key";

/// The key in PEM. `fresh` makes a new one.
///
/// # Errors
/// In words for the operator, when a key in `data_dir` can't be read or written.
pub(super) fn find(
    configured: Option<&[u8]>,
    data_dir: Option<&Path>,
    fresh: impl FnOnce() -> Result<String, String>,
) -> Result<Vec<u8>, String> {
    if let Some(pem) = configured {
        return Ok(pem.to_vec());
    }
    let Some(data_dir) = data_dir else {
        warn!(
            event = "assertion_key_in_memory",
            "headers.assertion.key is not set: a new key at every start; set it, or data_dir"
        );
        return fresh().map(String::into_bytes);
    };
    let path = data_dir.join(FILE);
    let failed = |error: std::io::Error| format!("{}: {error}", path.display());
    match fs::read(&path) {
        Ok(pem) => Ok(pem),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            let pem = fresh()?;
            fs::create_dir_all(data_dir).map_err(failed)?;
            let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path).map_err(failed)?;
            file.write_all(pem.as_bytes()).and_then(|()| file.sync_all()).map_err(failed)?;
            info!(event = "assertion_key_created", path = %path.display(), "made a key for the assertion");
            Ok(pem.into_bytes())
        }
        Err(error) => Err(failed(error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_made_once_and_kept_private() {
        use std::os::unix::fs::PermissionsExt as _;
        let folder = tempfile::tempdir().unwrap();
        let first = find(None, Some(folder.path()), || Ok("one".to_owned())).unwrap();
        let second = find(None, Some(folder.path()), || Ok("two".to_owned())).unwrap();
        assert_eq!((first.as_slice(), second.as_slice()), (b"one".as_slice(), b"one".as_slice()));
        assert_eq!(fs::metadata(folder.path().join(FILE)).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(find(Some(b"own"), Some(folder.path()), || Err("unused".to_owned())).unwrap(), b"own");
    }

    #[test]
    fn a_folder_that_cannot_be_written_is_said() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        fs::write(&file, "").unwrap();
        assert!(find(None, Some(&file), || Ok("key".to_owned())).unwrap_err().contains("assertion.key"));
    }
}
