//! What must survive: one SQLite file in WAL mode.
//!
//! A node is changed by [`Store::change`] and by nothing else: read, change and
//! write are one transaction, and the effects of a transition and its line of
//! history go into the same one. The SQL is plain enough for PostgreSQL.

mod attachments;
mod chain;
mod nodes;
mod ports;

use std::{
    os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
    time::Duration,
};

use sqlx::sqlite::{
    SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteSynchronous,
};
use uuid::Uuid;

use crate::notary::{LostKey, Notary};

pub use attachments::{Inventory, Moment};
pub use chain::{Erasure, Recorded};
pub use nodes::{Along, ChangeError};

/// How long a writer waits for another one.
const BUSY_TIMEOUT: Duration = Duration::from_secs(20);
/// Readers beside the writer. Each is a thread.
const CONNECTIONS: u32 = 4;
/// The file's mode.
const OWNER_ONLY: u32 = 0o600;

/// The database.
#[derive(Clone, Debug)]
pub struct Store {
    pool: SqlitePool,
    notary: Notary,
}

/// Why the store did not do what it was asked. Nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The file cannot be used.
    #[error("cannot open the database {path}; check that the folder exists and is writable")]
    Open {
        /// Which file.
        path: String,
        /// Why.
        #[source]
        err: sqlx::Error,
    },
    /// The tables cannot be made or belong to another version.
    #[error("cannot bring the database {path} up to date; was it written by a newer billetd?")]
    Migrate {
        /// Which file.
        path: String,
        /// Why.
        #[source]
        err: sqlx::migrate::MigrateError,
    },
    /// A statement failed.
    #[error("the database failed to {what}; check free space and permissions")]
    Query {
        /// What it was to do.
        what: &'static str,
        /// Why.
        #[source]
        err: sqlx::Error,
    },
    /// What is stored is not what was written.
    #[error("the database holds an unreadable {what}; restore it from a backup")]
    Corrupt {
        /// Which entry.
        what: String,
        /// Why.
        #[source]
        err: serde_json::Error,
    },
    /// The database knows another evidence key.
    #[error("{} is not the key that the evidence in the database is countersigned with; restore that from a backup, or start once with --new-evidence-key to go on with this one", file.display())]
    OtherKey {
        /// Where the key is.
        file: PathBuf,
    },
    /// Evidence cannot be countersigned.
    #[error("cannot countersign evidence")]
    Countersign(#[source] evidence::SignError),
    /// What is stored is no chain.
    #[error("the database holds an unreadable link of the evidence of node {node}; restore it from a backup")]
    Chain {
        /// Whose evidence.
        node: Uuid,
        /// Why.
        #[source]
        err: evidence::chain::ChainError,
    },
    /// Others kept changing the same node.
    #[error("node {node} is being changed by others; try again")]
    Contended {
        /// Which node.
        node: Uuid,
    },
    /// Something of that name or address exists.
    #[error("{what} already exists")]
    Duplicate {
        /// What clashes.
        what: String,
    },
}

impl Store {
    /// Open or make the database at `path`; `notary` countersigns its evidence.
    ///
    /// # Errors
    /// [`StoreError::Open`], [`StoreError::Migrate`], and [`StoreError::OtherKey`]
    /// unless `lost` permits it.
    pub async fn open(path: &Path, notary: Notary, lost: LostKey) -> Result<Self, StoreError> {
        let options = SqliteConnectOptions::new()
            .filename(path)
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            // Full: what was answered with 202 survives a power cut, not only a kill.
            .synchronous(SqliteSynchronous::Full)
            .foreign_keys(true)
            .busy_timeout(BUSY_TIMEOUT);
        let name = path.display().to_string();
        private(path).map_err(|err| StoreError::Open { path: name.clone(), err: sqlx::Error::Io(err) })?;
        let pool = SqlitePoolOptions::new()
            .max_connections(CONNECTIONS)
            .connect_with(options)
            .await
            .map_err(|err| StoreError::Open { path: name.clone(), err })?;
        sqlx::migrate!("./migrations")
            .run(&pool)
            .await
            .map_err(|err| StoreError::Migrate { path: name, err })?;
        let store = Self { pool, notary };
        store.check_key(lost).await?;
        store.chain_up().await?;
        Ok(store)
    }

    /// Whether the database answers.
    ///
    /// # Errors
    /// [`StoreError::Query`].
    pub async fn ping(&self) -> Result<(), StoreError> {
        sqlx::query("SELECT 1").execute(&self.pool).await.map_err(failed("answer"))?;
        Ok(())
    }
}

/// Make the file, if it is not there, and let nobody else read it: BMC passwords
/// are in it. SQLite gives the files beside it the same mode.
fn private(path: &Path) -> std::io::Result<()> {
    let file = std::fs::OpenOptions::new().create(true).append(true).mode(OWNER_ONLY).open(path)?;
    let metadata = file.metadata()?;
    if metadata.is_file() && metadata.permissions().mode() & 0o077 != 0 {
        file.set_permissions(std::fs::Permissions::from_mode(OWNER_ONLY))?;
    }
    Ok(())
}

/// Name what a statement was to do.
fn failed(what: &'static str) -> impl Fn(sqlx::Error) -> StoreError {
    move |err| StoreError::Query { what, err }
}

/// Like [`failed`], but a violated uniqueness is the user's to solve.
fn failed_or_duplicate(what: &'static str, name: String) -> impl FnOnce(sqlx::Error) -> StoreError {
    move |err| {
        let violated = err.as_database_error().is_some_and(|database| database.is_unique_violation());
        if violated { StoreError::Duplicate { what: name } } else { StoreError::Query { what, err } }
    }
}

/// Read what [`to_json`] wrote.
fn from_json<T: serde::de::DeserializeOwned>(what: &str, text: &str) -> Result<T, StoreError> {
    serde_json::from_str(text).map_err(|err| StoreError::Corrupt { what: what.to_owned(), err })
}

/// As it is stored.
fn to_json<T: serde::Serialize>(what: &str, value: &T) -> Result<String, StoreError> {
    serde_json::to_string(value).map_err(|err| StoreError::Corrupt { what: what.to_owned(), err })
}
