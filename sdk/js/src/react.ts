/**
 * The three elements as React components: typed properties, events as handlers, `ref` is the element. React 18 and later.
 *
 *     import { ThumbwheelThumbs } from "@thumbwheel/sdk/react";
 *     <ThumbwheelThumbs client={client} interaction={interaction} onSubmit={({ detail }) => note(detail.event)} />
 *
 * Importing defines nothing; the first render in a browser does. On a server a component is its empty tag.
 */
import {
  createElement, forwardRef, useEffect, useImperativeHandle, useLayoutEffect, useRef,
  type ForwardRefExoticComponent, type HTMLAttributes, type RefAttributes,
} from "react";
import { defineElements } from "./elements.js";
import type {
  FeedbackError, FeedbackClient, FeedbackMove, Reason, Showable, FeedbackSubmit, ThumbwheelChoice as ChoiceElement,
  ThumbwheelThumbs as ThumbsElement, ThumbwheelWorkbench as WorkbenchElement, FeedbackUndo,
} from "./elements.js";

interface Common extends Omit<HTMLAttributes<HTMLElement>, "onSubmit" | "onError"> {
  /** The client of the latest `init()` when absent. */
  client?: FeedbackClient | null;
  /** What is shown; null shows the element's empty state. */
  interaction: Showable | null;
  onSubmit?: (event: FeedbackSubmit) => void;
  onUndo?: (event: FeedbackUndo) => void;
  onError?: (event: FeedbackError) => void;
  /** Seconds after which an undo is no longer offered; for ever when absent. */
  undoSeconds?: number;
  /** `off`: single keys do nothing. */
  keys?: "off";
  theme?: "light" | "dark" | "system";
}

export interface ThumbsProps extends Common {
  /** Which candidate the thumb is for; the first when absent. */
  candidateId?: string;
  reasons?: Partial<Record<"up" | "down", Reason[]>>;
  /** A thumb given earlier. */
  vote?: "up" | "down" | null;
}

export interface ChoiceProps extends Common {
  heading?: string;
}

export interface WorkbenchProps extends Common {
  heading?: string;
  /** The next item is on its way. */
  loading?: boolean;
  /** The first item takes the focus, where nothing else has it: for a page that is the workbench. */
  autoFocus?: boolean;
  onSkip?: (event: FeedbackMove) => void;
  onBack?: (event: FeedbackMove) => void;
}

type Props = ThumbsProps & ChoiceProps & WorkbenchProps;
type Component<E, P> = ForwardRefExoticComponent<P & RefAttributes<E>>;

const EVENTS = {
  onSubmit: "thumbwheel-submit",
  onUndo: "thumbwheel-undo",
  onError: "thumbwheel-error",
  onSkip: "thumbwheel-skip",
  onBack: "thumbwheel-back",
} as const;

// On a server effects do not run, and React 18 warns of layout effects there.
const useCommit = typeof document === "undefined" ? useEffect : useLayoutEffect;

/** Calls the handlers of the latest render; answers with what ends it. */
function listen(element: HTMLElement, latest: { current: Props }): () => void {
  const ends = Object.entries(EVENTS).map(([handler, name]) => {
    const call = (event: Event): void => latest.current[handler as keyof typeof EVENTS]?.(event as never);
    element.addEventListener(name, call);
    return () => element.removeEventListener(name, call);
  });
  return () => ends.forEach((end) => end());
}

/** What stands on the tag. React 18 writes a custom element's `className` and booleans as they are called. */
function attributes(props: Props): Record<string, unknown> {
  const {
    client, interaction, reasons, vote, onSubmit, onUndo, onError, onSkip, onBack, className, candidateId, undoSeconds, loading,
    autoFocus, hidden, ...rest
  } = props;
  return {
    ...rest,
    class: className,
    "candidate-id": candidateId,
    "undo-seconds": undoSeconds,
    loading: loading ? "" : undefined,
    autofocus: autoFocus ? "" : undefined,
    hidden: hidden ? "" : undefined,
  };
}

/** What a vote is about. */
function subjectOf(interaction: Showable | null, candidateId: string | undefined): string {
  if (!interaction) return "";
  const [id, shown] = "choices" in interaction ? [interaction.id, interaction.choices] : [interaction.interaction_id, interaction.candidates];
  return [candidateId, id, ...shown.map((one) => one.candidate_id)].join("\n");
}

function component<E extends ThumbsElement | ChoiceElement | WorkbenchElement, P extends Common>(tag: string): Component<E, P> {
  const wrapped = forwardRef<E, Props>((props, ref) => {
    defineElements();
    const { client = null, interaction = null, reasons, vote, candidateId } = props;
    const element = useRef<E>(null);
    const latest = useRef(props);
    useImperativeHandle(ref, () => element.current!, []);
    useCommit(() => void (latest.current = props));
    useCommit(() => listen(element.current!, latest), []);
    useCommit(() => void Object.assign(element.current!, { client }), [client]);
    // Compared by what they say: an object written into the JSX is another one at each render, and would end an undo.
    useCommit(() => void Object.assign(element.current!, { interaction }), [JSON.stringify(interaction)]);
    useCommit(() => void (reasons && Object.assign(element.current!, { reasons })), [JSON.stringify(reasons)]);
    // Another reply starts without a vote.
    useCommit(() => void (vote !== undefined && Object.assign(element.current!, { vote })), [vote, subjectOf(interaction, candidateId)]);
    return createElement(tag, { ...attributes(props), ref: element });
  });
  wrapped.displayName = tag;
  return wrapped as unknown as Component<E, P>;
}

export const ThumbwheelThumbs = /* @__PURE__ */ component<ThumbsElement, ThumbsProps>("thumbwheel-thumbs");
export const ThumbwheelChoice = /* @__PURE__ */ component<ChoiceElement, ChoiceProps>("thumbwheel-choice");
export const ThumbwheelWorkbench = /* @__PURE__ */ component<WorkbenchElement, WorkbenchProps>("thumbwheel-workbench");
