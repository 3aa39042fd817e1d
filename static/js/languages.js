/* The languages of a person as chips with a search (templates/fragments/language_picker.html). The selects stay in the form,
   hidden: they hold the order and are what is sent. */
(() => {
  const plain = (text) => text.normalize("NFD").replace(/\p{M}/gu, "").toLocaleLowerCase();
  const make = (tag, className, text = "") => Object.assign(document.createElement(tag), { className, textContent: text });
  const fill = (sentence, values) => sentence.replace(/\{(\w+)\}/g, (_, name) => values[name]);

  const enhance = (picker) => {
    const words = picker.dataset;
    const list = picker.querySelector("ol");
    const first = list.querySelector("select");
    const { id } = first;
    const options = [...first.options].filter((option) => option.value);
    const languages = options.map((option) => ({ code: option.value, own: option.dataset.own, english: option.dataset.english }));
    const known = new Map(languages.map((one) => [one.code, one]));
    const chosen = () => [...list.querySelectorAll("select")].map((select) => select.value).filter(Boolean);

    /* Writes the order into the selects, adding one if they do not suffice. */
    const store = (codes) => {
      while (list.children.length < codes.length) {
        const item = list.lastElementChild.cloneNode(true);
        item.querySelector("select").id = `${id}_${list.children.length + 1}`;
        list.append(item);
      }
      [...list.querySelectorAll("select")].forEach((select, index) => (select.value = codes[index] ?? ""));
      list.querySelector("select").dispatchEvent(new Event("change", { bubbles: true }));
      show();
    };

    const chips = make("ol", "language-chips");
    chips.setAttribute("aria-label", words.list);
    const status = make("p", "visually-hidden");
    status.setAttribute("role", "status");
    const box = make("div", "language-search");
    const label = make("label", "", words.search);
    const input = make("input", "input");
    const found = make("ul", "language-search__found");
    const note = make("p", "soft small language-search__note");
    Object.assign(input, { type: "text", id: `${id}_search`, autocomplete: "off", placeholder: words.hint });
    label.htmlFor = input.id;
    found.id = `${id}_found`;
    found.hidden = note.hidden = true;
    found.setAttribute("role", "listbox");
    found.setAttribute("aria-label", words.search);
    for (const [key, value] of Object.entries({ role: "combobox", "aria-autocomplete": "list", "aria-expanded": "false", "aria-controls": found.id })) {
      input.setAttribute(key, value);
    }
    if (first.getAttribute("aria-invalid")) input.setAttribute("aria-invalid", "true");

    const button = (language, sentence, sign, act) => {
      const made = make("button", "language-chip__button", sign);
      made.type = "button";
      made.setAttribute("aria-label", fill(sentence, { name: language.own }));
      made.title = made.getAttribute("aria-label");
      made.addEventListener("click", act);
      return made;
    };
    const chip = (code, index, codes) => {
      const language = known.get(code);
      const item = make("li", "language-chip");
      const own = make("bdi", "language-chip__own", language.own);
      own.lang = code;
      item.append(own);
      if (language.own !== language.english) item.append(make("span", "soft small", language.english));
      if (index === 0 && codes.length > 1) item.append(make("span", "badge badge--mark", words.first));
      if (index > 0) {
        item.append(
          button(language, words.earlier, "↑", () => {
            const next = [...codes];
            [next[index - 1], next[index]] = [next[index], next[index - 1]];
            store(next);
            say(words.added, language, index);
            (chips.children[index - 1].querySelector("button") ?? input).focus();
          }),
        );
      }
      item.append(
        button(language, words.remove, "×", () => {
          store(codes.filter((one) => one !== code));
          say(words.removed, language);
          ([...(chips.children[Math.min(index, chips.children.length - 1)]?.querySelectorAll("button") ?? [])].pop() ?? input).focus();
        }),
      );
      return item;
    };
    const say = (sentence, language, number = 0) => (status.textContent = fill(sentence, { name: language.own, number }));

    const show = () => {
      const codes = chosen();
      chips.replaceChildren(...codes.map(chip));
      chips.hidden = !codes.length;
      input.disabled = codes.length >= Number(words.most);
      note.hidden = !input.disabled;
      note.textContent = input.disabled ? words.full : "";
    };

    let active = -1;
    const mark = (index) => {
      active = index;
      [...found.children].forEach((item, number) => {
        item.setAttribute("aria-selected", String(number === index));
        if (number === index) item.scrollIntoView({ block: "nearest" });
      });
      if (index >= 0) input.setAttribute("aria-activedescendant", found.children[index].id);
      else input.removeAttribute("aria-activedescendant");
    };
    const close = () => {
      found.hidden = true;
      note.hidden = !input.disabled;
      input.setAttribute("aria-expanded", "false");
      mark(-1);
    };
    const add = (code) => {
      store([...chosen(), code]);
      say(words.added, known.get(code), chosen().length);
      input.value = "";
      close();
      input.focus();
    };
    const search = () => {
      const text = plain(input.value.trim());
      const taken = new Set(chosen());
      const rank = (one) => {
        const names = [one.own, one.english].map(plain);
        if (names.some((each) => each.startsWith(text)) || one.code.toLowerCase() === text) return 0;
        return names.some((each) => each.includes(text)) ? 1 : 2;
      };
      const hits = languages.filter((one) => !taken.has(one.code) && rank(one) < 2).sort((a, b) => rank(a) - rank(b));
      found.replaceChildren(
        ...hits.map((one, index) => {
          const item = make("li", "language-search__hit");
          item.id = `${found.id}_${index}`;
          item.setAttribute("role", "option");
          const own = make("bdi", "", one.own);
          own.lang = one.code;
          item.append(own);
          if (one.own !== one.english) item.append(make("span", "soft", one.english));
          item.addEventListener("pointerdown", (event) => event.preventDefault()); // keep the focus
          item.addEventListener("click", () => add(one.code));
          return item;
        }),
      );
      found.hidden = !hits.length;
      note.hidden = Boolean(hits.length);
      note.textContent = hits.length ? "" : words.none;
      status.textContent = hits.length ? fill(words.found, { number: hits.length }) : words.none;
      input.setAttribute("aria-expanded", String(hits.length > 0));
      mark(text && hits.length ? 0 : -1);
    };
    input.addEventListener("input", search);
    input.addEventListener("click", search);
    input.addEventListener("blur", close);
    input.addEventListener("keydown", (event) => {
      const number = found.hidden ? 0 : found.children.length;
      if (event.key === "ArrowDown" || event.key === "ArrowUp") {
        event.preventDefault();
        if (!number) return search();
        mark((active + (event.key === "ArrowDown" ? 1 : number - (active < 0 ? 0 : 1))) % number);
      } else if (event.key === "Enter" && !event.ctrlKey && !event.metaKey) {
        // Never sends the form: whoever presses Enter here wants the language they typed.
        if (input.value || active >= 0) event.preventDefault();
        if (active >= 0 && number) found.children[active].click();
      } else if (event.key === "Escape" && number) {
        event.preventDefault();
        close();
      }
    });

    list.hidden = true;
    first.id = `${id}_1`;
    input.id = id; // errors and labels of the field lead here
    label.htmlFor = id;
    box.append(label, input, found, note);
    picker.append(chips, box, status);
    first.form?.addEventListener("reset", () => setTimeout(show));
    show();
  };

  for (const picker of document.querySelectorAll("[data-language-picker]")) enhance(picker);
})();
