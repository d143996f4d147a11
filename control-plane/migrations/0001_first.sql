-- Plain SQL that SQLite and PostgreSQL both take: TEXT and BIGINT, no defaults
-- computed by the database, times as RFC 3339 text in UTC.
CREATE TABLE nodes (
    uuid TEXT NOT NULL PRIMARY KEY,
    name TEXT UNIQUE,
    instance_uuid TEXT UNIQUE,
    state TEXT NOT NULL,
    -- Counts changes: who writes says which revision was read.
    revision BIGINT NOT NULL,
    -- The node, as JSON.
    record TEXT NOT NULL
);

CREATE TABLE ports (
    uuid TEXT NOT NULL PRIMARY KEY,
    node_uuid TEXT NOT NULL,
    address TEXT NOT NULL UNIQUE,
    record TEXT NOT NULL
);
CREATE INDEX ports_of_node ON ports (node_uuid);

-- What is still to be done for a node's last transition, in order.
CREATE TABLE effects (
    node_uuid TEXT NOT NULL,
    position BIGINT NOT NULL,
    effect TEXT NOT NULL,
    PRIMARY KEY (node_uuid, position)
);

CREATE TABLE inventories (
    node_uuid TEXT NOT NULL PRIMARY KEY,
    inventory TEXT NOT NULL,
    plugin_data TEXT NOT NULL,
    received_at TEXT NOT NULL
);

-- Evidence of erased disks. Outlives its node.
CREATE TABLE erasures (
    operation TEXT NOT NULL,
    step TEXT NOT NULL,
    device TEXT NOT NULL,
    node_uuid TEXT NOT NULL,
    verified BIGINT NOT NULL,
    -- Why it is not verified.
    reason TEXT,
    method TEXT,
    level TEXT,
    serial TEXT,
    received_at TEXT NOT NULL,
    document TEXT NOT NULL,
    PRIMARY KEY (operation, step, device)
);
CREATE INDEX erasures_of_node ON erasures (node_uuid);

CREATE TABLE history (
    uuid TEXT NOT NULL PRIMARY KEY,
    node_uuid TEXT NOT NULL,
    created_at TEXT NOT NULL,
    event TEXT NOT NULL,
    event_type TEXT NOT NULL,
    severity TEXT NOT NULL
);
CREATE INDEX history_of_node ON history (node_uuid, created_at);

-- Base64 of a gzipped ISO 9660 image, or its URL.
CREATE TABLE config_drives (
    node_uuid TEXT NOT NULL PRIMARY KEY,
    body TEXT NOT NULL
);

-- The last logs an agent left behind: base64 of a tar.gz.
CREATE TABLE agent_logs (
    node_uuid TEXT NOT NULL PRIMARY KEY,
    received_at TEXT NOT NULL,
    body TEXT NOT NULL
);
