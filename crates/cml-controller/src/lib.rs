//! Carries a launch out: step by step, each with an undo
