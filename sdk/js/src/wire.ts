/** The events as they travel. Field names are those of the wire contract (sdk/schema/events.v1.json). */

export type ActorKind = "user" | "agent" | "expert" | "ai" | "system" | "crowd";

export interface Actor {
  /** Pseudonymous: never a name, an address or a telephone number. */
  id: string;
  kind?: ActorKind;
}

/** OpenAI content: text, null, or a list of parts. */
export type Content = string | null | ContentPart[];

export interface ContentPart {
  type: string;
  text?: string;
  image_url?: { url: string } | string;
  url?: string;
  sha256?: string;
  alt?: string;
}

export interface Message {
  role: string;
  content: Content;
  name?: string;
  tool_calls?: unknown[];
  tool_call_id?: string;
}

export interface Candidate {
  candidate_id: string;
  content: Content;
  model?: string;
  finish_reason?: string | null;
  sampling?: Record<string, unknown>;
}

export type Outcome = "chosen" | "tie" | "none";

/** What any call may carry beside its own fields. */
export interface Common {
  /** UUID; made here when absent. Sending the same id again counts once. */
  event_id?: string;
  /** RFC 3339; now when absent. */
  occurred_at?: string;
  /** Overrides the actor of `init`. */
  actor?: string | Actor;
  interaction_id: string;
  conversation_id?: string;
  source?: string;
  labels?: string[];
  /** At most 2 kB of JSON. */
  context?: Record<string, unknown>;
  /** Describes the interaction inline, for a reply the gateway did not write. */
  messages?: Message[];
  candidates?: Candidate[];
  /** The campaign that asked for it. */
  campaign?: string;
}

/** An interaction that a campaign may ask about. */
export interface Question {
  interaction_id: string;
  surface?: "chat" | "choice" | "workbench";
  labels?: string[];
  /** A name the product gives to the moment, such as `after-refund`. */
  scenario?: string;
  actor?: string | Actor;
}

/** An open campaign: `question` is what to ask, where it says; `campaign_id` goes with the feedback as `campaign`. */
export interface Campaign {
  campaign_id: string;
  surface: string;
  rate: number;
  cooldown_s?: number;
  label?: string;
  scenario?: string;
  question?: string;
}

export interface Thumb extends Common {
  candidate_id: string;
  value: "up" | "down";
  reasons?: string[];
  comment?: string;
}

export interface Choice extends Common {
  /** Candidate ids in the order they stood on the screen. */
  shown: string[];
  chosen: string | null;
  outcome: Outcome;
}

export interface Pick extends Choice {
  /** The final text where it differs from the picked reply; stands for an `edit`. */
  edited_text?: string;
  sent?: boolean;
  dwell_ms?: number;
}

export interface Edit extends Common {
  candidate_id: string;
  text: string;
}

/** Which reply is better, and how clearly: `strength` 1 a little, 2 clearly, 3 by far. */
export interface Preference {
  outcome: Outcome;
  chosen?: string;
  strength?: 1 | 2 | 3;
}

/** A marked stretch of a reply, in code points; `text` is what stands there. */
export interface Span {
  path: string;
  candidate_id: string;
  start: number;
  end: number;
  text: string;
}

/** Answers to labels, by label path, or to what is asked of any item; each replaces the actor's earlier one alone. */
export interface Annotation extends Common {
  answers?: Record<string, unknown>;
  /** The version of each label that was answered. */
  label_versions?: Record<string, number>;
  /** The reply that is meant, for `unit` too; the whole interaction when both are absent. */
  candidate_id?: string;
  /** A candidate's id, or two joined by `|` in the order of their characters. */
  unit?: string;
  shown?: string[];
  preference?: Preference;
  /** Best first; equally good ones as a list. */
  ranking?: (string | string[])[];
  rating?: number;
  spans?: Span[];
  correction?: string;
  /** Why nothing is answered. */
  skipped?: string;
  comment?: string;
  active_ms?: number;
  suggestion_id?: string;
  suggestion_shown?: "none" | "after" | "before";
  /** Answers of a task need a secret key, as do actors who are no user. */
  task_id?: string;
  task_version?: number;
  stage?: number;
  round?: number;
  slot?: number;
}

export interface Retract extends Common {
  /** event_id of the feedback taken back. */
  target: string;
}

export interface Interaction extends Common {
  messages: Message[];
  candidates: Candidate[];
  surface?: "chat" | "choice" | "workbench";
  order?: string[];
}

export interface Fields {
  interaction: Interaction;
  thumb: Thumb;
  choice: Choice;
  pick: Pick;
  edit: Edit;
  annotation: Annotation;
  retract: Retract;
}

export type EventType = keyof Fields;

/** An event as it leaves: envelope and own fields. */
export type FeedbackEvent = {
  type: EventType;
  event_id: string;
  occurred_at: string;
  actor: Actor;
  sdk: { name: string; version: string };
} & Partial<Omit<Common, "actor">> &
  Record<string, unknown>;

export interface Problem {
  code: string;
  message: string;
  hint?: string;
  field?: string;
}

/** What became of one event. `stored` means durable at the collector. */
export interface Delivery {
  event_id: string;
  status: "stored" | "rejected" | "dropped";
  error?: Problem;
}
