//! What survives a loss of power, and that nothing of the disk is left behind.

use nix::sys::signal::Signal;

use super::*;
use crate::world::process::{Launch, Process, Ready};

/// A folder that goes when the test is over.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("avouch-disk-test-{}-{name}", std::process::id()));
        fs::create_dir_all(&path).expect("the temporary folder is writable");
        Self(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _left = fs::remove_dir_all(&self.0);
    }
}

/// Whether this machine has what it takes; where not, the reason has to say so.
fn can_lose_power() -> bool {
    let why = why_not();
    assert!(why.is_none_or(|why| why.starts_with("a loss of power takes a disk")), "{why:?}");
    why.is_none()
}

/// Names of the images behind loop devices that are in use.
fn images() -> Vec<String> {
    let devices = fs::read_dir("/sys/block").into_iter().flatten().flatten();
    devices.filter_map(|device| fs::read_to_string(device.path().join("loop/backing_file")).ok()).collect()
}

/// The image of a disk that is on.
fn image_of(disk: &Disk) -> String {
    let device = fs::metadata(disk.inside().unwrap()).unwrap().dev();
    let path = format!("/sys/dev/block/{}:{}/loop/backing_file", major(device), minor(device));
    fs::read_to_string(path).unwrap()
}

async fn is_given_back(image: &str) {
    let gone = async {
        while images().iter().any(|it| it == image) {
            tokio::time::sleep(COPY_AGAIN_AFTER).await;
        }
    };
    timeout(MOUNT_LIMIT, gone).await.unwrap_or_else(|_| panic!("{image} is still there"));
}

/// A shell in the role of a server; what it says when it is ready names an address that nobody listens at.
fn script(folder: &Folder, text: &str, within: u32) -> Launch {
    let ready = r#"echo '{"ready":true,"address":"127.0.0.1:4321"}'"#;
    Launch {
        program: "/bin/sh".into(),
        arguments: vec!["-c".to_owned(), format!("{text}; {ready}; exec sleep 60")],
        environment: Vec::new(),
        directory: folder.0.clone(),
        log: folder.0.join("server.log"),
        ready: Ready::Line,
        stop: Signal::SIGTERM,
        ready_within: MOUNT_LIMIT,
        within: Some(within),
    }
}

#[tokio::test]
async fn what_was_synced_survives_and_nothing_else_does() {
    if !can_lose_power() {
        return;
    }
    let folder = Folder::new("survives");
    let mut disk = Disk::new(&folder.0, &folder.0.join("disk")).unwrap();
    let holder = disk.power_on().await.unwrap();
    let text = "cd disk/data; echo one > kept; sync kept; echo two > lost";
    let mut server = Process::start(script(&folder, text, holder)).await.unwrap();
    server.pause().await.unwrap();
    assert!(disk.lose_power().await.unwrap() > 0);
    server.kill().await.unwrap();
    assert!(!disk.is_on() && matches!(disk.settle().await, Err(DiskError::Off)));

    let again = "cd disk/data; cat kept; echo \"[$(cat lost 2>/dev/null)]\"";
    let holder = disk.power_on().await.unwrap();
    let server = Process::start(script(&folder, again, holder)).await.unwrap();
    let seen = fs::read_to_string(folder.0.join("server.log")).unwrap();
    assert!(seen.starts_with("one\n[]\n"), "{seen}\n{}", server.log_tail());
}

#[tokio::test]
async fn a_kill_loses_nothing_and_what_is_settled_stays() {
    if !can_lose_power() {
        return;
    }
    let folder = Folder::new("settled");
    let mut disk = Disk::new(&folder.0, &folder.0.join("disk")).unwrap();
    let holder = disk.power_on().await.unwrap();
    let text = "cd disk/data; cat first second; echo 1 >> first";
    let mut server = Process::start(script(&folder, text, holder)).await.unwrap();
    disk.settle().await.unwrap();
    server.kill().await.unwrap();
    assert_eq!(disk.power_on().await.unwrap(), holder, "the machine stays on");
    server.start_again().await.unwrap();
    server.pause().await.unwrap();
    disk.lose_power().await.unwrap();
    server.kill().await.unwrap();
    server.see_within(Some(disk.power_on().await.unwrap()));
    server.start_again().await.unwrap();
    let lines = server.log_tail();
    let ones = lines.lines().filter(|line| *line == "1").count();
    assert_eq!(ones, 2, "once after the kill, once after the loss, when the second was gone: {lines}");
}

#[tokio::test]
async fn nothing_of_a_disk_is_left_behind() {
    if !can_lose_power() {
        return;
    }
    let folder = Folder::new("left");
    let mut disk = Disk::new(&folder.0, &folder.0.join("disk")).unwrap();
    let holder = disk.power_on().await.unwrap();
    let server = Process::start(script(&folder, "cd disk/data", holder)).await.unwrap();
    let first = image_of(&disk);
    assert!(first.contains(".avouch-disk-") && first.contains("(deleted)"), "it has no name: {first}");
    // The pipe closes without a word, as it does when this tool is killed; its server goes as well.
    drop(disk.holder.as_mut().unwrap().input.take());
    drop(server);
    is_given_back(&first).await;

    let mut disk = Disk::new(&folder.0, &folder.0.join("disk")).unwrap();
    disk.power_on().await.unwrap();
    let second = image_of(&disk);
    let panics = tokio::spawn(async move {
        let _held = disk;
        panic!("on purpose");
    });
    assert!(panics.await.is_err());
    is_given_back(&second).await;
    let entries = fs::read_dir(&folder.0).unwrap().flatten();
    let mut left: Vec<_> = entries.map(|entry| entry.file_name()).collect();
    left.sort();
    assert!(left.iter().all(|name| name == "disk" || name == "server.log"), "{left:?}");
}

#[tokio::test]
async fn what_cannot_be_mounted_is_told() {
    if !can_lose_power() {
        return;
    }
    let folder = Folder::new("damaged");
    let mut disk = Disk::new(&folder.0, &folder.0.join("disk")).unwrap();
    disk.is_blank = false; // so that nobody makes a file system
    let error = disk.power_on().await.unwrap_err().to_string();
    assert!(error.starts_with("the disk of the server cannot be mounted: mount: "), "{error}");
}

#[test]
fn block_statistics_are_read() {
    let text = "      11        0       22        0        1        0        2        3        4        4        8        5        0        0        0        1        3\n";
    assert_eq!(parse(text), Some(Written { over: [1, 5], in_flight: 4 }));
    assert_eq!(parse("11 0 22 0 1 0 2 3 4 4 8"), Some(Written { over: [1, 0], in_flight: 4 }));
    assert_eq!(parse("none"), None);
}

#[test]
fn a_copy_has_what_the_image_has() {
    let folder = Folder::new("copy");
    let image = nameless(&folder.0).unwrap();
    for (at, byte) in [(0, 1), (70_000, 2), (DISK_BYTES - 3, 3)] {
        image.write_all_at(&[byte; 3], at).unwrap();
    }
    let (copy, copied) = copy_of(&image, &folder.0).unwrap();
    assert!(copied < 4 * PART_BYTES as u64, "holes are left out: {copied}");
    let mut found = [0; 3];
    for (at, byte) in [(0, 1), (1_000_000, 0), (70_000, 2), (DISK_BYTES - 3, 3)] {
        copy.read_exact_at(&mut found, at).unwrap();
        assert_eq!(found, [byte; 3], "at {at}");
    }
    assert_eq!(copy.metadata().unwrap().len(), DISK_BYTES);
}
