// The demo's own pages: the attack is followed live, and the proof is computed again by the browser itself.
"use strict";

const wait = (milliseconds) => new Promise((done) => setTimeout(done, milliseconds));
const STAGES = ["locking", "recovering", "starting", "comparing", "back"];

async function follow(place) {
  let shownAt = performance.now();
  let seconds = null;
  let running = true;
  // Ten times a second and no more: the recovery that is counted runs on the same processor.
  setInterval(() => {
    if (seconds === null) return;
    const more = running ? (performance.now() - shownAt) / 1000 : 0;
    document.getElementById("seconds").textContent = (seconds + more).toFixed(1);
  }, 100);
  for (;;) {
    let now;
    try {
      now = await (await fetch(place.dataset.follow, { cache: "no-store" })).json();
    } catch {
      document.getElementById("sentence").textContent = "The demo was ended in its terminal.";
      running = false;
      return;
    }
    seconds = now.seconds;
    shownAt = performance.now();
    running = !["comparing", "back", "failed", "open"].includes(now.phase);
    show(now);
    if (now.phase === "back") {
      await wait(1500);
      location.assign(place.dataset.patient);
      return;
    }
    if (now.phase === "failed") return;
    await wait(now.phase === "locking" ? 150 : 300);
  }
}

function show(now) {
  const sentence = document.getElementById("sentence");
  if (sentence.textContent !== now.sentence) sentence.textContent = now.sentence;
  const here = STAGES.indexOf(now.phase);
  for (const [index, stage] of [...document.querySelectorAll("[data-stage]")].entries()) {
    stage.className = index < here || now.phase === "back" ? "done" : index === here ? "now" : "";
  }
  const listing = document.getElementById("listing");
  if (listing.dataset.names === now.files.join()) return;
  listing.dataset.names = now.files.join();
  listing.replaceChildren(...now.files.map((name) => {
    const line = document.createElement("li");
    line.textContent = name;
    if (name.endsWith(".locked")) line.className = "locked";
    return line;
  }));
}

const following = document.querySelector("[data-follow]");
if (following && following.dataset.phase !== "back") follow(following);

// RFC 6962: a leaf is SHA-256(0x00, entry), a node SHA-256(0x01, left, right).
const hex = (bytes) => [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join("");
const unhex = (text) => Uint8Array.from(text.match(/../g), (pair) => parseInt(pair, 16));

async function sha256(mark, ...parts) {
  const whole = new Uint8Array(1 + parts.reduce((sum, part) => sum + part.length, 0));
  whole[0] = mark;
  let at = 1;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return new Uint8Array(await crypto.subtle.digest("SHA-256", whole));
}

async function compute(verdict) {
  const entry = new Uint8Array(await (await fetch(verdict.dataset.entry, { cache: "no-store" })).arrayBuffer());
  let found = null;
  let same = true;
  for (const row of document.querySelectorAll(".path tr[data-hash]")) {
    if (found === null) {
      found = await sha256(0, entry);
    } else if (row.dataset.sibling) {
      const sibling = unhex(row.dataset.sibling);
      found = row.dataset.left === "yes" ? await sha256(1, sibling, found) : await sha256(1, found, sibling);
    }
    const equal = hex(found) === row.dataset.hash;
    same &&= equal;
    const mine = row.querySelector("[data-mine]");
    mine.textContent = equal ? "the same" : "differs";
    if (!equal) mine.className = "differs";
    await wait(90);
  }
  verdict.classList.add(same ? "good" : "bad");
  verdict.textContent = same
    ? `Your browser hashed the ${entry.length} bytes of the entry and every step above them, and arrived at the signed root.`
    : "Your browser does not arrive at the signed root.";
}

const verdict = document.getElementById("verdict");
if (verdict && globalThis.crypto?.subtle) compute(verdict);
