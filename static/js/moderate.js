/* The desk by keys: each key presses a button of the page, so everything also works without this script. A reason and an
   act, in either order, decide. The sentences are in data attributes (templates/admin/desk/decide.html). */
(() => {
  const desk = document.querySelector("[data-moderate]");
  if (!desk) return;
  const form = desk.querySelector("[data-decide]");
  const keysAreOn = desk.dataset.keys !== "off";
  const TYPING = "textarea, select, input:not([type=radio], [type=checkbox])";
  const RENEW_EVERY = 120_000; // milliseconds; a claim lasts five minutes
  const reason = form?.querySelector("[data-reason]");
  const line = form?.querySelector("[data-say]");
  const heading = desk.querySelector("[data-focus]");
  let chosen = null; // the act that waits for its reason
  let clicked = false; // whether the last click was one of the mouse or a finger
  let sent = false;

  heading?.focus({ preventScroll: true });
  if (keysAreOn) desk.dataset.keys = "on";
  for (const button of desk.querySelectorAll("[data-dialog]")) {
    button.hidden = !keysAreOn;
    button.addEventListener("click", () => document.getElementById(button.dataset.dialog)?.showModal());
  }

  const say = (name, label = "") => {
    const words = keysAreOn ? name : `${name}ByMouse`;
    line.textContent = (form.dataset[words] ?? form.dataset[name]).replace("ACT", label);
  };
  const choose = (button) => {
    chosen?.classList.remove("is-chosen");
    chosen = button;
    chosen?.classList.add("is-chosen");
    form.dataset.fits = chosen?.dataset.fits ?? "";
  };
  const prepared = () => form.querySelector("[data-number]:checked");
  const also = () => Boolean(form.querySelector("[name=also]:checked")?.value);
  const misfits = (button) => {
    const one = prepared();
    if (!one || one.dataset.text !== reason.value || button.dataset.fits === "any") return false;
    return (one.dataset.stays === "yes") !== (button.dataset.fits === "stays" && !also());
  };

  /* Sends an act that has its reason; else asks for one. */
  const act = (button) => {
    if (sent) return;
    if (!reason.value.trim()) {
      choose(button);
      say("sayWhy", button.dataset.label);
    } else if (misfits(button)) {
      choose(button);
      say("sayMisfit");
    } else {
      form.requestSubmit(button);
    }
  };
  const pick = (number) => {
    const input = form.querySelector(`[data-number="${number}"]`);
    if (!input) return false;
    const again = input.checked && reason.value === input.dataset.text;
    input.checked = !again;
    reason.value = again ? "" : input.dataset.text;
    if (again) line.textContent = "";
    else if (chosen) act(chosen);
    else say("sayAct");
    return true;
  };

  const press = (target) => {
    if (target.matches("[data-act]")) act(target);
    else if (target.matches("details")) {
      target.open = !target.open;
      if (target.open) target.querySelector("textarea, select")?.focus();
    } else if (target.matches("input")) {
      const off = target.checked && form.querySelector('[name=also][value=""]');
      (off || target).click();
    } else target.click();
  };
  const onKey = (key) => {
    if (/^[1-9]$/.test(key)) return Boolean(form) && pick(key);
    if (key === "0") {
      reason?.focus();
      return Boolean(reason);
    }
    if (key === "Escape" && form) {
      choose(null);
      line.textContent = "";
      return true;
    }
    if (key === "Enter" && chosen && document.activeElement === heading) {
      act(chosen);
      return true;
    }
    const target = [...desk.querySelectorAll("[data-key]")].find((one) => one.dataset.key === key);
    if (!target || (key === "Enter" && document.activeElement !== heading)) return false;
    press(target);
    return true;
  };

  /* In a field: Escape leaves it, Enter (with Ctrl in a long text) sends. */
  const onKeyInField = (event) => {
    if (event.key === "Escape") heading?.focus();
    else if (event.key === "Enter" && event.target === reason) {
      if (chosen) act(chosen);
      else {
        heading?.focus();
        say(reason.value.trim() ? "sayAct" : "sayWhy");
      }
    } else if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) {
      const button = event.target.closest(".mod-more")?.querySelector("[data-act]");
      if (button) act(button);
    } else return false;
    return true;
  };

  document.addEventListener("keydown", (event) => {
    clicked = false;
    if (event.defaultPrevented || event.isComposing || document.querySelector("dialog[open]")) return;
    if (event.target.closest?.(TYPING)) {
      if (form?.contains(event.target) && onKeyInField(event)) event.preventDefault();
      return;
    }
    if (!keysAreOn || event.ctrlKey || event.metaKey || event.altKey) return;
    if (onKey(event.key.length === 1 ? event.key.toLowerCase() : event.key)) event.preventDefault();
  });

  if (!form) return;
  for (const input of form.querySelectorAll("[data-number]")) {
    input.addEventListener("change", () => {
      reason.value = input.dataset.text;
      // With the arrow keys one only looks through them; a click decides, as the number does.
      if (chosen && clicked) act(chosen);
      else if (!chosen) say("sayAct");
    });
  }
  form.querySelector("[data-with-reason]")?.addEventListener("click", (event) => {
    event.currentTarget.search = reason.value ? new URLSearchParams({ reason: reason.value }) : "";
  });
  form.addEventListener("click", (event) => {
    clicked = event.detail > 0 || (clicked && event.target.matches("[data-number]"));
    const button = event.target.closest("[data-act]");
    if (!button || (reason.value.trim() && !misfits(button))) return;
    event.preventDefault();
    act(button);
    if (!reason.value.trim()) reason.focus();
  });
  desk.addEventListener("submit", (event) => {
    if (event.target.method === "dialog") return;
    if (sent) event.preventDefault();
    sent = true;
  });
  addEventListener("pageshow", () => (sent = false));

  const about = (more) => {
    const data = new FormData();
    for (const name of ["csrfmiddlewaretoken", "subject_kind", "subject_id"]) data.set(name, form.elements[name].value);
    for (const [name, value] of Object.entries(more)) data.set(name, value);
    return data;
  };
  const renew = async () => {
    if (sent || document.hidden) return;
    const answer = await fetch(form.dataset.renewUrl, { method: "POST", body: about({}) }).catch(() => null);
    if (answer?.status === 409) say("sayLost");
  };
  setInterval(renew, RENEW_EVERY);
  // A page that was left is held for some seconds only, so one that comes back asks for more.
  const comesBack = performance.getEntriesByType("navigation")[0]?.type !== "navigate";
  addEventListener("pageshow", (event) => (event.persisted || comesBack) && renew());
  document.addEventListener("visibilitychange", renew);
  addEventListener("pagehide", () => {
    if (!sent) navigator.sendBeacon(form.dataset.leaveUrl, about({ closed: "1" }));
  });
})();
