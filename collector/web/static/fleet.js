// The fleet grid: a row a terminal, a column a part of it, worst first. AG Grid draws only the rows in sight; the filters stand in the address.
"use strict";

const LETTERS = { o: "ok", w: "warn", c: "crit", u: "unknown" };
const RANK = { c: 0, u: 1, w: 2, o: 3, "-": 4 }; // worst first; a part that a terminal does not have comes last
const PEEK_MS = 160; // how long a pointer rests before a cell tells more
const STALE_S = 3600; // no terminal is meant to say nothing for an hour: what it said then looks old, whatever its line is
const KEPT = 300; // answers of cells kept; older ones are asked for anew

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
    if (row.connection === "online") span.dataset.staleAfter = STALE_S;
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
    third.append(tw.el("span", "tw-cut", p.data.branch));
    const bad = tw.fleet.groups.filter((group, k) => "cwu".includes(p.data.cells[k])).slice(0, 3);
    if (!bad.length || p.data.connection !== "online") third.append(tw.cells.connection(p));
    else {
      const parts = third.appendChild(tw.el("span", "tw-card-parts"));
      for (const group of bad) parts.append(tw.el("span", `tw-mark tw-${LETTERS[p.data.cells[tw.fleet.groups.indexOf(group)]]}`, tw.t(`part.${group}`)));
    }
    return box;
  },
  branch(p) {
    const link = tw.el("a", "tw-cut tw-plain-link", p.data.branch);
    link.href = `/branch/${encodeURIComponent(p.data.branch)}`;
    link.tabIndex = -1;
    link.title = p.data.region ? `${p.data.branch} · ${p.data.region}` : p.data.branch;
    return link;
  },
  // One part: its sign and colour, with words for who does not see them.
  part(group) {
    const place = tw.fleet.groups.indexOf(group);
    return (p) => {
      const state = LETTERS[p.data.cells[place]];
      const sign = tw.el("span", state ? `tw-part tw-${state}` : "tw-part tw-part-none", state ? undefined : "·");
      sign.setAttribute("role", "img");
      sign.setAttribute("aria-label", `${tw.t(`part.${group}`)}: ${state ? tw.condition(state) : tw.t("fleet.no_part")}`);
      return sign;
    };
  },
  worst(p) {
    const box = tw.el("span", "tw-worst");
    if (p.data.level) box.append(tw.cells.badge(p.data.level));
    const text = tw.fleet.says(p.data);
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
};

tw.fleet = {
  api: null,
  rows: new Map(),
  alarms: {}, // rule -> what it says
  token: "",
  narrow: false,
  groups: [],
  shown: [], // parts that any terminal has
  bar: null, // the filters' component
  names: ["q", "region", "branch", "class", "condition", "connection", "state", "part", "version"],
  filters: {},

  worst(a, b, nodeA, nodeB) {
    return a - b || (nodeA.data.id < nodeB.data.id ? -1 : 1);
  },
  attach(api) {
    tw.fleet.api = api;
    tw.reader(tw.fleet.load).run();
  },
  // The worst alarm, else why nothing better is known.
  says(row) {
    if (row.alarm) return tw.fleet.alarms[row.alarm] ?? row.alarm;
    if (row.connection !== "online") return tw.t({ new: "fleet.why_new", offline: "fleet.why_offline", revoked: "fleet.why_revoked" }[row.connection] ?? "fleet.why_silent");
    if (row.condition === "ok") return "";
    return row.unknown ? tw.t("fleet.why_unknown", { n: row.unknown }) : tw.t("fleet.why_range");
  },
  asked() {
    const asked = new URL(location.href).searchParams;
    for (const name of tw.fleet.names) tw.fleet.filters[name] = asked.get(name) ?? "";
  },
  async load() {
    const got = await tw.json(`/console/fleet.json?lang=${window.TW.lang}&since=${tw.fleet.token}`);
    Object.assign(tw.fleet.alarms, got.alarms);
    const update = [];
    const add = [];
    const seen = new Set();
    for (const values of got.rows) {
      const row = {};
      for (let k = 0; k < got.fields.length; k += 1) row[got.fields[k]] = values[k];
      (tw.fleet.rows.has(row.id) ? update : add).push(row);
      tw.fleet.rows.set(row.id, row);
      seen.add(row.id);
    }
    const gone = got.whole ? [...tw.fleet.rows.keys()].filter((id) => !seen.has(id)) : got.removed.filter((id) => tw.fleet.rows.has(id));
    gone.forEach((id) => tw.fleet.rows.delete(id));
    if (got.whole) tw.fleet.columns();
    if (tw.fleet.token === "") tw.fleet.api.setGridOption("rowData", [...tw.fleet.rows.values()]);
    else tw.fleet.api.applyTransaction({ add, update, remove: gone.map((id) => ({ id })) });
    tw.fleet.token = got.token;
    tw.fleet.api.setGridOption("loading", false);
    if (add.length || gone.length || got.whole) tw.fleet.bar?.offer(tw.fleet.rows);
    if (tw.fleet.filtering()) tw.fleet.api.onFilterChanged();
    tw.fleet.count();
  },
  // Only parts that some terminal has get a column.
  columns() {
    const there = new Set();
    for (const row of tw.fleet.rows.values()) for (let k = 0; k < row.cells.length; k += 1) if (row.cells[k] !== "-") there.add(k);
    tw.fleet.shown = tw.fleet.groups.filter((group, k) => there.has(k));
    tw.fleet.fit({ api: tw.fleet.api, clientWidth: tw.fleet.width });
  },
  set(name, value) {
    tw.fleet.filters[name] = value;
    tw.address(name, value);
    tw.fleet.bar?.told();
    tw.fleet.controls();
    if (name === "version" && tw.fleet.api) tw.fleet.fit({ api: tw.fleet.api });
    tw.fleet.api?.onFilterChanged();
  },
  controls() {
    for (const tile of document.querySelectorAll("[data-filter]")) {
      const [name, value] = tile.dataset.filter.split(":");
      tile.setAttribute("aria-pressed", String(tw.fleet.filters[name] === value));
    }
  },
  toggle(filter) {
    const [name, value] = filter.split(":");
    tw.fleet.set(name, tw.fleet.filters[name] === value ? "" : value);
  },
  clear() {
    for (const name of tw.fleet.names) tw.fleet.set(name, "");
  },
  filtering() {
    return Object.values(tw.fleet.filters).some(Boolean);
  },
  passes(row) {
    const f = tw.fleet.filters;
    for (const name of ["region", "branch", "class", "condition", "connection", "state", "version"]) if (f[name] && row[name] !== f[name]) return false;
    if (f.part && !"cwu".includes(row.cells[tw.fleet.groups.indexOf(f.part)] || "-")) return false;
    if (!f.q) return true;
    const q = f.q.toLowerCase();
    const state = row.state ? tw.t(`state.${row.state}`) : "";
    return [row.id, row.branch, row.region, row.class, row.ring, row.version, tw.fleet.says(row), state].some((text) => text.toLowerCase().includes(q));
  },
  count() {
    if (tw.fleet.api && tw.fleet.token) tw.fleet.bar?.count(tw.fleet.api.getDisplayedRowCount(), tw.fleet.rows.size);
  },
  open(p) {
    if (p.event?.target?.closest?.("a")) return;
    location.href = `/terminal/${encodeURIComponent(p.data.id)}`;
  },
  rowHeight: () => (tw.fleet.narrow ? 86 : 36),
  fit(p) {
    const width = (tw.fleet.width = p.clientWidth ?? tw.fleet.width ?? 0);
    if (!width) return;
    const narrow = width < 720;
    p.api.setColumnsVisible(["condition", "worst", "received"], !narrow);
    p.api.setColumnsVisible(tw.fleet.groups.map((group) => `part:${group}`), false);
    if (!narrow && width >= 960) p.api.setColumnsVisible(tw.fleet.shown.map((group) => `part:${group}`), true);
    p.api.setColumnsVisible(["branch"], width >= 1160 || (!narrow && width < 960));
    p.api.setColumnsVisible(["state"], width >= 1300);
    p.api.setColumnsVisible(["class", "connection"], width >= 1640);
    // On a narrower page only where one is asked for.
    p.api.setColumnsVisible(["version"], !narrow && (width >= 1740 || Boolean(tw.fleet.filters.version)));
    p.api.setColumnsVisible(["ring"], width >= 1740);
    if (narrow !== tw.fleet.narrow) {
      tw.fleet.narrow = narrow;
      document.querySelector(".tw-grid")?.classList.toggle("tw-grid-cards", narrow);
      p.api.setGridOption("headerHeight", narrow ? 0 : 34);
      p.api.resetRowHeights();
      p.api.refreshCells({ force: true });
    }
  },

  // ---- what a cell knows more: its components with their reasons and ages, when the pointer rests on it or the keyboard is there
  answers: new Map(),
  over(p) {
    clearTimeout(tw.fleet.resting);
    const group = p.column?.getColId?.().startsWith("part:") ? p.column.getColId().slice(5) : "";
    const row = p.data ?? p.api.getDisplayedRowAtIndex(p.rowIndex)?.data;
    if (!group || !row || row.cells[tw.fleet.groups.indexOf(group)] === "-") {
      tw.fleet.hide();
      return;
    }
    tw.fleet.resting = setTimeout(() => tw.fleet.peek(row, group), PEEK_MS);
  },
  hide() {
    clearTimeout(tw.fleet.resting);
    const peek = document.getElementById("tw-peek");
    if (peek) peek.hidden = true;
    document.querySelector("[aria-describedby='tw-peek']")?.removeAttribute("aria-describedby");
  },
  async peek(row, group) {
    const cell = document.querySelector(`.tw-grid [row-id="${CSS.escape(row.id)}"] [col-id="part:${group}"]`);
    if (!cell) return;
    const key = `${row.id}\n${row.at}\n${row.cells}`;
    if (tw.fleet.answers.size > KEPT) tw.fleet.answers.clear();
    if (!tw.fleet.answers.has(key)) tw.fleet.answers.set(key, tw.json(`/api/v1/terminals/${encodeURIComponent(row.id)}/parts`).catch(() => tw.fleet.answers.delete(key) && null));
    const found = await tw.fleet.answers.get(key);
    const own = found?.filter((one) => one.group === group) ?? [];
    if (!own.length || !cell.isConnected) return;
    tw.fleet.tell(cell, row, group, own);
  },
  tell(cell, row, group, parts) {
    const peek = document.getElementById("tw-peek");
    peek.replaceChildren(tw.el("b", "", `${tw.t(`part.${group}`)} · ${row.id}`));
    for (const one of parts) {
      const line = peek.appendChild(tw.el("div", "tw-peek-line"));
      const known = ["ok", "warn", "crit"].includes(one.condition) ? one.condition : "unknown";
      line.append(tw.el("span", `tw-mark tw-${known}`, tw.condition(known)), tw.el("span", "tw-peek-name", one.component));
      const age = line.appendChild(tw.el("span", known === "unknown" ? "tw-age tw-stale" : "tw-age"));
      age.dataset.at = one.last_at ? Date.parse(one.last_at) : 0;
      if (one.reason) peek.appendChild(tw.el("p", "tw-reason", one.reason));
    }
    peek.hidden = false;
    tw.tick();
    const box = cell.getBoundingClientRect();
    const below = box.bottom + peek.offsetHeight + 8 < innerHeight;
    peek.style.left = `${Math.max(8, Math.min(box.left, innerWidth - peek.offsetWidth - 8))}px`;
    peek.style.top = `${below ? box.bottom + 4 : Math.max(8, box.top - peek.offsetHeight - 4)}px`;
    document.querySelector("[aria-describedby='tw-peek']")?.removeAttribute("aria-describedby");
    cell.setAttribute("aria-describedby", "tw-peek");
  },
  rank: (group) => {
    const place = tw.fleet.groups.indexOf(group);
    return (p) => RANK[p.data.cells[place]] ?? RANK["-"];
  },
};
tw.fleet.asked();
document.addEventListener("keydown", (event) => event.key === "Escape" && tw.fleet.hide());
document.addEventListener("scroll", () => tw.fleet.hide(), { capture: true, passive: true });
