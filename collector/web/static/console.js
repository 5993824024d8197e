// What every page of the console does in the browser: ages that keep counting, one fetch at a time after a change, the fleet
// table, the chart's texts. Text of devices only ever becomes textContent.
"use strict";

const tw = {
  offset: window.TW.now - Date.now(),
  readers: new Set(),
  heard: Date.now(),
  chart: null,

  t(key, values = {}) {
    let text = window.TW_TEXTS[key] ?? key;
    for (const [name, value] of Object.entries(values)) text = text.replaceAll(`{${name}}`, () => value);
    return text;
  },
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
    if (s < 172800) return tw.t("age.hours", { n: Math.floor(s / 3600), m: Math.floor((s % 3600) / 60) });
    return tw.t("age.days", { n: Math.floor(s / 86400), m: Math.floor((s % 86400) / 3600) });
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
    return at ? tw.clock("date", { dateStyle: "medium", hourCycle: undefined }).format(at) : "";
  },
  stamp(at, seconds = false) {
    return at ? `${tw.date(at)} ${tw.time(at, seconds)}` : "";
  },
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
    return [tw.number(value), unit];
  },
  number(n, digits) {
    const usual = Number.isInteger(n) || Math.abs(n) >= 1000 ? 0 : Math.abs(n) >= 100 ? 1 : Math.abs(n) >= 1 ? 2 : 4;
    return n.toLocaleString(tw.locale(), { minimumFractionDigits: digits, maximumFractionDigits: digits ?? usual });
  },
  // A share as per cent. Cut, not rounded: 99.96 is not 100.
  percent(share, digits = 1) {
    if (share === null || share === undefined) return "–";
    const scale = 10 ** digits;
    return `${tw.number(Math.floor(share * 100 * scale + 1e-9) / scale, digits)} %`;
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
    return answer.json();
  },
  refresh() {
    for (const reader of tw.readers) reader.run();
  },
  // ---- acts: each has a key of its own, so that one that is sent again after a broken connection is done once.
  // Gives the answer's body; throws an Error whose message is the problem's detail in one line, with status and problem.
  async act(method, address, body, more = {}) {
    const answer = await fetch(address, {
      method,
      headers: { "Content-Type": "application/json", "Idempotency-Key": tw.key(), "X-TW-CSRF": window.TW.csrf ?? "", ...more },
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

tw.cells = {
  chip(condition) {
    return tw.el("span", `tw-chip tw-${["ok", "warn", "crit"].includes(condition) ? condition : "unknown"}`, tw.condition(condition));
  },
  badge(level) {
    const badge = tw.el("span", `tw-level-badge tw-l${level}`, String(level));
    badge.title = tw.level(level);
    badge.setAttribute("aria-label", tw.level(level));
    return badge;
  },
  agespan(row) {
    const span = tw.el("span", row.connection === "online" ? "tw-age" : "tw-age tw-stale", tw.age(row.at));
    span.dataset.at = row.at;
    return span;
  },
  condition: (p) => tw.cells.chip(p.data.condition),
  state(p) {
    const box = tw.el("span", "tw-cut", p.data.state ? tw.t(`state.${p.data.state}`) : "");
    if (p.data.stated) box.title = tw.stamp(p.data.stated, true);
    return box;
  },
  terminal(p) {
    const link = tw.el("a", "tw-link", p.data.id);
    link.href = `/terminal/${encodeURIComponent(p.data.id)}`;
    link.tabIndex = -1;
    if (!tw.fleet.narrow) return link;
    const box = tw.el("div", "tw-card-cell");
    const first = box.appendChild(tw.el("div", "tw-card-line"));
    first.append(tw.cells.chip(p.data.condition), link, tw.cells.agespan(p.data));
    const second = box.appendChild(tw.el("div", "tw-card-line"));
    second.append(tw.cells.worst(p));
    const third = box.appendChild(tw.el("div", "tw-card-line tw-faint"));
    third.append(tw.el("span", "tw-cut", `${p.data.branch} · ${p.data.class}`), tw.cells.connection(p));
    return box;
  },
  branch(p) {
    const box = tw.el("span", "tw-cut", p.data.branch);
    box.title = p.data.region ? `${p.data.branch} · ${p.data.region}` : p.data.branch;
    return box;
  },
  worst(p) {
    const box = tw.el("span", "tw-worst");
    if (p.data.level) box.append(tw.cells.badge(p.data.level));
    const text = p.data.alarm || p.data.reason;
    const words = tw.el("span", p.data.alarm ? "tw-cut" : "tw-cut tw-faint", text);
    words.title = text;
    box.append(words);
    return box;
  },
  connection(p) {
    const known = ["online", "offline", "new"].includes(p.data.connection) ? p.data.connection : "silent";
    return tw.el("span", `tw-connection tw-is-${known}`, tw.connection(known));
  },
  age: (p) => tw.cells.agespan(p.data),
  components(p) {
    const box = tw.el("span", "", String(p.data.components));
    if (p.data.unknown) box.append(tw.el("span", "tw-unknown-count", tw.t("fleet.some_unknown", { n: p.data.unknown })));
    return box;
  },
};

tw.fleet = {
  api: null,
  rows: new Map(),
  token: "",
  narrow: false,
  filters: { q: "", branch: "", condition: "", connection: "" },

  worst(a, b, nodeA, nodeB) {
    return a - b || (nodeA.data.id < nodeB.data.id ? -1 : 1);
  },
  attach(api) {
    tw.fleet.api = api;
    const asked = new URL(location.href).searchParams;
    for (const name of Object.keys(tw.fleet.filters)) tw.fleet.filters[name] = asked.get(name) ?? "";
    tw.reader(tw.fleet.load).run();
    tw.fleet.controls();
  },
  async load() {
    const got = await tw.json(`/console/fleet.json?since=${tw.fleet.token}`);
    const update = [];
    const add = [];
    const seen = new Set();
    for (const values of got.rows) {
      const row = Object.fromEntries(got.fields.map((name, k) => [name, values[k]]));
      (tw.fleet.rows.has(row.id) ? update : add).push(row);
      tw.fleet.rows.set(row.id, row);
      seen.add(row.id);
    }
    const gone = got.whole ? [...tw.fleet.rows.keys()].filter((id) => !seen.has(id)) : got.removed.filter((id) => tw.fleet.rows.has(id));
    gone.forEach((id) => tw.fleet.rows.delete(id));
    if (tw.fleet.token === "") tw.fleet.api.setGridOption("rowData", [...tw.fleet.rows.values()]);
    else tw.fleet.api.applyTransaction({ add, update, remove: gone.map((id) => ({ id })) });
    tw.fleet.token = got.token;
    tw.fleet.api.setGridOption("loading", false);
    tw.fleet.branches();
    tw.fleet.api.onFilterChanged();
  },
  branches() {
    const select = document.getElementById("tw-branch");
    const names = [...new Set([...tw.fleet.rows.values()].map((row) => row.branch))].sort((a, b) => a.localeCompare(b, window.TW.lang));
    if (!select || names.join("\n") === select.dataset.names) return;
    select.dataset.names = names.join("\n");
    while (select.options.length > 1) select.remove(1);
    for (const name of names) select.add(new Option(name, name));
    select.value = tw.fleet.filters.branch;
  },
  controls() {
    for (const name of ["q", "branch", "condition"]) {
      const control = document.getElementById(`tw-${name}`);
      if (control) control.value = tw.fleet.filters[name];
    }
    for (const tile of document.querySelectorAll("[data-filter]")) {
      const [name, value] = tile.dataset.filter.split(":");
      tile.setAttribute("aria-pressed", String(tw.fleet.filters[name] === value));
    }
    const clear = document.getElementById("tw-clear");
    if (clear) clear.hidden = !tw.fleet.filtering();
  },
  set(name, value) {
    tw.fleet.filters[name] = value;
    tw.address(name, value);
    tw.fleet.controls();
    tw.fleet.api?.onFilterChanged();
  },
  toggle(filter) {
    const [name, value] = filter.split(":");
    tw.fleet.set(name, tw.fleet.filters[name] === value ? "" : value);
  },
  clear() {
    for (const name of Object.keys(tw.fleet.filters)) tw.fleet.set(name, "");
  },
  filtering() {
    return Object.values(tw.fleet.filters).some(Boolean);
  },
  passes(row) {
    const f = tw.fleet.filters;
    if ((f.branch && row.branch !== f.branch) || (f.condition && row.condition !== f.condition)) return false;
    if (f.connection && row.connection !== f.connection) return false;
    if (!f.q) return true;
    const q = f.q.toLowerCase();
    const state = row.state ? tw.t(`state.${row.state}`) : "";
    return [row.id, row.branch, row.region, row.class, row.alarm, row.reason, state].some((text) => text.toLowerCase().includes(q));
  },
  count() {
    const node = document.getElementById("tw-count");
    if (!node || !tw.fleet.api) return;
    node.textContent = tw.t("fleet.shown", {
      n: tw.number(tw.fleet.api.getDisplayedRowCount()),
      total: tw.number(tw.fleet.rows.size),
    });
    document.getElementById("tw-nomatch").hidden = !tw.fleet.rows.size || tw.fleet.api.getDisplayedRowCount() > 0;
  },
  open(p) {
    if (p.event?.target?.closest?.("a")) return;
    location.href = `/terminal/${encodeURIComponent(p.data.id)}`;
  },
  rowHeight: () => (tw.fleet.narrow ? 86 : 36),
  fit(p) {
    const narrow = p.clientWidth < 720;
    const middle = p.clientWidth < 1100;
    p.api.setColumnsVisible(["condition", "branch", "worst", "received"], !narrow);
    p.api.setColumnsVisible(["connection"], p.clientWidth >= 900);
    p.api.setColumnsVisible(["class", "alarms", "components"], !narrow && !middle);
    p.api.setColumnsVisible(["state"], p.clientWidth >= 1300);
    if (narrow !== tw.fleet.narrow) {
      tw.fleet.narrow = narrow;
      p.api.setGridOption("headerHeight", narrow ? 0 : 34);
      p.api.resetRowHeights();
      p.api.refreshCells({ force: true });
    }
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
