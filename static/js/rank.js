/* Ranking: buttons, keys and dragging reorder the list; the selects always match the list. */
(() => {
  const list = document.querySelector("[data-rank]");
  if (!list) return;
  const form = list.closest("form");
  const say = document.querySelector("[data-rank-say]");
  const items = () => [...list.querySelectorAll("[data-rank-item]")];
  const still = matchMedia("(prefers-reduced-motion: reduce)");
  let touched = false;

  document.querySelector("[data-rank-tip]")?.removeAttribute("hidden");

  // After a refusal, or when the browser restores the form, only the selects have the chosen order.
  const place = (item) => Number(item.querySelector("select").value);
  const sorted = items().sort((one, other) => place(one) - place(other));
  if (sorted.some((item, index) => item !== items()[index])) {
    list.append(...sorted);
    touched = true;
  }

  const sync = () => items().forEach((item, place) => (item.querySelector("select").value = String(place + 1)));

  const moveTo = (item, place) => {
    const others = items().filter((other) => other !== item);
    const target = Math.max(0, Math.min(place, others.length));
    if (items().indexOf(item) === target) return false;
    const before = new Map(items().map((each) => [each, each.getBoundingClientRect().top]));
    list.insertBefore(item, others[target] ?? null);
    sync();
    touched = true;
    form.dispatchEvent(new Event("input"));
    say.textContent = `Reply ${item.dataset.letter} is now in place ${target + 1} of ${others.length + 1}.`;
    if (!still.matches) {
      for (const [each, top] of before) {
        const shift = top - each.getBoundingClientRect().top;
        if (shift && !each.classList.contains("is-dragged")) {
          each.animate([{ transform: `translateY(${shift}px)` }, { transform: "none" }], { duration: 180, easing: "ease-out" });
        }
      }
    }
    return true;
  };

  const settle = (item) => {
    item.classList.remove("is-moved");
    requestAnimationFrame(() => item.classList.add("is-moved"));
    item.scrollIntoView({ block: "nearest", behavior: still.matches ? "auto" : "smooth" });
  };

  list.addEventListener("click", (event) => {
    const button = event.target.closest("[data-move]");
    if (!button) return;
    const item = button.closest("[data-rank-item]");
    const here = items().indexOf(item);
    const place = { top: 0, up: here - 1, down: here + 1 }[button.dataset.move];
    if (moveTo(item, place)) settle(item);
    button.focus({ preventScroll: true });
  });

  list.addEventListener("change", (event) => {
    if (event.target.matches("select")) {
      const item = event.target.closest("[data-rank-item]");
      if (moveTo(item, Number(event.target.value) - 1)) settle(item);
      event.target.focus({ preventScroll: true });
    }
  });

  for (const item of items()) {
    const grip = item.querySelector("[data-grip]");
    item.tabIndex = 0;
    item.addEventListener("keydown", (event) => {
      if (event.target !== item || event.ctrlKey || event.metaKey || event.altKey) return;
      const here = items().indexOf(item);
      let place = null;
      if (event.key === "ArrowUp") place = here - 1;
      else if (event.key === "ArrowDown") place = here + 1;
      else if (event.key === "Home") place = 0;
      else if (event.key === "End") place = items().length - 1;
      else if (/^[1-9]$/.test(event.key) && shortcuts.allow(event, item)) place = Number(event.key) - 1;
      if (place === null) return;
      event.preventDefault();
      if (moveTo(item, place)) settle(item);
      item.focus({ preventScroll: true });
    });

    grip.addEventListener("pointerdown", (event) => {
      if (event.button !== 0) return;
      event.preventDefault();
      grip.setPointerCapture(event.pointerId);
      item.classList.add("is-dragged");
      document.body.classList.add("is-dragging");
      const follow = (move) => {
        const others = items().filter((other) => other !== item);
        const place = others.filter((other) => {
          const box = other.getBoundingClientRect();
          return move.clientY > box.top + box.height / 2;
        }).length;
        moveTo(item, place);
        if (move.clientY < 60) scrollBy(0, -14);
        else if (move.clientY > innerHeight - 110) scrollBy(0, 14);
      };
      const stop = () => {
        grip.removeEventListener("pointermove", follow);
        item.classList.remove("is-dragged");
        document.body.classList.remove("is-dragging");
      };
      grip.addEventListener("pointermove", follow);
      grip.addEventListener("pointerup", stop, { once: true });
      grip.addEventListener("pointercancel", stop, { once: true });
    });
  }

  // After an error the page lists the replies in the chosen order, so the user has confirmed it.
  if (document.getElementById("errors")) touched = true;
  const dialog = document.getElementById(list.dataset.confirm);
  let button = null;
  const none = form.querySelector("[name=not_rankable]");
  form.addEventListener("submit", (event) => {
    if (touched || none?.checked || !dialog) return;
    event.preventDefault();
    button = event.submitter;
    dialog.returnValue = "";
    dialog.showModal();
  });
  dialog?.addEventListener("close", () => {
    if (dialog.returnValue !== "yes") return;
    touched = true;
    form.requestSubmit(button);
  });
  sync();
})();
