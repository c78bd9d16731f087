//! What is compared: nothing in between, this proxy, and others, each in front of the same server.

use std::fs;
use std::io::{BufRead, BufReader};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::cpu;

/// Something to connect to. Dropping it ends it.
pub(crate) struct Peer {
    pub(crate) name: &'static str,
    pub(crate) address: SocketAddr,
    process: Option<Child>,
}

/// Decides about every PUBLISH, and draws a delay for it: of nothing, so that what is measured is the rule.
const RULE: &str = r#"delay = { on = "PUBLISH", by = "0ms" }"#;

impl Peer {
    pub(crate) fn all(server: SocketAddr) -> Vec<Self> {
        let mut peers = vec![
            Self { name: "nothing between", address: server, process: None },
            Self::avouch("avouch", server, &[]),
            Self::avouch("avouch, frames", server, &["--protocol", "mqtt"]),
            Self::avouch("avouch, frame rule", server, &["--protocol", "mqtt", "--fault", RULE]),
        ];
        peers.extend(Self::haproxy(server));
        peers.extend(Self::socat(server));
        peers
    }

    /// Its processes, as they are now.
    pub(crate) fn processes(&self) -> Vec<u32> {
        self.process.as_ref().map_or_else(Vec::new, |process| cpu::family(process.id()))
    }

    fn avouch(name: &'static str, server: SocketAddr, arguments: &[&str]) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_avouch"));
        command.args(["proxy", "--quiet", "--seed", "3", "--upstream", &server.to_string()]).args(arguments);
        let mut process = command.stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(process.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let address = line.split(' ').nth(1).unwrap().parse().unwrap();
        Self { name, address, process: Some(process) }
    }

    fn haproxy(server: SocketAddr) -> Option<Self> {
        let address = free();
        let path = std::env::temp_dir().join(format!("avouch-bench-{}.cfg", std::process::id()));
        let config = format!(
            "global\n nbthread 2\n maxconn 4096\ndefaults\n mode tcp\n timeout connect 5s\n timeout client 60s\n timeout server 60s\n\
             listen bench\n bind {address}\n server one {server}\n"
        );
        fs::write(&path, config).unwrap();
        let mut command = Command::new("haproxy");
        command.arg("-db").arg("-f").arg(&path);
        let peer = Self::start("haproxy", address, &mut command);
        fs::remove_file(&path).unwrap();
        peer
    }

    fn socat(server: SocketAddr) -> Option<Self> {
        let address = free();
        let listen =
            format!("TCP-LISTEN:{},bind=127.0.0.1,reuseaddr,fork,nodelay,backlog=256", address.port());
        let mut command = Command::new("socat");
        command.arg(listen).arg(format!("TCP:{server},nodelay"));
        Self::start("socat", address, &mut command)
    }

    fn start(name: &'static str, address: SocketAddr, command: &mut Command) -> Option<Self> {
        match command.stdout(Stdio::null()).stderr(Stdio::null()).spawn() {
            Ok(process) => {
                let peer = Self { name, address, process: Some(process) };
                let end = Instant::now() + Duration::from_secs(10);
                while TcpStream::connect(address).is_err() {
                    assert!(Instant::now() < end, "{name} does not listen");
                    std::thread::park_timeout(Duration::from_millis(20));
                }
                Some(peer)
            }
            Err(error) => {
                println!("{name} is left out: {error}");
                None
            }
        }
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        if let Some(process) = &mut self.process {
            // It may have ended by itself.
            let _ = process.kill();
            let _ = process.wait();
        }
    }
}

fn free() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}
