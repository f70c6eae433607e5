//! Everything said to GitHub: where it is, who we are, runners
