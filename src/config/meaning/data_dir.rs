//! `data_dir`: whether `run` will find or make there what it needs.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::{Access, access};

use super::Work;
use crate::identity::assertion::AssertionSigner;

/// The key that `run` makes when none is configured.
pub(super) const ASSERTION_KEY: &str = "assertion.key";

/// `data_dir`. `has_key`: the assertion's key is configured, so that none is read or made there.
pub(super) fn of(text: Option<&str>, has_key: bool, work: &mut Work<'_>) -> Option<PathBuf> {
    let text = text?;
    let path = work.resolve(text);
    let judged = match text.trim().is_empty() {
        true => Err("is empty; name a folder, or leave it out".to_owned()),
        false => is_folder(&path).and_then(|()| if has_key { Ok(()) } else { may_keep_key(&path) }),
    };
    work.report.take("data_dir", judged);
    Some(path)
}

fn is_folder(path: &Path) -> Result<(), String> {
    if path.exists() && !path.is_dir() { Err(format!("{} is not a folder", path.display())) } else { Ok(()) }
}

/// Whether the key is there and good, or can be made.
fn may_keep_key(folder: &Path) -> Result<(), String> {
    let file = folder.join(ASSERTION_KEY);
    match fs::read(&file) {
        Ok(pem) => {
            let read = AssertionSigner::from_pem(&pem, String::new(), String::new(), Duration::from_secs(60));
            let wrong = |error| format!("{} is {error}; move it away, and a new one is made at the next start", file.display());
            read.map(|_| ()).map_err(wrong)
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound && file.symlink_metadata().is_err() => can_be_made(folder),
        Err(error) => Err(format!("{} cannot be read: {error}", file.display())),
    }
}

/// Whether a folder can be written to, or be made in the nearest one that is there.
fn can_be_made(folder: &Path) -> Result<(), String> {
    let folder = if folder.is_absolute() { folder.to_owned() } else { Path::new(".").join(folder) };
    let there = folder.ancestors().find(|ancestor| ancestor.symlink_metadata().is_ok()).unwrap_or(&folder);
    let made = if there == folder { "cannot be written to" } else { "cannot be made" };
    let error = match there.is_dir() {
        true => access(there, Access::WRITE_OK | Access::EXEC_OK).err().map(|error| error.to_string()),
        false => Some("it is not a folder".to_owned()),
    };
    error.map_or(Ok(()), |error| Err(format!("{} {made}: {}: {error}", folder.display(), there.display())))
}
