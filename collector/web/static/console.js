// What every page of the console does in the browser: ages that keep counting, one fetch at a time after a change, the fleet
// table, the chart's texts. Text of devices only ever becomes textContent.
"use strict";

const tw = {
  offset: window.TW.now - (window.TW_KEPT ?? Date.now()), // a page that was kept is not of now (worker.js)
  readers: new Set(),
  heard: Date.now(),
  chart: null,

  t(key, values = {}) {
    let text = (String(values.n) === "1" && window.TW_TEXTS[`${key}_one`]) || (window.TW_TEXTS[key] ?? key);
    const chinese = window.TW.lang === "zh";
    for (const [name, value] of Object.entries(values)) text = chinese ? tw.placed(text, name, String(value)) : text.replaceAll(`{${name}}`, () => value);
    return text;
  },
  // In Chinese the places stand between spaces, as digits and Latin words are set; a value that begins or ends in a Chinese sign closes up.
  placed(text, name, value) {
    const [first, last] = [tw.han(value[0]), tw.han(value.at(-1))];
    return text.replaceAll(new RegExp(`( ?)\\{${name}\\}( ?)`, "g"), (whole, before, after, at) => {
      const [left, right] = [text[at - 1], text[at + whole.length]];
      return (first && tw.han(left) ? "" : before) + value + (last && tw.han(right) ? "" : after);
    });
  },
  han: (sign) => /\p{Script=Han}/u.test(sign ?? ""),
  now() {
    return Date.now() + tw.offset;
  },
  el(tag, className, text) {
    const node = document.createElement(tag);
    if (className) node.className = className;
    if (text !== undefined) node.textContent = text;
    return node;
  },
  remember(name, value) {
    document.cookie = `${name}=${value}; path=/; max-age=31536000; samesite=strict`;
  },
  address(name, value) {
    const url = new URL(location.href);
    if (value) url.searchParams.set(name, value);
    else url.searchParams.delete(name);
    history.replaceState(history.state, "", url);
  },

  // ---- words
  condition(name) {
    const texts = { ok: "condition.ok", warn: "condition.warn", crit: "condition.crit" };
    return tw.t(texts[name] ?? "condition.unknown");
  },
  connection(name) {
    const texts = { online: "connection.online", offline: "connection.offline", new: "connection.new" };
    return tw.t(texts[name] ?? "connection.silent");
  },
  level(number) {
    return tw.t({ 1: "level.l1", 2: "level.l2" }[number] ?? "level.l3");
  },
  quality(name) {
    const texts = { stale: "quality.stale", clock_suspect: "quality.clock_suspect" };
    return tw.t(texts[name] ?? "quality.error");
  },
  span(ms) {
    const s = Math.max(0, Math.floor(ms / 1000));
    if (s < 120) return tw.t("age.seconds", { n: s });
    if (s < 7200) return tw.t("age.minutes", { n: Math.floor(s / 60) });
    const [whole, part, key, round] = s < 172800 ? [3600, 60, "age.hours", "length.hours"] : [86400, 3600, "age.days", "length.days"];
    const [n, m] = [Math.floor(s / whole), Math.floor((s % whole) / part)];
    return m ? tw.t(key, { n, m }) : tw.t(round, { n });
  },
  age(at) {
    if (!at) return tw.t("age.never");
    const ms = tw.now() - at;
    return ms < 2000 ? tw.t("age.now") : tw.t("age.ago", { span: tw.span(ms) });
  },
  // ---- times and numbers as the reader writes them, in the zone that they chose, else in the browser's. at: UTC ms; 0 or null is "".
  locale() {
    const own = navigator.languages.find((name) => name.toLowerCase().startsWith(window.TW.lang));
    return own ?? { zh: "zh-CN" }[window.TW.lang] ?? "en-GB";
  },
  clock(name, options) {
    if (!tw.clocks[name]) {
      const all = { hourCycle: "h23", ...options };
      try {
        tw.clocks[name] = new Intl.DateTimeFormat(tw.locale(), { ...all, timeZone: window.TW.zone || undefined });
      } catch {
        tw.clocks[name] = new Intl.DateTimeFormat(tw.locale(), all); // a zone that this browser does not know
      }
    }
    return tw.clocks[name];
  },
  clocks: {},
  time(at, seconds = false) {
    if (!at) return "";
    return tw.clock(seconds ? "second" : "minute", { hour: "2-digit", minute: "2-digit", second: seconds ? "2-digit" : undefined }).format(at);
  },
  date(at) {
    return tw.calendarDay(at, "date");
  },
  // Chinese figures are read as GB/T 7408 has them, 2026-11-22: shorter than 2026年11月22日, of one width in a column, and never broken after 日.
  calendarDay(at, name, more = {}) {
    if (!at) return "";
    if (window.TW.lang !== "zh") return tw.clock(name, { dateStyle: "medium", hourCycle: undefined, ...more }).format(at);
    const parts = tw.clock(name, { year: "numeric", month: "2-digit", day: "2-digit", hourCycle: undefined, calendar: "gregory", numberingSystem: "latn", ...more }).formatToParts(at);
    return ["year", "month", "day"].map((each) => parts.find((part) => part.type === each).value).join("-");
  },
  weekday(at) {
    return at ? tw.clock("weekday", { weekday: "short", hourCycle: undefined }).format(at) : "";
  },
  stamp(at, seconds = false) {
    return at ? `${tw.date(at)} ${tw.time(at, seconds)}` : "";
  },
  // Units of the catalogue that people write otherwise.
  symbols: { C: "°C", ohm: "Ω" },
  // A number with its unit apart, so that both can be set: [text, unit].
  value(value, unit) {
    if (value === null || value === undefined) return [tw.t("component.no_value"), ""];
    if (typeof value !== "number") return [String(value), unit];
    if (unit === "B" || unit === "B/s") {
      const names = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"];
      let n = value;
      let k = 0;
      while (Math.abs(n) >= 1024 && k < names.length - 1) {
        n /= 1024;
        k += 1;
      }
      return [tw.number(n), names[k] + unit.slice(1)];
    }
    if (unit === "1") return [tw.number(value), ""];
    if (unit === "s" && Math.abs(value) >= 120) return [tw.span(value * 1000), ""];
    return [tw.number(value), tw.symbols[unit] ?? unit];
  },
  number(n, digits) {
    const usual = Number.isInteger(n) || Math.abs(n) >= 1000 ? 0 : Math.abs(n) >= 100 ? 1 : Math.abs(n) >= 1 ? 2 : 4;
    return n.toLocaleString(tw.locale(), { minimumFractionDigits: digits, maximumFractionDigits: digits ?? usual });
  },
  // A share as per cent. Cut, not rounded: 99.96 is not 100.
  share(share, digits = 1) {
    if (share === null || share === undefined) return "–";
    const scale = 10 ** digits;
    return `${tw.number(Math.floor(share * 100 * scale + 1e-9) / scale, digits)} %`;
  },
  // The shares of one whole as per cent, which then add up to it: each is cut, and what that leaves goes to those that lost most by it (largest remainders).
  shares(them, digits = 1) {
    const scale = 100 * 10 ** digits;
    const sum = (values) => values.reduce((before, value) => before + value, 0);
    const cut = them.map((share) => Math.floor(share * scale + 1e-9));
    const lost = (k) => them[k] * scale - cut[k];
    const order = [...cut.keys()].filter((k) => them[k] >= 1 || cut[k] + 1 < scale).sort((a, b) => lost(b) - lost(a)); // less than all is never 100
    for (const k of order.slice(0, Math.round(sum(them) * scale) - sum(cut))) cut[k] += 1;
    return cut.map((n) => `${tw.number((n * 100) / scale, digits)} %`);
  },
  // The instant of a wall-clock time such as "2026-11-22T10:00" (":30" may follow) by the clocks that the reader chose: what a field for a time holds.
  instant(local) {
    const meant = Date.parse(`${local}Z`);
    const ahead = (at) => Date.parse(`${tw.local(at)}Z`) - Math.floor(at / 1000) * 1000;
    const near = meant - ahead(meant);
    return meant - ahead(near); // a second look: between the two the clocks may have been changed
  },
  // The midnight with which a day of a calendar begins by those clocks, or one `later`; as the API takes it. Days are counted without a zone, as UTC's.
  midnight(day, later = 0) {
    const first = new Date(Date.parse(day) + later * 86_400_000).toISOString().slice(0, 10);
    return new Date(tw.instant(`${first}T00:00`)).toISOString();
  },
  // The wall-clock time of an instant, to the second.
  local(at) {
    const p = Object.fromEntries(tw.clock("local", { year: "numeric", month: "2-digit", day: "2-digit", hour: "2-digit", minute: "2-digit", second: "2-digit", calendar: "gregory", numberingSystem: "latn" }).formatToParts(at).map((part) => [part.type, part.value]));
    return `${p.year}-${p.month}-${p.day}T${p.hour}:${p.minute}:${p.second}`;
  },
  say(value, unit) {
    const [text, after] = tw.value(value, unit);
    return after ? `${text} ${after}` : text;
  },

  length(s) {
    if (s && s % 86400 === 0) return tw.t("length.days", { n: s / 86400 });
    if (s && s % 3600 === 0) return tw.t("length.hours", { n: s / 3600 });
    if (s && s % 60 === 0) return tw.t("age.minutes", { n: s / 60 });
    return tw.t("age.seconds", { n: tw.number(s) });
  },
  // A line of the case file: its message, filled in with times of this place.
  fill(line) {
    const values = {};
    for (const [name, value] of Object.entries(line.values)) {
      if (name.endsWith("_at")) values[name] = value ? tw.stamp(Date.parse(value)) : "";
      else if (name.endsWith("_s")) values[name] = tw.length(value);
      else if (name.endsWith("_key")) values[name] = tw.t(value);
      else values[name] = typeof value === "number" ? tw.number(value) : String(value ?? "");
    }
    return tw.t(line.key, values).replace(/\s+/g, " ").replace(/ ([,.;:)，。；：）])/g, "$1").trim();
  },
  // What is left of a target, or how long ago it was missed.
  left(due) {
    const ms = due - tw.now();
    return tw.t(ms > 0 ? "clock.left" : "clock.late", { span: tw.span(Math.abs(ms)) });
  },

  // ---- time that goes on: every element with data-at shows its age, and looks stale when it is
  tick() {
    const now = tw.now();
    for (const node of document.querySelectorAll("[data-at]")) {
      const at = Number(node.dataset.at);
      const text = tw.age(at);
      if (node.textContent !== text) node.textContent = text;
      if (at) node.title = tw.stamp(at, true);
      if (node.dataset.staleAfter) node.classList.toggle("tw-stale", !at || now - at > Number(node.dataset.staleAfter) * 1000);
    }
    for (const node of document.querySelectorAll("[data-left]")) {
      const due = Number(node.dataset.left);
      const text = tw.left(due);
      if (node.textContent !== text) node.textContent = text;
      node.title = tw.stamp(due, true);
      node.classList.toggle("tw-late", now > due);
    }
    for (const node of document.querySelectorAll("[data-due]")) {
      const due = Number(node.dataset.due);
      node.classList.toggle("tw-overdue", due > 0 && now > due);
    }
    const quiet = document.querySelector(".tw-quiet-banner");
    if (quiet) {
      const age = now - Number(quiet.dataset.newest);
      const late = Number(quiet.dataset.newest) > 0 && age > Number(quiet.dataset.after) * 1000;
      quiet.textContent = late ? tw.t("app.quiet", { age: tw.span(age) }) : "";
    }
    const lost = document.querySelector(".tw-lost");
    if (lost) {
      if (window.socket?.connected) tw.heard = Date.now();
      const gone = Date.now() - tw.heard > 4000; // a page that just opened, or one lost second, is no news
      const text = gone ? lost.dataset.text : "";
      if (lost.textContent !== text) lost.textContent = text;
      if (!gone && document.body.classList.contains("tw-gone")) tw.refresh();
      document.body.classList.toggle("tw-gone", gone);
    }
  },

  // ---- after a change each list fetches what it shows: one fetch in flight, one more when changes came meanwhile
  reader(load) {
    const reader = { busy: false, again: false, run: null, delay: 1000 };
    reader.run = async () => {
      if (reader.busy || document.hidden) {
        reader.again = true;
        return;
      }
      reader.busy = true;
      reader.again = false;
      try {
        await load();
        reader.delay = 1000;
      } catch (error) {
        console.warn(String(error));
        reader.again = true;
        await new Promise((done) => setTimeout(done, reader.delay));
        reader.delay = Math.min(reader.delay * 2, 30000);
      }
      reader.busy = false;
      if (reader.again) reader.run();
    };
    tw.readers.add(reader);
    reader.stop = () => tw.readers.delete(reader);
    return reader;
  },
  // What every list does with its own load().
  list: {
    mounted() {
      this.reader = tw.reader(this.load);
      this.reader.run();
    },
    unmounted() {
      this.reader.stop();
    },
    updated() {
      tw.tick();
    },
  },
  async json(address) {
    const early = tw.early?.address === address ? tw.early.answer : null;
    tw.early = null;
    const answer = await (early ?? fetch(address, { cache: "no-cache" }));
    if (!answer.ok) throw new Error(`${address}: ${answer.status}`);
    const said = await answer.json();
    // Without a connection it may be what was kept of an earlier one, and when.
    if (answer.headers.get("TW-Kept")) Object.defineProperty(said, "keptAt", { value: Number(answer.headers.get("TW-Kept")) + tw.offset });
    return said;
  },
  refresh() {
    for (const reader of tw.readers) reader.run();
  },
  // ---- what somebody likes to find again: kept with their account, or in this browser where they have none
  async liked(key) {
    if (!window.TW.account) return JSON.parse(localStorage.getItem(`tw.${key}`) ?? "null");
    const answer = await fetch(`/api/v1/me/preferences/${key}`, { cache: "no-store" });
    if (!answer.ok) throw new Error(`${answer.status}`);
    return (await answer.json()).value;
  },
  async like(key, value) {
    if (window.TW.account) await tw.act("PUT", `/api/v1/me/preferences/${key}`, value);
    else localStorage.setItem(`tw.${key}`, JSON.stringify(value));
  },
  // ---- acts: each has a key of its own, so that one that is sent again after a broken connection is done once.
  // Gives the answer's body; throws an Error whose message is the problem's detail in one line, with status and problem.
  // key: of the act where it is not sent for the first time; more: other headers.
  async act(method, address, body, { key = tw.key(), ...more } = {}) {
    const answer = await fetch(address, {
      method,
      headers: { "Content-Type": "application/json", "Idempotency-Key": key, "X-TW-CSRF": window.TW.csrf ?? "", ...more },
      body: body === undefined ? undefined : JSON.stringify(body),
    });
    const said = (answer.headers.get("Content-Type") ?? "").includes("json") ? await answer.json() : null;
    if (!answer.ok) throw Object.assign(new Error(said?.detail ?? `${answer.status}`), { status: answer.status, problem: said });
    tw.refresh();
    return said;
  },
  key() {
    return [...crypto.getRandomValues(new Uint8Array(16))].map((byte) => byte.toString(16).padStart(2, "0")).join("");
  },

  // ---- the chart
  colour(name) {
    const probe = document.body.appendChild(tw.el("i"));
    probe.style.color = `var(${name})`;
    const colour = getComputedStyle(probe).color;
    probe.remove();
    return colour;
  },
  axis(unit) {
    return (value) => tw.value(value, unit).filter((part, k) => k === 0 || unit === "B" || unit === "B/s").join(" ");
  },
  tip(unit) {
    return (params) => {
      const point = [].concat(params).find((p) => p.seriesId === "value" || p.seriesIndex === 0);
      const box = tw.el("div", "tw-tip");
      if (!point || point.value[2] === undefined) return box;
      const [at, value, least, most, n] = point.value;
      box.append(tw.el("div", "tw-tip-time", tw.stamp(at, true)));
      const row = (label, text) => {
        const line = box.appendChild(tw.el("div"));
        line.append(tw.el("span", "", label), tw.el("b", "", text));
      };
      row(tw.t(n > 1 ? "chart.mean" : "chart.value"), tw.say(value, unit));
      if (n > 1 && least !== null) row(tw.t("chart.least"), tw.say(least, unit));
      if (n > 1 && most !== null) row(tw.t("chart.most"), tw.say(most, unit));
      if (n > 1) row(tw.t("chart.count"), String(n));
      return box;
    };
  },
  zoomed(id) {
    tw.chart = id;
    const chart = getElement(id)?.chart;
    const zoom = chart?.getOption()?.dataZoom?.[0];
    const axis = chart?.getOption()?.xAxis?.[0];
    const shown = document.getElementById("tw-shown");
    if (!zoom || !axis || !shown) return;
    const at = (percent) => axis.min + ((axis.max - axis.min) * percent) / 100;
    const whole = zoom.start < 0.01 && zoom.end > 99.99;
    shown.textContent = tw.t("chart.shown", { start: tw.stamp(at(zoom.start)), end: tw.stamp(at(zoom.end)) });
    document.getElementById("tw-reset").hidden = whole;
  },
  unzoom() {
    getElement(tw.chart).chart.dispatchAction({ type: "dataZoom", start: 0, end: 100 });
  },
};

if (window.TW.early) tw.early = { address: window.TW.early, answer: fetch(window.TW.early) }; // while the scripts of the page still load
if (window.TW.remember) {
  tw.remember("tw_lang", window.TW.lang);
  tw.address("lang", "");
}
document.documentElement.lang = window.TW.lang === "zh" ? "zh-CN" : "en";
document.addEventListener("visibilitychange", () => document.hidden || tw.refresh());
setInterval(tw.tick, 1000);
document.addEventListener("DOMContentLoaded", () => {
  const settle = new MutationObserver(() => tw.tick());
  settle.observe(document.body, { childList: true });
  tw.tick();
});
