// What the page can do beyond being read: turn the pages of galleries and long tables, hide boxes, show where edges lead, change its theme.
// Everything is readable without it. It builds nothing from text of the records but through textContent.
"use strict";

for (const paged of document.querySelectorAll("[data-page]")) turnPages(paged);

for (const gallery of document.querySelectorAll(".gallery")) {
  for (const key of gallery.querySelectorAll(".key")) {
    key.addEventListener("click", () => {
      const shown = key.getAttribute("aria-pressed") === "true";
      key.setAttribute("aria-pressed", String(!shown));
      gallery.classList.toggle("hide" + key.dataset.group, shown);
    });
  }
}

// Shows so many cards of a gallery, or rows of a table, at a time.
function turnPages(paged) {
  const items = Array.from(paged.querySelectorAll(".card, tbody > tr"));
  const size = Number(paged.dataset.page);
  if (items.length <= size) return;
  const last = Math.floor((items.length - 1) / size) * size;
  let first = 0;
  const pager = document.createElement("div");
  const place = document.createElement("span");
  place.setAttribute("aria-live", "polite");
  pager.className = "pager";
  pager.setAttribute("role", "group");
  pager.setAttribute("aria-label", "pages");
  const turn = (text, label, to) => {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = text;
    button.setAttribute("aria-label", label);
    button.addEventListener("click", () => {
      first = Math.min(Math.max(to(), 0), last);
      show();
      // A button that can no longer be pressed would lose the focus to the page.
      if (button.disabled) (first === 0 ? on : back).focus();
      paged.scrollIntoView({ block: "nearest" });
    });
    return button;
  };
  const begin = turn("«", "first page", () => 0);
  const back = turn("‹ Previous", "previous page", () => first - size);
  const on = turn("Next ›", "next page", () => first + size);
  const end = turn("»", "last page", () => last);
  const show = () => {
    items.forEach((item, place) => { item.hidden = place < first || place >= first + size; });
    place.textContent = (first + 1) + "–" + Math.min(first + size, items.length) + " of " + items.length;
    begin.disabled = back.disabled = first === 0;
    on.disabled = end.disabled = first === last;
  };
  pager.append(begin, back, place, on, end);
  (paged.querySelector(".cards") || paged).after(pager);
  show();
}

// Lights the edges of the stage under the pointer or the focus.
for (const graph of document.querySelectorAll(".graph")) {
  const light = (number) => {
    graph.classList.toggle("lighting", number !== null);
    for (const edge of graph.querySelectorAll(".edge")) {
      const touches = number !== null && (edge.dataset.from === number || edge.dataset.to === number);
      edge.classList.toggle("lit", touches);
    }
  };
  for (const node of graph.querySelectorAll("[data-node]")) {
    for (const event of ["pointerenter", "focus"]) node.addEventListener(event, () => light(node.dataset.node));
    for (const event of ["pointerleave", "blur"]) node.addEventListener(event, () => light(null));
  }
}

// Follows the system's theme until the button says otherwise; nothing is remembered.
const theme = document.getElementById("theme");
const system = matchMedia("(prefers-color-scheme: dark)");
const isDark = () => (document.documentElement.dataset.theme || (system.matches ? "dark" : "light")) === "dark";
const name = () => { theme.textContent = isDark() ? "Light" : "Dark"; };
theme.hidden = false;
theme.title = "change the colours of this page";
theme.addEventListener("click", () => {
  document.documentElement.dataset.theme = isDark() ? "light" : "dark";
  name();
});
system.addEventListener("change", name);
name();
