/* Shows the used part of the limit beside each field with data-limit. Text is never cut: the server counts the same way
   (clean_text and clean_line in oasst/core/text/validation.py) and returns a refused text. */
(() => {
  const number = new Intl.NumberFormat(document.documentElement.lang || undefined);
  const BLANK = /[\s\u200b\u2060]/;

  /* Counts characters as the server stores them, for instance of an emoji or a blank line. */
  const kept = (field) => {
    const text = field.value.replace(/\r\n|[\r\v\f\u0085\u2028\u2029]/g, "\n");
    if (!field.matches("textarea")) return [...text.normalize("NFC").split(/\s+/).filter(Boolean).join(" ")].length;
    let [first, end] = [0, text.length];
    while (end && BLANK.test(text[end - 1])) end -= 1;
    while (first < end && BLANK.test(text[first])) first += 1;
    const indentation = text.slice(text.lastIndexOf("\n", first) + 1, first).replace(/[\u200b\u2060\ufeff]/g, "");
    return [...(indentation + text.slice(first, end)).normalize("NFC")].length;
  };

  /* The element that shows the count: one of the page (data-count, in the same form) or a new one below the field. */
  const lineOf = (field) => {
    if (field.dataset.countLine) return document.getElementById(field.dataset.countLine);
    const line = (field.matches("[data-text]") && field.form?.querySelector("[data-count]")) || document.createElement("p");
    if (!line.isConnected) {
      line.className = "count small tabular";
      line.id = `${field.id || field.name}-count`;
      (field.closest("[data-count-after]") ?? field).after(line);
      field.setAttribute("aria-describedby", `${field.getAttribute("aria-describedby") ?? ""} ${line.id}`.trim());
      line.dataset.quiet = ""; // says nothing while there is plenty of room
    }
    field.dataset.countLine = line.id;
    return line;
  };

  /* Announced once, when the limit is passed, not at every key. */
  const spoken = document.createElement("p");
  spoken.className = "visually-hidden";
  spoken.setAttribute("role", "status");

  const show = (field) => {
    const limit = Number(field.dataset.limit);
    const left = limit - kept(field);
    const near = left < limit / 10;
    const line = lineOf(field);
    line.classList.toggle("is-near", near && left >= 0);
    line.classList.toggle("is-over", left < 0);
    if (left < 0) line.textContent = `${number.format(-left)} character${left === -1 ? "" : "s"} too many`;
    else line.textContent = "quiet" in line.dataset && !near ? "" : `${number.format(left)} characters left`;
    const over = left < 0;
    if (over === (field.dataset.over === "1")) return;
    field.dataset.over = over ? "1" : "";
    if (over) field.setAttribute("aria-invalid", "true");
    else field.removeAttribute("aria-invalid");
    spoken.textContent = over ? `${line.textContent}. Nothing is cut.` : "It fits again.";
  };

  const showAll = () => document.querySelectorAll("[data-limit]").forEach(show);
  const begin = () => {
    document.body.append(spoken);
    showAll();
  };
  document.addEventListener("input", (event) => event.target.matches?.("[data-limit]") && show(event.target));
  document.addEventListener("swapped", showAll);
  if (document.readyState === "loading") document.addEventListener("DOMContentLoaded", begin);
  else begin();
})();
