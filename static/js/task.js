/* Every task page: keeps the hold on the task, warns before work is thrown away, folds the guide on phones. */
(() => {
  const task = document.querySelector("[data-task-kind]");
  const form = document.querySelector("form[data-answer]");
  if (!task || !form) return;
  const token = form.querySelector("[name=csrfmiddlewaretoken]")?.value ?? "";

  const guide = document.querySelector("[data-fold-on-phone]");
  if (guide && matchMedia("(max-width: 47.99rem)").matches) guide.open = false;

  const renew = () => {
    if (document.hidden || !task.dataset.leaseUrl) return;
    fetch(task.dataset.leaseUrl, { method: "POST", headers: { "X-CSRFToken": token } }).catch(() => {});
  };
  setInterval(renew, 5 * 60 * 1000);
  document.addEventListener("visibilitychange", renew);

  // The time stands in the page for readers without script; a renewed hold makes it stale.
  document.querySelector("[data-lease-state]")?.replaceChildren("Held for you while this page is open.");

  let touched = false;
  form.addEventListener("input", () => {
    touched = true;
    document.querySelector("[data-skip-warning]")?.removeAttribute("hidden");
  });
  form.addEventListener("draftsaved", () => (touched = false));
  addEventListener("submit", () => (touched = false));
  addEventListener("beforeunload", (event) => {
    if (touched) event.preventDefault();
  });

  const summary = document.getElementById("errors");
  if (summary) summary.focus();
})();
