//! Renders templates/ into the user data that turns a machine into a runner
