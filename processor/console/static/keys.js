// One key does what a button does: [data-key] names it. Not while somebody writes, and not with Ctrl, Alt or Cmd.
(() => {
  "use strict";

  const WRITES = "input, textarea, select, [contenteditable]";

  document.addEventListener("keydown", (event) => {
    if (event.isComposing || event.ctrlKey || event.altKey || event.metaKey || event.defaultPrevented) return;
    if (event.key === "Escape" && event.target.closest("details[open]")) {
      const open = event.target.closest("details[open]");
      open.open = false;
      open.querySelector("summary").focus();
      return;
    }
    if (event.target.closest(WRITES)) return;
    const act = document.querySelector(`[data-key="${CSS.escape(event.key.toLowerCase())}"]`);
    if (!act) return;
    event.preventDefault();
    act.focus();
    act.click();
    const details = act.closest("summary") && act.parentElement;
    if (details && details.open) details.querySelector("input:not([type=hidden]), select, textarea").focus();
  });
})();
