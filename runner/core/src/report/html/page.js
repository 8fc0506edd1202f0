// What the page can do beyond being read: turn the pages of galleries, hide boxes, show where edges lead, change its theme.
// Everything is readable without it. It builds nothing from text of the records but through textContent.
"use strict";

for (const gallery of document.querySelectorAll(".gallery")) {
  turnPages(gallery);
  for (const key of gallery.querySelectorAll(".key")) {
    key.addEventListener("click", () => {
      const shown = key.getAttribute("aria-pressed") === "true";
      key.setAttribute("aria-pressed", String(!shown));
      gallery.classList.toggle("hide" + key.dataset.group, shown);
    });
  }
}

// Shows so many cards at a time.
function turnPages(gallery) {
  const cards = Array.from(gallery.querySelectorAll(".card"));
  const size = Number(gallery.dataset.page);
  if (cards.length <= size) return;
  let first = 0;
  const pager = document.createElement("div");
  const place = document.createElement("span");
  place.setAttribute("aria-live", "polite");
  pager.className = "pager";
  const turn = (text, by) => {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = text;
    button.addEventListener("click", () => {
      first += by * size;
      show();
      gallery.scrollIntoView({ block: "nearest" });
    });
    return button;
  };
  const back = turn("‹ Previous", -1);
  const on = turn("Next ›", 1);
  const show = () => {
    cards.forEach((card, place) => { card.hidden = place < first || place >= first + size; });
    place.textContent = (first + 1) + "–" + Math.min(first + size, cards.length) + " of " + cards.length;
    back.disabled = first === 0;
    on.disabled = first + size >= cards.length;
  };
  pager.append(back, place, on);
  gallery.querySelector(".cards").after(pager);
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
