//! A program and everything that it starts: a process group of its own, which does not outlive this tool.

use std::io;
use std::process::Stdio;
use std::sync::{Mutex, MutexGuard, PoisonError};

use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use tokio::process::{Child, ChildStdin, Command};

use super::watchdog::Watchdog;
use super::{Launch, ProcessError};

/// Its leader runs, or has not been waited for yet.
#[derive(Debug)]
pub(super) struct Running {
    pub(super) child: Child,
    pub(super) group: Pid,
    pub(super) watchdog: Watchdog,
    /// Closes when this is dropped.
    pub(super) input: Option<ChildStdin>,
}

/// The program of a server, before its arguments.
pub(super) fn program_within(launch: &Launch) -> Command {
    let Some(process) = launch.within else {
        let mut command = Command::new(&launch.program);
        command.current_dir(&launch.directory);
        return command;
    };
    // The folder is entered behind the door: seen from outside it is one without the mounts below it.
    let mut command = Command::new("nsenter");
    command.arg(format!("--mount=/proc/{process}/ns/mnt"));
    command.args(["--", "/bin/sh", "-c", r#"cd "$1" && shift && exec "$@""#, "avouch-start"]);
    command.arg(&launch.directory).arg(&launch.program);
    command
}

/// Starts a program in a process group of its own, with pipes to its three streams. The group is killed whatever happens, and
/// at whatever moment: by its watchdog, which is there before it, or when what is given back is dropped.
pub(super) fn spawn_watched(command: &mut Command) -> io::Result<Running> {
    let alone = nobody_forks();
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut watchdog = Watchdog::start()?;
    let (name, mark) = watchdog.mark();
    let started = command.env(name, mark).process_group(0).kill_on_drop(true).spawn();
    drop(alone);
    let mut child = started.inspect_err(|_| watchdog.dismiss())?;
    let group = Pid::from_raw(child.id().unwrap_or_default() as i32);
    let input = child.stdin.take();
    let mut running = Running { child, group, watchdog, input };
    running.watchdog.watch(group)?;
    Ok(running)
}

/// While it is held, no other run of this process is about to start a program. Between its making and its first own
/// instruction a child has every open socket of ours, so a port that another run only tried would be taken for that moment.
pub(in crate::world) fn nobody_forks() -> MutexGuard<'static, ()> {
    static FORKING: Mutex<()> = Mutex::new(());
    FORKING.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Running {
    pub(super) fn signal(&self, signal: Signal) -> Result<(), ProcessError> {
        killpg(self.group, signal)
            .map_err(|error| ProcessError::Signal { signal: signal.as_str(), why: error.to_string() })
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // No such process: the whole group is gone already, which is what is wanted.
        let _gone = killpg(self.group, Signal::SIGKILL);
        self.watchdog.dismiss();
    }
}
