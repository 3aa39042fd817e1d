/* The preview of a text. The form works without it. */
(() => {
  const form = document.querySelector("form[data-preview-url]");
  if (!form) return;
  const text = form.querySelector("[data-text]");

  const tabs = form.querySelector("[data-tabs]");
  const [writeTab, previewTab] = tabs.querySelectorAll("[role=tab]");
  const [writePanel, previewPanel] = form.querySelectorAll("[data-panel]");
  tabs.hidden = false;

  const select = async (tab) => {
    const preview = tab === previewTab;
    for (const each of [writeTab, previewTab]) {
      each.setAttribute("aria-selected", String(each === tab));
      each.tabIndex = each === tab ? 0 : -1;
    }
    writePanel.hidden = preview;
    previewPanel.hidden = !preview;
    if (!preview) return text.focus();
    previewPanel.setAttribute("aria-busy", "true");
    try {
      const response = await oasst.ask(form.dataset.previewUrl, { method: "POST", body: new URLSearchParams({ text: text.value }) });
      if (!response.ok) throw new Error(String(response.status));
      // The server renders and sanitizes it like a stored message.
      previewPanel.innerHTML = await response.text();
    } catch {
      previewPanel.textContent = "The preview is not available right now. Your text is safe.";
    }
    previewPanel.removeAttribute("aria-busy");
  };
  writeTab.addEventListener("click", () => select(writeTab));
  previewTab.addEventListener("click", () => select(previewTab));
  tabs.addEventListener("keydown", (event) => {
    if (event.key !== "ArrowLeft" && event.key !== "ArrowRight") return;
    const other = document.activeElement === writeTab ? previewTab : writeTab;
    other.focus();
    select(other);
  });
  // An empty hidden textarea would block the form without a message.
  form.addEventListener("invalid", () => select(writeTab), true);
})();

/* Shows similar prompts while somebody writes one. Without this script the page shows them once, before it stores. */
(() => {
  const form = document.querySelector("form[data-similar-url]");
  if (!form) return;
  const [text, place] = [form.querySelector("[data-text]"), form.querySelector("[data-similar]")];
  let [timer, asked] = [0, text.value];
  const look = async () => {
    const value = text.value;
    if (value === asked || form.dataset.sent) return;
    try {
      const response = await oasst.ask(form.dataset.similarUrl, { method: "POST", body: new URLSearchParams({ text: value }) });
      if (!response.ok) return;
      asked = value;
      if (text.value === value) place.innerHTML = await response.text();
    } catch {
      /* A hint that cannot be had is none. */
    }
  };
  text.addEventListener("input", () => {
    clearTimeout(timer);
    timer = setTimeout(look, 1200);
  });
})();

/* Fetches another idea for a first prompt. Without this script the button loads the page anew, with the typed text. */
(() => {
  const form = document.querySelector("form[data-answer]:has([data-idea])");
  if (!form) return;
  form.addEventListener("click", async (event) => {
    const button = event.target.closest("[data-idea-next]");
    if (!button) return;
    event.preventDefault();
    if (button.getAttribute("aria-busy")) return;
    button.setAttribute("aria-busy", "true");
    try {
      const response = await oasst.ask(form.action, { method: "POST", body: new URLSearchParams({ idea: button.value }) });
      if (!response.ok) throw new Error(String(response.status));
      const holder = document.createElement("template");
      holder.innerHTML = await response.text();
      const [old, fresh] = [form.querySelector("[data-idea]"), holder.content];
      // Only the sentences and the number change, so the focus stays and screen readers hear the new sentences.
      old.querySelector("ul").replaceChildren(...fresh.querySelector("ul").children);
      button.value = fresh.querySelector("[data-idea-next]").value;
    } catch {
      /* The idea that is there stays. */
    }
    button.removeAttribute("aria-busy");
  });
})();
