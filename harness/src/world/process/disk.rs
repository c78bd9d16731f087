//! A disk that can lose its power: what a server has not made durable is gone, what reached the disk is there.
//!
//! The server's data are on an ext4 file system of their own, in an image file on a loop device. A machine whose power goes
//! leaves behind what its file system had written to the disk by then, and nothing of what was on its way. So, while the
//! server stands still, the image is copied; the next start finds the copy. Nothing is synced or unmounted before the copy: that would
//! write what a loss of power does not. The file system still writes by itself meanwhile (its journal, dirty pages that
//! became old), so a copy counts only if the loop device was written by nobody while it was made: a state of the disk that
//! there was.
//!
//! The disk of this model keeps every write that it was given, in order. One with a cache of its own may also lose writes that
//! were not followed by a flush; so what is lost here would be lost there, and more.
//!
//! Nothing of it is left behind, however this tool ends. The image has no name. The file system is mounted in a mount namespace
//! of its own, which the *holder* keeps open, a shell that goes when its input closes, and which the server joins. When both
//! are gone, the kernel unmounts the file system, gives the loop device back, and the image with it.

#[cfg(test)]
mod tests;

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use nix::errno::Errno;
use nix::sys::stat::{major, minor};
use nix::unistd::{Whence, lseek, syncfs};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader};
use tokio::process::Command;
use tokio::time::{Instant, timeout};

use super::group::{Running, spawn_watched};

/// How large a disk is. Its image is sparse and takes what is written.
const DISK_BYTES: u64 = 1024 * 1024 * 1024;
/// The folder of the file system that is the server's.
const DATA: &str = "data";
/// A file system must be made and mounted within this.
const MOUNT_LIMIT: Duration = Duration::from_secs(20);
/// Copies are tried for so long, until nothing was written meanwhile: a file system that was busy writes for seconds after its server
/// stands still.
const COPY_WITHIN: Duration = Duration::from_secs(10);
/// Between two of them.
const COPY_AGAIN_AFTER: Duration = Duration::from_millis(5);
/// A part of the image that is read at once, and left out of the copy if it is all zeros.
const PART_BYTES: usize = 64 * 1024;
/// Of what a failed command said.
const WORDS_BYTES_MAX: u64 = 4 * 1024;

/// Makes a file system if asked to, mounts it, and holds it until its input closes. Arguments: the image, where to mount it, and
/// `blank` or `used`.
const HOLD: &str = r#"
set -e
PATH="$PATH:/usr/sbin:/sbin"
if [ "$3" = blank ]; then
    mke2fs -q -F -t ext4 -m 0 -N 16384 -J size=8 -E lazy_itable_init=0,lazy_journal_init=0,nodiscard "$1" </dev/null
fi
mount -t ext4 -o loop "$1" "$2" </dev/null
mkdir -p "$2/data"
echo mounted
read -r off || exit 0
"#;

/// The disk of a machine that a server runs on.
#[derive(Debug)]
pub struct Disk {
    image: File,
    is_blank: bool,
    /// Where images are made.
    folder: PathBuf,
    mounted_at: PathBuf,
    /// While the machine has power.
    holder: Option<Running>,
}

/// What can go wrong with it.
#[derive(Debug, thiserror::Error)]
pub enum DiskError {
    /// Its file system could not be mounted.
    #[error("the disk of the server cannot be mounted: {0}")]
    Mount(String),
    /// Its image cannot be read or written.
    #[error("the image of the server's disk: {0}")]
    Image(#[from] io::Error),
    /// The machine is off.
    #[error("the machine of the server has no power")]
    Off,
    /// The file system never paused.
    #[error("the disk of the server was written without a pause, so that there is no copy of one moment")]
    NeverStill,
}

/// What was written to a block device so far, and what is being written.
#[derive(Debug, PartialEq, Eq)]
struct Written {
    /// Requests that are over: writes, discards.
    over: [u64; 2],
    in_flight: u64,
}

/// Why a server cannot have such a disk here; `None` = it can. Tried once per process.
pub fn why_not() -> Option<&'static str> {
    static ANSWER: OnceLock<Option<String>> = OnceLock::new();
    ANSWER.get_or_init(|| attempt(&std::env::temp_dir()).err().map(|why| reason(&why))).as_deref()
}

fn reason(why: &str) -> String {
    let why = why.lines().find(|line| !line.trim().is_empty()).unwrap_or("no reason was given").trim();
    format!(
        "a loss of power takes a disk of the server's own (root, a loop device, and mount, unshare, nsenter, mke2fs), and here: {why}"
    )
}

/// Makes a file system, mounts it, and lets it go.
fn attempt(folder: &Path) -> Result<(), String> {
    let words = |error: io::Error| error.to_string();
    let image = nameless(folder).map_err(words)?;
    let point = folder.join(format!("avouch-disk-{}", std::process::id()));
    fs::create_dir_all(&point).map_err(words)?;
    let mut command = std::process::Command::new("unshare");
    command.args(hold_arguments(&image, &point, true)).stdin(Stdio::null());
    let output = command.output();
    let _empty = fs::remove_dir(&point);
    let output = output.map_err(|error| format!("unshare: {error}"))?;
    let is_mounted = output.stdout.starts_with(b"mounted");
    if is_mounted { Ok(()) } else { Err(String::from_utf8_lossy(&output.stderr).into_owned()) }
}

impl Disk {
    /// A blank disk, off, with its image in a folder and its file system at `mounted_at` when it is on.
    pub fn new(folder: &Path, mounted_at: &Path) -> io::Result<Self> {
        fs::create_dir_all(mounted_at)?;
        let mounted_at = fs::canonicalize(mounted_at)?;
        let (image, folder) = (nameless(folder)?, folder.to_owned());
        Ok(Self { image, is_blank: true, folder, mounted_at, holder: None })
    }

    /// Where the server's data are, as the server sees it.
    pub fn data(&self) -> PathBuf {
        self.mounted_at.join(DATA)
    }

    /// Switches the machine on, if it is off. The answer is the process whose files a server has to see.
    pub async fn power_on(&mut self) -> Result<u32, DiskError> {
        if let Some(holder) = &self.holder {
            return Ok(holder.group.as_raw() as u32);
        }
        let mut command = Command::new("unshare");
        command.args(hold_arguments(&self.image, &self.mounted_at, self.is_blank));
        let mut holder = spawn_watched(&mut command)?;
        match timeout(MOUNT_LIMIT, mounted(&mut holder)).await {
            Ok(true) => {}
            Ok(false) => return Err(DiskError::Mount(last_words(&mut holder).await)),
            Err(_elapsed) => return Err(DiskError::Mount(format!("not within {MOUNT_LIMIT:?}"))),
        }
        self.is_blank = false;
        let process = holder.group.as_raw() as u32;
        self.holder = Some(holder);
        Ok(process)
    }

    /// Whether the machine has power.
    pub fn is_on(&self) -> bool {
        self.holder.is_some()
    }

    /// Writes everything to the disk once: what a first start leaves behind unsynced would be there after half a minute anyhow, and
    /// is no part of what is tested.
    pub async fn settle(&self) -> Result<(), DiskError> {
        let folder = File::open(self.inside()?)?;
        blocking(move || syncfs(&folder).map_err(io::Error::from)).await?;
        Ok(())
    }

    /// The power goes: whatever had not reached the disk is gone. The server must stand still, and is to be killed after this;
    /// what an error says has not happened. The answer is how many bytes were found on the disk.
    pub async fn lose_power(&mut self) -> Result<u64, DiskError> {
        let began = Instant::now();
        while began.elapsed() < COPY_WITHIN {
            let before = self.written()?;
            if before.in_flight == 0 {
                let (image, folder) = (self.image.try_clone()?, self.folder.clone());
                let (copy, copied_bytes) = blocking(move || copy_of(&image, &folder)).await?;
                if self.written()? == before {
                    self.image = copy;
                    self.holder = None;
                    return Ok(copied_bytes);
                }
            }
            tokio::time::sleep(COPY_AGAIN_AFTER).await;
        }
        Err(DiskError::NeverStill)
    }

    /// The file system's root, as it is seen from here.
    fn inside(&self) -> Result<PathBuf, DiskError> {
        let holder = self.holder.as_ref().ok_or(DiskError::Off)?;
        let mounted_at = self.mounted_at.strip_prefix("/").unwrap_or(&self.mounted_at);
        Ok(Path::new(&format!("/proc/{}/root", holder.group)).join(mounted_at))
    }

    fn written(&self) -> Result<Written, DiskError> {
        let device = fs::metadata(self.inside()?)?.dev();
        let path = format!("/sys/dev/block/{}:{}/stat", major(device), minor(device));
        let text = fs::read_to_string(path)?;
        Ok(parse(&text).ok_or_else(|| io::Error::other(format!("block statistics: {text}")))?)
    }
}

/// What the kernel counts of a block device (Documentation/block/stat.rst): it looks at what is in flight first, so that no request
/// is missed by both.
fn parse(text: &str) -> Option<Written> {
    let fields: Vec<u64> = text.split_whitespace().map(str::parse).collect::<Result<_, _>>().ok()?;
    // A kernel before 4.18 does not count discards.
    let discards = fields.get(11).copied().unwrap_or(0);
    Some(Written { over: [*fields.get(4)?, discards], in_flight: *fields.get(8)? })
}

/// Whether a holder says that it is so far.
async fn mounted(holder: &mut Running) -> bool {
    let Some(output) = holder.child.stdout.as_mut() else { return false };
    let mut line = String::new();
    // An end without a line is an answer too.
    let _end = BufReader::new(output.take(WORDS_BYTES_MAX)).read_line(&mut line).await;
    line.starts_with("mounted")
}

async fn last_words(holder: &mut Running) -> String {
    let mut words = String::new();
    if let Some(errors) = holder.child.stderr.as_mut() {
        let _end = timeout(MOUNT_LIMIT, errors.take(WORDS_BYTES_MAX).read_to_string(&mut words)).await;
    }
    words.trim().to_owned()
}

fn hold_arguments(image: &File, mounted_at: &Path, is_blank: bool) -> Vec<String> {
    // Whoever has no name can still be opened through the process that has it open.
    let image = format!("/proc/{}/fd/{}", std::process::id(), image.as_raw_fd());
    let mounted_at = mounted_at.to_string_lossy().into_owned();
    let state = if is_blank { "blank" } else { "used" };
    let words = ["--mount", "--propagation", "private", "/bin/sh", "-c", HOLD, "avouch-disk"];
    words.map(str::to_owned).into_iter().chain([image, mounted_at, state.to_owned()]).collect()
}

/// A sparse file of the size of a disk that has no name in its folder, so that nobody has to remove it.
fn nameless(folder: &Path) -> io::Result<File> {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    let path = folder.join(format!(".avouch-disk-{}-{number}.img", std::process::id()));
    let file = OpenOptions::new().read(true).write(true).create_new(true).open(&path)?;
    fs::remove_file(&path)?;
    file.set_len(DISK_BYTES)?;
    Ok(file)
}

/// Another such file with the same content, and how many bytes that was.
fn copy_of(image: &File, folder: &Path) -> io::Result<(File, u64)> {
    let copy = nameless(folder)?;
    let mut part = vec![0; PART_BYTES];
    let (mut at, mut copied) = (0, 0);
    while let Some(data) = next(image, at, Whence::SeekData)? {
        at = data;
        let end = next(image, at, Whence::SeekHole)?.unwrap_or(DISK_BYTES);
        while at < end {
            let wanted = part.len().min((end - at) as usize);
            let read = image.read_at(&mut part[..wanted], at)?;
            if read == 0 {
                return Ok((copy, copied));
            }
            if part[..read].iter().any(|byte| *byte != 0) {
                copy.write_all_at(&part[..read], at)?;
                copied += read as u64;
            }
            at += read as u64;
        }
    }
    Ok((copy, copied))
}

/// Where data, or a hole, comes next.
fn next(image: &File, at: u64, whence: Whence) -> io::Result<Option<u64>> {
    match lseek(image, at as i64, whence) {
        Ok(found) => Ok(Some(found as u64)),
        Err(Errno::ENXIO) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> io::Result<T> + Send + 'static) -> io::Result<T> {
    tokio::task::spawn_blocking(work).await.map_err(io::Error::other)?
}
