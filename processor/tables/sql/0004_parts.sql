-- What several processors share, outside the digest (docs/decisions/0011-several-processors.md).

-- Interactions whose rows changed since their partition was last published; `upto` is the offset after that batch.
CREATE TABLE unpublished (
    "partition" INTEGER NOT NULL,
    interaction_key UUID NOT NULL,
    upto BIGINT NOT NULL
);

-- Up to which offsets of the events and rejected topics the folder of parts holds a partition, as far as this store
-- knows. No row: it is to be published whole.
CREATE TABLE published (
    "partition" INTEGER PRIMARY KEY,
    events BIGINT NOT NULL,
    rejected BIGINT NOT NULL
);
