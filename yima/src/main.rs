//! yima: the one binary.
fn main() {}
