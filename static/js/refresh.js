/* Keeps the pieces of a page current: [data-refresh] names the address, [data-refreshed] are the pieces, found by id.
   Asks once a minute, or every [data-refresh-every] milliseconds, while the page is visible, at once when it becomes visible again, and does nothing after errors.
   A piece that the user is about to press, or types in, stays until the next time. */
(() => {
  const page = document.querySelector("[data-refresh]");
  if (!page) return;
  const EVERY = Number(page.dataset.refreshEvery) || 60_000; // milliseconds
  let asked = Date.now();
  let asking = false;

  const isTyped = (field) => field === document.activeElement || field.value !== field.defaultValue;
  const isInUse = (piece) =>
    piece.matches(":hover") ||
    piece.querySelector("form[data-sent]") !== null ||
    [...piece.querySelectorAll("input[type=text], textarea")].some(isTyped);

  const swap = (fresh) => {
    const pieces = [...fresh.querySelectorAll("[data-refreshed]")].map((piece) => [document.getElementById(piece.id), piece]);
    if (pieces.some(([old]) => !old || isInUse(old))) return;
    const focused = document.activeElement?.dataset.testid;
    for (const [old, piece] of pieces) old.replaceWith(piece);
    page.dataset.refreshVersion = fresh.dataset.refreshVersion;
    if (focused && document.activeElement === document.body) document.querySelector(`[data-testid="${focused}"]`)?.focus();
    document.dispatchEvent(new Event("swapped"));
  };

  const ask = async () => {
    if (asking || document.hidden || Date.now() - asked < EVERY) return;
    asking = true;
    asked = Date.now();
    try {
      const url = new URL(page.dataset.refresh, location.href);
      url.searchParams.set("seen", page.dataset.refreshVersion);
      const answer = await fetch(url, { headers: { "X-Requested-With": "fetch" } });
      if (answer.status === 200 && !answer.redirected) {
        const html = new DOMParser().parseFromString(await answer.text(), "text/html");
        const fresh = html.querySelector("[data-refresh-version]");
        if (fresh) swap(fresh);
        if (fresh && "refreshOver" in fresh.dataset) clearInterval(clock);
      }
    } catch {
      /* offline: the next time */
    } finally {
      asking = false;
    }
  };

  const clock = setInterval(ask, Math.min(5_000, EVERY));
  document.addEventListener("visibilitychange", ask);
})();
