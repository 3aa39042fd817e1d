/* Solves the challenge of a form (templates/fragments/proof_of_work.html) while its user types, in a worker so that the page
   stays usable. Without crypto.subtle, which only https and localhost have, the form says how long to wait instead. */
(() => {
  for (const box of document.querySelectorAll("[data-proof]")) {
    if (!crypto.subtle || !window.Worker) continue;
    const form = box.closest("form");
    const field = box.querySelector("[name=altcha]");
    const state = box.querySelector("[data-proof-state]");
    const inWords = state.textContent;
    const challenge = JSON.parse(box.querySelector("script").textContent);
    const worker = new Worker(box.dataset.worker);
    let button = null;
    let isWaiting = "asked" in box.dataset; // the form was sent before
    let isOver = false;
    const end = () => {
      isOver = true;
      worker.terminate();
      if (isWaiting) form.requestSubmit(button);
    };
    state.textContent = isWaiting ? box.dataset.waiting : box.dataset.working;
    worker.addEventListener("message", ({ data: number }) => {
      const { algorithm, challenge: hash, salt, signature } = challenge;
      field.value = btoa(JSON.stringify({ algorithm, challenge: hash, number, salt, signature }));
      state.textContent = box.dataset.done;
      end();
    });
    worker.addEventListener("error", () => {
      state.textContent = inWords; // the wait does instead
      end();
    });
    form.addEventListener("submit", (event) => {
      if (isOver) return;
      event.preventDefault();
      isWaiting = true;
      button = event.submitter;
      state.textContent = box.dataset.waiting;
    });
    worker.postMessage(challenge);
  }
})();
