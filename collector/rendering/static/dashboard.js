// Conveniences of the dashboard. Every page works without them.
"use strict";

// "/" moves the focus to the search field.
document.addEventListener("keydown", (event) => {
  const field = document.getElementById("search");
  const writing = /^(INPUT|TEXTAREA|SELECT)$/.test(event.target.tagName);
  if (field && event.key === "/" && !writing && !event.ctrlKey && !event.metaKey && !event.altKey) {
    event.preventDefault();
    field.focus();
    field.select();
  }
});

// A time shows itself in the zone of the reader while the pointer or the focus is on it.
function showLocalTime(event) {
  const time = event.target.closest && event.target.closest("time[datetime]");
  if (time && !time.dataset.local) {
    const when = new Date(time.dateTime);
    if (!Number.isNaN(when.getTime())) {
      time.dataset.local = when.toLocaleString(undefined, { dateStyle: "medium", timeStyle: "long" });
      time.title = `${time.dateTime} = ${time.dataset.local}`;
    }
  }
}
// A tile shows its whole label while the pointer is on it.
function showLabel(event) {
  const tile = event.target.closest && event.target.closest("a.heat");
  if (tile && !tile.title) tile.title = tile.getAttribute("aria-label");
}
document.addEventListener("pointerover", showLocalTime);
document.addEventListener("pointerover", showLabel);
document.addEventListener("focusin", showLocalTime);

// A button in the footer lets the page refresh itself every minute; scroll position, focus and open parts stay.
const EVERY_MS = 60000;
const footer = document.querySelector("footer p");
let timer = null;

function pathTo(element) {
  const steps = [];
  for (let node = element; node && node.id !== "main"; node = node.parentElement) {
    steps.unshift([...node.parentElement.children].indexOf(node));
  }
  return steps;
}

async function refresh() {
  const main = document.getElementById("main");
  const answer = await fetch(location.href, { headers: { Accept: "text/html" }, cache: "no-store" });
  if (!answer.ok) return;
  const page = new DOMParser().parseFromString(await answer.text(), "text/html");
  const fresh = page.getElementById("main");
  if (!fresh) return;
  const focused = main.contains(document.activeElement) ? pathTo(document.activeElement) : null;
  const open = [...main.querySelectorAll("details")].map((each) => each.open);
  const scrolled = [...main.querySelectorAll(".scroll")].map((each) => each.scrollLeft);
  const top = window.scrollY;
  main.replaceChildren(...fresh.childNodes);
  [...main.querySelectorAll("details")].forEach((each, place) => { if (place in open) each.open = open[place]; });
  [...main.querySelectorAll(".scroll")].forEach((each, place) => { each.scrollLeft = scrolled[place] || 0; });
  if (focused) {
    const element = focused.reduce((node, place) => node && node.children[place], main);
    if (element) element.focus({ preventScroll: true });
  }
  window.scrollTo(0, top);
}

if (footer && document.getElementById("main")) {
  const button = document.createElement("button");
  button.type = "button";
  button.textContent = "Refresh every minute";
  button.setAttribute("aria-pressed", "false");
  button.addEventListener("click", () => {
    const on = timer === null;
    button.setAttribute("aria-pressed", String(on));
    if (on) timer = setInterval(() => { if (!document.hidden) refresh(); }, EVERY_MS);
    else { clearInterval(timer); timer = null; }
  });
  footer.append(" · ", button);
  window.refreshDashboard = refresh;
}
