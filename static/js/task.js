/* Every task page: saves the draft, keeps the hold on the task, warns before work is thrown away, folds the guide on
   phones. */
(() => {
  const task = document.querySelector("[data-task-kind]");
  const form = document.querySelector("form[data-answer]");
  if (!task || !form) return;

  const guide = document.querySelector("[data-fold-on-phone]");
  if (guide && matchMedia("(max-width: 47.99rem)").matches) guide.open = false;

  const renew = () => {
    if (document.hidden || !task.dataset.leaseUrl) return;
    oasst.ask(task.dataset.leaseUrl, { method: "POST" }).catch(() => {});
  };
  setInterval(renew, 5 * 60 * 1000);
  document.addEventListener("visibilitychange", renew);

  // The page shows the time to users without script; renewing the hold makes it stale.
  document.querySelector("[data-lease-state]")?.replaceChildren("Held for you while this page is open.");

  let touched = false;
  form.addEventListener("input", () => {
    touched = true;
    document.querySelector("[data-skip-warning]")?.removeAttribute("hidden");
  });
  addEventListener("submit", () => (touched = false));
  addEventListener("beforeunload", (event) => {
    if (touched && !oasst.isSafe()) event.preventDefault();
  });

  const state = document.querySelector("[data-draft-state]");
  const now = new Intl.DateTimeFormat(document.documentElement.lang || undefined, {
    timeStyle: "short",
    timeZone: document.body.dataset.timeZone, // as all times of the page
  });
  const answer = () => {
    const body = new URLSearchParams(new FormData(form));
    for (const name of ["csrfmiddlewaretoken", "kept_as"]) body.delete(name);
    return body;
  };
  const NOT_SAVED = {
    offline: "Not saved yet. What you write is kept in this browser.",
    signed_out: "Not saved: you are signed out. What you write is kept in this browser.",
  };
  let saved = oasst.isRestored(form) ? "" : answer().toString();
  let timer = 0;
  /* Returns true if the server has the draft. */
  const save = async () => {
    clearTimeout(timer);
    const body = answer();
    const [sending, fields] = [body.toString(), oasst.fieldsOf(form)];
    if (sending === saved || form.dataset.sent) return true;
    state.textContent = "Saving your draft…";
    try {
      const response = await oasst.ask(form.dataset.draftUrl, { method: "POST", body });
      if (response.status !== 204) throw new Error(String(response.status));
      saved = sending;
      oasst.serverHas(form, fields, response.headers.get("Draft-At"));
      state.textContent = `Draft saved at ${now.format(new Date())}`;
      if (answer().toString() === saved) touched = false;
      return true;
    } catch (error) {
      state.textContent = NOT_SAVED[error.code] ?? "The draft could not be saved; we keep trying.";
      if (!error.code) timer = setTimeout(save, 10000);
      return false;
    }
  };
  form.addEventListener("input", () => {
    clearTimeout(timer);
    timer = setTimeout(save, 1500);
  });
  document.addEventListener("visibilitychange", () => document.hidden && save());
  document.addEventListener("back", save); // signed in again, or on the line
  const restoring = oasst.isRestored(form) ? save() : null;
  // Text restored from this browser was saved at once, so after a discard the earlier text must be saved again.
  form.addEventListener("discard", (event) => event.detail.push(Promise.resolve(restoring).then(save)));

  const summary = document.getElementById("errors");
  if (summary) summary.focus();
})();
