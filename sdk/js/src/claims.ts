/**
 * Which tab sends what: a claim that tabs of one queue leave for each other in localStorage. In: what a tab is about to
 * do. Out: whether it may. Web Locks keep requests apart where there are any; claims do in pages without them (plain
 * http), and where a page that goes cannot wait for a lock.
 */
import type { Slot } from "./slot.js";
import { uuid7 } from "./uuid.js";

/** How long a claim holds, longer than a request; and how long one to adopt must have stood, so that every tab has seen it. */
const CLAIM_MS = 20_000;
export const CLAIM_LAG_MS = 500;

/** The tab that sends, since when, and whether it sends what others left. */
export type Claim = [tab: string, at: number, adopts?: boolean];

export class Claims {
  private readonly tab = uuid7();

  constructor(private readonly slot: Slot<Claim>) {}

  /** The claim of another tab, whatever stands in its place. Neither one of long ago nor one out of the future, made before the clock was set, holds. */
  other(): Claim | null {
    const found = this.slot.read();
    return found && found[0] !== this.tab && Math.abs(Date.now() - found[1]) < CLAIM_MS ? found : null;
  }

  /** Says that this tab sends its own, unless another one has claimed. */
  take(): void {
    if (!this.other()) this.slot.write([this.tab, Date.now()]);
  }

  /** Whether this tab may send what others left: its claim to that has stood for a moment. */
  adopts(): boolean {
    if (this.other()) return false;
    const now = Date.now();
    const found = this.slot.read();
    const age = found?.[2] ? now - found[1] : CLAIM_MS;
    const holds = age >= 0 && age < CLAIM_MS;
    const stands = holds && age >= CLAIM_LAG_MS;
    // Made anew for another request, it goes on standing.
    if (stands || !holds) this.slot.write([this.tab, stands ? now - CLAIM_LAG_MS : now, true]);
    return stands;
  }

  release(): void {
    if (this.slot.read()?.[0] === this.tab) this.slot.write(null);
  }
}
