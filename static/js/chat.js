/* The chat: streamed answers, forms without a reload, saved drafts. Without this file all forms still work. */
(() => {
  const byId = (id) => document.getElementById(id);
  /* On a phone Enter starts a new line, because there is no other way, and only the button sends. */
  const fine = matchMedia("(hover: hover) and (pointer: fine)");
  const WRITING = "#composer-text, [data-rewrite] textarea";

  /* The server renders every page; these parts of its response replace those on this page. */
  const STATE = ["chat-bar", "chat-side-list", "talk", "composer-row", "composer-stopper"];
  const ALL = [...STATE, "chat-notes", "composer-error", "chat-settings"];
  const REFUSED = ["talk", "composer-error", "composer-row", "composer-stopper", "chat-settings"];

  const copyAttributes = (from, to) => {
    for (const { name } of [...to.attributes]) if (!from.hasAttribute(name)) to.removeAttribute(name);
    for (const { name, value } of from.attributes) if (to.getAttribute(name) !== value) to.setAttribute(name, value);
  };

  /* Makes one node equal to another. Equal parts stay, with their selection, focus and scroll position. */
  const morph = (old, fresh) => {
    if (old.isEqualNode(fresh)) return;
    if (old.nodeName !== fresh.nodeName) {
      old.replaceWith(fresh);
    } else if (old.nodeType === Node.ELEMENT_NODE) {
      copyAttributes(fresh, old);
      const own = [...old.childNodes].filter((one) => !one.classList?.contains("copy-code"));
      for (const [number, wanted] of [...fresh.childNodes].entries()) {
        if (own[number]) morph(own[number], wanted);
        else old.insertBefore(wanted, old.querySelector(":scope > .copy-code"));
      }
      for (const one of own.slice(fresh.childNodes.length)) one.remove();
    } else if (fresh.data.startsWith(old.data)) {
      old.appendData(fresh.data.slice(old.data.length));
    } else {
      old.data = fresh.data;
    }
  };

  /* Replaces the blocks of an answer, each one element, from index `from` on. */
  const setBlocks = (box, from, blocks) => {
    for (const [number, wanted] of blocks.entries()) {
      const one = box.children[from + number];
      if (one) morph(one, wanted);
      else box.append(wanted, "\n");
    }
    while (box.children.length > from + blocks.length) box.lastElementChild.remove();
  };

  /* Replaces everything around `kept` by what is around `twin`. */
  const setSiblings = (kept, twin) => {
    const wanted = [...twin.parentNode.childNodes];
    const at = wanted.indexOf(twin);
    copyAttributes(twin.parentNode, kept.parentNode);
    for (const one of [...kept.parentNode.childNodes]) if (one !== kept) one.remove();
    kept.before(...wanted.slice(0, at));
    kept.after(...wanted.slice(at + 1));
  };

  /* An answer that was streamed on this page stays the same element when the server's page replaces it. */
  const placeAround = (talk, fresh) => {
    const box = talk.querySelector("[data-coming]");
    const article = box && fresh.querySelector(`[id="${box.closest("article").id}"]`);
    const body = article?.querySelector(":scope > .said__body:not([data-coming])");
    if (!body) return false;
    setBlocks(box, 0, [...body.children]);
    copyAttributes(body, box);
    setSiblings(box, body);
    setSiblings(box.parentElement, article);
    return true;
  };

  const place = (page, ids) => {
    const held = document.activeElement?.id;
    const typed = [...document.querySelectorAll("#talk details[open] textarea")].map((one) => [one.id, one.value]);
    let placed = 0;
    for (const id of ids) {
      const [old, fresh] = [byId(id), page.getElementById(id)];
      if (!old || !fresh || (old.contains(document.activeElement) && document.activeElement.matches("[type=text]"))) continue;
      if (id !== "talk" || !placeAround(old, fresh)) old.replaceWith(document.adoptNode(fresh));
      placed += 1;
    }
    for (const [id, text] of typed) {
      const again = byId(id);
      if (!again) continue;
      again.closest("details").open = true;
      again.value = text;
    }
    const [composer, other] = [byId("composer"), page.getElementById("composer")];
    if (composer && other && ids.includes("composer-row")) {
      composer.setAttribute("action", other.getAttribute("action"));
      composer.dataset.draft = other.dataset.draft;
      composer.classList.toggle("is-busy", other.classList.contains("is-busy"));
    }
    if (held && document.activeElement === document.body) byId(held)?.focus({ preventScroll: true });
    if (ids.includes("talk")) document.title = page.title;
    dress();
    return placed;
  };

  const parse = (html) => new DOMParser().parseFromString(html, "text/html");

  const refresh = async (ids = STATE) => {
    const response = await oasst.ask(location.pathname + location.search);
    if (!response.ok || response.redirected) throw new Error(String(response.status));
    place(parse(await response.text()), ids);
    if (ids.includes("talk")) follow();
    keepEnd();
  };

  const complain = (text) => {
    const line = document.createElement("p");
    line.className = "chat-error";
    line.textContent = text;
    byId("composer-error")?.replaceChildren(line);
  };

  /* Keeps the end of the conversation in view until the user scrolls up. */
  let stuck = true;
  const toEnd = document.querySelector("[data-to-end]");
  const measure = () => {
    stuck = innerHeight + scrollY >= document.documentElement.scrollHeight - 90;
    if (toEnd) toEnd.hidden = stuck;
  };
  const goToEnd = () => scrollTo(0, document.documentElement.scrollHeight);
  const keepEnd = () => (stuck ? goToEnd() : measure());
  addEventListener("scroll", measure, { passive: true });
  toEnd?.addEventListener("click", goToEnd);

  /* Announces whole rendered sentences: a screen reader should not read tokens or Markdown syntax. */
  const say = (text) => {
    if (!text.trim()) return;
    const line = document.createElement("p");
    line.textContent = text;
    const said = byId("chat-said");
    said.append(line);
    while (said.children.length > 20) said.firstChild.remove();
  };
  const endOfSentence = (text) => Math.max(...[". ", "! ", "? ", "\n", "。", "！", "？"].map((mark) => text.lastIndexOf(mark))) + 1;
  const speaker = (box) => {
    let block = Math.max(box.children.length - 1, 0);
    let at = box.lastElementChild?.textContent.length ?? 0;
    return (final) => {
      for (; block < box.children.length; block += 1, at = 0) {
        const text = box.children[block].textContent;
        const cut = block < final ? text.length : endOfSentence(text);
        say(text.slice(at, cut));
        at = Math.max(at, cut);
        if (block >= final) return;
      }
    };
  };

  const asElement = (html) => {
    const holder = document.createElement("template");
    holder.innerHTML = html; // clean: it comes from the renderer of all our pages
    if (holder.content.childElementCount === 1) return holder.content.firstElementChild;
    const block = document.createElement("div");
    block.append(holder.content);
    return block;
  };

  /* Shows an event of a streamed answer: blocks, or plain text to append to the last block, which is code. */
  const showNews = (box, news) => {
    if (news.code) {
      const code = box.lastElementChild.querySelector("code") ?? box.lastElementChild;
      if (code.lastChild?.nodeType === Node.TEXT_NODE) code.lastChild.appendData(news.code);
      else code.append(news.code);
    } else {
      setBlocks(box, news.from, news.html.map(asElement));
    }
  };

  /* Streams one answer. The server sends everything after `place`, so a lost connection loses nothing. */
  const listen = (box) => {
    const state = box.parentElement.querySelector("[data-queue]");
    const speak = speaker(box);
    const first = box.closest("#talk").querySelectorAll("article").length === 2;
    let at = Number(box.dataset.place);
    let tries = 0;
    let over = false;
    let socket;
    let again;
    let silence;
    const heard = () => {
      clearTimeout(silence);
      silence = setTimeout(() => socket.close(), 40_000);
    };
    const finish = async () => {
      over = true;
      clearTimeout(silence);
      speak(Infinity);
      try {
        await refresh();
        // The title that the model writes comes a moment later.
        if (first) setTimeout(() => refresh(["chat-bar", "chat-side-list"]).catch(() => {}), 7000);
      } catch {
        state.textContent = "Reload the page to go on.";
      }
    };
    const tell = (event) => {
      heard();
      const news = JSON.parse(event.data);
      if (news.type === "queued") {
        state.textContent = `You are number ${news.position} of ${news.size}, about ${news.wait_seconds} s.`;
      } else if (news.type === "blocks") {
        tries = 0;
        at = news.id;
        showNews(box, news);
        state.textContent = "";
        speak(news.final);
        box.dataset.final = news.final;
        document.dispatchEvent(new Event("swapped"));
        keepEnd();
      } else if (news.type === "done" || news.type === "failed") {
        finish();
      }
    };
    const open = () => {
      socket = new WebSocket(`${location.protocol.replace("http", "ws")}//${location.host}/ws/chat/${box.dataset.message}/?after=${at}`);
      socket.onopen = heard;
      socket.onmessage = tell;
      socket.onclose = (event) => {
        clearTimeout(silence);
        if (over) return;
        const crowded = event.code === 4429; // too many windows listen already
        if (event.code === 1000 || (event.code >= 4000 && !crowded)) {
          finish();
          return;
        }
        tries += 1;
        if (tries > 1) state.textContent = "The connection was lost. Trying again…";
        // If WebSockets are blocked, poll the page.
        if (tries > 3 && !crowded) refresh().catch(() => {});
        again = setTimeout(open, Math.min(300 * 2 ** tries, 8000) * (0.7 + Math.random() * 0.6));
      };
    };
    open();
    return {
      box,
      end: () => {
        over = true;
        clearTimeout(again);
        clearTimeout(silence);
        socket.close();
      },
    };
  };

  let line = null;
  const follow = () => {
    const box = document.querySelector("[data-coming]");
    if (line?.box === box) return;
    line?.end();
    line = box ? listen(box) : null;
  };

  /* Forms: the same requests as without script, with the response shown in place. */
  const send = async (form, button) => {
    if (form.dataset.sending) return;
    form.dataset.sending = "1";
    const composing = form.id === "composer";
    const key = oasst.keyOf(form);
    const body = new URLSearchParams(new FormData(form, button));
    try {
      if (!navigator.onLine) throw new oasst.Refused("not_sent");
      const response = await oasst.ask(button?.getAttribute("formaction") || form.getAttribute("action"), { method: "POST", body });
      if (response.headers.get("Content-Type")?.startsWith("application/json")) {
        complain((await response.json()).message);
        return;
      }
      const page = parse(await response.text());
      if (!page.getElementById("talk") && !page.getElementById("chat-settings")) {
        if (response.ok) location.assign(response.url);
        else complain(page.querySelector("main h1 ~ p, main p")?.textContent ?? "That did not work. Your text is still here.");
        return;
      }
      if (!response.ok) {
        place(page, REFUSED);
        return;
      }
      const asked = page.querySelector("[data-coming]") !== null;
      if (asked) {
        const rewriting = form.closest("[data-rewrite]");
        if (rewriting) rewriting.open = false;
      }
      if (composing) text.value = "";
      oasst.drop(key);
      if (composing) document.querySelector(".composer .kept-note")?.remove();
      const address = new URL(response.url);
      const moved = address.pathname !== location.pathname; // a new chat: its settings are not those of the last one
      if (moved) history.pushState(null, "", address.pathname);
      else if (location.search) history.replaceState(null, "", address.pathname);
      place(page, moved || form.closest("#chat-settings") ? ALL : ALL.slice(0, -1));
      follow();
      if (asked) {
        goToEnd();
        if (fine.matches || composing) text?.focus({ preventScroll: true });
      }
      grow();
      measure();
    } catch (error) {
      // The message may have arrived before the connection broke, so it is not sent again automatically.
      if (error.code && error.code !== "offline") oasst.sendLater(form, button);
      if (!error.code || error.code === "offline") complain("The site cannot be reached right now. Your text is still here: try again in a moment.");
    } finally {
      delete form.dataset.sending;
    }
  };

  document.addEventListener(
    "submit",
    (event) => {
      if (!event.target.matches("form[data-swap]") || !byId("talk")) return;
      event.preventDefault();
      send(event.target, event.submitter);
    },
    true,
  );
  addEventListener("popstate", () => location.reload());

  /* Writing */
  const text = byId("composer-text");
  const grow = () => {
    if (!text || CSS.supports("field-sizing", "content")) return;
    text.style.height = "auto";
    text.style.height = `${text.scrollHeight}px`;
  };
  if (text) {
    text.addEventListener("input", grow);
    grow();
  }

  document.addEventListener("keydown", (event) => {
    const writing = event.target.matches(WRITING);
    const composing = event.isComposing || event.keyCode === 229; // Safari ends a composition before its last key
    if (event.key === "Enter" && writing && !composing && (event.ctrlKey || event.metaKey || (fine.matches && !event.shiftKey))) {
      event.preventDefault();
      if (!event.target.form.classList.contains("is-busy") && event.target.value.trim()) event.target.form.requestSubmit();
    }
    if (event.key !== "Escape" || composing) return;
    const rewriting = event.target.closest("[data-rewrite][open]");
    if (rewriting) {
      rewriting.open = false;
      rewriting.querySelector("summary").focus();
    } else if (!document.querySelector("[data-menu][open], :popover-open, dialog[open]")) {
      byId("stop")?.requestSubmit();
    }
  });

  document.addEventListener(
    "toggle",
    (event) => {
      if (!event.target.matches("[data-rewrite][open]")) return;
      const field = event.target.querySelector("textarea");
      field.focus();
      field.setSelectionRange(field.value.length, field.value.length);
    },
    true,
  );

  document.addEventListener("click", async (event) => {
    const button = event.target.closest("[data-copy]");
    if (!button) return;
    await navigator.clipboard.writeText(button.parentElement.querySelector("[data-source]").content.textContent);
    button.classList.add("is-done");
    button.querySelector("[data-copied]").textContent = "Copied";
    setTimeout(() => button.classList.remove("is-done"), 1600);
  });

  /* Adds what needs script to new parts of the page. */
  const dress = () => {
    for (const field of document.querySelectorAll(WRITING)) field.enterKeyHint = fine.matches ? "send" : "enter";
    for (const hint of document.querySelectorAll("[data-keys]")) {
      hint.textContent = fine.matches ? "Enter sends, Shift+Enter starts a new line." : "Enter starts a new line.";
    }
    byId("composer-send")?.setAttribute("title", fine.matches ? "Send (Enter)" : "Send");
    for (const button of document.querySelectorAll("[data-copy]")) button.hidden = !navigator.clipboard;
    for (const dial of document.querySelectorAll("[data-dial]:not(.has-slider)")) {
      const number = dial.querySelector("input");
      const slider = document.createElement("input");
      slider.type = "range";
      for (const name of ["min", "max", "step"]) slider.setAttribute(name, number.getAttribute(name) ?? "1");
      slider.setAttribute("aria-label", dial.querySelector("label").textContent);
      slider.value = number.value || slider.min;
      slider.addEventListener("input", () => (number.value = slider.value));
      number.addEventListener("input", () => (slider.value = number.value));
      number.after(slider);
      dial.classList.add("has-slider");
    }
    document.dispatchEvent(new Event("swapped"));
  };

  dress();
  fine.addEventListener("change", dress);
  follow();
  if (byId("talk")?.querySelector("article") && !location.search) goToEnd();
  measure();
})();
