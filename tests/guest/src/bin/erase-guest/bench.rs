//! What rows work with: the guest's drives, and erasing one as the agent does.

use std::{
    fs::File,
    io::Write as _,
    path::Path,
    thread,
    time::{Duration, Instant},
};

use disk::Device;
use erase::{
    Abilities, Clock, Conditions, EraseError, Erased, Plan, Policy, Progress, Refusal, Seed, Subject,
};
use guest::{
    report::Message,
    secret::{self, STEP, Survivors},
};
use init::Params;
use inventory::{Options, Root};
use model::inventory::Disk;

/// How long a drive may take to appear or to vanish.
const APPEARS_LIMIT: Duration = Duration::from_secs(60);
/// Between two looks.
const POLL: Duration = Duration::from_millis(20);

/// The guest, seen by a row.
pub(crate) struct Bench {
    params: Params,
}

impl Bench {
    pub(crate) fn new(params: Params) -> Self {
        Self { params }
    }

    /// The kernel's command line.
    pub(crate) fn params(&self) -> &Params {
        &self.params
    }

    /// Tell the test on the host that this row has come to `mark`.
    pub(crate) fn mark(&self, mark: &str) {
        guest::inside::tell(&Message::Mark(mark.to_owned()));
    }

    /// As [`Self::mark`], and wait until the test has done what it has to do there.
    pub(crate) fn mark_and_wait(&self, mark: &str) {
        self.mark(mark);
        guest::inside::wait_for_the_host();
    }

    /// Every disk as the inventory shows it now.
    pub(crate) fn disks(&self) -> Vec<Disk> {
        inventory::scan(&Root::live(), &Options::default()).disks
    }

    /// The first disk that `is` is true of, waited for.
    pub(crate) fn find(&self, what: &str, is: impl Fn(&Disk) -> bool) -> Disk {
        wait_for(what, || self.disks().into_iter().find(&is))
    }

    /// The disk with this serial number, waited for.
    pub(crate) fn disk(&self, serial: &str) -> Disk {
        self.find(serial, |disk| disk.serial.as_deref() == Some(serial))
    }

    /// The disk with this device node, of whatever kind it is.
    pub(crate) fn disk_at(&self, node: &Path) -> Disk {
        let options = Options { only_disks: vec![node.to_owned()], ..Options::default() };
        wait_for("a device node", || inventory::scan(&Root::live(), &options).disks.pop())
    }

    /// What would be done to `disk`.
    pub(crate) fn plan(&self, disk: &Disk, policy: Policy) -> Result<Plan, Refusal> {
        let subject = Subject::read(Path::new("/"), disk).expect("a disk that can be looked at");
        let abilities = Abilities::read(Path::new(&disk.path())).expect("a drive that answers");
        erase::plan(subject, &abilities, policy)
    }

    /// Erase `disk` as `policy` says.
    pub(crate) fn erase(&self, disk: &Disk, policy: Policy) -> Result<Erased, EraseError> {
        self.erase_watched(disk, policy, &mut |_| ())
    }

    /// Erase `disk`, and tell `progress` how far it is.
    pub(crate) fn erase_watched(
        &self,
        disk: &Disk,
        policy: Policy,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<Erased, EraseError> {
        let plan = self.plan(disk, policy).expect("a disk that may be erased");
        self.carry_out(plan, disk, progress)
    }

    /// Do to `disk` what was planned for it.
    pub(crate) fn carry_out(
        &self,
        plan: Plan,
        disk: &Disk,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<Erased, EraseError> {
        plan.release().expect("a disk that can be freed");
        let mut drive = Device::open(disk.path()).expect("a free disk");
        let seed = Seed::random().expect("random numbers");
        let mut conditions = Conditions { seed, time: &mut Clock::new(String::new), progress };
        erase::execute(plan, &mut drive, &mut conditions)
    }

    /// An error and its causes, as people read them.
    pub(crate) fn words(&self, error: &EraseError) -> String {
        init::chain(error)
    }
}

/// Wait until `look` finds something.
pub(crate) fn wait_for<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + APPEARS_LIMIT;
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < deadline, "{what} did not come within {APPEARS_LIMIT:?}");
        thread::sleep(POLL);
    }
}

/// Write the old tenant's secret into every sector of `disk`.
pub(crate) fn plant(disk: &Disk) {
    let mut file = File::options().write(true).open(disk.path()).expect("a disk");
    let mut bytes = vec![0; STEP];
    let mut at = 0;
    while at < disk.size.0 {
        let length = STEP.min(usize::try_from(disk.size.0 - at).expect("a small disk"));
        secret::fill(&mut bytes[..length], at);
        file.write_all(&bytes[..length]).expect("a disk that takes data");
        at += length as u64;
    }
    file.sync_all().expect("a disk that keeps data");
}

/// What of the old tenant can be read from all of `disk`.
pub(crate) fn survivors(disk: &Disk) -> Survivors {
    Survivors::among(File::open(disk.path()).expect("a disk")).expect("a readable disk")
}
