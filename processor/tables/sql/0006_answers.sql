-- Each answer of an annotation with its state, as `feedback` has those of events: 'vote', 'superseded', 'retracted',
-- 'unmatched', 'untrusted'. `label` is a label's path, or one of '@preference', '@ranking', '@rating', '@spans',
-- '@correction', '@skipped'. `value` is JSON. `unit`: '' the whole interaction, a candidate, or two joined by '|'.
CREATE TABLE answers (
    project TEXT NOT NULL,
    interaction_key UUID NOT NULL,
    interaction_id TEXT NOT NULL,
    event_key UUID NOT NULL,
    event_id TEXT NOT NULL,
    answer_id UUID NOT NULL,
    task_id TEXT,
    task_version INTEGER NOT NULL,
    stage INTEGER NOT NULL,
    round INTEGER NOT NULL,
    slot INTEGER NOT NULL,
    unit TEXT NOT NULL,
    label TEXT NOT NULL,
    label_version INTEGER NOT NULL,
    value TEXT NOT NULL,
    actor_id TEXT NOT NULL,
    actor_kind TEXT NOT NULL,
    via TEXT NOT NULL,
    state TEXT NOT NULL,
    suggestion_shown TEXT NOT NULL,
    active_ms BIGINT,
    occurred_at TIMESTAMP NOT NULL,
    received_at TIMESTAMP NOT NULL
);

-- What reviewers and adjudicators decided about an item of a task, or about one answer (`target`); `kind` is 'review' or
-- 'adjudication', `answers` JSON by label.
CREATE TABLE reviews (
    project TEXT NOT NULL,
    interaction_key UUID NOT NULL,
    interaction_id TEXT NOT NULL,
    event_key UUID NOT NULL,
    event_id TEXT NOT NULL,
    kind TEXT NOT NULL,
    task_id TEXT NOT NULL,
    stage INTEGER NOT NULL,
    round INTEGER NOT NULL,
    unit TEXT NOT NULL,
    target TEXT,
    verdict TEXT,
    answers TEXT NOT NULL,
    reasons TEXT[],
    return_to TEXT,
    basis TEXT[],
    comment TEXT,
    actor_id TEXT NOT NULL,
    actor_kind TEXT NOT NULL,
    via TEXT NOT NULL,
    state TEXT NOT NULL,
    occurred_at TIMESTAMP NOT NULL,
    received_at TIMESTAMP NOT NULL
);

-- The items of tasks, one row for each time a `task.items` fact names one: the first counts. `item_key` is the key of
-- the interaction, which may be another processor's.
CREATE TABLE task_items (
    project TEXT NOT NULL,
    event_key UUID NOT NULL,
    task_id TEXT NOT NULL,
    item_key UUID NOT NULL,
    interaction_id TEXT NOT NULL,
    unit TEXT NOT NULL,
    position INTEGER NOT NULL,
    received_at TIMESTAMP NOT NULL
);

-- How clearly the chosen reply is better, as an annotator said it: 1 a little, 2 clearly, 3 by far.
ALTER TABLE pairs ADD COLUMN strength INTEGER;
