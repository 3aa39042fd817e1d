/* Runs before the first paint: puts the chosen theme on <html>, so that nothing flashes. */
(() => {
  const root = document.documentElement;
  root.classList.add("js");
  try {
    const chosen = localStorage.getItem("theme");
    if (chosen === "light" || chosen === "dark") root.dataset.theme = chosen;
  } catch {
    /* storage may be forbidden; the system theme rules then */
  }
})();
