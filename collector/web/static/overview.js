// What the pages that show the fleet from above have in common: what a state looks like, the month's figures, addresses of what lies behind a number.
"use strict";

tw.aloft = {
  // Worst first. Each state has the look of a condition; the word stands beside it.
  states: ["out_of_service", "offline", "supervisor", "degraded", "unmonitored", "", "supply_low", "in_service", "maintenance", "repair", "not_commissioned", "spare", "retired"],
  looks: { out_of_service: "crit", supervisor: "crit", offline: "unknown", unmonitored: "unknown", "": "unknown", degraded: "warn", supply_low: "warn", in_service: "ok" },
  look: (state) => tw.aloft.looks[state] ?? "planned",
  state: (name) => (name ? tw.t(`state.${name}`) : tw.t("aloft.no_state")),
  // [{state, look, n, share}], worst first; the shares as they are written.
  parts(one) {
    const known = tw.aloft.states.filter((name) => one.states[name]);
    const others = Object.keys(one.states).filter((name) => !tw.aloft.states.includes(name));
    const all = [...known, ...others];
    const shares = tw.shares(all.map((state) => one.states[state] / one.terminals));
    return all.map((state, k) => ({ state, look: tw.aloft.look(state), n: one.states[state], share: shares[k] }));
  },
  fleet(filters) {
    const asked = new URLSearchParams();
    for (const [name, value] of Object.entries(filters)) if (value) asked.set(name, value);
    return `/?${asked}`;
  },
  // Two shares as one text: what is surely available, and what may be.
  range(least, most, digits = 1) {
    if (least === null || least === undefined) return "–";
    const [from, to] = [tw.share(least, digits), tw.share(most, digits)];
    return from === to ? from : `${from.replace(" %", "")} – ${to}`;
  },
  // The month that goes on, by the clocks of the reader: 2026-11.
  month() {
    const parts = Object.fromEntries(new Intl.DateTimeFormat("en", { year: "numeric", month: "2-digit", timeZone: window.TW.zone || undefined }).formatToParts(tw.now()).map((part) => [part.type, part.value]));
    return `${parts.year}-${parts.month}`;
  },
  // Of the month: { least, most, target, at, done } or { why }, the reason why there is nothing. They are computed beside the console.
  async figures(scope = "fleet") {
    try {
      const found = await tw.json(`/api/v1/figures?month=${tw.aloft.month()}&scope=${encodeURIComponent(scope)}`);
      if (found.state !== "ready") return { why: tw.t("aloft.computing", { n: found.done }) };
      const network = found.figures.definitions.network;
      return { least: network.availability_worst, most: network.availability_best, target: 1 - found.interruption_limit, at: Date.parse(found.computed), down: network.down };
    } catch {
      return { why: tw.t("aloft.no_figures") };
    }
  },
  // The same of many: name -> { least, most }.
  async shares(kind, scope = "fleet") {
    const found = new Map();
    try {
      for (let offset = 0, total = 1; offset < total; offset += 1000) {
        const page = await tw.json(`/api/v1/figures/scopes?month=${tw.aloft.month()}&scope=${encodeURIComponent(scope)}&kind=${kind}&sort=name&limit=1000&offset=${offset}`);
        for (const row of page.items) found.set(row.scope.name, { least: row.availability_worst, most: row.availability_best });
        total = page.total;
      }
    } catch {
      return found; // they are computed yet, or cannot be: nothing is shown in their place
    }
    return found;
  },
  // What their components write with. Beside tw.list.
  words: {
    methods: {
      t: (key, values) => tw.t(key, values),
      number: (n) => tw.number(n),
      percent: (share, digits) => tw.share(share, digits),
      range: (least, most, digits) => tw.aloft.range(least, most, digits),
      parts: (one) => tw.aloft.parts(one),
      stated: (name) => tw.aloft.state(name),
      condition: (name) => tw.condition(name),
      age: (at) => tw.age(at),
      ms: (iso) => (iso ? Date.parse(iso) : 0),
    },
  },
  // Fetches again what changes slowly, every so many seconds, while the page is in sight.
  every(seconds, load) {
    const timer = setInterval(() => document.hidden || load(), seconds * 1000);
    return () => clearInterval(timer);
  },
};
