-- What of an interaction's events does not count, because there are too many (processor.steps.limit): kept whole, since
-- it counts again when others are forgotten. `why`: 'votes', 'descriptions', or 'contents', which are other contents
-- of an event. `standing`: 0 under a key that is no public one, 1 under a public key about signed candidates, 2 neither.
CREATE TABLE over_limit (
    project TEXT NOT NULL,
    interaction_key UUID NOT NULL,
    event_key UUID NOT NULL,
    event_id TEXT NOT NULL,
    interaction_id TEXT NOT NULL,
    type TEXT NOT NULL,
    actor_id TEXT NOT NULL,
    actor_kind TEXT NOT NULL,
    via TEXT NOT NULL,
    verified BOOLEAN NOT NULL,
    occurred_at TIMESTAMP NOT NULL,
    received_at TIMESTAMP NOT NULL,
    standing INTEGER NOT NULL,
    why TEXT NOT NULL,
    body TEXT NOT NULL,
    digest UUID NOT NULL PRIMARY KEY,
    "partition" INTEGER NOT NULL
);
