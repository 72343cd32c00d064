// Keeps the counts of an open page fresh. Without it the page asks the browser to load it again.
"use strict";
(() => {
  const part = document.querySelector("[data-refresh]");
  if (!part) return;
  const first = Number(part.dataset.refresh) * 1000;
  let pause = first;
  const again = () => setTimeout(load, pause);
  async function load() {
    if (document.hidden) return again();
    try {
      const answer = await fetch(location.href, { headers: { "x-part": "counts" }, redirect: "error" });
      if (!answer.ok) throw new Error(String(answer.status));
      const page = new DOMParser().parseFromString(await answer.text(), "text/html");
      const fresh = page.querySelector("[data-refresh], [data-still]");
      const here = document.querySelector("[data-refresh]");
      if (!fresh || !here) return location.reload();
      here.replaceWith(fresh);
      if (fresh.hasAttribute("data-still")) return location.reload();
      pause = first;
    } catch {
      pause = Math.min(pause * 2, 60000);
      const stale = document.getElementById("stale");
      if (stale) stale.hidden = false;
    }
    again();
  }
  again();
})();
