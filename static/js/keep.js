/* Keeps what users typed and chose in this browser until the server has it, and checks that requests of our scripts are
   not answered by the sign-in page. It keeps forms with data-keep; without this file they still work. */
window.oasst = (() => {
  const words = document.currentScript.dataset;
  const person = document.body.dataset.person;
  const PREFIX = "kept:";
  const MARK = "kept_as"; // the server confirms a form with a cookie of this name
  const LONGEST = 30 * 24 * 3600 * 1000;
  const SENDS_FOR = 3600 * 1000; // later the user must press the button again
  const LOOKS_FOR = 10 * 1000; // milliseconds until a server that does not answer counts as one that cannot be reached
  const HERE = () => location.pathname + location.search;

  const storage = (() => {
    try {
      localStorage.setItem(PREFIX, "");
      localStorage.removeItem(PREFIX);
      return localStorage;
    } catch {
      return null; // forbidden or full: the text stays on the page
    }
  })();
  const entries = () => (storage ? Object.keys(storage).filter((key) => key.startsWith(PREFIX)) : []);
  const load = (key) => {
    try {
      return JSON.parse(storage?.getItem(key) ?? "null");
    } catch {
      return null;
    }
  };
  let isKept = true;
  const put = (key, entry) => {
    try {
      storage.setItem(key, JSON.stringify(entry));
      isKept = true;
    } catch {
      isKept = false;
    }
  };
  const drop = (key) => storage?.removeItem(key);

  /* Forms */
  const keyOf = (form) => `${PREFIX}${person}:${form.getAttribute("action")}:${form.dataset.keep}`;
  const keepers = () => [...document.querySelectorAll("form[data-keep]")];
  const NO_WORDS = ["hidden", "password", "file", "submit", "button", "reset", "image"];
  const holdsWords = (field) => field.name && !NO_WORDS.includes(field.type);
  const isTicked = (field) => field.type === "radio" || field.type === "checkbox";

  /* Returns name and value of each field, as they are now or (`asGiven`) as the server sent them. */
  const read = (form, asGiven = false) => {
    const fields = [];
    for (const field of [...form.elements].filter(holdsWords)) {
      if (isTicked(field)) {
        if (asGiven ? field.defaultChecked : field.checked) fields.push([field.name, field.value]);
      } else if (field.options) {
        const given = [...field.options].filter((option) => option.defaultSelected);
        const chosen = asGiven ? (given.length || field.multiple ? given : [...field.options].slice(0, 1)) : field.selectedOptions;
        for (const option of chosen) fields.push([field.name, option.value]);
      } else {
        fields.push([field.name, asGiven ? field.defaultValue : field.value]);
      }
    }
    return fields;
  };
  const namesIn = (form) => [...new Set([...form.elements].filter(holdsWords).map((field) => field.name))];
  /* Fills only the fields in `names`: the form may have others than when it was kept, which stay at their defaults. */
  const only = (fields, names) => fields.filter(([name]) => names.includes(name));
  const write = (form, { fields, names }) => {
    const written = new Map(); // name → how many fields of this name have their value, as in a list of selects
    for (const field of [...form.elements].filter((one) => holdsWords(one) && names.includes(one.name))) {
      const values = fields.filter(([name]) => name === field.name).map(([, value]) => value);
      if (isTicked(field)) field.checked = values.includes(field.value);
      else if (field.multiple && field.options) for (const option of field.options) option.selected = values.includes(option.value);
      else if (values.length) {
        const number = written.get(field.name) ?? 0;
        written.set(field.name, number + 1);
        field.value = values[number] ?? "";
      }
    }
  };
  const stored = new WeakMap(); // what the server has of a form since the page was loaded
  const onServer = (form) => stored.get(form) ?? JSON.stringify(read(form, true));

  const save = (form, more = null) => {
    if (!storage) return;
    const [key, fields] = [keyOf(form), read(form)];
    const before = load(key);
    if (!more && JSON.stringify(fields) === onServer(form)) {
      if (!before?.send) drop(key);
      return;
    }
    const as = before?.as ?? Array.from(crypto.getRandomValues(new Uint8Array(8)), (one) => one.toString(16).padStart(2, "0")).join("");
    put(key, { as, at: Date.now(), after: Number(form.dataset.draftAt ?? 0), names: namesIn(form), fields, ...more });
    if (before?.send && !more) {
      isStopped = true; // it is being changed, so it is not what was to be sent
      showBar(state === "offline");
    }
  };
  const serverHas = (form, fields, draftAt = "") => {
    stored.set(form, fields);
    if (draftAt) form.dataset.draftAt = draftAt;
    save(form);
  };

  const note = (form, text, label, act) => {
    const line = document.createElement("p");
    line.className = "kept-note";
    line.setAttribute("role", "status");
    line.dataset.kept = "";
    const button = document.createElement("button");
    button.type = "button";
    button.className = "link-button";
    button.textContent = label;
    button.addEventListener("click", act);
    line.append(text, " ", button);
    if (form.matches("[data-keep=answer], [data-keep=composer]")) form.before(line);
    else form.prepend(line);
    const details = form.closest("details");
    if (details) details.open = true;
  };
  const reload = () => {
    leaving = true;
    location.reload();
  };
  let leaving = false;
  const restored = new WeakSet();
  const seen = new WeakSet();
  const restore = (isFresh) => {
    for (const form of keepers()) {
      if (seen.has(form)) continue;
      seen.add(form);
      const key = keyOf(form);
      const entry = load(key);
      if (!entry?.names) continue;
      if (JSON.stringify(only(entry.fields, namesIn(form))) === JSON.stringify(only(read(form, true), entry.names))) {
        // The server shows a refused form with the sent values but has not stored them.
        if (isFresh && !entry.send && !document.querySelector("#errors, [data-not-taken]")) drop(key);
        continue;
      }
      const draftAt = Number(form.dataset.draftAt ?? 0);
      if (draftAt > entry.after && !entry.send) {
        note(form, "This browser keeps another version that was never saved.", "Show it", () => {
          put(key, { ...entry, after: draftAt });
          reload();
        });
        continue;
      }
      write(form, entry);
      restored.add(form);
      if (!isFresh) continue; // a script put the form anew into the page while somebody was writing
      note(form, "This is what you had written here. It is not sent yet.", "Discard it", async () => {
        form.reset(); // some browsers fill it in again after a reload
        const waits = [];
        form.dispatchEvent(new CustomEvent("discard", { detail: waits }));
        drop(key);
        if ((await Promise.all(waits)).every(Boolean)) reload();
      });
    }
  };

  /* Requests to the server */
  class Refused extends Error {
    constructor(code) {
      super(code);
      this.code = code;
    }
  }
  let token = document.querySelector("[name=csrfmiddlewaretoken]")?.value ?? "";
  const DOORS = ["/accounts/login/", "/terms/accept/", "/suspended/"];
  const CODES = ["signed_out", "terms_missing", "suspended"];
  const codeOf = async (response) => {
    if (![401, 403, 503].includes(response.status)) return "";
    try {
      return (await response.clone().json()).code ?? "";
    } catch {
      return "";
    }
  };

  /* Maintenance is like being offline, except for the reason. */
  let isMaintenance = false;

  /* Returns who is signed in: "here", "other", "offline", "unknown", or the error code of a refusal. */
  const look = async () => {
    let response;
    try {
      // A server that is dead but still holds its socket would let this wait without a word.
      const signal = AbortSignal.timeout?.(LOOKS_FOR);
      response = await fetch(document.body.dataset.personUrl, { headers: { "X-Requested-With": "fetch" }, cache: "no-store", signal });
    } catch {
      return "offline";
    }
    const code = await codeOf(response);
    isMaintenance = code === "maintenance";
    if (isMaintenance) return "offline";
    if (CODES.includes(code)) return code;
    if (!response.ok) return "unknown";
    const who = await response.json();
    if (who.person !== person) return "other";
    token = who.token; // signing in changes it
    for (const field of document.querySelectorAll("[name=csrfmiddlewaretoken]")) field.value = token;
    return "here";
  };

  /* Like fetch, but throws Refused if the server certainly stored nothing. */
  const ask = async (url, { body, ...options } = {}, again = false) => {
    body?.delete("csrfmiddlewaretoken");
    const headers = { "X-Requested-With": "fetch", "X-CSRFToken": token };
    let response;
    try {
      response = await fetch(url, { ...options, body, headers });
    } catch {
      meet("offline");
      throw new Refused("offline");
    }
    let code = await codeOf(response);
    if (code === "csrf" && !again) {
      const found = await look();
      if (found === "here") return ask(url, { body, ...options }, true);
      code = found;
    }
    isMaintenance = code === "maintenance";
    if (isMaintenance) code = "offline";
    if (response.redirected && DOORS.includes(new URL(response.url).pathname)) code = "signed_out";
    meet(CODES.includes(code) || code === "other" || code === "offline" ? code : "here");
    if (state !== "here") throw new Refused(state);
    return response;
  };

  /* Messages on the page */
  const WORDS = {
    signed_out: ["You are signed out", "Sign in", "/accounts/login/"],
    terms_missing: ["The terms have changed", "Read them", "/terms/accept/"],
    suspended: ["Your account is suspended", "Read why", "/suspended/"],
  };
  let state = "here";
  let dialog = null;
  let bar = null;
  let again = 0;
  const meet = (found) => {
    if (found === "unknown") return;
    const before = state;
    state = found;
    if (found === "other") {
      // These words belong to the user who wrote them. Some browsers restore them after a reload.
      for (const form of keepers()) form.reset();
      reload();
      return;
    }
    showBar(found === "offline");
    if (found in WORDS) {
      if (before !== found) open(found);
    } else if (found === "here") {
      dialog?.close();
    }
    clearTimeout(again);
    if (found === "offline") again = setTimeout(goOn, 10_000);
    if (found === "here" && before !== "here") {
      document.dispatchEvent(new Event("back"));
      sendWaiting();
    }
  };
  const goOn = async () => meet(await look());
  const open = (code) => {
    const [title, label, address] = WORDS[code];
    dialog?.remove();
    dialog = document.createElement("dialog");
    dialog.className = "dialog";
    dialog.dataset.testid = "signed-out";
    dialog.setAttribute("aria-labelledby", "signed-out-title");
    const head = document.createElement("h2");
    head.id = "signed-out-title";
    head.textContent = title;
    const text = document.createElement("p");
    const link = document.createElement("a");
    const stay = document.createElement("button");
    const buttons = document.createElement("div");
    text.textContent = storage && isKept ? "What you wrote is kept. You come back to it here." : "What you wrote stays on this page. Come back to it from the other tab.";
    link.className = "button button--primary";
    link.href = `${address}?next=${encodeURIComponent(HERE())}`;
    link.textContent = label;
    if (!storage || !isKept) link.target = "_blank";
    else link.addEventListener("click", () => (leaving = true));
    stay.className = "button";
    stay.type = "button";
    stay.textContent = "Stay here";
    stay.addEventListener("click", () => dialog.close());
    buttons.className = "buttons";
    buttons.append(link, stay);
    dialog.append(head, text, buttons);
    document.body.append(dialog);
    dialog.showModal();
  };
  let isStopped = false;
  const whatBecomesOfIt = () => {
    if (keepers().some((form) => load(keyOf(form))?.send)) return words.isSent;
    return isStopped ? words.wasChanged : words.isKept;
  };
  const showBar = (isAway) => {
    if (!isAway) isStopped = false;
    if (!isAway && !bar) return;
    if (!bar) {
      bar = document.createElement("p");
      bar.className = "keep-bar";
      bar.setAttribute("role", "status");
      document.querySelector(".site-header").after(bar);
    }
    bar.hidden = !isAway;
    const why = isMaintenance ? words.maintenance : navigator.onLine ? words.unreachable : words.offline;
    bar.textContent = isAway ? `${why} ${whatBecomesOfIt()}` : "";
  };

  /* Sending: it first checks that the form would be accepted, so that no text is lost on the sign-in page. */
  const buttonOf = (form, wanted) =>
    wanted && [...form.elements].find((one) => one.type === "submit" && one.name === wanted[0] && one.value === wanted[1] && one.getAttribute("formaction") === wanted[2]);
  const sendLater = (form, button) => {
    if (form.matches("[data-keep]")) save(form, { send: [button?.name ?? "", button?.value ?? "", button?.getAttribute("formaction") ?? null] });
    isStopped = false;
    showBar(state === "offline");
    if (state in WORDS && !dialog?.open) open(state); // somebody pressed the button: say it again
  };
  const claim = (key) => {
    const take = () => {
      const entry = load(key);
      if (!entry?.send) return null;
      put(key, { ...entry, send: undefined });
      return Date.now() - entry.at < SENDS_FOR ? entry.send : null;
    };
    // If several tabs show the form, only one sends it.
    return navigator.locks ? navigator.locks.request("kept", take) : take();
  };
  const sendWaiting = async () => {
    for (const form of keepers()) {
      const wanted = await claim(keyOf(form));
      if (wanted) form.requestSubmit(buttonOf(form, wanted) ?? null);
    }
  };
  const passing = new WeakSet();
  const checking = new WeakSet();
  const pass = (form, button) => {
    save(form, {});
    const entry = load(keyOf(form));
    if (entry) {
      let field = form.querySelector(`[name=${MARK}]`);
      if (!field) {
        field = document.createElement("input");
        field.type = "hidden";
        field.name = MARK;
        form.append(field);
      }
      field.value = entry.as;
    }
    leaving = true;
    passing.add(form);
    form.requestSubmit(button);
    passing.delete(form);
  };
  const check = async (form, button) => {
    checking.add(form);
    const found = await look();
    checking.delete(form);
    if (found === "here" || found === "unknown") {
      meet(found);
      pass(form, button);
      return;
    }
    sendLater(form, button);
    meet(found);
  };
  document.addEventListener("submit", (event) => {
    const form = event.target;
    if (event.defaultPrevented || !form.matches("form[data-keep]") || passing.has(form)) return;
    event.preventDefault();
    if (!checking.has(form)) check(form, event.submitter);
  });
  document.addEventListener(
    "submit",
    (event) => {
      if (!event.target.matches("form[data-forget]")) return;
      for (const key of entries()) if (key.startsWith(`${PREFIX}${person}:`)) drop(key);
    },
    true,
  );

  /* Typing */
  for (const name of ["input", "change"]) {
    // Capturing, because our scripts report changes by events that do not bubble.
    document.addEventListener(
      name,
      (event) => {
        const form = event.target.form ?? event.target.closest?.("form");
        if (form?.matches("[data-keep]")) save(form);
      },
      true,
    );
  }

  /* Loading */
  for (const cookie of document.cookie.split("; ")) {
    const name = cookie.startsWith(`${MARK}_`) ? cookie.split("=")[0] : "";
    if (!name) continue;
    document.cookie = `${name}=; path=/; max-age=0`;
    for (const key of entries()) if (load(key)?.as === name.slice(MARK.length + 1)) drop(key);
  }
  for (const key of entries()) if (!(load(key)?.at > Date.now() - LONGEST)) drop(key);
  restore(true);
  document.addEventListener("swapped", () => restore(false));
  addEventListener("load", sendWaiting);
  document.addEventListener("visibilitychange", () => {
    if (!document.hidden && keepers().length) goOn();
  });
  addEventListener("focus", () => state !== "here" && goOn());
  addEventListener("online", () => state === "offline" && goOn());
  addEventListener("offline", () => keepers().length && meet("offline"));
  addEventListener("pageshow", (event) => {
    leaving = false;
    if (event.persisted) goOn();
  });

  return {
    ask,
    Refused,
    drop,
    keyOf,
    sendLater,
    serverHas,
    fieldsOf: (form) => JSON.stringify(read(form)),
    isRestored: (form) => restored.has(form),
    /* Returns true if leaving the page would lose nothing. */
    isSafe: () => leaving || (storage !== null && isKept),
  };
})();
