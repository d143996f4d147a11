//! Every target survives seconds of mutated inputs: no panic, no endless loop,
//! no allocation beyond what the pipeline is allowed.
//!
//! `BILLET_FUZZ_SECONDS` (default 2, per target) for longer runs,
//! `BILLET_FUZZ_SEED` to repeat one, `BILLET_FUZZ_TARGET` for one target. What
//! breaks one is kept in `target/fuzz/`; moved to `corpus/`, it is tried first
//! from then on.

use std::{
    collections::BTreeSet,
    env,
    panic::{AssertUnwindSafe, catch_unwind},
    path::Path,
    sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel},
    thread,
    time::{Duration, Instant, SystemTime},
};

use fuzz::{
    TARGETS, Target, corpus,
    mutate::{Random, mutate},
};
use peak_alloc::PeakAlloc;

#[global_allocator]
static MEMORY: PeakAlloc = PeakAlloc;

/// No input may take longer, however slow and busy the machine.
const PATIENCE: Duration = Duration::from_secs(20);
/// Seeds and inputs that led somewhere new; more are not kept.
const MOST_POOLED: usize = 512;

/// The numbers of a run.
struct Run {
    inputs: usize,
    outcomes: BTreeSet<String>,
    most_memory: usize,
}

fn setting(name: &str) -> Option<u64> {
    env::var(name).ok().map(|text| text.parse().unwrap_or_else(|_| panic!("{name}={text} is no number")))
}

#[test]
fn every_target_survives_mutated_inputs() {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).expect("after 1970");
    let seed = setting("BILLET_FUZZ_SEED").unwrap_or(now.as_secs());
    let seconds = setting("BILLET_FUZZ_SECONDS").unwrap_or(2);
    let only = env::var("BILLET_FUZZ_TARGET").ok();
    for target in TARGETS.iter().filter(|target| only.as_deref().is_none_or(|only| only == target.name)) {
        let run = Fuzzer::start(target).run(seed, Duration::from_secs(seconds));
        eprintln!(
            "{:13} seed {seed}: {:6} inputs, {:3} outcomes, at most {:3} MiB",
            target.name,
            run.inputs,
            run.outcomes.len(),
            run.most_memory >> 20
        );
        if env::var_os("BILLET_FUZZ_OUTCOMES").is_some() {
            run.outcomes.iter().for_each(|outcome| eprintln!("    {outcome}"));
        }
    }
}

/// A target on a thread of its own, so that an input that hangs it is found.
struct Fuzzer {
    target: &'static Target,
    inputs: SyncSender<Vec<u8>>,
    outcomes: Receiver<thread::Result<String>>,
    run: Run,
}

impl Fuzzer {
    fn start(target: &'static Target) -> Self {
        let (inputs, taken) = sync_channel::<Vec<u8>>(0);
        let (told, outcomes) = sync_channel(0);
        thread::spawn(move || {
            for input in taken {
                let outcome = catch_unwind(AssertUnwindSafe(|| (target.run)(&input)));
                if told.send(outcome).is_err() {
                    return;
                }
            }
        });
        Self { target, inputs, outcomes, run: Run { inputs: 0, outcomes: BTreeSet::new(), most_memory: 0 } }
    }

    fn run(mut self, seed: u64, time: Duration) -> Run {
        let kept = corpus::load(self.target.name).expect("the corpus can be read");
        let mut pool: Vec<Vec<u8>> = kept.into_iter().map(|kept| kept.bytes).collect();
        pool.extend(corpus::elsewhere(self.target.name));
        assert!(!pool.is_empty(), "{} has no seeds", self.target.name);
        for bytes in pool.clone() {
            self.attempt(&bytes);
        }
        let mut random = Random::new(seed);
        let end = Instant::now() + time;
        while Instant::now() < end {
            let (one, other) = (random.below(pool.len()), random.below(pool.len()));
            let input = mutate(&pool[one], &pool[other], &mut random);
            if self.attempt(&input) && pool.len() < MOST_POOLED {
                pool.push(input);
            }
        }
        self.run
    }

    /// Run `input`. True when it led where none led before.
    fn attempt(&mut self, input: &[u8]) -> bool {
        self.run.inputs += 1;
        MEMORY.reset_peak_usage();
        let before = MEMORY.current_usage();
        self.inputs.send(input.to_vec()).expect("the target's thread listens");
        let outcome = match self.outcomes.recv_timeout(PATIENCE) {
            Ok(Ok(outcome)) => outcome,
            Ok(Err(panic)) => self.broken(input, &format!("panicked: {}", words(&*panic))),
            Err(RecvTimeoutError::Timeout) => self.broken(input, "does not end"),
            Err(RecvTimeoutError::Disconnected) => self.broken(input, "ended its thread"),
        };
        let memory = MEMORY.peak_usage().saturating_sub(before);
        self.run.most_memory = self.run.most_memory.max(memory);
        if memory > self.target.memory + 4 * input.len() {
            self.broken(input, &format!("allocated {} MiB at once", memory >> 20));
        }
        self.run.outcomes.insert(without_numbers(&outcome))
    }

    fn broken(&self, input: &[u8], how: &str) -> ! {
        let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join("fuzz").join(self.target.name);
        let name = format!("crash-{:016x}", fingerprint(input));
        let path = corpus::keep(&directory, &name, input).expect("the input can be kept");
        panic!("{} {how}; the input is in {}", self.target.name, path.display());
    }
}

fn words(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().cloned();
    text.or_else(|| panic.downcast_ref::<&str>().map(ToString::to_string)).unwrap_or_default()
}

/// Numbers differ with every input; the words tell where it ended.
fn without_numbers(text: &str) -> String {
    text.split(|c: char| c.is_ascii_digit()).filter(|part| !part.is_empty()).collect::<Vec<_>>().join("#")
}

fn fingerprint(bytes: &[u8]) -> u64 {
    bytes
        .iter()
        .fold(0xcbf2_9ce4_8422_2325, |hash, &byte| (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3))
}
