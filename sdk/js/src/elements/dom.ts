/** Builds nodes. Text only ever becomes a text node: what a model or a person wrote is shown, never executed. */

export type Child = Node | string | null | undefined | false;
type Value = string | boolean | undefined | ((event: Event) => void);

/** An element with attributes (`true` = present, `false` = absent), listeners (functions) and children. */
export function h<K extends keyof HTMLElementTagNameMap>(
  tag: K,
  attributes: Record<string, Value> = {},
  ...children: Child[]
): HTMLElementTagNameMap[K] {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (typeof value === "function") node.addEventListener(name, value);
    else if (value !== undefined && value !== false) node.setAttribute(name, value === true ? "" : value);
  }
  for (const child of children) if (child || child === "") node.append(child);
  return node;
}

/** A native button whose key is printed on it. */
export function button(label: string, key: string, part: string, click: () => void): HTMLButtonElement {
  return h(
    "button",
    { type: "button", part, class: part, click, "aria-keyshortcuts": key ? ariaKey(key) : undefined },
    key && h("kbd", { "aria-hidden": "true" }, key),
    h("span", {}, label),
  );
}

function ariaKey(key: string): string {
  const names: Record<string, string> = { "←": "ArrowLeft", "→": "ArrowRight", "Ctrl ↵": "Control+Enter", "⌘ ↵": "Meta+Enter" };
  return names[key] ?? key;
}

export const onMac = (): boolean => typeof navigator !== "undefined" && /Mac|iPhone|iPad/.test(navigator.platform ?? "");

/** Adopts a sheet built from text, which a Content-Security-Policy without `unsafe-inline` allows. */
export function adopt(root: ShadowRoot, css: string): void {
  if ("adoptedStyleSheets" in root && typeof CSSStyleSheet === "function") {
    const sheet = new CSSStyleSheet();
    sheet.replaceSync(css);
    root.adoptedStyleSheets = [sheet];
  } else {
    (root as ShadowRoot).append(h("style", {}, css));
  }
}
