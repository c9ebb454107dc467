/**
 * What had to be given up, told to the collector with the next batch: of this page, of earlier visits and of other tabs.
 *
 * A report on its way keeps its id until the collector has it, whoever sends it: told twice, it counts once.
 */
import type { Slot } from "./slot.js";
import { uuid7 } from "./uuid.js";

type Counts = Record<string, number>;

export interface Untold {
  open?: Counts;
  closed?: { event_id: string; counts: Counts };
}

export class Reports {
  private travels = false;

  constructor(private readonly slot: Slot<Untold>) {}

  /** Counts an event that will not arrive. Without consent nothing is told, not even that. */
  add(reason: string): void {
    if (reason === "consent") return;
    const { open, closed } = this.untold();
    this.slot.write({ open: { ...open, [reason]: (open?.[reason] ?? 0) + 1 }, closed });
  }

  /** The report to send, if there is one and it is not on its way; `settle` must follow. */
  take(): object | undefined {
    if (this.travels) return;
    let { open, closed } = this.untold();
    if (!closed && open) {
      closed = { event_id: uuid7(), counts: open };
      this.slot.write({ closed });
    }
    this.travels = !!closed;
    return closed;
  }

  settle(told: boolean): void {
    this.travels = false;
    const { open } = this.untold();
    if (told) this.slot.write(open ? { open } : null);
  }

  private untold(): Untold {
    return this.slot.read() ?? {};
  }
}
