//! Kills a server when this tool is gone, however it went.
//!
//! A shell waits at the other end of a pipe. If the pipe closes without a word, it kills the server's process group:
//! that happens even when this tool was killed with SIGKILL, and it works on a paused server, which could not see its
//! own standard input close. (Asking the kernel with `PR_SET_PDEATHSIG` would need code between fork and exec, and
//! that cannot be written safely; it also follows the thread that started the server, not the tool.)

use std::io::{self, Write};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};

use nix::unistd::Pid;

/// Waits for a word; without one, kills the group named by the first argument.
const SCRIPT: &str = r#"read -r word && exit 0; kill -s KILL -- "-$1""#;

#[derive(Debug)]
pub(super) struct Watchdog {
    shell: Child,
}

impl Watchdog {
    /// Watches over a process group.
    pub(super) fn start(group: Pid) -> io::Result<Self> {
        let shell = Command::new("/bin/sh")
            .args(["-c", SCRIPT, "avouch-watchdog", &group.to_string()])
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            // A Ctrl-C at the terminal is for us, not for it.
            .process_group(0)
            .spawn()?;
        Ok(Self { shell })
    }

    /// The group is gone: its number may soon name another, and must not be killed.
    pub(super) fn dismiss(&mut self) {
        if let Some(mut input) = self.shell.stdin.take() {
            // If the shell is gone, there is nobody to tell.
            let _gone = input.write_all(b"done\n");
        }
        let _reaped = self.shell.wait();
    }

    /// What happens to the pipe when this tool dies.
    #[cfg(test)]
    pub(super) fn take_input(&mut self) -> Option<std::process::ChildStdin> {
        self.shell.stdin.take()
    }
}
