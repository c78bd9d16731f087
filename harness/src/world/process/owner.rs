//! Who listens on a port, and does a process stand still? As `/proc` tells it, where there is one.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;

/// Whose a listening port is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Owner {
    /// Processes of the group, and nobody else.
    Group,
    /// Another process, or one as well: with `SO_REUSEPORT` several share what comes.
    Other,
    /// This system does not say, or nobody listens.
    Unknown,
}

/// Whose listening port this is: of the process group, or of somebody else.
pub fn port_owner(group: i32, port: u16) -> Owner {
    let tables = ["/proc/net/tcp", "/proc/net/tcp6"].map(|path| fs::read_to_string(path).unwrap_or_default());
    let sockets: BTreeSet<String> =
        tables.iter().flat_map(|table| table.lines()).filter_map(|line| listening(line, port)).collect();
    if sockets.is_empty() {
        return Owner::Unknown;
    }
    let links = members(group).into_iter().flat_map(|process| {
        let descriptors = listing(&format!("/proc/{process}/fd"));
        descriptors
            .into_iter()
            .filter_map(|path| Some(fs::read_link(path).ok()?.to_string_lossy().into_owned()))
    });
    whose(sockets, &links.collect())
}

/// Whose the sockets are that listen on a port, if a process group has these open.
fn whose(mut listening: BTreeSet<String>, of_group: &BTreeSet<String>) -> Owner {
    listening.retain(|socket| !of_group.contains(socket));
    if listening.is_empty() { Owner::Group } else { Owner::Other }
}

/// Whether everything in a process group, which was told to stop, stands still; also where the system does not say.
pub(super) fn all_stand_still(group: i32) -> bool {
    // Inside a system call that nothing interrupts (a sync, say) it stops before it gets back to its own code.
    let stands = |state| matches!(state, 'T' | 't' | 'D' | 'Z' | 'X');
    members(group).into_iter().all(|process| threads(process).into_iter().all(stands))
}

/// Whether the leader of a process group goes on; also where the system does not say.
pub(super) fn goes_on(group: i32) -> bool {
    state_and_group(group).is_none_or(|(state, _)| !matches!(state, 'T' | 't'))
}

/// The socket that listens on a port, if a line of the kernel's table says so: `socket:[123]`.
fn listening(line: &str, port: u16) -> Option<String> {
    let words: Vec<&str> = line.split_whitespace().collect();
    let (_, local_port) = words.get(1)?.rsplit_once(':')?;
    let is_it = u16::from_str_radix(local_port, 16).ok()? == port && words.get(3) == Some(&"0A");
    is_it.then(|| words.get(9).map(|inode| format!("socket:[{inode}]")))?
}

/// Processes of a group.
fn members(group: i32) -> Vec<i32> {
    let processes = listing("/proc").into_iter().filter_map(|path| path.file_name()?.to_str()?.parse().ok());
    processes.filter(|&process| state_and_group(process).is_some_and(|(_, of)| of == group)).collect()
}

/// What a folder holds, sorted; nothing if it is gone or not ours to read.
fn listing(folder: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.path()).collect();
    paths.sort();
    paths
}

/// The state letters of a process's threads.
fn threads(process: i32) -> Vec<char> {
    let states = listing(&format!("/proc/{process}/task")).into_iter();
    states
        .filter_map(|thread| parse(&fs::read_to_string(thread.join("stat")).ok()?))
        .map(|(state, _)| state)
        .collect()
}

/// A process's state letter and process group.
fn state_and_group(process: i32) -> Option<(char, i32)> {
    parse(&fs::read_to_string(format!("/proc/{process}/stat")).ok()?)
}

/// Fields 3 and 5 of `/proc/pid/stat` (proc(5)).
fn parse(text: &str) -> Option<(char, i32)> {
    // The name before it is in brackets and may hold anything, brackets too.
    let mut words = text.rsplit_once(')')?.1.split_whitespace();
    let state = words.next()?.chars().next()?;
    let group = words.nth(1)?.parse().ok()?;
    Some((state, group))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_that_is_shared_with_somebody_else_is_not_ours() {
        let set = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        let check = |listening: &[&str], expected| {
            assert_eq!(whose(set(listening), &set(&["socket:[1]", "socket:[2]", "pipe:[9]"])), expected);
        };
        check(&["socket:[1]"], Owner::Group);
        check(&["socket:[1]", "socket:[2]"], Owner::Group);
        check(&["socket:[1]", "socket:[3]"], Owner::Other);
        check(&["socket:[3]"], Owner::Other);
    }

    #[test]
    fn the_table_is_read() {
        let line = "   0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 4711 1 0 100";
        assert_eq!(listening(line, 8_080).as_deref(), Some("socket:[4711]"));
        assert_eq!(listening(line, 8_081), None);
        assert_eq!(listening(&line.replace(" 0A ", " 01 "), 8_080), None, "connected, not listening");
        assert_eq!(listening("  sl  local_address rem_address   st", 8_080), None);
    }
}
