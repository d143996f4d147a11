//! What is known of erasures: countersigned, chained for each node, never changed.

use evidence::{
    SignError, Signed,
    chain::{ChainError, Link},
};
use serde_json::{Map, Value, json};
use sqlx::{Row as _, SqliteConnection, sqlite::SqliteRow};
use uuid::Uuid;

use super::{Store, StoreError, failed, from_json, to_json};
use crate::{
    clock::Time,
    notary::{LostKey, Notary},
};

/// The largest certificate that goes into a link, in bytes of JSON. Ours are
/// some 4 KiB; one that lists bad blocks and many attempts some 40.
const CERTIFICATE_LIMIT: usize = 256 << 10;

/// What came as the evidence of one disk, judged; or what is known without any.
#[derive(Clone, Debug, PartialEq)]
pub struct Erasure {
    /// The operation that erased it.
    pub operation: Uuid,
    /// When that began.
    pub began_at: Option<String>,
    /// The step that erased it; empty when no step is known.
    pub step: String,
    /// Its name in the ramdisk, such as `/dev/nvme0n1`; `None` when this is about the whole node.
    pub device: Option<String>,
    /// Whose it was.
    pub node_uuid: Uuid,
    /// The signature is the agent's and the evidence says clean.
    pub verified: bool,
    /// Why it is not verified.
    pub reason: Option<String>,
    /// Genuine evidence that the disk was left alone, by the entry of the node's own
    /// `skip_block_devices` that names it: never `verified`, and accounted for.
    pub left_alone: Option<String>,
    /// When the evidence came.
    pub received_at: String,
    /// The evidence, as it came; null when none came.
    pub document: Value,
}

/// An erasure in its place in the chain.
#[derive(Clone, Debug)]
pub struct Recorded {
    /// Its number in the chain of its node.
    pub sequence: u64,
    /// What was recorded.
    pub erasure: Erasure,
    /// The signed link.
    pub link: Signed,
}

impl Erasure {
    /// A text of the certificate, by JSON pointer.
    #[must_use]
    pub fn said(&self, pointer: &str) -> Option<&str> {
        self.document.get("body")?.pointer(pointer)?.as_str()
    }

    /// The last method tried.
    #[must_use]
    pub fn method(&self) -> Option<&str> {
        self.document.pointer("/body/attempts")?.as_array()?.last()?.get("method")?.as_str()
    }

    /// What makes the same evidence the same.
    fn fingerprint(&self) -> String {
        let mut hasher = model::Hasher::new(model::Algorithm::Sha256);
        hasher.update(self.document.to_string().as_bytes());
        if self.document.is_null() {
            hasher.update(self.reason.as_deref().unwrap_or_default().as_bytes());
        }
        hasher.finish().hex()
    }

    fn content(&self) -> Map<String, Value> {
        let content = json!({
            "operation": self.operation.to_string(), "began_at": self.began_at, "step": self.step,
            "device": self.device, "received_at": self.received_at, "countersigned_at": Time::now().to_string(),
            "verified": self.verified, "reason": self.reason, "left_alone": self.left_alone,
            "certificate": self.document,
        });
        match content {
            Value::Object(content) => content,
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => {
                Map::new()
            }
        }
    }

    /// What is kept in place of a document that no link can hold.
    fn without_document(&self) -> Self {
        let reason = format!(
            "what came as evidence cannot be kept: it is no certificate (SHA-256 {}, {} bytes)",
            self.fingerprint(),
            self.document.to_string().len()
        );
        Self {
            document: Value::Null,
            verified: false,
            reason: Some(reason),
            left_alone: None,
            ..self.clone()
        }
    }

    fn of_link(link: &Signed, node_uuid: Uuid) -> Self {
        let text = |key: &str| link.body.get(key).and_then(Value::as_str).map(str::to_owned);
        Self {
            operation: text("operation").and_then(|text| text.parse().ok()).unwrap_or(Uuid::nil()),
            began_at: text("began_at"),
            step: text("step").unwrap_or_default(),
            device: text("device"),
            node_uuid,
            verified: link.body.get("verified") == Some(&Value::Bool(true)),
            reason: text("reason"),
            left_alone: text("left_alone"),
            received_at: text("received_at").unwrap_or_default(),
            document: link.body.get("certificate").cloned().unwrap_or(Value::Null),
        }
    }
}

/// Put `erasure` at the end of its node's chain; the same is kept once.
pub(super) async fn append(
    tx: &mut SqliteConnection,
    notary: &Notary,
    erasure: &Erasure,
) -> Result<(), StoreError> {
    let fingerprint = erasure.fingerprint();
    if is_known(tx, erasure, &fingerprint).await? {
        return Ok(());
    }
    let last = last(tx, erasure.node_uuid).await?;
    let node = erasure.node_uuid;
    let signed = if erasure.document.to_string().len() > CERTIFICATE_LIMIT {
        notary.link(node, last.as_ref(), erasure.without_document().content())
    } else {
        match notary.link(node, last.as_ref(), erasure.content()) {
            Err(SignError::Canonical(_)) => {
                notary.link(node, last.as_ref(), erasure.without_document().content())
            }
            signed => signed,
        }
    };
    let link = signed.map_err(StoreError::Countersign)?;
    sqlx::query(
        "INSERT INTO chain (node_uuid, sequence, operation, step, device, fingerprint, link)
         VALUES ($1, $2, $3, $4, $5, $6, $7)",
    )
    .bind(node.to_string())
    .bind(last.map_or(1, |last| last.sequence.saturating_add(1)).cast_signed())
    .bind(erasure.operation.to_string())
    .bind(&erasure.step)
    .bind(erasure.device.as_deref().unwrap_or_default())
    .bind(fingerprint)
    .bind(to_json("link", &link)?)
    .execute(tx)
    .await
    .map_err(failed("store evidence"))?;
    Ok(())
}

async fn is_known(
    tx: &mut SqliteConnection,
    erasure: &Erasure,
    fingerprint: &str,
) -> Result<bool, StoreError> {
    let row = sqlx::query(
        "SELECT 1 FROM chain WHERE operation = $1 AND step = $2 AND device = $3 AND fingerprint = $4",
    )
    .bind(erasure.operation.to_string())
    .bind(&erasure.step)
    .bind(erasure.device.as_deref().unwrap_or_default())
    .bind(fingerprint)
    .fetch_optional(tx)
    .await
    .map_err(failed("look for evidence"))?;
    Ok(row.is_some())
}

async fn last(tx: &mut SqliteConnection, node: Uuid) -> Result<Option<Link>, StoreError> {
    let row = sqlx::query("SELECT link FROM chain WHERE node_uuid = $1 ORDER BY sequence DESC LIMIT 1")
        .bind(node.to_string())
        .fetch_optional(tx)
        .await
        .map_err(failed("read evidence"))?;
    row.map(|row| read(node, &signed(&row)?)).transpose()
}

fn signed(row: &SqliteRow) -> Result<Signed, StoreError> {
    from_json("link", row.get("link"))
}

fn read(node: Uuid, link: &Signed) -> Result<Link, StoreError> {
    Link::of(link).map_err(|err: ChainError| StoreError::Chain { node, err })
}

fn recorded(node: Uuid, row: &SqliteRow) -> Result<Recorded, StoreError> {
    let link = signed(row)?;
    let sequence = row.get::<i64, _>("sequence").cast_unsigned();
    Ok(Recorded { sequence, erasure: Erasure::of_link(&link, node), link })
}

impl Store {
    /// What is known of the erasures of a node after link `after`, oldest first,
    /// `limit` of them at most, and the signed length of its chain at that moment.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn erasures(
        &self,
        node: Uuid,
        after: u64,
        limit: u32,
    ) -> Result<(Vec<Recorded>, Signed), StoreError> {
        // One snapshot: a link that comes in between is in neither.
        let mut tx = self.pool.begin().await.map_err(failed("begin a transaction"))?;
        let rows = sqlx::query(
            "SELECT sequence, link FROM chain WHERE node_uuid = $1 AND sequence > $2 ORDER BY sequence LIMIT $3",
        )
        .bind(node.to_string())
        .bind(i64::try_from(after).unwrap_or(i64::MAX))
        .bind(i64::from(limit))
        .fetch_all(&mut *tx)
        .await
        .map_err(failed("read evidence"))?;
        let last = last(&mut tx, node).await?;
        let head = self.notary.head(node, last.as_ref()).map_err(StoreError::Countersign)?;
        let recorded = rows.iter().map(|row| recorded(node, row)).collect::<Result<_, _>>()?;
        Ok((recorded, head))
    }

    /// What is known of what `step` of `operation` erased, oldest first.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn erasures_of(
        &self,
        node: Uuid,
        operation: Uuid,
        step: &str,
    ) -> Result<Vec<Recorded>, StoreError> {
        let rows = sqlx::query(
            "SELECT sequence, link FROM chain WHERE operation = $1 AND step = $2 AND node_uuid = $3 ORDER BY sequence",
        )
        .bind(operation.to_string())
        .bind(step)
        .bind(node.to_string())
        .fetch_all(&self.pool)
        .await
        .map_err(failed("read evidence"))?;
        rows.iter().map(|row| recorded(node, row)).collect()
    }

    /// The certificates of the keys that countersigned, the present one last, and since when.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn evidence_keys(&self) -> Result<Vec<(String, String)>, StoreError> {
        let rows = sqlx::query("SELECT certificate, since FROM evidence_keys ORDER BY since")
            .fetch_all(&self.pool)
            .await
            .map_err(failed("read the evidence keys"))?;
        Ok(rows.iter().map(|row| (row.get("certificate"), row.get("since"))).collect())
    }

    /// See that chains go on under the key they were made with.
    pub(super) async fn check_key(&self, lost: LostKey) -> Result<(), StoreError> {
        let known = self.evidence_keys().await?;
        let certificate = self.notary.certificate();
        if known.last().is_some_and(|(last, _)| last == certificate) {
            return Ok(());
        }
        if !known.is_empty() && lost == LostKey::Refuse {
            return Err(StoreError::OtherKey { file: self.notary.file().to_owned() });
        }
        sqlx::query(
            "INSERT INTO evidence_keys (certificate, since) VALUES ($1, $2)
             ON CONFLICT (certificate) DO UPDATE SET since = excluded.since",
        )
        .bind(certificate)
        .bind(Time::now().to_string())
        .execute(&self.pool)
        .await
        .map_err(failed("store the evidence key"))?;
        Ok(())
    }

    /// Countersign what a billetd without a key left behind.
    pub(super) async fn chain_up(&self) -> Result<(), StoreError> {
        let mut tx = self.pool.begin_with("BEGIN IMMEDIATE").await.map_err(failed("begin a transaction"))?;
        let rows = sqlx::query(
            "SELECT operation, step, device, node_uuid, verified, reason, received_at, document
             FROM erasures ORDER BY received_at, device",
        )
        .fetch_all(&mut *tx)
        .await
        .map_err(failed("read evidence"))?;
        for row in &rows {
            append(&mut tx, &self.notary, &unchained(row)?).await?;
        }
        sqlx::query("DELETE FROM erasures").execute(&mut *tx).await.map_err(failed("move evidence"))?;
        tx.commit().await.map_err(failed("commit"))
    }
}

fn unchained(row: &SqliteRow) -> Result<Erasure, StoreError> {
    let uuid = |column: &str| row.get::<String, _>(column).parse().unwrap_or(Uuid::nil());
    Ok(Erasure {
        operation: uuid("operation"),
        began_at: None,
        step: row.get("step"),
        device: Some(row.get("device")),
        node_uuid: uuid("node_uuid"),
        verified: row.get::<i64, _>("verified") == 1,
        reason: row.get("reason"),
        left_alone: None,
        received_at: row.get("received_at"),
        document: from_json("evidence", row.get("document"))?,
    })
}
