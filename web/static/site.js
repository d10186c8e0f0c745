// Comforts only: everything on the site works without this file.
"use strict";

// "/" leads to the search field, unless something is being typed already.
document.addEventListener("keydown", (event) => {
  if (event.key !== "/" || event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.target.closest("input, textarea, select, [contenteditable]")) return;
  const field = document.querySelector("[data-suggest]");
  if (field) { event.preventDefault(); field.focus(); field.select(); }
});

// Where there is room the filters are open. The style sheet shows them there too, but not in every browser.
if (matchMedia("(min-width: 60rem)").matches) {
  for (const facets of document.querySelectorAll(".facets")) facets.open = true;
}

// A floating menu closes when the reader turns to something else.
for (const menu of document.querySelectorAll(".sort")) {
  const close = (event) => { if (!menu.contains(event.target)) menu.open = false; };
  document.addEventListener("click", close);
  document.addEventListener("focusin", close);
  menu.addEventListener("keydown", (event) => {
    if (event.key === "Escape") { menu.open = false; menu.querySelector("summary").focus(); }
  });
}

for (const button of document.querySelectorAll("[data-copy]")) {
  if (!navigator.clipboard) continue;
  button.hidden = false;
  const name = button.textContent;
  button.addEventListener("click", async () => {
    await navigator.clipboard.writeText(document.getElementById(button.dataset.copy).textContent);
    button.textContent = button.dataset.done;
    setTimeout(() => { button.textContent = name; }, 2500);
  });
}

// Suggestions: a combobox with a listbox, as the ARIA practices describe it.
for (const field of document.querySelectorAll("[data-suggest]")) {
  const list = document.createElement("ul");
  const news = document.createElement("p");
  list.id = `${field.id}-list`;
  list.className = "suggestions";
  list.setAttribute("role", "listbox");
  list.setAttribute("aria-label", field.dataset.label);
  news.className = "unseen";
  news.setAttribute("aria-live", "polite");
  field.after(list, news);
  for (const [name, value] of Object.entries({
    role: "combobox", "aria-autocomplete": "list", "aria-expanded": "false", "aria-controls": list.id,
  })) field.setAttribute(name, value);

  let timer = 0;
  let asked = null;
  let chosen = -1;

  const show = (found) => {
    chosen = -1;
    list.replaceChildren(...found.map(({ text, kind }, place) => {
      const item = document.createElement("li");
      const what = document.createElement("span");
      item.id = `${list.id}-${place}`;
      item.setAttribute("role", "option");
      item.setAttribute("aria-selected", "false");
      item.dir = "auto";
      what.textContent = field.dataset[kind] || "";
      item.append(text, what);
      item.addEventListener("mousedown", (event) => event.preventDefault());
      item.addEventListener("click", () => follow(text, kind));
      return item;
    }));
    field.setAttribute("aria-expanded", String(found.length > 0));
    field.removeAttribute("aria-activedescendant");
    news.textContent = found.length ? field.dataset.found.replace("{n}", found.length) : "";
  };

  const follow = (text, kind) => {
    const name = kind === "title" ? "q" : kind;
    location.assign(`/search?${new URLSearchParams({ [name]: text })}`);
  };

  const ask = async () => {
    asked?.abort();
    asked = new AbortController();
    const typed = field.value.trim();
    if (typed.length < 2) { show([]); return; }
    try {
      const answer = await fetch(`${field.dataset.suggest}?${new URLSearchParams({ q: typed })}`, { signal: asked.signal });
      if (answer.ok && document.activeElement === field) show(await answer.json());
    } catch (error) {
      if (error.name !== "AbortError") show([]);
    }
  };

  const move = (step) => {
    const items = list.children;
    if (!items.length) return;
    items[chosen]?.setAttribute("aria-selected", "false");
    chosen = (chosen + step + items.length + (chosen < 0 && step < 0 ? 1 : 0)) % items.length;
    items[chosen].setAttribute("aria-selected", "true");
    items[chosen].scrollIntoView({ block: "nearest" });
    field.setAttribute("aria-activedescendant", items[chosen].id);
  };

  field.addEventListener("input", () => { clearTimeout(timer); timer = setTimeout(ask, 120); });
  field.addEventListener("blur", () => show([]));
  field.addEventListener("keydown", (event) => {
    if (event.key === "ArrowDown" || event.key === "ArrowUp") {
      event.preventDefault();
      move(event.key === "ArrowDown" ? 1 : -1);
    } else if (event.key === "Escape" && list.children.length) {
      event.preventDefault();
      show([]);
    } else if (event.key === "Enter" && chosen >= 0) {
      event.preventDefault();
      list.children[chosen].click();
    }
  });
}
