-- What is known of erasures, countersigned by billetd and chained for each node.
-- Nothing here is ever changed or removed; outlives its node.
CREATE TABLE chain (
    node_uuid TEXT NOT NULL,
    -- From 1, without gaps.
    sequence BIGINT NOT NULL,
    operation TEXT NOT NULL,
    step TEXT NOT NULL,
    -- Empty when it is about the whole node.
    device TEXT NOT NULL,
    -- SHA-256 of what came: the same is kept once.
    fingerprint TEXT NOT NULL,
    -- The signed link, as JSON; it holds everything else.
    link TEXT NOT NULL,
    PRIMARY KEY (node_uuid, sequence)
);
CREATE UNIQUE INDEX chain_once ON chain (operation, step, device, fingerprint);

-- Certificates of the keys that countersigned, the present one last.
CREATE TABLE evidence_keys (
    certificate TEXT NOT NULL PRIMARY KEY,
    since TEXT NOT NULL
);
-- The rows of `erasures` move to `chain` at the next start: only billetd can sign them.
