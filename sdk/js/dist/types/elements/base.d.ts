import type { Fields, Problem } from "../wire.js";
import { type FeedbackClient } from "./deliveries.js";
import { type Shown } from "./interaction.js";
import { type KeyList } from "./keys.js";
import { type Label, LABELS } from "./labels.js";
export type { FeedbackClient } from "./deliveries.js";
type Kind = "thumb" | "choice" | "pick" | "annotation";
/** An event as an element hands it to the host: without actor and sdk, which the client adds. */
export type Submitted = Fields[Kind] & {
    type: Kind;
    event_id: string;
    occurred_at: string;
};
declare const Host: {
    new (): HTMLElement;
    prototype: HTMLElement;
};
export declare abstract class FeedbackElement extends Host {
    static observedAttributes: string[];
    protected readonly body: HTMLElement;
    private readonly box;
    private readonly status;
    private readonly bar;
    private readonly alert;
    private readonly help;
    private ownClient;
    protected shown: Shown | null;
    /** What feedback given here is about; empty while nothing is shown. */
    protected subject: string;
    private endLanguage;
    private last;
    private readonly deliveries;
    private undoTimer;
    /** `css` is the element's own sheet, beside the common one. */
    constructor(css: string);
    protected abstract get keyList(): KeyList;
    /** Builds `body` for the interaction (or for none). */
    protected abstract render(): void;
    /** Acts on an unmodified key, `held` when it repeats; true when it meant something. */
    protected onKey(_key: string, _held: boolean): boolean;
    /** Ctrl or Cmd with Enter. */
    protected onSubmitKey(): boolean;
    protected onEscape(): boolean;
    get client(): FeedbackClient | null;
    set client(client: FeedbackClient | null);
    /** The JSON of `/v1/candidates`, or a chat completion. */
    get interaction(): Shown | null;
    set interaction(value: unknown);
    /** Shows what there is now. Where feedback would be about something else, the element begins anew. */
    protected look(): void;
    /** What feedback is about: the interaction, and the replies on the screen in their order. */
    protected subjectOf(shown: Shown): string;
    /** Shows what there is; `more` when only more of the same replies has arrived. A value that cannot be shown is said. */
    protected paint(more?: boolean): void;
    /** Takes in more of the replies on the screen: nothing is rebuilt, so focus, caret and selection stay. */
    protected arrive(): void;
    /** The place of a reply's content. */
    protected content(index: number): HTMLElement;
    private fill;
    /** Called before the first render of something else to give feedback on; `before` is what it was about so far. */
    protected changed(_before: string): void;
    connectedCallback(): void;
    disconnectedCallback(): void;
    attributeChangedCallback(name: string, before: string | null, after: string | null): void;
    focus(options?: FocusOptions): void;
    protected get hasFocus(): boolean;
    protected readonly say: (label: Label, n?: number) => string;
    protected get locale(): keyof typeof LABELS;
    /** `data-key` of what has focus inside, to be given back after a render. */
    protected heldFocus(): string | null;
    /** Gives focus back after a render; to the box where its place is gone, so that keys go on acting. */
    protected refocus(held: string | null): void;
    protected helpButton(): HTMLButtonElement;
    /** Sends feedback unless the host cancels `thumbwheel-submit`. `restore` brings the item back on undo. */
    protected submit<K extends Kind>(type: K, fields: Omit<Fields[K], "interaction_id">, text: string, restore: () => void): void;
    /** Feedback on what is shown, made now. */
    protected about<K extends Kind>(type: K, fields: Omit<Fields[K], "interaction_id">): Submitted;
    /** Takes the last submission back and shows it again. */
    protected undo(): boolean;
    /** Retracts feedback; feedback that was not `sent` from here goes before its retraction, in whose place it stands. */
    protected takeBack(event: Submitted, shown: Shown, sent: boolean): void;
    /** The submission that an undo would take back. */
    protected get undoable(): Submitted | null;
    protected forgetUndo(): void;
    /** Says what happened, beside `undo` where it can be undone. */
    protected report(said: string, undo?: HTMLButtonElement | ""): void;
    protected fail(problem: Problem | null, event?: Submitted): void;
    /** Whether what became of this feedback is to be shown beside what is on the screen now. */
    protected concerns(_event: Submitted): boolean;
    private showUndo;
    private tell;
    private toggleHelp;
    private relabel;
    /** A property set before the element was defined shadows the accessor: set it again. */
    private upgrade;
}
