//! Ports, and whose they are.

use model::Mac;
use sqlx::Row as _;
use uuid::Uuid;

use super::{Store, StoreError, failed, failed_or_duplicate, from_json, to_json};
use crate::record::Port;

impl Store {
    /// Store a new port.
    ///
    /// # Errors
    /// [`StoreError::Duplicate`] when the address belongs to another port.
    pub async fn insert_port(&self, port: &Port) -> Result<(), StoreError> {
        sqlx::query("INSERT INTO ports (uuid, node_uuid, address, record) VALUES ($1, $2, $3, $4)")
            .bind(port.uuid.to_string())
            .bind(port.node_uuid.to_string())
            .bind(port.address.to_string())
            .bind(to_json("port", port)?)
            .execute(&self.pool)
            .await
            .map_err(failed_or_duplicate(
                "store a port",
                format!("A port with MAC address {}", port.address),
            ))?;
        Ok(())
    }

    /// Store a changed port.
    ///
    /// # Errors
    /// [`StoreError::Duplicate`] when the address belongs to another port.
    pub async fn update_port(&self, port: &Port) -> Result<(), StoreError> {
        sqlx::query("UPDATE ports SET node_uuid = $1, address = $2, record = $3 WHERE uuid = $4")
            .bind(port.node_uuid.to_string())
            .bind(port.address.to_string())
            .bind(to_json("port", port)?)
            .bind(port.uuid.to_string())
            .execute(&self.pool)
            .await
            .map_err(failed_or_duplicate(
                "store a port",
                format!("A port with MAC address {}", port.address),
            ))?;
        Ok(())
    }

    /// All ports, or those of one node.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn ports(&self, node: Option<Uuid>) -> Result<Vec<Port>, StoreError> {
        let node = node.map(|uuid| uuid.to_string());
        let rows =
            sqlx::query("SELECT record FROM ports WHERE $1 IS NULL OR node_uuid = $2 ORDER BY address")
                .bind(&node)
                .bind(&node)
                .fetch_all(&self.pool)
                .await
                .map_err(failed("list ports"))?;
        rows.iter().map(|row| from_json("port", row.get("record"))).collect()
    }

    /// The port with this UUID or MAC address.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn find_port(&self, uuid_or_address: &str) -> Result<Option<Port>, StoreError> {
        let address =
            uuid_or_address.parse::<Mac>().map_or_else(|_| uuid_or_address.to_owned(), |mac| mac.to_string());
        let row = sqlx::query("SELECT record FROM ports WHERE uuid = $1 OR address = $2")
            .bind(uuid_or_address.to_ascii_lowercase())
            .bind(address)
            .fetch_optional(&self.pool)
            .await
            .map_err(failed("read a port"))?;
        row.map(|row| from_json("port", row.get("record"))).transpose()
    }

    /// The one node that owns ports with these addresses; `None` when there is
    /// none, or more than one.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn owner_of(&self, addresses: &[Mac]) -> Result<Option<Uuid>, StoreError> {
        let mut owner = None;
        for address in addresses {
            let Some(port) = self.find_port(&address.to_string()).await? else { continue };
            if owner.is_some_and(|other| other != port.node_uuid) {
                return Ok(None);
            }
            owner = Some(port.node_uuid);
        }
        Ok(owner)
    }

    /// Forget a port.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn delete_port(&self, uuid: Uuid) -> Result<(), StoreError> {
        sqlx::query("DELETE FROM ports WHERE uuid = $1")
            .bind(uuid.to_string())
            .execute(&self.pool)
            .await
            .map_err(failed("delete a port"))?;
        Ok(())
    }
}
