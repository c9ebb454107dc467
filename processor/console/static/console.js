// Small conveniences; every page reads, filters and posts without them.
(() => {
  "use strict";

  document.documentElement.classList.add("scripted");

  // Selects that act at once.
  document.addEventListener("change", (event) => {
    const form = event.target.closest("form[data-submit-on-change]");
    if (form) form.submit();
  });

  // Copy a snippet and say so on the button.
  document.addEventListener("click", async (event) => {
    const button = event.target.closest("[data-copy]");
    if (!button) return;
    await navigator.clipboard.writeText(document.getElementById(button.dataset.copy).textContent);
    const before = button.textContent;
    button.textContent = button.dataset.copied;
    setTimeout(() => { button.textContent = before; }, 2000);
  });

  // Refresh #live, but not under somebody's hands: hidden tab, open details or dialog, focus inside.
  function busy(live) {
    return document.hidden || live.querySelector("details[open], :popover-open") || live.contains(document.activeElement);
  }

  function refresh() {
    const live = document.getElementById("live");
    const seconds = live ? Number(live.dataset.refresh) : 0;
    if (!seconds) return;
    setTimeout(async () => {
      try {
        if (!busy(live)) {
          await htmx.ajax("GET", location.pathname + location.search, { target: "#live", select: "#live", swap: "outerHTML" });
        }
      } finally {
        refresh();
      }
    }, seconds * 1000);
  }

  refresh();
})();
