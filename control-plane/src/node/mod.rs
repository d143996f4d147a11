//! The life of a node, as one pure function.
//!
//! ```text
//! State + Event ──next()──▶ Verdict::Go(State, effects) | Verdict::Stay | Denied
//! ```
//!
//! [`next`] never waits, never does I/O and never looks at a clock. What must
//! happen in the world comes back as [`Effect`]s, which are stored together with
//! the state and done afterwards; what happened in the world comes in as
//! [`Event`]s. `tests/life_cycle.txt` is the whole table.

mod effect;
mod event;
mod next;
mod state;

pub use effect::Effect;
pub use event::Event;
pub use next::{Denied, Verdict, next};
pub use state::{Ramdisk, State};
