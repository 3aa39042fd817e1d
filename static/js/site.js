/* Every page: theme button, menus that close, toasts, dialogs, one submit per form. */
(() => {
  const words = document.currentScript.dataset;
  const root = document.documentElement;
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const isDark = () => (root.dataset.theme ? root.dataset.theme === "dark" : dark.matches);

  const toggle = document.querySelector("[data-theme-toggle]");
  if (toggle) {
    const show = () => toggle.setAttribute("aria-pressed", String(isDark()));
    show();
    dark.addEventListener("change", show);
    toggle.addEventListener("click", () => {
      const next = isDark() ? "light" : "dark";
      // The choice equals the system's theme: forget it, so that the page follows the system again.
      if ((next === "dark") === dark.matches) delete root.dataset.theme;
      else root.dataset.theme = next;
      try {
        if (root.dataset.theme) localStorage.setItem("theme", root.dataset.theme);
        else localStorage.removeItem("theme");
      } catch {
        /* the choice holds for this page */
      }
      show();
    });
  }

  document.addEventListener("click", (event) => {
    for (const menu of document.querySelectorAll("details[data-menu][open]")) {
      if (!menu.contains(event.target)) menu.open = false;
    }
    const close = event.target.closest("[data-dismiss]");
    if (close) close.closest(".toast").remove();
    const opener = event.target.closest("[data-dialog]");
    if (opener) {
      event.preventDefault();
      document.getElementById(opener.dataset.dialog)?.showModal();
    }
  });

  document.addEventListener("keydown", (event) => {
    if (event.key === "Escape") {
      for (const menu of document.querySelectorAll("details[data-menu][open]")) {
        const hadFocus = menu.contains(document.activeElement);
        menu.open = false;
        if (hadFocus) menu.querySelector("summary").focus();
      }
    }
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) {
      const form = document.querySelector("form[data-answer]");
      const here = event.target.closest("form");
      if (form && (!here || here === form) && !document.querySelector("dialog[open]")) {
        event.preventDefault();
        form.requestSubmit();
      }
    }
  });

  // A second click must not send the form twice. The server would notice, but the user would get a confusing page.
  document.addEventListener("submit", (event) => {
    const form = event.target;
    if (event.defaultPrevented || form.method !== "post") return;
    if (form.dataset.sent) {
      event.preventDefault();
      return;
    }
    form.dataset.sent = "1";
    const button = event.submitter ?? document.querySelector(`button[form="${form.id}"]`);
    button?.setAttribute("aria-disabled", "true");
  });
  addEventListener("pageshow", () => {
    for (const form of document.querySelectorAll("form[data-sent]")) delete form.dataset.sent;
    for (const button of document.querySelectorAll('button[aria-disabled="true"]')) button.removeAttribute("aria-disabled");
  });

  // Without script the form leads back to this page.
  document.querySelector("form[data-dismiss-announcement]")?.addEventListener("submit", async (event) => {
    event.preventDefault();
    event.stopPropagation();
    const form = event.target;
    const next = document.getElementById("main");
    try {
      const headers = { "X-Requested-With": "fetch" };
      if ((await fetch(form.action, { method: "post", body: new FormData(form), headers })).ok) {
        form.closest("aside").remove();
        next.focus();
      }
    } catch {
      /* the announcement stays */
    }
  });

  for (const select of document.querySelectorAll("select[data-submit-on-change]")) {
    select.addEventListener("change", () => select.form.requestSubmit());
    select.form.querySelector("[data-without-script]")?.setAttribute("hidden", "");
  }

  // The last blocks of a streamed answer still grow.
  const grows = (block) => {
    const box = block.closest("[data-coming]");
    return box !== null && [...box.children].findIndex((one) => one.contains(block)) >= Number(box.dataset.final ?? 0);
  };
  // The browser's time zone is only a proposal; the profile can change it.
  for (const input of document.querySelectorAll("input[data-browser-zone]")) {
    input.value = Intl.DateTimeFormat().resolvedOptions().timeZone ?? "";
  }

  const addCopyButtons = () => {
    for (const block of document.querySelectorAll(".prose :is(pre, .formula--block):not(:has(.copy-code))")) {
      if (grows(block)) continue;
      const source = block.title || block.textContent;
      const button = document.createElement("button");
      button.type = "button";
      button.className = "copy-code";
      button.textContent = words.copy;
      button.addEventListener("click", async () => {
        await navigator.clipboard.writeText(source);
        button.textContent = words.copied;
        setTimeout(() => (button.textContent = words.copy), 1600);
      });
      block.append(button);
    }
  };
  // Copy the source of a formula that is selected together with other text.
  document.addEventListener("copy", (event) => {
    const selection = getSelection();
    if (selection.isCollapsed) return;
    const range = selection.getRangeAt(0).cloneRange();
    const formula = (node) => (node.closest ? node : node.parentElement).closest(".formula");
    const [first, last] = [formula(range.startContainer), formula(range.endContainer)];
    if (first) range.setStartBefore(first);
    if (last) range.setEndAfter(last);
    const copy = document.createElement("div");
    copy.append(range.cloneContents());
    const formulas = copy.querySelectorAll(".formula");
    if (!formulas.length) return;
    for (const one of formulas) one.textContent = one.title;
    copy.className = "visually-hidden";
    document.body.append(copy);
    event.clipboardData.setData("text/plain", copy.innerText);
    copy.remove();
    event.preventDefault();
  });

  if (navigator.clipboard) {
    addCopyButtons();
    document.addEventListener("swapped", addCopyButtons); // a script put new pieces into the page
  }
})();
