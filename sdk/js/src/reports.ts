/** What this client had to give up, told to the collector with the next batch. */
import { uuid7 } from "./uuid.js";

export class Reports {
  private open: Record<string, number> = {};
  private closed: { event_id: string; counts: Record<string, number> } | null = null;
  private travels = false;

  /** Counts an event that will not arrive. Without consent nothing is told, not even that. */
  add(reason: string): void {
    if (reason !== "consent") this.open[reason] = (this.open[reason] ?? 0) + 1;
  }

  /** The report to send, if there is one and it is not on its way; `settle` must follow. It keeps its id until told. */
  take(): object | undefined {
    if (this.travels) return undefined;
    if (!this.closed && Object.keys(this.open).length) {
      this.closed = { event_id: uuid7(), counts: this.open };
      this.open = {};
    }
    this.travels = this.closed !== null;
    return this.closed ?? undefined;
  }

  settle(told: boolean): void {
    this.travels = false;
    if (told) this.closed = null;
  }
}
