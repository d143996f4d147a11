//! Billet's control plane: Ironic's REST API over a small, crash-proof conductor.
//!
//! ```text
//! HTTP ─┬─ verbs ──────▶ Event ─▶ one task per node ─▶ node::next() ─▶ Store ─▶ Effects ─▶ BMC, agent
//!       └─ heartbeats ─▶                                                 ▲            │
//!                                                                        └── Event ◀──┘
//! ```

pub mod api;
pub mod clock;
pub mod config_drive;
pub mod metrics;
pub mod node;
pub mod notary;
pub mod record;
pub mod runner;
pub mod server;
pub mod store;
pub mod view;
