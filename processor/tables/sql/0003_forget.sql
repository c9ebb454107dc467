-- Who is forgotten, and before when: what the `forget` facts say, the latest time of each person.
-- `actor_digest`: the first 128 bits of SHA-256 over project and actor id (eventlog.forgetting).
CREATE TABLE forgets (
    project TEXT NOT NULL,
    actor_digest TEXT NOT NULL,
    "before" TIMESTAMP NOT NULL,
    PRIMARY KEY (project, actor_digest)
);

-- Which events were forgotten, as keys. A copy of one that comes later goes too. `described`: it told what an
-- interaction was, so what others said of it no longer has a prompt.
CREATE TABLE forgotten (
    project TEXT NOT NULL,
    event_key UUID NOT NULL,
    interaction_key UUID NOT NULL,
    actor_digest TEXT NOT NULL,
    described BOOLEAN NOT NULL,
    PRIMARY KEY (event_key, actor_digest, described)
);

-- What the eraser has yet to do, outside the digest: stretches of the log that may hold records of forgotten people.
-- An empty topic stands for the file of these tables, which is written anew because freed blocks keep their bytes.
CREATE TABLE erasing (
    note UUID NOT NULL DEFAULT uuid(),
    topic TEXT NOT NULL,
    "partition" INTEGER NOT NULL,
    start BIGINT NOT NULL,
    stop BIGINT NOT NULL
);
