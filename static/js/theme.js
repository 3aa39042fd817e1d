/* Sets the chosen theme on <html> before the first paint, so that the page does not flash. */
(() => {
  const root = document.documentElement;
  root.classList.add("js");
  try {
    const chosen = localStorage.getItem("theme");
    if (chosen === "light" || chosen === "dark") root.dataset.theme = chosen;
  } catch {
    /* storage may be forbidden; then the system's theme applies */
  }
})();
