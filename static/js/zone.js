/* Shows the proposal of the browser's time zone if it is another one than the user's. */
(() => {
  const canonical = (zone) => {
    try {
      return Intl.DateTimeFormat("en", { timeZone: zone }).resolvedOptions().timeZone;
    } catch {
      return zone;
    }
  };
  const here = Intl.DateTimeFormat().resolvedOptions().timeZone;
  for (const card of document.querySelectorAll("[data-zone-proposal]")) {
    if (!here || canonical(card.dataset.zoneProposal) === canonical(here)) continue;
    card.querySelector("[data-zone-name]").textContent = here.replaceAll("_", " ");
    card.querySelector("[name=time_zone]").value = here;
    card.hidden = false;
  }
})();
