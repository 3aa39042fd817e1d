/* Entries that copy: data-copy holds the text, data-copy-from means what the link leads to. Says so in data-copied. */
(() => {
  if (!navigator.clipboard) return; // the links open what they would copy
  const status = document.querySelector("[data-copy-status]");

  const textOf = async (link) => {
    if (link.dataset.copy) return link.dataset.copy;
    const response = await fetch(link.href);
    if (!response.ok || response.redirected) throw new Error(String(response.status));
    return response.text();
  };

  document.addEventListener("click", async (event) => {
    const link = event.target.closest("[data-copy], [data-copy-from]");
    if (!link || event.ctrlKey || event.metaKey || event.shiftKey) return;
    event.preventDefault();
    try {
      await navigator.clipboard.writeText(await textOf(link));
    } catch {
      location.assign(link.href);
      return;
    }
    const label = link.dataset.label ?? (link.dataset.label = link.textContent);
    link.textContent = link.dataset.copied;
    if (status) status.textContent = link.dataset.copied;
    setTimeout(() => (link.textContent = label), 1600);
  });
})();
