/* Count down the seconds in which an answer can be taken back, and then take the button away. */
(() => {
  const form = document.querySelector("form[data-undo]");
  if (!form) return;
  const left = form.querySelector("[data-undo-left]");
  let seconds = 10;
  const show = () => (left.textContent = ` · ${seconds}`);
  show();
  const timer = setInterval(() => {
    seconds -= 1;
    if (seconds > 0) show();
    else {
      clearInterval(timer);
      // Never take the focus from somebody; the server says it when it is too late.
      if (!form.dataset.sent && !form.contains(document.activeElement)) form.remove();
      else left.textContent = "";
    }
  }, 1000);
})();
