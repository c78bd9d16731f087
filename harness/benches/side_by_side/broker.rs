//! A mosquitto that counts what it delivers, without limits to its queues.

use std::fs;
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// How often it tells its counts. Seconds.
const TELLS_EVERY_S: u64 = 1;

/// How often it is asked, where a machine has too much to do to answer within ten seconds.
const ASKS_MAX: u32 = 5;

/// A broker. Dropping it ends it.
pub(crate) struct Broker {
    pub(crate) port: u16,
    process: Child,
}

impl Broker {
    pub(crate) fn start() -> Self {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let path = std::env::temp_dir().join(format!("avouch-bench-mosquitto-{}.conf", std::process::id()));
        let config = format!(
            "listener {port} 127.0.0.1\nallow_anonymous true\nmax_queued_messages 0\nmax_inflight_messages 1000\npersistence false\nsys_interval {TELLS_EVERY_S}\nlog_type error\n"
        );
        fs::write(&path, config).unwrap();
        let mut command = Command::new("mosquitto");
        let process = command.arg("-c").arg(&path).stdin(Stdio::null()).stderr(Stdio::null()).spawn();
        let process = process.expect("mosquitto is needed: apt-get install mosquitto mosquitto-clients");
        let broker = Self { port, process };
        let end = Instant::now() + Duration::from_secs(10);
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            assert!(Instant::now() < end, "mosquitto does not listen");
            std::thread::park_timeout(Duration::from_millis(20));
        }
        fs::remove_file(&path).unwrap();
        broker
    }

    pub(crate) fn id(&self) -> u32 {
        self.process.id()
    }

    /// Messages that it has sent to subscribers, once it has told that again.
    pub(crate) fn delivered(&self) -> f64 {
        let end = Instant::now() + Duration::from_millis(TELLS_EVERY_S * 1_000 + 500);
        while Instant::now() < end {
            std::thread::park_timeout(Duration::from_millis(100));
        }
        let asked = (0..ASKS_MAX).find_map(|_| {
            let mut command = Command::new("mosquitto_sub");
            command.args([
                "-h",
                "127.0.0.1",
                "-C",
                "1",
                "-W",
                "10",
                "-t",
                "$SYS/broker/publish/messages/sent",
            ]);
            let told = command.arg("-p").arg(self.port.to_string()).output();
            let told = told.expect("mosquitto_sub is needed: apt-get install mosquitto-clients");
            String::from_utf8_lossy(&told.stdout).trim().parse().ok()
        });
        asked.expect("the broker tells what it has sent")
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        // It may have ended already; then there is nothing to end.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
