/* The documentation of the APIs: finding operations, opening the one that the address names, and trying them.
   Without this file the side column and folding remain, and the server searches. */
(() => {
  const page = document.querySelector("[data-api]");
  if (!page) return;
  const MAX_SHOWN = 100_000; // characters of an answer
  const SECONDS = 30;
  const HEADERS = ["content-type", "location", "link", "etag", "retry-after", "x-request-id", "x-ignored-parameters"];
  for (const one of page.querySelectorAll("[data-with-script]")) one.hidden = false;
  for (const one of page.querySelectorAll("[data-without-script]")) one.hidden = true;

  /* --- Opening what the address names --- */

  const openNamed = () => {
    const named = document.getElementById(decodeURIComponent(location.hash.slice(1)));
    if (!named || !page.contains(named)) return;
    for (let box = named.closest("details"); box; box = box.parentElement.closest("details")) box.open = true;
    (named.closest(".api-operation") ?? named).scrollIntoView();
    named.closest(".api-operation")?.querySelector("summary").focus({ preventScroll: true });
  };
  addEventListener("hashchange", openNamed);
  page.addEventListener("click", (event) => {
    // The same link twice changes no hash.
    if (event.target.closest("a")?.hash === location.hash && location.hash) openNamed();
  });
  openNamed();

  /* --- Finding --- */

  const search = document.getElementById("api-search");
  const found = page.querySelector("[data-found]");
  const operations = [...page.querySelectorAll("[data-operation]")].map((box) => ({
    box,
    link: page.querySelector(`[data-for="${box.dataset.operation}"]`),
    text: `${box.querySelector("summary").textContent} ${box.dataset.operation}`.toLowerCase(),
  }));
  const find = () => {
    const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
    let number = 0;
    for (const one of operations) {
      const fits = words.every((word) => one.text.includes(word));
      one.box.hidden = one.link.hidden = !fits;
      number += fits;
    }
    for (const group of page.querySelectorAll("[data-group]")) {
      const any = group.querySelector("[data-for]:not([hidden])") !== null;
      group.hidden = !any;
      group.open = words.length > 0 && any;
    }
    for (const part of page.querySelectorAll(".api-part:has([data-operation])")) {
      part.hidden = part.querySelector("[data-operation]:not([hidden])") === null;
      part.querySelector("[data-fold]").open = words.length > 0 && !part.hidden;
    }
    const { foundOne, foundMany } = search.dataset;
    found.textContent = words.length ? (number === 1 ? foundOne : foundMany.replace("%s", number)) : "";
  };
  search.addEventListener("input", find);
  search.addEventListener("keydown", (event) => {
    if (event.key === "Escape") {
      search.value = "";
      find();
    }
    const first = operations.find((one) => !one.box.hidden);
    if (event.key === "Enter" && search.value && first) {
      event.preventDefault();
      location.hash = first.box.dataset.operation;
    }
  });
  document.addEventListener("keydown", (event) => {
    if (event.key !== "/" || event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.target.matches("input, textarea, select")) return;
    event.preventDefault();
    search.focus();
  });

  /* --- Trying --- */

  const token = document.getElementById("api-token");
  const quoted = (text) => `'${text.replaceAll("'", `'\\''`)}'`;

  /* The request that a form describes: its path with the query, headers and body. */
  const requestOf = (form) => {
    const { method, path } = form.dataset;
    const request = { method, path, headers: { Accept: "application/json" }, body: undefined };
    const query = new URLSearchParams();
    for (const field of form.querySelectorAll("[data-in]")) {
      const { in: place, name } = field.dataset;
      if (place === "path") request.path = request.path.replace(`{${name}}`, encodeURIComponent(field.value.trim()));
      else if (!field.value) continue;
      else if (place === "query") query.append(name, field.value);
      else if (place === "header") request.headers[name] = field.value;
      else request.body = field.value;
    }
    if (request.body !== undefined) request.headers["Content-Type"] = "application/json";
    if (query.size) request.path += `?${query}`;
    return request;
  };

  const asCurl = (request) => {
    const origin = page.dataset.address.slice(0, -page.dataset.base.length);
    const parts = [`curl -X ${request.method} ${quoted(origin + request.path)}`];
    if (token.value) parts.push(`-H "Authorization: Bearer $TOKEN"`);
    for (const [name, value] of Object.entries(request.headers)) parts.push(`-H ${quoted(`${name}: ${value}`)}`);
    if (request.body !== undefined) parts.push(`-d ${quoted(request.body)}`);
    return parts.join(" \\\n  ");
  };

  /* Reads a stream until it ends, is long enough or has lasted long enough. */
  const textOf = async (answer) => {
    const reader = answer.body?.pipeThrough(new TextDecoderStream()).getReader();
    let text = "";
    for (;;) {
      const { done, value } = (await reader?.read()) ?? { done: true };
      if (done) return text;
      text += value;
      if (text.length > MAX_SHOWN) {
        reader.cancel();
        return `${text.slice(0, MAX_SHOWN)}\n${page.dataset.cut}`;
      }
    }
  };

  const pretty = (text) => {
    try {
      return JSON.stringify(JSON.parse(text), null, 2);
    } catch {
      return text;
    }
  };

  const send = async (form) => {
    const request = requestOf(form);
    const result = form.querySelector("[data-result]");
    const show = (name, text) => (result.querySelector(`[data-${name}]`).textContent = text);
    const headers = new Headers();
    show("curl", asCurl(request));
    for (const name of ["status", "headers", "answer"]) show(name, "");
    result.hidden = false;
    const began = performance.now();
    try {
      for (const [name, value] of Object.entries(request.headers)) headers.set(name, value);
      if (token.value) headers.set("Authorization", `Bearer ${token.value.trim()}`);
      // Without cookies: what a program would get, not what this browser may.
      const answer = await fetch(request.path, {
        ...{ method: request.method, body: request.body, headers, credentials: "omit", cache: "no-store" },
        signal: AbortSignal.timeout(SECONDS * 1000),
      });
      show("status", `${answer.status} ${answer.statusText} · ${Math.round(performance.now() - began)} ms`);
      const told = HEADERS.filter((name) => answer.headers.has(name));
      show("headers", told.map((name) => `${name}: ${answer.headers.get(name)}`).join("\n"));
      show("answer", pretty(await textOf(answer)));
    } catch (error) {
      show("answer", `${page.dataset.unreachable} ${error.message}`);
    }
  };

  page.addEventListener("submit", (event) => {
    event.preventDefault(); // the search goes on while one types, and the token stays here
    if (event.target.matches("[data-try]")) send(event.target);
  });
})();
