/* Without a network, a link or button would replace the page by the browser's error page, with everything typed on it.
   Here the page stays and says so; "Try again" does it once the network is back. Forms with data-keep have their own
   handling in keep.js. */
(() => {
  const words = document.currentScript.dataset;
  let notice = null;
  let resume = null;

  const button = (label, act, style) => {
    const one = document.createElement("button");
    one.type = "button";
    one.className = `button ${style}`;
    one.textContent = label;
    one.addEventListener("click", act);
    return one;
  };
  const hide = () => {
    notice?.remove();
    notice = null;
  };
  const tell = (sentence, again) => {
    hide();
    resume = again;
    notice = document.createElement("section");
    notice.className = "offline";
    notice.dataset.testid = "offline";
    notice.setAttribute("role", "alert");
    const title = document.createElement("h2");
    title.textContent = words.title;
    const text = document.createElement("p");
    text.textContent = sentence;
    const buttons = document.createElement("div");
    buttons.className = "buttons";
    const retry = () => {
      if (!navigator.onLine) return notice.animate?.([{ opacity: 0.4 }, { opacity: 1 }], 200);
      hide();
      return resume();
    };
    buttons.append(button(words.retry, retry, "button--primary"), button(words.stay, hide, ""));
    notice.append(title, text, buttons);
    document.body.append(notice);
  };

  document.addEventListener("click", (event) => {
    const link = event.target.closest?.("a[href]");
    if (navigator.onLine || event.defaultPrevented || !link || link.target || link.hasAttribute("download")) return;
    if (event.button || event.ctrlKey || event.metaKey || event.shiftKey || event.altKey) return;
    const to = new URL(link.href, location.href);
    const isHere = to.pathname === location.pathname && to.search === location.search && to.hash;
    if (to.origin !== location.origin || isHere) return;
    event.preventDefault();
    tell(words.page, () => link.click());
  });
  document.addEventListener("submit", (event) => {
    const form = event.target;
    if (navigator.onLine || event.defaultPrevented || form.matches("[data-keep]")) return;
    event.preventDefault();
    // The script that prevents double clicks has marked it as sent.
    delete form.dataset.sent;
    event.submitter?.removeAttribute("aria-disabled");
    tell(words.form, () => form.requestSubmit(event.submitter));
  });
  addEventListener("online", () => {
    if (notice) notice.querySelector("h2").textContent = words.back;
  });
})();
