//! A server's power: one QEMU process a boot, started and stopped as a BMC would.
//!
//! ```text
//!        power on                     guest reset, forced restart
//!   Off ──────────▶ On (QEMU, generation n) ──────────▶ On (QEMU, generation n + 1)
//!    ▲                   │ power off, guest shutdown, QEMU dies
//!    └───────────────────┘
//! ```
//! Each start spends a one-time boot override.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Stdio,
    sync::{Arc, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use anyhow::{Context, Result};
use tokio::{
    process::{Child, Command},
    sync::{Mutex, oneshot},
    task::JoinHandle,
    time::timeout,
};

use crate::{
    console::Console,
    isolation::RUN,
    network,
    qmp::{self, Ended},
    spec::{BootFirst, Files, Firmware, OVMF_VARS, Spec, qemu_arguments},
};

/// How long QEMU may take to make its control socket.
const QMP_LIMIT: Duration = Duration::from_secs(20);
/// How long the event of an ended QEMU may take to be read.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// Redfish's `BootSourceOverrideEnabled`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Enabled {
    /// No override: the persistent order, disk then network.
    Disabled,
    /// For the next start only.
    Once,
    /// Until changed.
    Continuous,
}

/// A boot override.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Override {
    /// For how long.
    pub enabled: Enabled,
    /// To what.
    pub first: BootFirst,
}

impl Override {
    /// No override.
    pub const NONE: Override = Override { enabled: Enabled::Disabled, first: BootFirst::Disk };

    /// The order of a start now, and the override that is left after it.
    #[must_use]
    pub fn spend(self) -> (BootFirst, Override) {
        match self.enabled {
            Enabled::Disabled => (BootFirst::Disk, Override::NONE),
            Enabled::Once => (self.first, Override::NONE),
            Enabled::Continuous => (self.first, self),
        }
    }
}

/// One boot, as the BMC saw it.
#[derive(Clone, Copy, Debug)]
pub struct Boot {
    /// When QEMU was started.
    pub at: Instant,
    /// Where its first boot attempt went.
    pub first: BootFirst,
    /// The console's line number then.
    pub console_from: u64,
}

/// A virtual server.
pub struct Machine {
    /// What it is made of.
    pub spec: Spec,
    /// Its files.
    pub files: Files,
    /// Its serial line.
    pub console: Console,
    state: Mutex<State>,
    boots: std::sync::Mutex<Vec<Boot>>,
}

struct State {
    boot_override: Override,
    running: Option<Running>,
}

struct Running {
    generation: usize,
    kill: oneshot::Sender<()>,
    watcher: JoinHandle<()>,
}

impl Machine {
    /// Make a server's files in `folder` and its taps on the bridge. It is off.
    ///
    /// # Errors
    /// When a file or a tap cannot be made.
    pub fn build(spec: Spec, folder: &Path) -> Result<Arc<Self>> {
        let files = make_files(&spec, folder)?;
        for tap in spec.taps() {
            network::add_tap(&tap)?;
        }
        let console = Console::create(&folder.join(format!("{}.serial.log", spec.name)))?;
        let state = State { boot_override: Override::NONE, running: None };
        let (state, boots) = (Mutex::new(state), std::sync::Mutex::default());
        Ok(Arc::new(Machine { spec, files, console, state, boots }))
    }

    /// Is it powered on?
    pub async fn is_on(&self) -> bool {
        self.state.lock().await.running.is_some()
    }

    /// The boot override as set.
    pub async fn boot_override(&self) -> Override {
        self.state.lock().await.boot_override
    }

    /// Set the boot override.
    pub async fn set_override(&self, boot_override: Override) {
        self.state.lock().await.boot_override = boot_override;
    }

    /// The boot that printed the console's line number `line`.
    pub fn boot_of(&self, line: u64) -> Option<Boot> {
        self.boots().iter().rev().find(|boot| boot.console_from <= line).copied()
    }

    /// The latest boot.
    pub fn last_boot(&self) -> Option<Boot> {
        self.boots().last().copied()
    }

    fn boots(&self) -> MutexGuard<'_, Vec<Boot>> {
        self.boots.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Power on; nothing happens when it is on.
    ///
    /// # Errors
    /// When QEMU does not start.
    pub async fn power_on(self: &Arc<Self>) -> Result<()> {
        let mut state = self.state.lock().await;
        if state.running.is_none() { self.start(&mut state) } else { Ok(()) }
    }

    /// Pull the plug; nothing happens when it is off.
    pub async fn force_off(&self) {
        // Held until QEMU is gone: its disks are locked until then.
        let mut state = self.state.lock().await;
        if let Some(running) = state.running.take() {
            running.stop().await;
            self.console.note("power off");
        }
    }

    /// Pull the plug and power on.
    ///
    /// # Errors
    /// When QEMU does not start.
    pub async fn force_restart(self: &Arc<Self>) -> Result<()> {
        self.force_off().await;
        self.power_on().await
    }

    /// Press the power button (ACPI); the guest decides.
    ///
    /// # Errors
    /// When it is off, or QEMU does not answer.
    pub async fn press_power_button(&self) -> Result<()> {
        qmp::execute(&self.files.qmp, "system_powerdown", QMP_LIMIT).await
    }

    /// Give the disks' space back, once the server is off for good.
    pub fn discard_disks(&self) {
        for path in &self.files.disks {
            let _ = fs::remove_file(path); // what is left is sparse, and the next run replaces it
        }
    }

    fn start(self: &Arc<Self>, state: &mut State) -> Result<()> {
        let (first, left) = state.boot_override.spend();
        self.console.note(&format!("power on, {first:?} first"));
        let console_from = self.console.position();
        for socket in [&self.files.qmp, &self.files.events] {
            let _ = fs::remove_file(socket);
        }
        let mut child = Command::new("qemu-system-x86_64")
            .args(qemu_arguments(&self.spec, &self.files, first))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(self.stderr()?)
            .kill_on_drop(true)
            .spawn()
            .context("start qemu-system-x86_64; install the package qemu-system-x86")?;
        let serial = child.stdout.take().context("QEMU's serial line is piped")?;
        state.boot_override = left;
        let generation = {
            let mut boots = self.boots();
            boots.push(Boot { at: Instant::now(), first, console_from });
            boots.len()
        };
        let (kill, killed) = oneshot::channel();
        let machine = Arc::clone(self);
        let watcher = tokio::spawn(async move {
            let ((), ended) = tokio::join!(machine.console.follow(serial), machine.watch(child, killed));
            // Spawned, because a restart from here would wait for this very task.
            tokio::spawn(Arc::clone(&machine).after(generation, ended));
        });
        state.running = Some(Running { generation, kill, watcher });
        Ok(())
    }

    fn stderr(&self) -> Result<Stdio> {
        let path = self.files.vars.with_extension("qemu.log");
        let file = fs::OpenOptions::new().create(true).append(true).open(&path);
        Ok(file.with_context(|| format!("open {}", path.display()))?.into())
    }

    /// Wait until QEMU has ended, by itself or killed, and say why.
    async fn watch(&self, mut child: Child, killed: oneshot::Receiver<()>) -> Ended {
        let reason = qmp::wait_for_shutdown(&self.files.events, QMP_LIMIT);
        tokio::pin!(reason);
        let ended = tokio::select! {
            _ = killed => Ended::Killed,
            ended = &mut reason => ended,
            // Its last words may still be in the socket.
            _ = child.wait() => timeout(LAST_WORDS, reason).await.unwrap_or(Ended::Died),
        };
        match ended {
            // QEMU says why, then exits by itself.
            Ended::Reset | Ended::Shutdown => {
                if timeout(QMP_LIMIT, child.wait()).await.is_err() {
                    let _ = child.kill().await;
                }
            }
            Ended::Killed | Ended::Died => {
                let _ = child.kill().await;
            }
        }
        ended
    }

    /// What a server does after its guest ended: reset means another start.
    async fn after(self: Arc<Self>, generation: usize, ended: Ended) {
        let mut state = self.state.lock().await;
        if state.running.as_ref().is_none_or(|running| running.generation != generation) {
            return; // the BMC was asked for something else meanwhile
        }
        state.running = None;
        match ended {
            Ended::Reset => {
                if let Err(error) = self.start(&mut state) {
                    self.console.note(&format!("does not start again: {error:#}"));
                }
            }
            Ended::Shutdown => self.console.note("the guest powered off"),
            Ended::Died => self.console.note("QEMU ended unasked; see its .qemu.log"),
            Ended::Killed => self.console.note("power off"),
        }
    }
}

impl Running {
    async fn stop(self) {
        let _ = self.kill.send(()); // refused only when QEMU has ended already
        let _ = self.watcher.await;
    }
}

fn make_files(spec: &Spec, folder: &Path) -> Result<Files> {
    let mut disks = Vec::new();
    for (index, disk) in spec.disks.iter().enumerate() {
        let path = folder.join(format!("{}.disk{index}.raw", spec.name));
        make_disk(&path, disk.size.0)?;
        disks.push(path);
    }
    let vars = folder.join(format!("{}.vars.fd", spec.name));
    if spec.firmware == Firmware::Uefi {
        fs::copy(OVMF_VARS, &vars).with_context(|| format!("copy {OVMF_VARS}; install the package ovmf"))?;
    }
    let _ = fs::remove_file(vars.with_extension("qemu.log"));
    let [qmp, events] =
        ["qmp", "events"].map(|kind| PathBuf::from(RUN).join(format!("{}.{kind}", spec.name)));
    Ok(Files { disks, vars, qmp, events })
}

/// A new sparse file: an old one is removed first, so that nothing of an earlier run is on the disk.
fn make_disk(path: &Path, size: u64) -> Result<()> {
    let _ = fs::remove_file(path);
    let file = fs::File::create_new(path).with_context(|| format!("create the disk {}", path.display()))?;
    file.set_len(size).with_context(|| format!("make {} {size} bytes long", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_override_once_holds_for_exactly_one_start() {
        let once = Override { enabled: Enabled::Once, first: BootFirst::Network };
        let (first, left) = once.spend();
        assert_eq!((first, left), (BootFirst::Network, Override::NONE));
        assert_eq!(left.spend().0, BootFirst::Disk);
        let continuous = Override { enabled: Enabled::Continuous, first: BootFirst::Network };
        assert_eq!(continuous.spend(), (BootFirst::Network, continuous));
    }
}
