//! NVMe drives in user space, for a kernel's own `nvme-tcp` driver: they sanitize, format, fail,
//! lie, stall and lose their power as told.
//!
//! ```text
//! guest's kernel ══ NVMe/TCP ══▶ Server ─ NQN ─▶ Drive ─▶ one file a namespace, which the test reads
//!                  pdu, link       session            └─▶ `sanitize`: what survives a power loss
//!                                  fabric, admin, io
//! ```
//! A sanitize moves on only when its log page is read: `Spec::polls` reads, and it is done. So
//! nothing here depends on time, and a test with a clock of its own is as quick as it likes.
//!
//! Layouts: NVM Express Base Specification 2.0, NVM Command Set 1.0, TCP Transport 1.0.

mod admin;
mod command;
mod drive;
mod fabric;
mod identify;
mod io;
mod link;
mod sanitize;
mod server;
mod session;
mod spec;
mod tper;

pub use drive::Drive;
pub use sanitize::Status;
pub use server::Server;
pub use spec::{Action, Faults, Namespace, Spec};
pub use tper::{FACTORY, LABEL};
