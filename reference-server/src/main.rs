//! The `avouch-server` command.
fn main() {}
