//! A drive behind the kernel's own disk driver: TCMU hands its commands to us,
//! `tcm_loop` makes a SCSI host of it. Needs root, configfs and the modules
//! `target_core_user` and `tcm_loop`.

use std::{
    fmt, fs, io,
    num::NonZeroUsize,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use crate::{Drive, ring::Ring};

/// Where the kernel's SCSI target is set up.
const TARGET: &str = "/sys/kernel/config/target";
/// How long the kernel may take to make a device, in user space's ring or in `/dev`.
const APPEARS_LIMIT: Duration = Duration::from_secs(60);
/// The kernel announces it to udev only: it is looked for so often.
const POLL: Duration = Duration::from_millis(10);

/// Why the drive is not in `/dev`.
#[derive(Debug)]
pub struct AttachError {
    what: PathBuf,
    err: io::Error,
}

impl fmt::Display for AttachError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}: {}; is configfs mounted, and are target_core_user and tcm_loop loaded?",
            self.what.display(),
            self.err
        )
    }
}

impl std::error::Error for AttachError {}

/// A drive in `/dev`, until dropped.
#[derive(Debug)]
pub struct Attached {
    drive: Arc<Mutex<Drive>>,
    core: PathBuf,
    port: PathBuf,
    server: Option<JoinHandle<()>>,
}

impl Attached {
    /// Plug `drive` in. `slot`, below 65,536, tells it from others.
    ///
    /// # Errors
    /// [`AttachError`] naming the file of configfs or sysfs.
    pub fn new(slot: u16, drive: Drive) -> Result<Self, AttachError> {
        let bytes = drive.media.bytes().len();
        let drive = Arc::new(Mutex::new(drive));
        let core = Path::new(TARGET).join(format!("core/user_{slot}/drive"));
        let port = Path::new(TARGET).join(format!("loopback/naa.60014050000{slot:05}/tpgt_1"));
        let mut attached = Self { drive, core, port, server: None };
        attached.make_device(slot, bytes)?;
        attached.plug()?;
        Ok(attached)
    }

    /// The ring, and a thread that serves it: the kernel sends commands as soon
    /// as the drive is plugged in.
    fn make_device(&mut self, slot: u16, bytes: usize) -> Result<(), AttachError> {
        let core = &self.core;
        make(core)?;
        // No netlink: the thread is there before the first command is.
        let config =
            format!("dev_config=billet/{slot},dev_size={bytes},hw_block_size=512,nl_reply_supported=-1");
        set(&core.join("control"), &config)?;
        set(&core.join("enable"), "1")?;
        let ring = wait_for(core, || uio(slot))?;
        let ring = open(&ring).map_err(|err| AttachError { what: ring, err })?;
        let drive = Arc::clone(&self.drive);
        self.server = Some(thread::spawn(move || ring.serve(&drive)));
        Ok(())
    }

    /// Have the kernel find the drive.
    ///
    /// # Errors
    /// [`AttachError`].
    pub fn plug(&self) -> Result<(), AttachError> {
        let lun = self.port.join("lun/lun_0");
        make(&self.port)?;
        set(&self.port.join("nexus"), "naa.6001405ffffffff1")?;
        make(&lun)?;
        let link = lun.join("drive");
        symlink(&self.core, &link).map_err(|err| AttachError { what: link, err })
    }

    /// Pull it: the kernel's disk is gone at once.
    ///
    /// # Errors
    /// [`AttachError`].
    pub fn unplug(&self) -> Result<(), AttachError> {
        let lun = self.port.join("lun/lun_0");
        let link = lun.join("drive");
        fs::remove_file(&link).map_err(|err| AttachError { what: link, err })?;
        remove(&lun)?;
        remove(&self.port)?;
        remove(self.port.parent().expect("below the fabric"))
    }

    /// The drive itself. Its commands wait meanwhile.
    pub fn drive(&self) -> MutexGuard<'_, Drive> {
        self.drive.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Power off and on again, the cable pulled and plugged as well.
    ///
    /// # Errors
    /// [`AttachError`].
    pub fn power_cycle(&self) -> Result<(), AttachError> {
        self.unplug()?;
        self.drive().power_on();
        self.plug()
    }

    /// The kernel's name for it: `sda`. Waited for.
    ///
    /// # Errors
    /// [`AttachError`] when none comes.
    pub fn name(&self) -> Result<String, AttachError> {
        let address = self.port.join("address");
        let text = fs::read_to_string(&address).map_err(|err| AttachError { what: address, err })?;
        let device = PathBuf::from(format!("/sys/class/scsi_device/{}:0/device/block", text.trim()));
        wait_for(&device, || Ok(names(&device)?.pop()))
    }
}

impl Drop for Attached {
    fn drop(&mut self) {
        // What is not there need not go; a test that failed half-way has parts only.
        let _ = self.unplug();
        let _ = remove(&self.core);
        let _ = remove(self.core.parent().expect("below the core"));
        if let Some(server) = self.server.take().filter(|_| !self.core.exists()) {
            // The ring is gone, which ended the thread.
            let _ = server.join();
        }
    }
}

fn make(folder: &Path) -> Result<(), AttachError> {
    fs::create_dir_all(folder).map_err(|err| AttachError { what: folder.to_owned(), err })
}

fn remove(folder: &Path) -> Result<(), AttachError> {
    fs::remove_dir(folder).map_err(|err| AttachError { what: folder.to_owned(), err })
}

fn set(file: &Path, value: &str) -> Result<(), AttachError> {
    fs::write(file, value).map_err(|err| AttachError { what: file.to_owned(), err })
}

/// The UIO device of the drive in `slot`: `/sys/class/uio/uioN`.
fn uio(slot: u16) -> io::Result<Option<PathBuf>> {
    let class = Path::new("/sys/class/uio");
    let ours = format!("tcm-user/{slot}/drive/billet/{slot}");
    let is_ours = |name: &String| {
        let text = fs::read_to_string(class.join(name).join("name"));
        text.is_ok_and(|text| text.trim() == ours)
    };
    Ok(names(class)?.into_iter().find(is_ours).map(|name| class.join(name)))
}

fn open(uio: &Path) -> io::Result<Ring> {
    let size = fs::read_to_string(uio.join("maps/map0/size"))?;
    let digits = size.trim().trim_start_matches("0x");
    let length = usize::from_str_radix(digits, 16).ok().and_then(NonZeroUsize::new);
    let node = Path::new("/dev").join(uio.file_name().unwrap_or_default());
    Ring::open(&node, length.ok_or(io::ErrorKind::InvalidData)?)
}

/// The entries of a folder; none while it is not there.
fn names(folder: &Path) -> io::Result<Vec<String>> {
    match fs::read_dir(folder) {
        Ok(entries) => entries.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned())).collect(),
        Err(err) if err.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(err) => Err(err),
    }
}

fn wait_for<T>(what: &Path, mut look: impl FnMut() -> io::Result<Option<T>>) -> Result<T, AttachError> {
    let failed = |err: io::Error| AttachError { what: what.to_owned(), err };
    let deadline = Instant::now() + APPEARS_LIMIT;
    loop {
        match look().map_err(failed)? {
            Some(found) => return Ok(found),
            None if Instant::now() > deadline => return Err(failed(io::ErrorKind::TimedOut.into())),
            None => thread::sleep(POLL),
        }
    }
}
