//! Nodes, their pending effects and their history.

use sqlx::{Row as _, SqliteConnection};
use uuid::Uuid;

use super::{Erasure, Moment, Store, StoreError, chain, failed, failed_or_duplicate, from_json, to_json};
use crate::{
    clock::Time,
    node::{Effect, State},
    record::Node,
};

/// How often a change is tried when somebody else was faster.
const TRIES: usize = 8;

/// What is stored in the same transaction as a changed node.
#[derive(Debug, Default)]
pub struct Along {
    /// Replaces what was still to be done.
    pub effects: Option<&'static [Effect]>,
    /// A line of history.
    pub moment: Option<Moment>,
    /// What became known of erasures, in order.
    pub erasures: Vec<Erasure>,
}

/// Why a node was not changed.
#[derive(Debug, thiserror::Error)]
pub enum ChangeError<E> {
    /// No such node.
    #[error("node {node} could not be found")]
    NoSuchNode {
        /// Who was asked for.
        node: Uuid,
    },
    /// The change itself was refused.
    #[error(transparent)]
    Refused(E),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Store {
    /// Store a new node.
    ///
    /// # Errors
    /// [`StoreError::Duplicate`] when UUID, name or instance are taken.
    pub async fn insert_node(&self, node: &Node) -> Result<(), StoreError> {
        sqlx::query(
            "INSERT INTO nodes (uuid, name, instance_uuid, state, revision, record) VALUES ($1, $2, $3, $4, 1, $5)",
        )
        .bind(node.uuid.to_string())
        .bind(node.text("name"))
        .bind(node.text("instance_uuid"))
        .bind(node.state.name())
        .bind(to_json("node", node)?)
        .execute(&self.pool)
        .await
        .map_err(failed_or_duplicate("store a node", format!("a node with the UUID, name or instance of {}", node.title())))?;
        Ok(())
    }

    /// The node with this UUID.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn node(&self, uuid: Uuid) -> Result<Option<Node>, StoreError> {
        let row = sqlx::query("SELECT record FROM nodes WHERE uuid = $1")
            .bind(uuid.to_string())
            .fetch_optional(&self.pool)
            .await
            .map_err(failed("read a node"))?;
        row.map(|row| from_json("node", row.get("record"))).transpose()
    }

    /// The node with this UUID or name.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn find_node(&self, uuid_or_name: &str) -> Result<Option<Node>, StoreError> {
        let row = sqlx::query("SELECT record FROM nodes WHERE uuid = $1 OR name = $2")
            .bind(uuid_or_name.to_ascii_lowercase())
            .bind(uuid_or_name)
            .fetch_optional(&self.pool)
            .await
            .map_err(failed("read a node"))?;
        row.map(|row| from_json("node", row.get("record"))).transpose()
    }

    /// All nodes.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn nodes(&self) -> Result<Vec<Node>, StoreError> {
        let rows = sqlx::query("SELECT record FROM nodes ORDER BY uuid")
            .fetch_all(&self.pool)
            .await
            .map_err(failed("list nodes"))?;
        rows.iter().map(|row| from_json("node", row.get("record"))).collect()
    }

    /// How many nodes are in each state, by stored name.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn count_by_state(&self) -> Result<Vec<(String, i64)>, StoreError> {
        let rows = sqlx::query("SELECT state, COUNT(*) AS n FROM nodes GROUP BY state ORDER BY state")
            .fetch_all(&self.pool)
            .await
            .map_err(failed("count nodes"))?;
        Ok(rows.iter().map(|row| (row.get("state"), row.get("n"))).collect())
    }

    /// Read, change and write a node in one transaction, together with what the
    /// change says goes [`Along`]. When somebody else changed it in between,
    /// `change` runs again on the newer node.
    ///
    /// # Errors
    /// [`ChangeError::Refused`] with what `change` says; then nothing is stored.
    pub async fn change<R, E>(
        &self,
        uuid: Uuid,
        mut change: impl FnMut(&mut Node) -> Result<(R, Along), E>,
    ) -> Result<R, ChangeError<E>> {
        for _ in 0..TRIES {
            let mut tx =
                self.pool.begin_with("BEGIN IMMEDIATE").await.map_err(failed("begin a transaction"))?;
            let Some((mut node, revision)) = read(&mut tx, uuid).await? else {
                return Err(ChangeError::NoSuchNode { node: uuid });
            };
            let (result, along) = change(&mut node).map_err(ChangeError::Refused)?;
            node.known.updated_at = Some(Time::now());
            if !write(&mut tx, &node, revision).await? {
                continue;
            }
            if let Some(effects) = along.effects {
                replace_effects(&mut tx, uuid, effects).await?;
            }
            if let Some(moment) = along.moment {
                moment.insert(&mut tx).await?;
            }
            for erasure in &along.erasures {
                chain::append(&mut tx, &self.notary, erasure).await?;
            }
            tx.commit().await.map_err(failed("commit"))?;
            return Ok(result);
        }
        Err(StoreError::Contended { node: uuid }.into())
    }

    /// Forget a node and everything of it but the evidence of its erasures, if it
    /// is still in `state`: false when it is not, and then nothing is forgotten.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn delete_node(&self, uuid: Uuid, state: State) -> Result<bool, StoreError> {
        const STATEMENTS: [&str; 6] = [
            "DELETE FROM effects WHERE node_uuid = $1",
            "DELETE FROM ports WHERE node_uuid = $1",
            "DELETE FROM inventories WHERE node_uuid = $1",
            "DELETE FROM history WHERE node_uuid = $1",
            "DELETE FROM config_drives WHERE node_uuid = $1",
            "DELETE FROM agent_logs WHERE node_uuid = $1",
        ];
        let mut tx = self.pool.begin_with("BEGIN IMMEDIATE").await.map_err(failed("begin a transaction"))?;
        let done = sqlx::query("DELETE FROM nodes WHERE uuid = $1 AND state = $2")
            .bind(uuid.to_string())
            .bind(state.name())
            .execute(&mut *tx)
            .await
            .map_err(failed("delete a node"))?;
        if done.rows_affected() == 0 {
            return Ok(false);
        }
        for statement in STATEMENTS {
            sqlx::query(statement)
                .bind(uuid.to_string())
                .execute(&mut *tx)
                .await
                .map_err(failed("delete a node"))?;
        }
        tx.commit().await.map_err(failed("commit"))?;
        Ok(true)
    }

    /// What is still to be done for `node`, in order.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn pending_effects(&self, node: Uuid) -> Result<Vec<(i64, Effect)>, StoreError> {
        let rows = sqlx::query("SELECT position, effect FROM effects WHERE node_uuid = $1 ORDER BY position")
            .bind(node.to_string())
            .fetch_all(&self.pool)
            .await
            .map_err(failed("list effects"))?;
        Ok(rows
            .iter()
            .filter_map(|row| Some((row.get("position"), Effect::of_name(row.get("effect"))?)))
            .collect())
    }

    /// An effect of `node` is done and is not done again.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn effect_done(&self, node: Uuid, position: i64) -> Result<(), StoreError> {
        sqlx::query("DELETE FROM effects WHERE node_uuid = $1 AND position = $2")
            .bind(node.to_string())
            .bind(position)
            .execute(&self.pool)
            .await
            .map_err(failed("finish an effect"))?;
        Ok(())
    }
}

async fn read(tx: &mut SqliteConnection, uuid: Uuid) -> Result<Option<(Node, i64)>, StoreError> {
    let row = sqlx::query("SELECT record, revision FROM nodes WHERE uuid = $1")
        .bind(uuid.to_string())
        .fetch_optional(tx)
        .await
        .map_err(failed("read a node"))?;
    row.map(|row| Ok((from_json("node", row.get("record"))?, row.get("revision")))).transpose()
}

/// False: somebody else wrote since `revision`.
async fn write(tx: &mut SqliteConnection, node: &Node, revision: i64) -> Result<bool, StoreError> {
    let done = sqlx::query(
        "UPDATE nodes SET name = $1, instance_uuid = $2, state = $3, revision = $4, record = $5
         WHERE uuid = $6 AND revision = $7",
    )
    .bind(node.text("name"))
    .bind(node.text("instance_uuid"))
    .bind(node.state.name())
    .bind(revision + 1)
    .bind(to_json("node", node)?)
    .bind(node.uuid.to_string())
    .bind(revision)
    .execute(tx)
    .await
    .map_err(failed_or_duplicate("store a node", "a node with that name or instance".to_owned()))?;
    Ok(done.rows_affected() == 1)
}

async fn replace_effects(
    tx: &mut SqliteConnection,
    uuid: Uuid,
    effects: &[Effect],
) -> Result<(), StoreError> {
    sqlx::query("DELETE FROM effects WHERE node_uuid = $1")
        .bind(uuid.to_string())
        .execute(&mut *tx)
        .await
        .map_err(failed("replace effects"))?;
    for (position, effect) in (0_i64..).zip(effects) {
        sqlx::query("INSERT INTO effects (node_uuid, position, effect) VALUES ($1, $2, $3)")
            .bind(uuid.to_string())
            .bind(position)
            .bind(effect.name())
            .execute(&mut *tx)
            .await
            .map_err(failed("store effects"))?;
    }
    Ok(())
}
