// What belongs to being signed in: a page whose session is over shows the sign-in page, and somebody who works here stays signed in.
tw.session = {
  // Once: several answers come back at the same time.
  over() {
    if (tw.session.left) return;
    tw.session.left = true;
    const here = location.pathname + location.search;
    location.replace(`/sign-in?ended&next=${encodeURIComponent(here)}`);
  },
  // By one's own wish: what the page asks meanwhile, and is refused, is no end that has to be told.
  async out() {
    tw.session.left = true;
    try {
      await tw.session.ask("/api/v1/sign-out", { method: "POST", headers: { "X-TW-CSRF": window.TW.csrf ?? "" } });
    } finally {
      location.href = "/sign-in";
    }
  },
  async look() {
    try {
      if ((await tw.session.ask("/api/v1/me", { cache: "no-store" })).status === 401) tw.session.over();
    } catch {
      // The line is down: the banner says it, and the next attempt asks again.
    }
  },
  ask: window.fetch.bind(window),
  EVERY: 60_000, // ms: the server wants to know of a person once a minute, not of every key
  told: Date.now(),
  alive() {
    if (!window.TW.csrf || Date.now() - tw.session.told < tw.session.EVERY) return;
    tw.session.told = Date.now();
    fetch("/api/v1/me/active", { method: "PUT", headers: { "X-TW-CSRF": window.TW.csrf } }).catch(() => {});
  },
};
// Whatever a page fetches: 401 means that it is not anybody's any more.
window.fetch = async (...what) => {
  const answer = await tw.session.ask(...what);
  if (answer.status === 401) tw.session.over();
  return answer;
};
for (const sign of ["pointerdown", "keydown", "wheel"]) document.addEventListener(sign, tw.session.alive, { passive: true });
// The server closes the page's websocket when the session ends, and takes no other.
document.addEventListener("DOMContentLoaded", () => {
  const wait = setInterval(() => {
    if (!window.socket) return;
    clearInterval(wait);
    window.socket.on("disconnect", tw.session.look);
    window.socket.io.on("reconnect_error", tw.session.look);
  }, 200);
});
