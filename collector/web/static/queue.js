// Acts of a phone whose connection breaks: what could not be sent waits here, in its order, and goes with the same key as soon as the console is reached again, so that
// nothing is done twice. What the console refuses is shown with its reason and is not tried again. The list is of one person: nobody sends for another one.
"use strict";

tw.queue = {
  MOST: 50, // acts of a day in a cellar; a page gone wild ends here
  OLDEST: 20 * 3600 * 1000, // ms: the console knows a key for 24 hours, and what is older might be done twice
  person: "",
  listeners: new Set(),
  timer: 0,
  delay: 5000,
  busy: false,

  get place() {
    return `tw_acts_${tw.queue.person}`;
  },
  all() {
    try {
      const kept = JSON.parse(localStorage.getItem(tw.queue.place) ?? "[]");
      return Array.isArray(kept) ? kept : [];
    } catch {
      return [];
    }
  },
  keep(items) {
    localStorage.setItem(tw.queue.place, JSON.stringify(items.slice(-tw.queue.MOST)));
    for (const told of tw.queue.listeners) told();
  },
  waiting: () => tw.queue.all().filter((each) => !each.failed),
  failed: () => tw.queue.all().filter((each) => each.failed),
  // The console was not reached, or could not do it now: it may be tried again.
  passing: (error) => !error.status || [408, 429, 502, 503, 504].includes(error.status),

  start(person) {
    tw.queue.person = person;
    tw.queue.stay();
    window.addEventListener("online", () => tw.queue.flush());
    window.addEventListener("storage", (event) => event.key === tw.queue.place && tw.queue.listeners.forEach((told) => told()));
    document.addEventListener("visibilitychange", () => document.hidden || tw.queue.flush());
    tw.queue.flush();
  },
  // These pages open without a connection too (worker.js). The visit on which it comes was not seen by it: it is told what the page is made of.
  async stay() {
    if (!navigator.serviceWorker) return;
    try {
      await navigator.serviceWorker.register("/worker.js");
      const { active } = await navigator.serviceWorker.ready;
      navigator.serviceWorker.addEventListener("message", () => document.documentElement.toggleAttribute("data-kept", true));
      active.postMessage({ keep: [location.href, ...performance.getEntriesByType("resource").map((each) => each.name)] });
    } catch {
      // A browser that lets none in: the pages work as long as they stay open.
    }
  },
  // As tw.act; null where the act waits. about: what it is, for who reads the list.
  async act(method, address, body, key = tw.key(), about = {}) {
    const item = { key, method, address, body, ...about, at: Date.now() };
    if (!tw.queue.waiting().length) {
      try {
        return await tw.act(method, address, body, { key });
      } catch (error) {
        if (!tw.queue.passing(error)) throw error;
      }
    }
    const items = tw.queue.all();
    if (items.length >= tw.queue.MOST) throw Object.assign(new Error(tw.t("phone.full", { n: tw.queue.MOST })), { status: 507 });
    tw.queue.keep([...items, item]);
    tw.queue.later();
    return null;
  },
  later() {
    clearTimeout(tw.queue.timer);
    tw.queue.timer = setTimeout(tw.queue.flush, tw.queue.delay);
    tw.queue.delay = Math.min(tw.queue.delay * 2, 60000);
  },
  // One page of this browser at a time, one act after the other.
  async flush() {
    if (tw.queue.busy || !tw.queue.waiting().length) return;
    tw.queue.busy = true;
    try {
      if (navigator.locks) await navigator.locks.request(tw.queue.place, tw.queue.send);
      else await tw.queue.send();
    } finally {
      tw.queue.busy = false;
    }
  },
  async send() {
    for (let next = tw.queue.waiting()[0]; next; next = tw.queue.waiting()[0]) {
      if (Date.now() - next.at > tw.queue.OLDEST) {
        tw.queue.settle(next.key, tw.t("phone.too_old"));
        continue;
      }
      try {
        await tw.act(next.method, next.address, next.body, { key: next.key });
        tw.queue.settle(next.key, "");
        tw.queue.delay = 5000;
      } catch (error) {
        if (error.status === 401) {
          tw.queue.keep(tw.queue.all().map((each) => ({ ...each, stopped: tw.t("phone.sign_in") })));
          return;
        }
        if (tw.queue.passing(error)) {
          tw.queue.later();
          return;
        }
        tw.queue.settle(next.key, tw.acts.why(error));
      }
    }
  },
  settle(key, failed) {
    const items = tw.queue.all();
    tw.queue.keep(failed ? items.map((each) => (each.key === key ? { ...each, failed } : each)) : items.filter((each) => each.key !== key));
  },
  forget: (key) => tw.queue.keep(tw.queue.all().filter((each) => each.key !== key)),
};

// What waits to be sent, and what was refused; shows nothing where there is neither. reached: whether the last question was answered.
tw.parts.waiting = {
  template: `
    <section class="tw-waiting" :aria-label="t('phone.unsent')">
      <p v-if="lost" class="tw-offline" role="status">{{ t("phone.offline") }} <span v-if="since" :data-at="since">{{ age(since) }}</span></p>
      <div v-if="waiting.length" class="tw-unsent" role="status"><p><b>{{ t("phone.waiting", { n: waiting.length }) }}</b> <button type="button" class="tw-button" @click="send">{{ t("phone.send_now") }}</button></p>
        <ol><li v-for="w in waiting" :key="w.key">{{ label(w) }} <span class="tw-faint" :data-at="w.at">{{ age(w.at) }}</span></li></ol></div>
      <div v-if="failed.length" class="tw-refused" role="alert"><b>{{ t("phone.refused", { n: failed.length }) }}</b>
        <ol><li v-for="w in failed" :key="w.key">{{ label(w) }}: {{ w.failed }} <button type="button" class="tw-button" @click="forget(w.key)">{{ t("phone.seen") }}</button></li></ol></div>
    </section>`,
  props: { person: String, lost: Boolean, since: Number },
  data: () => ({ waiting: [], failed: [] }),
  mounted() {
    this.look = () => {
      this.waiting = tw.queue.waiting();
      this.failed = tw.queue.failed();
    };
    tw.queue.listeners.add(this.look);
    tw.queue.start(this.person);
    this.look();
  },
  unmounted() {
    tw.queue.listeners.delete(this.look);
  },
  updated() {
    tw.tick();
  },
  methods: {
    t: (key, values) => tw.t(key, values),
    age: (at) => tw.age(at),
    label: (w) => [tw.acts.label(w.act), w.body?.text ?? w.body?.note, w.incident].filter(Boolean).join(" · "),
    send() {
      tw.queue.delay = 5000;
      tw.queue.flush();
    },
    forget: (key) => tw.queue.forget(key),
  },
};

// Something to take along, and why.
tw.bring = (one) => {
  if (one.source === "foreseen") return tw.t("phone.bring_foreseen", { part: one.text, terminal: one.terminal, why: one.why });
  if (one.source === "history") return tw.t("phone.bring_history", { part: one.text, at: tw.stamp(one.at ? Date.parse(one.at) : 0) });
  return one.text;
};
