//! What hangs on a node: inventory, evidence, history, config drive, logs.

use serde_json::Value;
use sqlx::{Row as _, SqliteConnection, sqlite::SqliteRow};
use uuid::Uuid;

use super::{Store, StoreError, failed, from_json, to_json};
use crate::{clock::Time, node::State};

/// Lines of history kept of one node; the oldest go.
const HISTORY_LIMIT: i64 = 1000;

/// What an inspection found.
#[derive(Clone, Debug, PartialEq)]
pub struct Inventory {
    /// As the agent sent it.
    pub inventory: Value,
    /// What the agent sent besides, and what was derived from it.
    pub plugin_data: Value,
}

/// The evidence for one disk, judged.
#[derive(Clone, Debug)]
pub struct Erasure {
    /// The operation that erased it.
    pub operation: Uuid,
    /// The step that erased it.
    pub step: String,
    /// Its name in the ramdisk, such as `/dev/nvme0n1`.
    pub device: String,
    /// Whose it was.
    pub node_uuid: Uuid,
    /// The signature is the agent's and the evidence says clean.
    pub verified: bool,
    /// Why it is not verified.
    pub reason: Option<String>,
    /// How it was erased.
    pub method: Option<String>,
    /// `clear` or `purge`.
    pub level: Option<String>,
    /// Its serial number, as the evidence has it.
    pub serial: Option<String>,
    /// When the evidence came.
    pub received_at: String,
    /// The evidence, as it came.
    pub document: Value,
}

/// A line of a node's history.
#[derive(Clone, Debug)]
pub struct Moment {
    /// Names it.
    pub uuid: Uuid,
    /// Whose.
    pub node_uuid: Uuid,
    /// When.
    pub created_at: String,
    /// What happened, for people.
    pub event: String,
    /// `provisioning`, `inspection`, `cleaning`, …
    pub event_type: String,
    /// `INFO` or `ERROR`.
    pub severity: &'static str,
}

impl Moment {
    pub(super) async fn insert(self, tx: &mut SqliteConnection) -> Result<(), StoreError> {
        sqlx::query(
            "INSERT INTO history (uuid, node_uuid, created_at, event, event_type, severity) VALUES ($1, $2, $3, $4, $5, $6)",
        )
        .bind(self.uuid.to_string())
        .bind(self.node_uuid.to_string())
        .bind(self.created_at)
        .bind(self.event)
        .bind(self.event_type)
        .bind(self.severity)
        .execute(&mut *tx)
        .await
        .map_err(failed("store history"))?;
        sqlx::query(
            "DELETE FROM history WHERE node_uuid = $1 AND uuid NOT IN
             (SELECT uuid FROM history WHERE node_uuid = $2 ORDER BY created_at DESC LIMIT $3)",
        )
        .bind(self.node_uuid.to_string())
        .bind(self.node_uuid.to_string())
        .bind(HISTORY_LIMIT)
        .execute(tx)
        .await
        .map_err(failed("forget old history"))?;
        Ok(())
    }
}

impl Store {
    /// A node's history, newest first, as the API shows it.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn history(&self, node: Uuid) -> Result<Vec<Value>, StoreError> {
        let rows = sqlx::query(
            "SELECT uuid, created_at, event, event_type, severity FROM history
             WHERE node_uuid = $1 ORDER BY created_at DESC",
        )
        .bind(node.to_string())
        .fetch_all(&self.pool)
        .await
        .map_err(failed("read history"))?;
        Ok(rows
            .iter()
            .map(|row| {
                serde_json::json!({
                    "uuid": row.get::<String, _>("uuid"), "created_at": row.get::<String, _>("created_at"),
                    "event": row.get::<String, _>("event"), "event_type": row.get::<String, _>("event_type"),
                    "severity": row.get::<String, _>("severity"), "conductor": "billetd", "user": null,
                })
            })
            .collect())
    }

    /// Keep what an inspection found, in place of what was found before, if the
    /// node is in a state that `welcome` likes: false when it is not, and then
    /// nothing is kept. One transaction, so that no inventory comes in late.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn put_inventory(
        &self,
        node: Uuid,
        found: &Inventory,
        welcome: impl FnOnce(State) -> bool,
    ) -> Result<bool, StoreError> {
        let mut tx = self.pool.begin_with("BEGIN IMMEDIATE").await.map_err(failed("begin a transaction"))?;
        let row = sqlx::query("SELECT state FROM nodes WHERE uuid = $1")
            .bind(node.to_string())
            .fetch_optional(&mut *tx)
            .await
            .map_err(failed("read a node"))?;
        if !row.and_then(|row| State::of_name(row.get("state"))).is_some_and(welcome) {
            return Ok(false);
        }
        sqlx::query(
            "INSERT INTO inventories (node_uuid, inventory, plugin_data, received_at) VALUES ($1, $2, $3, $4)
             ON CONFLICT (node_uuid) DO UPDATE SET inventory = excluded.inventory,
             plugin_data = excluded.plugin_data, received_at = excluded.received_at",
        )
        .bind(node.to_string())
        .bind(to_json("inventory", &found.inventory)?)
        .bind(to_json("plugin data", &found.plugin_data)?)
        .bind(Time::now().to_string())
        .execute(&mut *tx)
        .await
        .map_err(failed("store an inventory"))?;
        tx.commit().await.map_err(failed("commit"))?;
        Ok(true)
    }

    /// What the last inspection found.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn inventory(&self, node: Uuid) -> Result<Option<Inventory>, StoreError> {
        let row = sqlx::query("SELECT inventory, plugin_data FROM inventories WHERE node_uuid = $1")
            .bind(node.to_string())
            .fetch_optional(&self.pool)
            .await
            .map_err(failed("read an inventory"))?;
        row.map(|row| {
            Ok(Inventory {
                inventory: from_json("inventory", row.get("inventory"))?,
                plugin_data: from_json("plugin data", row.get("plugin_data"))?,
            })
        })
        .transpose()
    }

    /// Keep evidence; the same disk, step and operation replaces itself.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn put_erasure(&self, erasure: &Erasure) -> Result<(), StoreError> {
        sqlx::query(
            "INSERT INTO erasures (operation, step, device, node_uuid, verified, reason, method, level, serial, received_at, document)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)
             ON CONFLICT (operation, step, device) DO UPDATE SET verified = excluded.verified, reason = excluded.reason,
             method = excluded.method, level = excluded.level, serial = excluded.serial,
             received_at = excluded.received_at, document = excluded.document",
        )
        .bind(erasure.operation.to_string())
        .bind(&erasure.step)
        .bind(&erasure.device)
        .bind(erasure.node_uuid.to_string())
        .bind(i64::from(erasure.verified))
        .bind(&erasure.reason)
        .bind(&erasure.method)
        .bind(&erasure.level)
        .bind(&erasure.serial)
        .bind(&erasure.received_at)
        .bind(to_json("evidence", &erasure.document)?)
        .execute(&self.pool)
        .await
        .map_err(failed("store evidence"))?;
        Ok(())
    }

    /// All evidence of a node, oldest first.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn erasures(&self, node: Uuid) -> Result<Vec<Erasure>, StoreError> {
        let rows = sqlx::query(
            "SELECT operation, step, device, node_uuid, verified, reason, method, level, serial, received_at, document
             FROM erasures WHERE node_uuid = $1 ORDER BY received_at, device",
        )
        .bind(node.to_string())
        .fetch_all(&self.pool)
        .await
        .map_err(failed("read evidence"))?;
        rows.iter().map(erasure).collect()
    }

    /// Keep a config drive, in place of the one before.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn put_config_drive(&self, node: Uuid, body: Option<&str>) -> Result<(), StoreError> {
        let mut tx = self.pool.begin_with("BEGIN IMMEDIATE").await.map_err(failed("begin a transaction"))?;
        sqlx::query("DELETE FROM config_drives WHERE node_uuid = $1")
            .bind(node.to_string())
            .execute(&mut *tx)
            .await
            .map_err(failed("forget a config drive"))?;
        if let Some(body) = body {
            sqlx::query("INSERT INTO config_drives (node_uuid, body) VALUES ($1, $2)")
                .bind(node.to_string())
                .bind(body)
                .execute(&mut *tx)
                .await
                .map_err(failed("store a config drive"))?;
        }
        tx.commit().await.map_err(failed("commit"))
    }

    /// The config drive of the next deployment.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn config_drive(&self, node: Uuid) -> Result<Option<String>, StoreError> {
        let row = sqlx::query("SELECT body FROM config_drives WHERE node_uuid = $1")
            .bind(node.to_string())
            .fetch_optional(&self.pool)
            .await
            .map_err(failed("read a config drive"))?;
        Ok(row.map(|row| row.get("body")))
    }

    /// Keep an agent's logs (base64 of a tar.gz), in place of the ones before.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn put_agent_logs(&self, node: Uuid, body: &str) -> Result<(), StoreError> {
        sqlx::query(
            "INSERT INTO agent_logs (node_uuid, received_at, body) VALUES ($1, $2, $3)
             ON CONFLICT (node_uuid) DO UPDATE SET received_at = excluded.received_at, body = excluded.body",
        )
        .bind(node.to_string())
        .bind(Time::now().to_string())
        .bind(body)
        .execute(&self.pool)
        .await
        .map_err(failed("store logs"))?;
        Ok(())
    }

    /// The last logs of an agent: base64 of a tar.gz.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn agent_logs(&self, node: Uuid) -> Result<Option<String>, StoreError> {
        let row = sqlx::query("SELECT body FROM agent_logs WHERE node_uuid = $1")
            .bind(node.to_string())
            .fetch_optional(&self.pool)
            .await
            .map_err(failed("read logs"))?;
        Ok(row.map(|row| row.get("body")))
    }
}

fn erasure(row: &SqliteRow) -> Result<Erasure, StoreError> {
    let uuid = |column: &str| row.get::<String, _>(column).parse().unwrap_or(Uuid::nil());
    Ok(Erasure {
        operation: uuid("operation"),
        step: row.get("step"),
        device: row.get("device"),
        node_uuid: uuid("node_uuid"),
        verified: row.get::<i64, _>("verified") == 1,
        reason: row.get("reason"),
        method: row.get("method"),
        level: row.get("level"),
        serial: row.get("serial"),
        received_at: row.get("received_at"),
        document: from_json("evidence", row.get("document"))?,
    })
}
