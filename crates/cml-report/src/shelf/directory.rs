//! A directory of this machine, to look at a report before anyone else does.

use std::path::PathBuf;

use super::{Asset, Shelf, ShelfError, check_count, escaped};

/// Files below one directory.
#[derive(Clone, Debug)]
pub struct Directory {
    /// Where.
    pub root: PathBuf,
}

impl Shelf for Directory {
    async fn place(&self, assets: &[Asset]) -> Result<Vec<String>, ShelfError> {
        check_count(assets)?;
        let mut all = Vec::new();
        for asset in assets {
            let file = self.root.join(asset.path());
            let failed = |error: std::io::Error| ShelfError::Disk {
                path: file.display().to_string(),
                cause: error.to_string(),
            };
            if let Some(dir) = file.parent() {
                tokio::fs::create_dir_all(dir).await.map_err(failed)?;
            }
            tokio::fs::write(&file, &asset.bytes).await.map_err(failed)?;
            all.push(escaped(&file.display().to_string()));
        }
        Ok(all)
    }
}
