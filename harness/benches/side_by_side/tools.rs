//! Who is compared, and how each is told the same task.

use std::fs;
use std::net::TcpListener;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use super::{PAYLOAD_BYTES, PUBLISHERS, Task};

/// A load generator.
pub(crate) struct Tool {
    pub(crate) name: &'static str,
    run: Box<dyn Fn(Task)>,
}

impl Tool {
    /// All that are there, ours first.
    pub(crate) fn all() -> Vec<Self> {
        let mut tools = vec![Self { name: "avouch load", run: Box::new(avouch) }];
        let mqttv5 = std::env::var("MQTTV5").unwrap_or_else(|_| "mqttv5".to_owned());
        if answers(&mqttv5, "--version") {
            tools.push(Self { name: "mqttv5-cli", run: Box::new(move |task| mqttv5_cli(&mqttv5, task)) });
        } else {
            println!(
                "mqttv5-cli is missing and left out: cargo install mqttv5-cli, or say where it is with MQTTV5"
            );
        }
        if answers("tsung", "-v") {
            tools.push(Self { name: "tsung", run: Box::new(tsung) });
        } else {
            println!("tsung is missing and left out: apt-get install tsung");
        }
        tools
    }

    pub(crate) fn run(&self, task: Task) {
        (self.run)(task);
    }
}

fn answers(program: &str, argument: &str) -> bool {
    let quiet = Command::new(program).arg(argument).stdout(Stdio::null()).stderr(Stdio::null()).status();
    quiet.is_ok_and(|status| status.success())
}

/// A folder of this process's own, empty.
fn scratch(name: &str) -> PathBuf {
    let folder = std::env::temp_dir().join(format!("avouch-bench-{name}-{}", std::process::id()));
    // The first time there is none.
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).unwrap();
    folder
}

fn avouch(task: Task) {
    let folder = scratch("avouch");
    let Task { port, per_s, seconds } = task;
    let mut command = Command::new(env!("CARGO_BIN_EXE_avouch"));
    command.args(["load", &format!("mqtt://127.0.0.1:{port}"), "--shape", "fan-in"]);
    command.args(["--conversations", &PUBLISHERS.to_string(), "--payload", &format!("{PAYLOAD_BYTES} B")]);
    command.args(["--rate", &format!("{per_s}/s"), "--duration", &format!("{seconds}s")]);
    let ran = command.arg("--out").arg(folder.join("run")).output().unwrap();
    // Where others want the processors, too, sends are late: that is inconclusive for latencies, and no matter here.
    let is_whole = matches!(ran.status.code(), Some(0 | 3));
    assert!(is_whole, "{}{}", String::from_utf8_lossy(&ran.stdout), String::from_utf8_lossy(&ran.stderr));
    fs::remove_dir_all(folder).unwrap();
}

fn mqttv5_cli(program: &str, task: Task) {
    let Task { port, per_s, seconds } = task;
    let mut command = Command::new(program);
    command.args(["bench", "--mode", "throughput", "--warmup", "0", "--qos", "1", "--subscribers", "1"]);
    command.args(["--host", "127.0.0.1", "--port", &port.to_string(), "--duration", &seconds.to_string()]);
    command.args(["--publishers", &PUBLISHERS.to_string(), "--rate", &per_s.to_string()]);
    command.args(["--payload-size", &PAYLOAD_BYTES.to_string()]);
    let ran = command.output().unwrap();
    assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
}

fn tsung(task: Task) {
    let folder = scratch("tsung");
    let Task { port, per_s, seconds } = task;
    let think_s = PUBLISHERS as f64 / per_s as f64;
    let each = per_s * seconds / PUBLISHERS;
    let payload = "x".repeat(PAYLOAD_BYTES);
    // The subscriber listens while publishers arrive (a second), send (a little slower than asked), and the last messages come.
    let listens_s = seconds * 3 / 2 + 6;
    let config = format!(
        r#"<?xml version="1.0"?>
<!DOCTYPE tsung SYSTEM "/usr/share/tsung/tsung-1.0.dtd">
<tsung loglevel="warning" version="1.0">
<clients><client host="127.0.0.1" use_controller_vm="true" maxusers="1000"/></clients>
<servers><server host="127.0.0.1" port="{port}" type="tcp"/></servers>
<load>
<user session="subscriber" start_time="1" unit="second"/>
<arrivalphase phase="1" duration="10" unit="second"><users maxnumber="{PUBLISHERS}" arrivalrate="{PUBLISHERS}" unit="second"/></arrivalphase>
</load>
<sessions>
<session name="publisher" probability="100" type="ts_mqtt">
<request><mqtt type="connect" clean_start="true" keepalive="3000"/></request>
<thinktime value="2"/>
<for from="1" to="{each}" incr="1" var="n">
<request><mqtt type="publish" topic="bench/tsung" qos="1" retained="false">{payload}</mqtt></request>
<thinktime value="{think_s}"/>
</for>
<request><mqtt type="disconnect"/></request>
</session>
<session name="subscriber" probability="0" type="ts_mqtt">
<request><mqtt type="connect" clean_start="true" keepalive="3000"/></request>
<request><mqtt type="subscribe" topic="bench/tsung" qos="1"/></request>
<request><mqtt type="waitForMessages" timeout="{listens_s}"/></request>
<request><mqtt type="disconnect"/></request>
</session>
</sessions>
</tsung>
"#
    );
    let path = folder.join("tsung.xml");
    fs::write(&path, config).unwrap();
    // No keep-alive within the test: an acknowledgement that comes together with the answer to a ping waits for the next one.
    // Its own registry of names, on loopback, ended with it.
    let names = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port().to_string();
    let mut command = Command::new("timeout");
    command.arg(format!("{}", 10 * seconds + 60)).arg("tsung");
    command.arg("-f").arg(&path).arg("-l").arg(folder.join("log")).args([
        "-n",
        "-F",
        "-I",
        "127.0.0.1",
        "start",
    ]);
    command.env("HOME", &folder).env("ERL_EPMD_PORT", &names).env("ERL_EPMD_ADDRESS", "127.0.0.1");
    command.env("ERL_AFLAGS", "-kernel inet_dist_use_interface {127,0,0,1}");
    let ran = command.stdin(Stdio::null()).output().unwrap();
    let stopped = Command::new("epmd").args(["-port", &names, "-kill"]).stdout(Stdio::null()).status();
    assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stdout));
    assert!(stopped.is_ok(), "epmd comes with Erlang");
    fs::remove_dir_all(folder).unwrap();
}
