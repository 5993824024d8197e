// The technician's pages without a connection: once visited, /my and /repair/... open with what was last known. Kept is what the console marked with a visitor, of that
// one visitor alone: an answer for somebody else, an end of the session or a sign-out forgets all of it. What the pages are made of carries nobody's data and stays.
"use strict";

const SHELL = "tw-shell";
const DATA = "tw-data-"; // and the mark of its visitor
const MARK = "TW-Visitor";
const AT = "TW-Kept"; // ms, by the clock of this device
const OF_SHELL = /^\/(console\/[0-9a-f]{12}|_nicegui)\//;
const PAGES = /^\/(my$|repair\/)/;
const KEPT = /^\/(my$|repair\/|api\/v1\/my$|api\/v1\/repairs\/|api\/v1\/terminals\/[^/]+\/(components|diagnosis)$)/;
const ENDS = ["/sign-in/out", "/api/v1/sign-out"];
const MOST = 100; // answers: some fifty repairs
const MOST_SHELL = 400; // files: a page has about a hundred
const OLDEST = 12 * 3600 * 1000; // ms: as long as a session lasts at most
const PATIENCE = 8000; // ms that a page waits for a line which is there and carries nothing

let era = 0; // what was asked before all was forgotten is not kept after it
let last = Promise.resolve();
// One after the other: an answer of a visitor and the forgetting of another one must not cross.
const turn = (work) => (last = last.then(work, work));
const held = async () => (await caches.keys()).filter((name) => name.startsWith(DATA));

// Other pages ask the same questions, and do not say how old an answer is.
const ofPage = (request) => PAGES.test(request.referrer ? new URL(request.referrer).pathname : "");

function forget() {
  era += 1;
  return turn(async () => {
    for (const name of await held()) await caches.delete(name);
  });
}

async function bounded(cache, most) {
  const keys = await cache.keys();
  for (const key of keys.slice(0, Math.max(0, keys.length - most))) await cache.delete(key);
}

function keep(request, answer, begun) {
  const own = DATA + answer.headers.get(MARK);
  return turn(async () => {
    if (begun !== era) return;
    for (const name of await held()) if (name !== own) await caches.delete(name);
    const headers = new Headers(answer.headers);
    headers.set(AT, String(Date.now()));
    for (const name of ["content-encoding", "content-length", "set-cookie"]) headers.delete(name);
    const cache = await caches.open(own);
    await cache.delete(request, { ignoreVary: true });
    await cache.put(request, new Response(await answer.blob(), { status: answer.status, headers }));
    await bounded(cache, MOST);
  });
}

async function found(request, page) {
  for (const name of await held()) {
    const answer = await (await caches.open(name)).match(request, { ignoreVary: true, ignoreSearch: page });
    const at = Number(answer?.headers.get(AT));
    if (!answer || Date.now() - at > OLDEST) continue;
    if (!page) return answer;
    // The page is told that it is not of now: its clock goes by when it was kept.
    const text = (await answer.text()).replace("<head>", `<head><script>window.TW_KEPT=${at}</script>`);
    return new Response(text, { status: answer.status, headers: answer.headers });
  }
  return null;
}

async function fresh(event, request, page) {
  const begun = era;
  const asked = fetch(request).then((answer) => {
    const turnedAway = answer.status === 401 || (page && answer.type === "opaqueredirect");
    if (turnedAway) event.waitUntil(forget());
    else if (answer.ok && answer.headers.get(MARK)) event.waitUntil(keep(request, answer.clone(), begun));
    return answer;
  });
  event.waitUntil(asked.catch(() => {}));
  const kept = await found(request, page);
  if (!kept) return asked;
  const late = new Promise((go) => setTimeout(go, PATIENCE, kept));
  return Promise.race([asked.catch(() => kept), late]);
}

async function shell(request) {
  const cache = await caches.open(SHELL);
  const kept = await cache.match(request, { ignoreVary: true });
  if (kept) return kept;
  const answer = await fetch(request);
  if (answer.ok && answer.type === "basic") {
    await cache.put(request, answer.clone());
    await bounded(cache, MOST_SHELL);
  }
  return answer;
}

self.addEventListener("install", () => self.skipWaiting());
self.addEventListener("activate", (event) => event.waitUntil(self.clients.claim()));
self.addEventListener("fetch", (event) => {
  const { request } = event;
  const { origin, pathname } = new URL(request.url);
  if (origin !== self.location.origin) return;
  if (request.method !== "GET" ? ENDS.includes(pathname) : request.mode === "navigate" && pathname === "/sign-in") event.waitUntil(forget());
  else if (request.method !== "GET") return;
  else if (OF_SHELL.test(pathname)) event.respondWith(shell(request));
  else if (PAGES.test(pathname) ? request.mode === "navigate" : KEPT.test(pathname) && ofPage(request)) event.respondWith(fresh(event, request, PAGES.test(pathname)));
});
// The visit that brought this worker was not seen by it: the page says what it was made of.
self.addEventListener("message", (event) => {
  if (!Array.isArray(event.data?.keep)) return;
  const own = event.data.keep.slice(0, MOST_SHELL).filter((address) => new URL(address).origin === self.location.origin);
  event.waitUntil(
    Promise.all(
      own.map(async (address) => {
        const { pathname } = new URL(address);
        const request = new Request(address);
        if (OF_SHELL.test(pathname)) await shell(request);
        else if (KEPT.test(pathname)) await fresh({ waitUntil: (work) => work }, request, false);
      }),
    ).then(() => last).then(() => event.source?.postMessage({ kept: true }), () => {}),
  );
});
