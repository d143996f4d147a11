//! What hangs on a node: inventory, history, config drive, logs.

use serde_json::Value;
use sqlx::{Row as _, SqliteConnection};
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
