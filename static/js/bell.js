/* Keeps the number beside the bell current while the page is seen, through a WebSocket ([data-bell] names its path), and
   says news politely. Without this file, or without the connection, the next page load shows the number.
   A hidden page has no connection. After a lost one it waits twice as long each time, less a random part: a restart
   of the server loses them all at once, and they should not all come back at once. */
(() => {
  const bell = document.querySelector("[data-bell]");
  const news = document.querySelector("[data-bell-news]");
  if (!bell?.dataset.bell || !news || !window.WebSocket) return;
  const FIRST_WAIT = 8_000; // milliseconds, as the others
  const LONGEST_WAIT = 300_000;
  const STEADY_AFTER = 60_000; // a connection that held so long resets the wait
  const FINAL = [4403, 4429]; // signed out, or too many pages: a new page may ask again
  let socket = null;
  let timer = 0;
  let wait = FIRST_WAIT;

  const show = ({ unread, shown, said, news: sentence }) => {
    let count = bell.querySelector("[data-bell-count]");
    if (!unread) {
      count?.remove();
    } else {
      if (!count) {
        count = document.createElement("span");
        count.className = "bell__count tabular";
        count.dataset.bellCount = "";
        count.innerHTML = '<span aria-hidden="true"></span><span class="visually-hidden"></span>';
        bell.append(count);
      }
      count.firstElementChild.textContent = shown;
      count.lastElementChild.textContent = `, ${said}`;
    }
    if (sentence) news.textContent = sentence;
  };

  const open = () => {
    clearTimeout(timer);
    if (socket || document.hidden) return;
    const since = Date.now();
    const one = new WebSocket(`${location.protocol.replace("http", "ws")}//${location.host}${bell.dataset.bell}`);
    socket = one;
    one.addEventListener("message", (event) => show(JSON.parse(event.data)));
    one.addEventListener("close", (event) => {
      if (socket !== one) return; // closed below
      socket = null;
      if (FINAL.includes(event.code)) return;
      wait = Date.now() - since > STEADY_AFTER ? FIRST_WAIT : Math.min(2 * wait, LONGEST_WAIT);
      timer = setTimeout(open, wait * (0.2 + 0.8 * Math.random()));
    });
  };

  const close = () => {
    clearTimeout(timer);
    const one = socket;
    socket = null;
    one?.close();
  };

  document.addEventListener("visibilitychange", () => (document.hidden ? close() : open()));
  addEventListener("pagehide", close);
  addEventListener("pageshow", (event) => event.persisted && open());
  open();
})();
