/* The page of notices: once it was seen for a moment, what is on it counts as read. Without this file there is a button. */
(() => {
  const form = document.querySelector("[data-read-notices]");
  if (!form || !window.oasst?.ask) return;
  const SEEN_AFTER = 2000; // milliseconds
  let timer = 0;
  const send = async () => {
    document.removeEventListener("visibilitychange", watch);
    try {
      await window.oasst.ask(form.action, { method: "POST", body: new FormData(form) });
    } catch {
      return; // the button is still there
    }
    form.hidden = true;
    document.querySelector("[data-bell-count]")?.remove();
  };
  const watch = () => {
    clearTimeout(timer);
    if (!document.hidden) timer = setTimeout(send, SEEN_AFTER);
  };
  document.addEventListener("visibilitychange", watch);
  watch();
})();
