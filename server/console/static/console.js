// The console's own script: keys, copy, and what htmx needs.  Without it every page works.
"use strict";
if (window.trustedTypes) {
  // htmx puts fragments of our own pages into the page; scripts stay barred.
  window.trustedTypes.createPolicy("default", { createHTML: (text) => text });
}
(() => {
  const all = (selector) => Array.from(document.querySelectorAll(selector));
  const status = (text) => { document.getElementById("status").textContent = text; };

  document.addEventListener("click", async (event) => {
    const button = event.target.closest("[data-copy]");
    if (!button) return;
    try {
      await navigator.clipboard.writeText(button.dataset.copy);
      status("Copied.");
    } catch { status("Not copied: the browser did not allow it. Select the text and copy it yourself."); }
  });

  document.addEventListener("htmx:configRequest", (event) => {
    event.detail.headers["X-Tocsin-Token"] = document.body.dataset.token || "";
  });
  ["htmx:responseError", "htmx:sendError", "htmx:timeout"].forEach((name) => document.addEventListener(name, (event) => {
    if (!event.detail.elt.matches("form")) return;
    const answer = event.detail.xhr && event.detail.xhr.status;
    document.body.dataset.refused = "";
    status(`${answer ? `The hub answered ${answer}` : "The hub did not answer"}. Reload the page to see how it stands.`);
  }));
  document.addEventListener("htmx:beforeRequest", (event) => {
    // A page that nobody looks at asks for nothing.
    if (event.detail.requestConfig.triggeringEvent === undefined && document.hidden) event.preventDefault();
  });
  // A form that the hub is slow to answer: the page says so, since all that is pressed meanwhile does nothing.
  let late = 0;
  const setBusy = (event, isBusy) => {
    if (!event.detail.requestConfig.elt.matches("form")) return;
    clearTimeout(late);
    document.getElementById("main").setAttribute("aria-busy", isBusy);
    if (isBusy) late = setTimeout(() => status("Waiting for the hub; until then, keys do nothing."), 400);
  };
  document.addEventListener("htmx:beforeRequest", (event) => setBusy(event, true));
  document.addEventListener("htmx:afterRequest", (event) => setBusy(event, false));

  // Work that this page waited for has ended, and the page is loaded again: the outcome gets the focus, so it is read.
  document.addEventListener("htmx:beforeOnLoad", (event) => {
    if (event.detail.xhr.getResponseHeader("HX-Refresh")) sessionStorage.setItem("ended", location.pathname);
  });
  const outcome = sessionStorage.getItem("ended") === location.pathname && document.querySelector("[data-outcome]");
  sessionStorage.removeItem("ended");
  if (outcome) outcome.focus();

  // A double click sends a form once: the second answer would replace the first, with a key that is shown only once.
  const sent = new WeakMap();
  document.addEventListener("submit", (event) => {
    if (event.target.method !== "post") return;
    if (event.timeStamp - sent.get(event.target) < 1000) event.preventDefault();
    else sent.set(event.target, event.timeStamp);
  });

  // A file that is dropped anywhere on the form is chosen as if it had been picked.
  all("form[data-drop]").forEach((form) => {
    const input = form.querySelector("input[type=file]");
    const carries = (event) => event.dataTransfer && Array.from(event.dataTransfer.types).includes("Files");
    form.addEventListener("dragover", (event) => {
      if (!carries(event)) return;
      event.preventDefault();
      form.classList.add("dropping");
    });
    form.addEventListener("dragleave", () => form.classList.remove("dropping"));
    form.addEventListener("drop", (event) => {
      form.classList.remove("dropping");
      if (!carries(event)) return;
      event.preventDefault();
      input.files = event.dataTransfer.files;
      input.focus();
      status(`Chosen: ${event.dataTransfer.files.length} file.`);
    });
  });

  // Safari keeps pages for Back, over http also those that are not to be stored: none is seen after signing out.
  const person = document.body.dataset.person || "";
  sessionStorage.setItem("person", person);
  window.addEventListener("pageshow", (event) => {
    if (event.persisted && person !== (sessionStorage.getItem("person") || "")) location.reload();
  });

  const errors = document.querySelector(".errors");
  if (errors) errors.focus();

  // Rows of a list: j, k, x, Enter.  They go on from the row that has the focus, however it came there.
  const rows = () => all("table.list tbody tr");
  const chosen = () => rows().findIndex((each) => each.classList.contains("chosen"));
  const mark = (row) => rows().forEach((each) => each.classList.toggle("chosen", each === row));
  document.addEventListener("focusin", (event) => {
    const row = event.target.closest("table.list tbody tr");
    if (row) mark(row);
  });
  const choose = (next) => {
    const found = rows(), row = found[Math.max(0, Math.min(found.length - 1, next))];
    mark(row);
    row.scrollIntoView({ block: "nearest" });
    const link = row.querySelector("a");
    if (link) link.focus({ preventScroll: true });
  };
  // The row whose link was opened is in the address, so that Back and the link to the list lead there.
  document.addEventListener("click", (event) => {
    const row = event.target.closest("a") && event.target.closest("table.list tbody tr[id]");
    if (row) history.replaceState(history.state, "", `#${row.id}`);
  });
  // The browser itself goes there until the page is loaded, and takes the focus away.
  window.addEventListener("pageshow", () => {
    const named = rows().findIndex((each) => each.id && `#${each.id}` === location.hash);
    if (named >= 0) choose(named);
  });
  const toggle = () => {
    const box = document.querySelector("table.list tr.chosen input[type=checkbox]");
    if (box) { box.checked = !box.checked; count(); }
  };
  const boxes = () => all("table.list tbody input[type=checkbox]");
  const count = () => {
    const line = document.getElementById("selected");
    if (line) line.textContent = `${boxes().filter((each) => each.checked).length} selected`;
  };
  document.addEventListener("change", (event) => { if (event.target.closest("table.list")) count(); });
  // Back restores what was selected.
  window.addEventListener("pageshow", () => { if (boxes().some((each) => each.checked)) count(); });
  document.addEventListener("click", (event) => {
    if (!event.target.closest("[data-select-all]")) return;
    const isAll = boxes().every((each) => each.checked);
    boxes().forEach((each) => { each.checked = !isAll; });
    count();
  });

  let prefix = false;
  const press = (key) => {
    // What a page offers under a key: a button or a link with data-key.
    const target = all("[data-key]").find((each) => each.dataset.key === key && !each.disabled && each.offsetParent);
    if (!target) return false;
    if (target.matches("summary")) {
      // The field in it has the focus at once: a letter that is typed next must not be a key that decides.
      target.parentElement.open = true;
      target.parentElement.querySelector("textarea").focus();
    } else if (!target.matches("input, textarea, select")) target.click();
    else {
      target.focus();
      if (target.select) target.select(); // as Tab does; of itself, each browser puts the cursor elsewhere
    }
    return true;
  };
  document.addEventListener("keydown", (event) => {
    // Enter ends the composition of an input method; Safari says so by the code only.
    if (event.isComposing || event.keyCode === 229) return;
    if (event.key === "Enter" && event.target.matches("textarea[data-line]")) {
      // One line of text that is shown on several: Enter submits it.
      event.preventDefault();
      event.target.form.querySelector("button[name]").click();
      return;
    }
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) {
      // Only what a form is for: in a list, no button is meant more than another.
      const form = event.target.closest("form") || document.querySelector("form[data-main]");
      const button = form && form.querySelector("button.main, [data-main] button.danger");
      if (!button) return;
      event.preventDefault();
      button.click();
      return;
    }
    if (document.body.dataset.keys !== "on" || event.ctrlKey || event.metaKey || event.altKey) return;
    const field = event.target.closest("input:not([type=checkbox], [type=radio]), textarea, select");
    if (field && event.key === "Escape") { field.blur(); return; }
    if (field || event.target.closest("dialog[open]")) return;
    // Shift alone makes a capital, whatever CapsLock does: what is released in full cannot be taken back.
    const key = event.key.length > 1 ? event.key : event.key[event.shiftKey ? "toUpperCase" : "toLowerCase"]();
    if (prefix) {
      // The key after g never decides an item, however late it comes and even if it leads nowhere.
      event.preventDefault();
      if (event.repeat || ["Shift", "CapsLock"].includes(key)) return;
      prefix = key === "g";
      const link = all("[data-go]").find((each) => each.dataset.go === key);
      if (link) link.click();
      return;
    }
    if (key === "g") { prefix = true; return; }
    if (key === "/") { event.preventDefault(); const field = document.getElementById("q"); if (field) { field.focus(); field.select(); } return; }
    if (key === "?") { const list = document.getElementById("key-list"); if (list) list.showModal(); return; }
    if (rows().length && (key === "j" || key === "k")) { event.preventDefault(); choose(chosen() + (key === "j" ? 1 : -1)); return; }
    if (rows().length && key === "x") { toggle(); return; }
    // A key that is held down decides one item only.
    if (event.repeat) return;
    if (key.length === 1 && press(key)) event.preventDefault();
  });
})();
// A graph: neighbours are moved by pointer or arrow keys, the view is zoomed by buttons.
document.querySelectorAll("[data-graph] svg").forEach((svg) => {
  const edges = svg.querySelectorAll(".edge");
  const start = svg.getAttribute("viewBox").split(" ").map(Number);
  const bar = svg.parentElement.querySelector("[data-zoom]");
  const box = () => svg.getAttribute("viewBox").split(" ").map(Number);
  const show = (view) => svg.setAttribute("viewBox", view.map((n) => Math.round(n)).join(" "));
  const shift = (target, name, by) => target.setAttribute(name, Number(target.getAttribute(name)) + by);
  const move = (node, dx, dy) => {
    for (const part of node.children) {
      const names = part.tagName === "circle" ? ["cx", "cy"] : ["x", "y"];
      shift(part, names[0], dx);
      shift(part, names[1], dy);
    }
    const edge = edges[Number(node.dataset.edge)];
    shift(edge, "x2", dx);
    shift(edge, "y2", dy);
  };
  bar.hidden = false;
  bar.addEventListener("click", (event) => {
    const by = event.target.dataset.by;
    if (by === undefined) return;
    const [x, y, width, height] = box(), factor = Number(by);
    if (!factor) { show(start); return; }
    if (width * factor < start[2] / 8 || width * factor > start[2] * 4) return;
    show([x + width * (1 - factor) / 2, y + height * (1 - factor) / 2, width * factor, height * factor]);
  });
  let held = null, moved = 0;
  svg.addEventListener("dragstart", (event) => event.preventDefault());
  svg.addEventListener("pointerdown", (event) => {
    if (event.button) return;
    held = { node: event.target.closest(".node"), x: event.clientX, y: event.clientY };
    moved = 0;
  });
  window.addEventListener("pointerup", () => { held = null; });
  window.addEventListener("pointermove", (event) => {
    if (!held) return;
    const view = box(), scale = view[2] / svg.clientWidth;
    const dx = (event.clientX - held.x) * scale, dy = (event.clientY - held.y) * scale;
    moved += Math.abs(dx) + Math.abs(dy);
    held.x = event.clientX;
    held.y = event.clientY;
    if (held.node) move(held.node, dx, dy); else show([view[0] - dx, view[1] - dy, view[2], view[3]]);
  });
  // A node that was dragged is not followed; Enter (detail 0) always is.
  svg.addEventListener("click", (event) => { if (moved > 4 && event.detail) event.preventDefault(); });
  svg.addEventListener("keydown", (event) => {
    const by = { ArrowLeft: [-10, 0], ArrowRight: [10, 0], ArrowUp: [0, -10], ArrowDown: [0, 10] }[event.key];
    const node = event.target.closest(".node");
    if (by && node) { event.preventDefault(); move(node, by[0], by[1]); }
  });
});
// Decisions: the new heading has the focus, the outcome is said, n goes through the marked words.
(() => {
  const all = (selector) => Array.from(document.querySelectorAll(selector));
  const line = document.getElementById("status");
  let timer = 0;

  // A phone shows a summary to open these by; wider windows show none, so there they are open.
  const narrow = window.matchMedia("(max-width: 46rem)");
  const fold = () => all("details.menu, details[data-fold]").forEach((each) => { each.open = !narrow.matches; });
  narrow.addEventListener("change", fold);

  const count = () => {
    clearInterval(timer);
    const button = line.querySelector("[data-left]"), text = line.querySelector("[data-countdown]");
    if (!button) return;
    const end = Date.now() + Number(button.dataset.left) * 1000;
    text.setAttribute("aria-hidden", "true");
    const tick = () => {
      const left = Math.ceil((end - Date.now()) / 1000);
      text.textContent = left > 0 ? `${left} s` : "";
      if (left <= 0) { button.remove(); clearInterval(timer); }
    };
    timer = setInterval(tick, 500);
    tick();
  };

  const begin = () => {
    const heading = document.querySelector("h1[data-focus]"), errors = document.querySelector(".errors");
    const typing = document.activeElement && document.activeElement.id === "words";
    if (errors) errors.focus(); else if (heading && !typing) heading.focus({ preventScroll: true });
    fold();
    const marks = () => all(".before mark");
    const next = document.getElementById("next-mark");
    if (next && marks().length) {
      let at = -1;
      next.hidden = false;
      next.querySelector("button").addEventListener("click", () => {
        const found = marks();
        at = (at + 1) % found.length;
        const folded = found[at].closest("details");
        if (folded) folded.open = true;
        found[at].focus({ preventScroll: true });
        found[at].scrollIntoView({ block: "center" });
      });
    }
  };
  // Heard from the document, which is there before an item that comes in the place of another.
  document.addEventListener("toggle", (event) => {
    if (event.target.id === "edit" && event.target.open) document.getElementById("words").focus();
  }, true);

  begin();
  if (line.textContent.trim()) {
    // What is there from the beginning is not said; what comes later is.
    const said = Array.from(line.childNodes);
    line.replaceChildren();
    setTimeout(() => { line.replaceChildren(...said); count(); }, 150);
  }
  // Another page has come in the place of this one, after a form.
  document.addEventListener("htmx:afterSettle", (event) => {
    if (event.target.id !== "main") return;
    begin();
    count();
  });
})();
// Typed text outlives a session that ends.  It may hold what nobody should read before it is checked, and the
// browser holds it while nobody is signed in.  That is acceptable: it never leaves this tab, where it could be read
// from the screen as long as the session lasted; it is gone after an hour, on signing out, with the tab, and when
// another person signs in; it comes back once, in the form where it was typed; a form that is taken leaves none.
// So does text in a page that is left, or loaded again: with Back it is there, as browsers have it for other pages.
(() => {
  const HOUR = 3_600_000, person = document.body.dataset.person;
  const drop = () => sessionStorage.removeItem("typed");
  const keep = (typed) => {
    try { sessionStorage.setItem("typed", JSON.stringify(typed)); } catch { /* Longer than browsers keep. */ }
  };
  // A form may be shown at several paths; the one that it is sent to is always the same.
  const name = (field) => `${field.form.getAttribute("action")} ${field.id}`;
  const isRefused = () => Boolean(document.querySelector("[data-refused]"));
  const fields = () => Array.from(document.querySelectorAll("[data-keep]"));
  // Of a box, whether it is selected.
  const content = (field) => field.type === "checkbox" ? "checked" : "value";
  const initial = (field) => {
    if (field.type === "checkbox") return field.defaultChecked;
    if (!field.options) return field.defaultValue;
    const options = Array.from(field.options), chosen = options.find((each) => each.defaultSelected) || options[0];
    return chosen && chosen.value;
  };
  const isChanged = (field) => field[content(field)] !== initial(field);
  const typed = JSON.parse(sessionStorage.getItem("typed"));
  if (typed) {
    const left = typed.since + HOUR - Date.now();
    const isLost = typed.isLost || !person || isRefused();
    const isBack = performance.getEntriesByType("navigation").some((each) => each.type !== "navigate");
    const found = fields().filter((each) => name(each) in typed.texts);
    const isOver = !(left > 0) || (person && person !== typed.person);
    // What was sent is dropped by the page that answers.  If it is there with Back, the answer was none of our pages.
    const isNew = found.length ? !isBack : typed.isSent;
    if (isOver || (!isLost && isNew)) drop();
    else {
      setTimeout(drop, left);
      found.forEach((each) => {
        const folded = each.closest("details");
        each[content(each)] = typed.texts[name(each)];
        if (folded) folded.open = true;
      });
      // A page without the field, such as the one after signing in, does not take it away.
      if (found.length) drop(); else keep({ ...typed, isLost });
    }
  }
  let sent = null;
  document.addEventListener("submit", (event) => {
    sent = event.target;
    if (sent.matches("[action$='/sign-out']")) drop();
  });
  // What was typed for one decision on an item is not lost to another one without a word.
  document.addEventListener("submit", (event) => {
    if (!document.querySelector(".decide") || !event.target.closest("main")) return;
    const others = fields().filter((each) => each.form !== event.target && each.value !== each.defaultValue);
    if (others.every((each) => each.dataset.warned === each.value)) return;
    event.preventDefault();
    event.stopImmediatePropagation();
    others.forEach((each) => { each.dataset.warned = each.value; });
    const line = document.getElementById("status"), note = document.createElement("strong");
    line.querySelectorAll("strong").forEach((each) => each.remove());
    note.textContent = `Not done: ${others[0].id === "words" ? "the words to mask" : "the reason"} that you typed would be lost. Do it again to go on without. `;
    line.prepend(note);
  }, true);
  window.addEventListener("pagehide", () => {
    // In a form that is shown again with its errors, what was typed is the default.
    const isAgain = document.querySelector(".errors");
    const changed = fields().filter((each) => isAgain || isChanged(each));
    if (!person || !changed.length) return;
    const texts = Object.fromEntries(changed.map((each) => [name(each), each[content(each)]]));
    keep({ person, since: Date.now(), isLost: isRefused(), isSent: changed.some((each) => each.form === sent), texts });
  });
})();
