//! Shell scripts in the role of servers.

use std::os::unix::process::ExitStatusExt;
use std::path::Path;

use nix::sys::signal::kill;
use nix::unistd::Pid;

use super::watchdog::Watchdog;
use super::*;

const READY: &str = r#"echo '{"ready":true,"address":"127.0.0.1:4321","metrics":7}'"#;

/// A folder that goes when the test is over.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("avouch-process-{}-{name}", std::process::id()));
        std::fs::create_dir_all(&path).expect("the temporary folder is writable");
        Self(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _left = std::fs::remove_dir_all(&self.0);
    }
}

fn script(folder: &Folder, text: &str) -> Launch {
    Launch {
        program: "/bin/sh".into(),
        arguments: vec!["-c".to_owned(), text.to_owned(), "server".to_owned(), "one".to_owned()],
        environment: vec![("OTHER".to_owned(), "two".to_owned())],
        directory: folder.0.join("data"),
        log: folder.0.join("server.log"),
        ready: Ready::Line,
        stop: Signal::SIGTERM,
        ready_within: Duration::from_secs(5),
        within: None,
    }
}

fn is_there(process: u32) -> bool {
    // A zombie waits for its parent to notice; it is gone.
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
    kill(Pid::from_raw(process as i32), None).is_ok() && !stat.contains(") Z ")
}

async fn gone(process: u32) {
    let wait = async {
        while is_there(process) {
            tokio::time::sleep(LOOK_EVERY).await;
        }
    };
    timeout(Duration::from_secs(3), wait).await.unwrap_or_else(|_| panic!("{process} is still there"));
}

/// The number that a server wrote into a file of its folder.
fn number(folder: &Folder, file: &str) -> u32 {
    let text = std::fs::read_to_string(folder.0.join("data").join(file)).expect("the script wrote it");
    text.trim().parse().expect("the script wrote a number")
}

#[tokio::test]
async fn a_server_is_found_ready_and_keeps_its_address_over_a_kill() {
    let folder = Folder::new("ready");
    let text = format!("echo \"$1 $OTHER\" >> seen; echo starting; {READY}; exec sleep 60");
    let mut server = Process::start(script(&folder, &text)).await.expect("it starts");
    assert_eq!(server.address(), Some(([127, 0, 0, 1], 4321).into()));
    assert_eq!(server.announced()["metrics"], 7);
    let first = server.id().expect("it runs");
    server.kill().await.expect("it can be killed");
    assert!(!is_there(first));
    assert_eq!(server.death().await, None, "we asked it to");
    server.start_again().await.expect("it starts again");
    assert_ne!(server.id(), Some(first));
    assert!(matches!(server.start_again().await, Err(ProcessError::Running)));
    let seen = std::fs::read_to_string(folder.0.join("data/seen")).expect("the script wrote it");
    assert_eq!(seen, "one two\none two\n");
    assert!(std::fs::read_to_string(folder.0.join("server.log")).is_ok_and(|log| log.contains("starting")));
}

#[tokio::test]
async fn a_pause_stands_still_and_a_stop_is_graceful_or_not() {
    let folder = Folder::new("pause");
    let text = format!("trap 'echo bye; exit 0' TERM; {READY}; while :; do sleep 0.01; done");
    let mut server = Process::start(script(&folder, &text)).await.expect("it starts");
    let group = server.id().expect("it runs") as i32;
    server.pause().await.expect("it can be paused");
    // Its leader may stand in the making of a child, which is not the same as being stopped.
    assert!(owner::all_stand_still(group));
    server.resume().await.expect("it can go on");
    server.pause().await.expect("it can be paused");
    assert_eq!(server.stop(Duration::from_secs(3)).await.expect("it stops"), Stopped::ByItself);
    assert!(matches!(server.pause().await, Err(ProcessError::NotRunning)));
    let deaf = format!("trap '' TERM; {READY}; while :; do sleep 0.01; done");
    let mut server = Process::start(script(&folder, &deaf)).await.expect("it starts");
    assert_eq!(server.stop(Duration::from_millis(100)).await.expect("it is killed"), Stopped::Killed);
}

#[tokio::test]
async fn a_death_of_its_own_is_told_with_the_end_of_the_log() {
    let folder = Folder::new("death");
    let text = format!("{READY}; read -r wait; echo 'out of luck' >&2; exit 7");
    let mut server = Process::start(script(&folder, &text)).await.expect("it starts");
    assert_eq!(server.death().await, None);
    server.close_input();
    let death = timeout(Duration::from_secs(3), server.dies()).await.expect("it dies");
    assert_eq!(death.status.code(), Some(7));
    assert!(timeout(Duration::from_millis(20), server.dies()).await.is_err(), "it is told once");
    assert!(death.tail.contains("out of luck"), "the log is read to its end: {death}");
}

#[tokio::test]
async fn a_server_that_never_gets_ready_is_an_error_and_leaves_nothing() {
    let folder = Folder::new("never");
    let died = Process::start(script(&folder, "echo 'no such option' >&2; exit 2")).await;
    assert!(matches!(&died, Err(ProcessError::Died(death)) if death.status.code() == Some(2)), "{died:?}");
    let mut slow = script(&folder, "echo $$ > id; echo '{\"ready\":false}'; exec sleep 60");
    slow.ready_within = Duration::from_millis(200);
    let error = Process::start(slow).await.expect_err("it never says so");
    assert!(matches!(&error, ProcessError::NotReady { tail, .. } if tail.contains("false")), "{error}");
    gone(number(&folder, "id")).await;
    let silent = Process::start(script(&folder, "exit 1")).await.expect_err("it dies");
    assert_eq!(silent.to_string(), "the server died on its own (exit status: 1); it wrote nothing");
    let mut absent = script(&folder, "");
    absent.program = "/no/such/program".into();
    assert!(matches!(Process::start(absent).await, Err(ProcessError::Start { .. })));
}

#[tokio::test]
async fn nothing_is_left_behind_by_a_drop_or_a_panic() {
    let folder = Folder::new("drop");
    let text = format!("sleep 60 & echo $! > child; {READY}; wait");
    let server = Process::start(script(&folder, &text)).await.expect("it starts");
    let (leader, child) = (server.id().expect("it runs"), number(&folder, "child"));
    let panics = tokio::spawn(async move {
        let _held = server;
        panic!("on purpose");
    });
    assert!(panics.await.is_err());
    gone(leader).await;
    gone(child).await;
}

#[tokio::test]
async fn nothing_is_left_behind_when_the_tool_is_killed() {
    let folder = Folder::new("orphan");
    let text = format!("echo $$ > id; {READY}; exec sleep 60");
    let mut server = Process::start(script(&folder, &text)).await.expect("it starts");
    server.pause().await.expect("it can be paused");
    let id = server.id().expect("it runs");
    // The pipe closes without a word, as it does when the kernel cleans up after us.
    let running = server.running.as_mut().expect("it runs");
    drop(running.watchdog.take_input());
    gone(id).await;
}

#[tokio::test]
async fn nothing_is_left_behind_when_the_tool_is_killed_before_it_said_whom_to_watch() {
    let mut watchdog = Watchdog::start().expect("a shell starts");
    let (name, mark) = watchdog.mark();
    let mut command = tokio::process::Command::new("/bin/sh");
    command.args(["-c", "sleep 60 & wait"]).env(name, mark).process_group(0).kill_on_drop(true);
    let mut child = command.spawn().expect("a shell starts");
    drop(watchdog.take_input());
    let end = timeout(Duration::from_secs(60), child.wait()).await.expect("it is killed");
    assert_eq!(end.expect("it can be waited for").signal(), Some(Signal::SIGKILL as i32));
    watchdog.dismiss();
}

#[tokio::test]
async fn a_watchdog_that_is_dismissed_kills_nobody() {
    let mut child = tokio::process::Command::new("/bin/sleep");
    let mut child = child.arg("60").process_group(0).kill_on_drop(true).spawn().expect("it starts");
    let mut watchdog = Watchdog::start().expect("a shell starts");
    watchdog.watch(Pid::from_raw(child.id().expect("it runs") as i32)).expect("it is told");
    watchdog.dismiss();
    assert_eq!(child.try_wait().expect("it can be looked at"), None);
}

#[tokio::test]
async fn a_port_that_somebody_else_owns_is_noticed() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
    let address = listener.local_addr().expect("it is bound");
    if Path::new("/proc/net/tcp").exists() {
        let own_group = nix::unistd::getpgrp().as_raw();
        assert_eq!(port_owner(own_group, address.port()), Owner::Group);
        let folder = Folder::new("foreign");
        let mut launch = script(&folder, "echo $$ > id; exec sleep 60");
        launch.ready = Ready::Accepts(address);
        let error = Process::start(launch).await.expect_err("it is not the server's port");
        assert!(matches!(error, ProcessError::ForeignPort { port } if port == address.port()), "{error}");
        // That the port takes connections shows at once, so the script may have died before its first line.
        let id = std::fs::read_to_string(folder.0.join("data").join("id")).unwrap_or_default();
        if let Ok(id) = id.trim().parse() {
            gone(id).await;
        }
    }
}

#[tokio::test]
async fn words_in_the_log_say_that_it_is_ready_on_either_stream() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
    let address = listener.local_addr().expect("it is bound");
    for stream in ["", " >&2"] {
        let folder = Folder::new("words");
        let mut launch =
            script(&folder, &format!("echo $$ > id; echo 'now it is ready.'{stream}; exec sleep 60"));
        launch.ready = Ready::Says(address, "is ready".to_owned());
        // It is ready; that its port is the test's own is noticed after that.
        let error = Process::start(launch).await.expect_err("it is not the server's port");
        assert!(matches!(error, ProcessError::ForeignPort { .. }), "{error}");
    }
    let folder = Folder::new("no-words");
    let mut launch = script(&folder, "echo 'not yet'; exec sleep 60");
    launch.ready = Ready::Says(address, "is ready".to_owned());
    launch.ready_within = Duration::from_millis(50);
    let error = Process::start(launch).await.expect_err("it never says so");
    assert!(matches!(error, ProcessError::NotReady { .. }), "{error}");
}
