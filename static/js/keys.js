/* Shortcuts of a single key, on every page (templates/fragments/keys_dialog.html lists them). They are off while somebody
   types or a dialog is open, and for members who switched them off in their profile. */
window.shortcuts = (() => {
  const { dashboard } = document.currentScript.dataset;
  const { person, singleKeys } = document.body.dataset;
  const TYPING = "textarea, select, input:not([type=radio], [type=checkbox]), [contenteditable]";

  /* Returns true if this press is meant as a shortcut. `part` is the piece of the page with the focus that listens, if
     any: visitors have no profile, so that their keys work only inside such a piece (WCAG 2.1.4). */
  const allow = (event, part = null) => {
    if (event.defaultPrevented || event.isComposing || event.ctrlKey || event.metaKey || event.altKey) return false;
    if (event.target.closest?.(TYPING) || document.querySelector("dialog[open]")) return false;
    return person ? singleKeys !== "off" : part !== null;
  };

  const openDetails = (details, target) => {
    details.open = true;
    (target ?? details.querySelector("summary")).focus();
    return true;
  };
  /* Each returns true if the page has something for it to do. */
  const ACTIONS = {
    "?": () => {
      const keys = document.getElementById("keys");
      keys?.showModal();
      return Boolean(keys);
    },
    s: () => {
      const skip = document.querySelector("details.skip");
      return Boolean(skip) && openDetails(skip, skip.querySelector("[name=reason]"));
    },
    e: () => {
      const undo = document.querySelector("form[data-undo] button");
      const write = document.querySelector("#tab-write[aria-selected=false]");
      (undo ?? write)?.click();
      return Boolean(undo ?? write);
    },
    r: () => {
      const framed = document.querySelector(".turn.is-target");
      const report = (framed?.closest(".node") ?? document).querySelector("details.report");
      if (report) return openDetails(report, report.querySelector("input[type=radio]"));
      const skip = document.querySelector("details.skip");
      return Boolean(skip) && openDetails(skip, skip.querySelector("[name=reason][value=broken]"));
    },
  };

  const SECOND_WITHIN = 1500; // milliseconds between the two keys of a sequence
  let goAt = -Infinity;
  document.addEventListener("keydown", (event) => {
    if (!person || !allow(event)) return;
    const key = event.key.toLowerCase();
    const isSecond = event.timeStamp - goAt < SECOND_WITHIN;
    goAt = key === "g" ? event.timeStamp : -Infinity;
    if (isSecond && key === "d") location.assign(dashboard);
    else if (!Object.hasOwn(ACTIONS, key) || !ACTIONS[key]()) return;
    event.preventDefault();
  });

  return { allow };
})();
