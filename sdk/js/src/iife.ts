/** The script a page loads with one tag: the global `Thumbwheel`, with the elements ready to use. */
import { defineElements } from "./elements.js";

export * from "./elements.js";

defineElements();
