-- Tables of the processor. Times are UTC with microseconds. `*_key` are 128-bit keys of foreign ids
-- (eventlog.ids.key128), time-ordered where the id was a UUIDv7. No secondary indexes: on DuckDB 1.x a crash can
-- lose their entries, and scans skip by the time-ordered keys anyway.

CREATE TABLE meta (
    key TEXT PRIMARY KEY,
    value TEXT NOT NULL
);

-- One row per (topic, partition). It changes in the same transaction as the rows it speaks of; `epoch` fences
-- a second process: an update that matches no row aborts the batch.
CREATE TABLE offsets (
    topic TEXT NOT NULL,
    "partition" INTEGER NOT NULL,
    next_offset BIGINT NOT NULL,
    epoch BIGINT NOT NULL,
    owner TEXT NOT NULL,
    PRIMARY KEY (topic, "partition")
);

-- One row per (project, interaction_id, event_id): the copy received first, then the smallest digest.
-- `digest` is BLAKE2b-128 of the record's bytes.
CREATE TABLE events (
    project TEXT NOT NULL,
    interaction_key UUID NOT NULL,
    event_key UUID NOT NULL PRIMARY KEY,
    event_id TEXT NOT NULL,
    interaction_id TEXT NOT NULL,
    conversation_id TEXT,
    type TEXT NOT NULL,
    actor_id TEXT NOT NULL,
    actor_kind TEXT NOT NULL,
    source TEXT,
    labels TEXT[],
    occurred_at TIMESTAMP NOT NULL,
    received_at TIMESTAMP NOT NULL,
    key_id TEXT NOT NULL,
    via TEXT NOT NULL,
    verified BOOLEAN NOT NULL,
    body TEXT NOT NULL,
    digest UUID NOT NULL,
    topic TEXT NOT NULL,
    "partition" INTEGER NOT NULL
);

-- `described` is false for an orphan: feedback whose interaction has not come. `trusted` is false for content
-- that came inline under a public key.
CREATE TABLE interactions (
    project TEXT NOT NULL,
    interaction_key UUID NOT NULL PRIMARY KEY,
    interaction_id TEXT NOT NULL,
    conversation_id TEXT,
    surface TEXT,
    source TEXT,
    labels TEXT[],
    messages TEXT,
    prompt_text TEXT,
    prompt_hash UUID,
    described_by TEXT,
    via TEXT,
    trusted BOOLEAN NOT NULL,
    truncated BOOLEAN NOT NULL,
    trial TEXT,
    occurred_at TIMESTAMP NOT NULL,
    received_at TIMESTAMP NOT NULL,
    described BOOLEAN NOT NULL,
    "partition" INTEGER NOT NULL
);

-- The candidates of the description that won; never merged across descriptions. `content` is the text shown.
CREATE TABLE candidates (
    project TEXT NOT NULL,
    interaction_key UUID NOT NULL,
    interaction_id TEXT NOT NULL,
    candidate_id TEXT NOT NULL,
    position INTEGER NOT NULL,
    content TEXT,
    model TEXT,
    finish_reason TEXT,
    sampling TEXT
);

-- Every feedback event with its state: 'vote' counts; 'superseded' by a later vote of the same person;
-- 'retracted'; 'unmatched' names a candidate or target that is not there; 'untrusted' speaks of content from a
-- public key; 'applied' is a retraction in force.
CREATE TABLE feedback (
    project TEXT NOT NULL,
    interaction_key UUID NOT NULL,
    event_key UUID NOT NULL,
    event_id TEXT NOT NULL,
    interaction_id TEXT NOT NULL,
    type TEXT NOT NULL,
    candidate_id TEXT,
    value TEXT,
    outcome TEXT,
    chosen TEXT,
    shown TEXT[],
    reasons TEXT[],
    comment TEXT,
    text TEXT,
    sent BOOLEAN,
    dwell_ms BIGINT,
    actor_id TEXT NOT NULL,
    actor_kind TEXT NOT NULL,
    via TEXT NOT NULL,
    verified BOOLEAN NOT NULL,
    occurred_at TIMESTAMP NOT NULL,
    received_at TIMESTAMP NOT NULL,
    state TEXT NOT NULL,
    target TEXT,
    described BOOLEAN NOT NULL
);

-- One row per loser of a pick or choice, and one per edit. weight = weight_num / weight_den.
CREATE TABLE pairs (
    project TEXT NOT NULL,
    pair_id UUID NOT NULL,
    interaction_key UUID NOT NULL,
    interaction_id TEXT NOT NULL,
    event_key UUID NOT NULL,
    event_id TEXT NOT NULL,
    kind TEXT NOT NULL,
    prompt_hash UUID,
    chosen TEXT NOT NULL,
    rejected TEXT NOT NULL,
    chosen_candidate TEXT,
    rejected_candidate TEXT NOT NULL,
    chosen_model TEXT,
    rejected_model TEXT,
    weight_num INTEGER NOT NULL,
    weight_den INTEGER NOT NULL,
    truncated_chosen BOOLEAN NOT NULL,
    truncated_rejected BOOLEAN NOT NULL,
    actor_id TEXT NOT NULL,
    trainable BOOLEAN NOT NULL,
    why_not TEXT,
    occurred_at TIMESTAMP NOT NULL,
    received_at TIMESTAMP NOT NULL
);

CREATE TABLE demonstrations (
    project TEXT NOT NULL,
    demonstration_id UUID NOT NULL,
    interaction_key UUID NOT NULL,
    interaction_id TEXT NOT NULL,
    event_key UUID NOT NULL,
    event_id TEXT NOT NULL,
    prompt_hash UUID,
    text TEXT NOT NULL,
    kind TEXT NOT NULL,
    actor_id TEXT NOT NULL,
    trainable BOOLEAN NOT NULL,
    why_not TEXT,
    occurred_at TIMESTAMP NOT NULL,
    received_at TIMESTAMP NOT NULL
);

CREATE TABLE unpaired (
    project TEXT NOT NULL,
    unpaired_id UUID NOT NULL,
    interaction_key UUID NOT NULL,
    interaction_id TEXT NOT NULL,
    event_key UUID NOT NULL,
    event_id TEXT NOT NULL,
    prompt_hash UUID,
    candidate_id TEXT NOT NULL,
    text TEXT NOT NULL,
    label BOOLEAN NOT NULL,
    model TEXT,
    truncated BOOLEAN NOT NULL,
    actor_id TEXT NOT NULL,
    trainable BOOLEAN NOT NULL,
    why_not TEXT,
    occurred_at TIMESTAMP NOT NULL,
    received_at TIMESTAMP NOT NULL
);

-- 'description': another description of the interaction lost to `kept_event_id`.
-- 'event': another content under the same event id lost; `body` keeps it, `detail` names its fields.
CREATE TABLE conflicts (
    project TEXT NOT NULL,
    interaction_key UUID NOT NULL,
    interaction_id TEXT NOT NULL,
    kind TEXT NOT NULL,
    event_id TEXT NOT NULL,
    kept_event_id TEXT NOT NULL,
    detail TEXT NOT NULL,
    body TEXT
);

-- What could not be interpreted: refused by the collector (its topic) or by the processor (any topic).
CREATE TABLE rejected (
    project TEXT,
    topic TEXT NOT NULL,
    "partition" INTEGER NOT NULL,
    "offset" BIGINT NOT NULL,
    received_at TIMESTAMP,
    key_id TEXT,
    code TEXT NOT NULL,
    message TEXT NOT NULL,
    event_id TEXT,
    raw BLOB,
    length BIGINT NOT NULL,
    digest TEXT NOT NULL
);

-- Facts, wishes and definitions. `subject` is the run, adapter, dataset or request they speak of.
CREATE TABLE facts (
    project TEXT NOT NULL,
    event_key UUID NOT NULL PRIMARY KEY,
    event_id TEXT NOT NULL,
    type TEXT NOT NULL,
    subject TEXT,
    occurred_at TIMESTAMP NOT NULL,
    received_at TIMESTAMP NOT NULL,
    body TEXT NOT NULL,
    digest UUID NOT NULL,
    "partition" INTEGER NOT NULL,
    "offset" BIGINT NOT NULL
);

-- Caches, outside the digest: near-duplicate marks of prompts by embedding, and how far they have come.
CREATE TABLE duplicates (
    project TEXT NOT NULL,
    interaction_key UUID NOT NULL,
    canonical_key UUID NOT NULL,
    similarity DOUBLE NOT NULL,
    method TEXT NOT NULL,
    model TEXT NOT NULL,
    threshold DOUBLE NOT NULL
);

CREATE TABLE embedding_position (
    topic TEXT NOT NULL,
    "partition" INTEGER NOT NULL,
    next_offset BIGINT NOT NULL,
    PRIMARY KEY (topic, "partition")
);

-- One row per prompt (by hash) the embedding stage has seen, under the first interaction that brought it.
-- `position` is its label in the neighbour index; null where it was not embedded, and `skipped` says why.
CREATE TABLE embedded_prompts (
    project TEXT NOT NULL,
    prompt_hash UUID NOT NULL,
    interaction_key UUID NOT NULL,
    model TEXT NOT NULL,
    position BIGINT,
    vector FLOAT[],
    skipped TEXT
);

-- Same question, by normalised hash: the canonical is the interaction received first. Always complete; marks
-- by embedding are added where the follower has come so far.
CREATE VIEW prompt_duplicates AS
SELECT project, interaction_key, canonical_key, 1.0 AS similarity, 'hash' AS method, '' AS model, 1.0 AS threshold
FROM (
    SELECT project, interaction_key,
        first_value(interaction_key) OVER (
            PARTITION BY project, prompt_hash ORDER BY received_at, interaction_key
        ) AS canonical_key
    FROM interactions
    WHERE described AND prompt_hash IS NOT NULL
)
WHERE interaction_key <> canonical_key
UNION ALL
SELECT project, interaction_key, canonical_key, similarity, method, model, threshold FROM duplicates;
