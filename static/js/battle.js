/* Keys 1 to 4 decide a comparison, as its buttons show. */
(() => {
  const show = () => document.querySelectorAll("[data-battle-key] [data-script-only]").forEach((key) => (key.hidden = false));
  show();
  document.addEventListener("swapped", show);
  document.addEventListener("keydown", (event) => {
    if (!window.shortcuts?.allow(event)) return;
    const button = document.querySelector(`[data-battle-key="${CSS.escape(event.key)}"]`);
    if (!button) return;
    event.preventDefault();
    button.click();
  });
})();
