//! Kills a program when this tool is gone, however it went.
//!
//! A shell waits at the other end of a pipe. If the pipe closes without a word, it kills the program's process group:
//! that happens even when this tool was killed with SIGKILL, and it works on a paused server, which could not see its
//! own standard input close. (Asking the kernel with `PR_SET_PDEATHSIG` would need code between fork and exec, and
//! that cannot be written safely; it also follows the thread that started the server, not the tool.)
//!
//! It is there before the program is. If this tool dies after the program was made and before the shell was told its
//! group, the shell looks for a program that has the mark of this watchdog in its environment.

use std::io::{self, Write};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};

use nix::unistd::Pid;

/// The environment variable with the mark.
const MARK: &str = "AVOUCH_WATCHDOG";

/// Told of a group and then dismissed, or dismissed at once: nothing to do. Told of a group only: it is killed. Told
/// nothing: whoever leads a group and has the mark is killed with it, when whatever was about to be made is there.
const SCRIPT: &str = r#"
if read -r group; then
    [ "$group" = done ] && exit 0
    read -r word && exit 0
    kill -s KILL -- "-$group"
else
    sleep 1
    for file in $(grep -lsF -e "$1" /proc/[0-9]*/environ); do
        process=${file#/proc/}
        kill -s KILL -- "-${process%/environ}" 2>/dev/null
    done
fi
"#;

#[derive(Debug)]
pub(super) struct Watchdog {
    shell: Child,
    mark: String,
}

impl Watchdog {
    /// Begins to watch, over nothing yet.
    pub(super) fn start() -> io::Result<Self> {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        // No mark is the beginning of another.
        let mark = format!("{}.{number};", std::process::id());
        let shell = Command::new("/bin/sh")
            .args(["-c", SCRIPT, "avouch-watchdog", &format!("{MARK}={mark}")])
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            // A Ctrl-C at the terminal is for us, not for it.
            .process_group(0)
            .spawn()?;
        Ok(Self { shell, mark })
    }

    /// The variable that the program must have in its environment.
    pub(super) fn mark(&self) -> (&'static str, &str) {
        (MARK, &self.mark)
    }

    /// The program is there, and leads this group.
    pub(super) fn watch(&mut self, group: Pid) -> io::Result<()> {
        self.tell(&format!("{group}\n"))
    }

    /// The group is gone: its number may soon name another, and must not be killed.
    pub(super) fn dismiss(&mut self) {
        // If the shell is gone, there is nobody to tell.
        let _gone = self.tell("done\n");
        self.shell.stdin = None;
        let _reaped = self.shell.wait();
    }

    fn tell(&mut self, words: &str) -> io::Result<()> {
        self.shell.stdin.as_mut().map_or(Ok(()), |input| input.write_all(words.as_bytes()))
    }

    /// What happens to the pipe when this tool dies.
    #[cfg(test)]
    pub(super) fn take_input(&mut self) -> Option<std::process::ChildStdin> {
        self.shell.stdin.take()
    }
}
