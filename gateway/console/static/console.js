// Keeps a page up to date: asks for it again and puts what differs in place, so that the rest of it (what is
// scrolled, selected, focused or folded open) stays as it was. Without scripts the page reloads itself instead.
"use strict";

const PERIOD = 2000; // milliseconds
const NEAR_END = 60; // pixels: this close to the end of a log means to follow it

const main = document.getElementById("main");
const offline = document.getElementById("offline");
const root = document.scrollingElement;

function atEnd() {
  return root.scrollHeight - root.scrollTop - root.clientHeight < NEAR_END;
}

function toEnd() {
  root.scrollTop = root.scrollHeight;
}

// Times are written in UTC; here they become the reader's own.
function localise(part) {
  for (const time of part.querySelectorAll("time")) {
    const at = new Date(time.dateTime);
    time.title = time.textContent;
    time.textContent = at.toLocaleString(undefined, { dateStyle: "medium", timeStyle: "medium" });
  }
}

function isSelected(node) {
  const selection = document.getSelection();
  return selection && !selection.isCollapsed && selection.containsNode(node, true);
}

function setText(old, fresh) {
  if (old.data === fresh.data) return;
  if (fresh.data.startsWith(old.data)) old.appendData(fresh.data.slice(old.data.length));
  else if (!isSelected(old)) old.data = fresh.data;
}

function setAttributes(old, fresh) {
  const kept = old.localName === "details" ? ["open"] : [];
  for (const name of old.getAttributeNames())
    if (!fresh.hasAttribute(name) && !kept.includes(name)) old.removeAttribute(name);
  for (const name of fresh.getAttributeNames())
    if (old.getAttribute(name) !== fresh.getAttribute(name)) old.setAttribute(name, fresh.getAttribute(name));
}

// The child of `parent`, from `place` on, that `fresh` is a newer form of: the same id, or the same element without one.
function counterpart(parent, place, fresh) {
  if (fresh.id) {
    const same = document.getElementById(fresh.id);
    return same && same.parentNode === parent && same.nodeName === fresh.nodeName ? same : null;
  }
  return place && !place.id && place.nodeName === fresh.nodeName ? place : null;
}

function update(old, fresh) {
  if (old.nodeType === Node.TEXT_NODE) return setText(old, fresh);
  if (old.nodeType !== Node.ELEMENT_NODE || old.isEqualNode(fresh)) return;
  setAttributes(old, fresh);
  const wanted = new Set([...fresh.children].map((child) => child.id).filter(Boolean));
  for (const child of [...old.children]) if (child.id && !wanted.has(child.id)) child.remove();
  let place = old.firstChild;
  for (const next of [...fresh.childNodes]) {
    const same = counterpart(old, place, next);
    if (same === null) old.insertBefore(document.importNode(next, true), place);
    else {
      if (same === place) place = place.nextSibling;
      else old.insertBefore(same, place);
      update(same, next);
    }
  }
  while (place) {
    const rest = place;
    place = place.nextSibling;
    rest.remove();
  }
}

async function refresh() {
  const answer = await fetch(location.href, { headers: { Accept: "text/html" } });
  if (answer.status >= 500) throw new Error(answer.statusText);
  const page = new DOMParser().parseFromString(await answer.text(), "text/html");
  const fresh = page.getElementById("main");
  if (fresh === null) throw new Error("this is not one of our pages");
  const follows = "follow" in main.dataset && atEnd();
  localise(fresh);
  update(main, fresh);
  document.title = page.title;
  if (follows) toEnd();
}

async function tick() {
  if (!document.hidden) {
    try {
      await refresh();
      offline.hidden = true;
    } catch {
      offline.hidden = false;
    }
  }
  if ("live" in main.dataset) setTimeout(tick, PERIOD);
}

localise(main);
if ("follow" in main.dataset) toEnd();
if ("live" in main.dataset) setTimeout(tick, PERIOD);
