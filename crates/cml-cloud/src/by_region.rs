//! An answer put together from several regions. A failure of one region is that region's: the others still count.

use crate::error::CloudError;

/// A region that gave no answer, and why.
#[derive(Clone, Debug)]
pub struct RegionFailure {
    /// `us-east-1`.
    pub region: String,
    /// Why.
    pub error: CloudError,
}

/// What the regions answered that did, and the regions that did not.
///
/// Whoever needs the whole answer takes [`ByRegion::into_whole`]: a part never passes for the whole by accident.
#[derive(Clone, Debug)]
pub struct ByRegion<T> {
    /// Found in the regions that answered.
    pub found: Vec<T>,
    /// The regions that did not.
    pub failed: Vec<RegionFailure>,
}

impl<T> Default for ByRegion<T> {
    fn default() -> Self {
        Self { found: Vec::new(), failed: Vec::new() }
    }
}

impl<T> ByRegion<T> {
    /// Every region has answered.
    #[must_use]
    pub fn whole(found: Vec<T>) -> Self {
        Self { found, failed: Vec::new() }
    }

    /// Adds the answer of one region.
    pub fn add(&mut self, region: &str, answer: Result<Vec<T>, CloudError>) {
        match answer {
            Ok(found) => self.found.extend(found),
            Err(error) => self.failed.push(RegionFailure { region: region.to_owned(), error }),
        }
    }

    /// Adds the answers of other regions.
    pub fn extend(&mut self, other: Self) {
        self.found.extend(other.found);
        self.failed.extend(other.failed);
    }

    /// Everything, from every region.
    ///
    /// # Errors
    /// The first failure, when a region gave no answer.
    pub fn into_whole(self) -> Result<Vec<T>, CloudError> {
        match self.failed.into_iter().next() {
            Some(failure) => Err(failure.error),
            None => Ok(self.found),
        }
    }
}
