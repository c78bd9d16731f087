//! The `avouch` command as a user meets it: the program itself is run, in an empty folder, and what it prints is read.
//!
//! Error texts stand here whole: a change of words is a change that somebody looks at.

#![allow(clippy::unwrap_used, reason = "a test that cannot set its stage fails")]

mod documents;
mod hostile;
mod interrupts;
mod output;
mod pages;
mod proxy;
mod readme;
mod recording;
mod tool;
mod usage;
