/** Keys: which ones act, when, and the list that `?` shows. */
import { findStorage } from "../queue.js";
import { h, onMac } from "./dom.js";
import type { Label } from "./labels.js";

const SETTING = "thumbwheel.keys";

/** True while an input method composes: such a key belongs to it, Enter and Escape too. */
export function composing(event: KeyboardEvent): boolean {
  return event.isComposing || event.keyCode === 229;
}

/** True where a key writes text. */
export function typing(event: Event): boolean {
  const target = event.composedPath()[0];
  return (
    target instanceof HTMLTextAreaElement ||
    target instanceof HTMLSelectElement ||
    (target instanceof HTMLInputElement && !["checkbox", "radio", "button"].includes(target.type)) ||
    (target instanceof HTMLElement && target.isContentEditable)
  );
}

/** WCAG 2.1.4: single-character keys can be switched off, by the person and for all elements of the site. */
export function keysOn(): boolean {
  try {
    return findStorage()?.getItem(SETTING) !== "off";
  } catch {
    return true;
  }
}

function setKeys(on: boolean): void {
  try {
    findStorage()?.setItem(SETTING, on ? "on" : "off");
  } catch {
    // Without storage the choice cannot be kept; the attribute keys="off" still works.
  }
}

/** What the keys do; each says whether the key meant something. */
export interface KeyActions {
  /** Whether single keys act. */
  active(): boolean;
  key(key: string, held: boolean): boolean;
  submit(): boolean;
  undo(): boolean;
  escape(): boolean;
}

/** Acts on keys inside `root`. A key that means something here, or writes text here, does not reach the host page. */
export function listenToKeys(root: ShadowRoot, act: KeyActions): void {
  /** Keys that acted and are not released yet, by `code`. */
  const down = new Set<string>();
  root.addEventListener("keydown", (found) => {
    const event = found as KeyboardEvent;
    const inText = typing(event);
    const handled = handle(event, inText, act);
    if (handled) {
      event.preventDefault();
      down.add(event.code);
    }
    if (handled || (inText && event.key !== "Tab")) event.stopPropagation();
  });
  for (const name of ["keyup", "keypress"]) {
    root.addEventListener(name, (event) => {
      if (down.delete((event as KeyboardEvent).code) || typing(event)) event.stopPropagation();
    });
  }
}

function handle(event: KeyboardEvent, inText: boolean, act: KeyActions): boolean {
  if (composing(event)) return false;
  const { key } = event;
  if (event.ctrlKey || event.metaKey) {
    if (key === "Enter") return event.repeat || act.submit();
    return !event.shiftKey && key.toLowerCase() === "z" && !inText && (event.repeat || act.undo());
  }
  if (key === "Escape") return act.escape();
  // A button under a held key would be pressed again and again.
  if (key === "Enter" && event.repeat) return !inText;
  return !event.altKey && !inText && act.active() && act.key(key.length === 1 ? key.toLowerCase() : key, event.repeat);
}

export type KeyList = [keys: string[], meaning: Label][];

export const modifier = (): string => (onMac() ? "⌘" : "Ctrl");

/** The panel behind `?`: every key, and the switch. */
export function keysPanel(list: KeyList, say: (label: Label) => string): HTMLElement {
  const toggle = h("input", { type: "checkbox", checked: keysOn() });
  const state = h("span", {}, say(keysOn() ? "keysOn" : "keysOff"));
  toggle.addEventListener("change", () => {
    setKeys(toggle.checked);
    state.textContent = say(toggle.checked ? "keysOn" : "keysOff");
  });
  const rows = list.flatMap(([keys, meaning]) => [
    h("dt", {}, ...keys.map((key) => (key === "–" ? key : h("kbd", {}, key)))),
    h("dd", {}, say(meaning)),
  ]);
  return h("div", {}, h("dl", {}, ...rows), h("label", { class: "switch" }, toggle, state));
}
