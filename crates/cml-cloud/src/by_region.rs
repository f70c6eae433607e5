//! Answers combined from several regions. A failure of one region affects only that region: the others still count.

use crate::error::CloudError;

/// A region that did not answer, and the reason.
#[derive(Clone, Debug)]
pub struct RegionFailure {
    /// `us-east-1`.
    pub region: String,
    /// The reason.
    pub error: CloudError,
}

/// Answers of the regions that answered, and the regions that did not.
///
/// A caller that needs the complete answer uses [`ByRegion::into_whole`]: a part never passes for the whole by
/// accident.
#[derive(Clone, Debug)]
pub struct ByRegion<T> {
    /// Items found in the regions that answered.
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
    /// Creates the answer of regions that have all answered.
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

    /// Returns everything, from every region.
    ///
    /// # Errors
    /// The first failure, when a region did not answer.
    pub fn into_whole(self) -> Result<Vec<T>, CloudError> {
        match self.failed.into_iter().next() {
            Some(failure) => Err(failure.error),
            None => Ok(self.found),
        }
    }
}
