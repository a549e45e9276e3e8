// The desk's only script. Every page works without it; with it, saving is shown live, a second press of a button
// does nothing, Enter walks down a form, and the demo counts the seconds of an outage.
"use strict";

const wait = (milliseconds) => new Promise((done) => setTimeout(done, milliseconds));

// A form with errors: put the reader at the list of them.
document.getElementById("problems")?.focus();

// Enter goes to the next field; on the last one it sends. A button still takes Enter as a press.
for (const form of document.querySelectorAll("form[data-steps]")) {
  form.addEventListener("keydown", (event) => {
    if (event.key !== "Enter" || event.isComposing || !event.target.matches("input, select")) return;
    const stops = [...form.querySelectorAll("input:not([type=hidden]), select, button")]
      .filter((each) => each.type !== "radio" || each === event.target || each.checked || firstUnchosen(each));
    const next = stops[stops.indexOf(event.target) + 1];
    if (!next) return;
    event.preventDefault();
    next.focus();
    if (next.matches("input") && next.select) next.select();
  });
}

function firstUnchosen(radio) {
  const group = [...radio.form.querySelectorAll("input[type=radio]")].filter((each) => each.name === radio.name);
  return !group.some((each) => each.checked) && group[0] === radio;
}

// A second press while the first is under way does nothing (and would make no second record anyway).
for (const button of document.querySelectorAll("button[data-once]")) {
  button.form.addEventListener("submit", (event) => {
    if (button.getAttribute("aria-disabled") === "true") event.preventDefault();
    button.setAttribute("aria-disabled", "true");
  });
}
// Coming back by the Back button shows the page as it was left, so buttons must work again.
addEventListener("pageshow", () => {
  for (const button of document.querySelectorAll("button[data-once]")) button.removeAttribute("aria-disabled");
});

// Where the record is safe: ask until a vault has it, ever less often.
async function follow(trail) {
  const station = trail.querySelector("[data-vault]");
  for (let pause = 400; trail.dataset.done !== "yes"; pause = Math.min(pause * 1.4, 10000)) {
    await wait(pause);
    let safe;
    try {
      const answer = await fetch(trail.dataset.safe, { headers: { accept: "application/json" }, redirect: "error" });
      if (!answer.ok) continue;
      safe = await answer.json();
    } catch {
      continue;
    }
    station.querySelector("[data-note]").textContent = safe.note || safe.warning;
    if (!safe.in_vault) continue;
    station.className = "done";
    station.querySelector("strong").textContent = "Copied to vault";
    trail.dataset.done = "yes";
  }
}
for (const trail of document.querySelectorAll("[data-safe]")) follow(trail);

// Printing needs a script; without one the browser's own menu prints the slip.
for (const button of document.querySelectorAll("[data-print]")) {
  button.hidden = false;
  button.addEventListener("click", () => print());
}

// The guided demo: ask the node for its health, count while nobody answers, come back when somebody does.
async function watch(strip) {
  const count = strip.querySelector(".demo-count");
  const seconds = strip.querySelector("[data-seconds]");
  let silentSince = null;
  for (;;) {
    await wait(250);
    let alive = false;
    try {
      alive = (await fetch(strip.dataset.watch, { cache: "no-store", signal: AbortSignal.timeout(1000) })).ok;
    } catch {
      alive = false;
    }
    if (!alive && silentSince === null) silentSince = performance.now();
    if (silentSince === null) continue;
    if (alive) {
      location.reload();
      return;
    }
    count.hidden = false;
    seconds.textContent = ((performance.now() - silentSince) / 1000).toFixed(1);
  }
}
for (const strip of document.querySelectorAll("[data-watch]")) watch(strip);
