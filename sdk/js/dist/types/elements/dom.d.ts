/** Builds nodes. Text only ever becomes a text node: what a model or a person wrote is shown, never executed. */
export type Child = Node | string | null | undefined | false;
type Value = string | boolean | undefined | ((event: Event) => void);
/** An element with attributes (`true` = present, `false` = absent), listeners (functions) and children. */
export declare function h<K extends keyof HTMLElementTagNameMap>(tag: K, attributes?: Record<string, Value>, ...children: Child[]): HTMLElementTagNameMap[K];
/** A native button whose key is printed on it. */
export declare function button(label: string, key: string, part: string, click: () => void): HTMLButtonElement;
export declare const onMac: () => boolean;
/** Adopts a sheet built from text, which a Content-Security-Policy without `unsafe-inline` allows. */
export declare function adopt(root: ShadowRoot, css: string): void;
export {};
