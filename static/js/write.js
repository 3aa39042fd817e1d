/* Writing: count, autosave, preview. The form itself needs none of it. */
(() => {
  const form = document.querySelector("form[data-draft-url]");
  if (!form) return;
  const text = form.querySelector("[data-text]");
  const count = form.querySelector("[data-count]");
  const state = document.querySelector("[data-draft-state]");
  const token = form.querySelector("[name=csrfmiddlewaretoken]")?.value ?? "";
  const limit = Number(text.dataset.limit) || 0;
  const number = new Intl.NumberFormat(document.documentElement.lang || undefined);

  const post = (url) =>
    fetch(url, {
      method: "POST",
      headers: { "X-CSRFToken": token },
      body: new URLSearchParams({ text: text.value }),
    });

  const showCount = () => {
    if (!limit) return;
    const left = limit - [...text.value].length;
    count.textContent = left >= 0 ? `${number.format(left)} characters left` : `${number.format(-left)} characters too many`;
    count.classList.toggle("is-near", left >= 0 && left < limit / 10);
    count.classList.toggle("is-over", left < 0);
  };

  let saved = text.value;
  let timer = 0;
  const save = async () => {
    clearTimeout(timer);
    if (text.value === saved || form.dataset.sent) return;
    const sending = text.value;
    state.textContent = "Saving your draft…";
    try {
      const response = await post(form.dataset.draftUrl);
      if (!response.ok) throw new Error(String(response.status));
      saved = sending;
      const now = new Intl.DateTimeFormat(document.documentElement.lang || undefined, {
        timeStyle: "short",
        hourCycle: "h23",
        timeZone: document.body.dataset.timeZone, // as all times of the page
      });
      state.textContent = `Draft saved at ${now.format(new Date())}.`;
      if (text.value === saved) form.dispatchEvent(new Event("draftsaved"));
    } catch {
      state.textContent = "The draft could not be saved; we keep trying.";
      timer = setTimeout(save, 10000);
    }
  };

  text.addEventListener("input", () => {
    showCount();
    clearTimeout(timer);
    timer = setTimeout(save, 1500);
  });
  document.addEventListener("visibilitychange", () => document.hidden && save());
  showCount();

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
      const response = await post(form.dataset.previewUrl);
      if (!response.ok) throw new Error(String(response.status));
      // Rendered and cleaned by the server, the same way as every stored message.
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
  // A hidden textarea that is empty would block the form without a word.
  form.addEventListener("invalid", () => select(writeTab), true);
})();
