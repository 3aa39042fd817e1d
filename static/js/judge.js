/* Reviewing: "junk" hides the other questions; digits answer the focused scale, y and n the focused question; the action
   bar counts what is answered; the conversation stays in view. */
(() => {
  const judge = document.querySelector("[data-judge]");
  if (!judge) return;
  const junk = judge.querySelector('[data-question="spam"]');
  const note = judge.querySelector("[data-folded]");

  const fold = () => {
    const folded = junk?.querySelector("input:checked")?.value === "1";
    judge.classList.toggle("is-folded", Boolean(folded));
    note.hidden = !folded;
  };
  judge.addEventListener("change", fold);
  addEventListener("pageshow", fold);
  fold();

  const progress = document.querySelector("[data-progress]");
  const count = () => {
    if (!progress) return;
    const all = [...judge.querySelectorAll("[data-question]")].filter((one) => one.offsetParent);
    const done = all.filter((one) => [...one.querySelectorAll("input:checked")].some((input) => input.value !== ""));
    progress.hidden = false;
    progress.textContent = progress.dataset.progress.replace("DONE", done.length).replace("ALL", all.length);
  };
  judge.addEventListener("change", count);
  addEventListener("pageshow", count);
  count();

  const talk = document.querySelector("[data-talk]");
  if (talk) {
    new ResizeObserver(() => {
      talk.style.setProperty("--height", `${talk.offsetHeight}px`);
      talk.dataset.height = "";
    }).observe(talk);
  }

  const questions = [...judge.querySelectorAll(".question")];
  const shown = () => questions.filter((question) => question.offsetParent);
  const focusOn = (question) => (question?.querySelector("input:checked") ?? question?.querySelector("input"))?.focus();

  document.addEventListener("keydown", (event) => {
    const here = event.target.closest(".question");
    if (!shortcuts.allow(event, here) || event.target.closest("details[data-menu][open]")) return;
    const key = event.key.toLowerCase();
    if (key === "j" || key === "k") {
      const list = shown();
      const next = here ? list.indexOf(here) + (key === "j" ? 1 : -1) : 0;
      focusOn(list[next]);
      return;
    }
    const question = here ?? junk;
    if (!question) return;
    let input = null;
    if (question.matches(".question--yesno") && (key === "y" || key === "n")) {
      input = question.querySelector(`input[value="${key === "y" ? 1 : 0}"]`);
    } else if (question.matches(".question--scale") && /^[1-5]$/.test(key)) {
      input = question.querySelectorAll(".scale__points input")[Number(key) - 1];
    } else if (key === "0") {
      input = question.querySelector('input[type="radio"][value=""]');
    }
    if (!input) return;
    event.preventDefault();
    input.click();
    const list = shown();
    focusOn(list[list.indexOf(question) + 1] ?? question);
  });
})();
