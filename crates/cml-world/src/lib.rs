//! The simulated world: GitHub over loopback HTTP and a small runner program
