// All that happened to a terminal on one axis of time: states, readings of one signal, incidents, alarms, maintenance, changes, parts, notes, restarts. By pointer and by
// keyboard, and the same as a list. Vue escapes every text.
const KINDS = ["state", "incident", "alarm", "maintenance", "change", "part", "note", "restart"];
const BARS = ["incident", "alarm", "maintenance"]; // what lasts; the others are instants
const RANGES = { h24: 1, d7: 7, d30: 30, d90: 90, y1: 366 };
const EVERY = 15000; // ms between two looks at it
const LABEL = 96; // pixels left of the axis, for the names of the lanes
const NARROW = 640;
const BAND = 22;
const LANE = 20;
const STEP = 12; // of bars that overlap, at most ROWS of them
const ROWS = 4;
const CURVE = 92;
const TICKS = [3600e3, 3 * 3600e3, 6 * 3600e3, 12 * 3600e3, 86400e3, 2 * 86400e3, 7 * 86400e3, 14 * 86400e3, 30 * 86400e3, 61 * 86400e3];
const MAX_WORDS = 1000; // stretches of a signal in words that are drawn
const EDGE = 14; // right of now: a mark of now is whole
const SHORTEST = 600e3; // ms: nothing is told apart that is nearer
const LISTED = 200; // rows of the list at once
const SIGNS = { change: "◆", part: "⚙", note: "✎", restart: "↻" };

export default {
  template: `
    <section class="tw-section tw-timeline" id="tw-timeline">
      <div class="tw-timeline-head">
        <h2>{{ t("timeline.title") }}</h2>
        <div class="tw-ranges" role="group" :aria-label="t('chart.range')"><button v-for="name in ranges" :key="name" type="button" :aria-pressed="String(range === name)" @click="choose(name)">{{ t("range." + name) }}</button></div>
        <div class="tw-ranges" role="group" :aria-label="t('timeline.as')">
          <button type="button" :aria-pressed="String(!list)" @click="as(false)">{{ t("timeline.chart") }}</button>
          <button type="button" :aria-pressed="String(list)" @click="as(true)">{{ t("timeline.list") }}</button>
        </div>
      </div>
      <div class="tw-timeline-kinds" role="group" :aria-label="t('timeline.kinds')">
        <button v-for="kind in kinds" :key="kind" type="button" class="tw-kind" :class="'tw-kind-' + kind" :aria-pressed="String(!hidden[kind])" @click="toggle(kind)">{{ kindWord(kind) }} <span>{{ counts[kind] ?? 0 }}</span></button>
        <label v-if="!list" class="tw-timeline-signal">{{ t("timeline.signal") }}
          <select :value="picked" @change="pick($event.target.value)"><option value="">{{ t("timeline.no_signal") }}</option><option v-for="s in signals" :key="s.key" :value="s.key">{{ s.key }}</option></select>
        </label>
      </div>
      <p v-if="failed" class="tw-note" role="status">{{ t("app.fetch_failed") }}</p>
      <p v-if="!line && !failed" class="tw-note">{{ t("alarms.loading") }}</p>
      <p v-for="(n, kind) in line ? line.left_out : {}" :key="kind" class="tw-note">{{ t("timeline.left_out", { n, kind: kindWord(kind) }) }}</p>
      <div v-show="line && !list" class="tw-panel tw-timeline-panel" ref="panel">
        <svg v-if="line && !list" :width="width" :height="height" tabindex="0" role="application" :aria-label="told" aria-describedby="tw-timeline-keys" @keydown="key" @wheel="wheel" @pointerdown="down" @pointermove="move" @pointerup="up" @pointercancel="drag = null">
          <defs>
            <pattern id="tw-hatch" width="7" height="7" patternUnits="userSpaceOnUse" patternTransform="rotate(45)"><rect width="7" height="7" class="tw-tl-hatch0"></rect><rect width="2" height="7" class="tw-tl-hatch1"></rect></pattern>
            <clipPath id="tw-tl-clip"><rect :x="left" y="0" :width="width - left" :height="height"></rect></clipPath>
          </defs>
          <g class="tw-tl-grid"><g v-for="tick in ticks" :key="tick.at"><line :x1="tick.x" :x2="tick.x" y1="20" :y2="height"></line><text v-if="tick.text" :x="tick.x" y="14" text-anchor="middle">{{ tick.text }}</text></g></g>
          <g v-for="lane in lanes" :key="lane.kind">
            <line class="tw-tl-rule" x1="0" :x2="width" :y1="lane.y - over" :y2="lane.y - over"></line>
            <text :class="left ? 'tw-tl-name' : 'tw-tl-over'" :x="left ? 10 : 4" :y="left ? lane.y + (lane.kind === 'curve' ? 18 : 15) : lane.y - 3">{{ lane.name }}</text>
            <template v-if="lane.kind === 'curve' && curve">
              <text v-if="left" class="tw-tl-scale" x="10" :y="lane.y + 36">{{ curve.most }}</text><text v-if="left" class="tw-tl-scale" x="10" :y="lane.y + lane.h - 8">{{ curve.least }}</text>
              <g clip-path="url(#tw-tl-clip)"><path v-if="curve.range" class="tw-tl-range" :d="curve.range"></path><path v-if="curve.path" class="tw-tl-curve" :d="curve.path"></path>
                <g v-for="(w, k) in curve.words" :key="k"><title>{{ w.text }}</title><rect :x="w.x" :y="lane.y + 5" :width="w.w" :height="lane.h - 10" rx="2" class="tw-tl-word"></rect><text v-if="w.label" :x="w.tx" :y="lane.y + lane.h / 2 + 4" class="tw-tl-label tw-tl-ink-out">{{ w.label }}</text></g></g>
              <text v-if="curve.empty" class="tw-tl-empty" :x="left + inner / 2" :y="lane.y + lane.h / 2" text-anchor="middle">{{ curve.empty }}</text>
            </template>
            <g v-else clip-path="url(#tw-tl-clip)">
              <g v-for="m in lane.items" :key="m.id" class="tw-tl-item" :class="{ 'tw-tl-chosen': chosen && chosen.id === m.id }" @click="select(m)">
                <title>{{ said(m) }}</title>
                <template v-if="m.mark"><rect class="tw-tl-hit" :x="m.x - 9" :y="m.y" width="18" :height="m.h"></rect><text :x="m.x" :y="m.y + m.h / 2 + 5" text-anchor="middle" :class="'tw-tl-mark tw-tl-' + m.kind">{{ m.mark }}</text></template>
                <template v-else><rect :x="m.x" :y="m.y" :width="m.w" :height="m.h" rx="2" :class="m.cls"></rect><text v-if="m.label" :x="m.tx" :y="m.y + m.h / 2 + 4" class="tw-tl-label" :class="m.ink">{{ m.label }}</text></template>
              </g>
            </g>
            <text v-if="!lane.items?.length && lane.kind !== 'curve'" class="tw-tl-empty" :x="left + 10" :y="lane.y + 14">{{ t("timeline.nothing") }}</text>
          </g>
          <line v-if="chosen" class="tw-tl-cursor" :x1="x(chosen.from)" :x2="x(chosen.from)" y1="20" :y2="height"></line>
          <rect v-if="drag && Math.abs(drag.to - drag.from) > 4" class="tw-tl-drag" :x="Math.min(drag.from, drag.to)" y="20" :width="Math.abs(drag.to - drag.from)" :height="height - 20"></rect>
        </svg>
        <div class="tw-timeline-foot">
          <span class="tw-timeline-shown">{{ t("chart.shown", { start: stamp(view[0]), end: stamp(view[1]) }) }}</span>
          <span class="tw-timeline-tools" role="group" :aria-label="t('timeline.zoom')">
            <button type="button" class="tw-button" :aria-label="t('timeline.earlier')" :title="t('timeline.earlier')" @click="pan(-0.5)">←</button>
            <button type="button" class="tw-button" :aria-label="t('timeline.out')" :title="t('timeline.out')" @click="zoom(2)">−</button>
            <button type="button" class="tw-button" :aria-label="t('timeline.in')" :title="t('timeline.in')" @click="zoom(0.5)">+</button>
            <button type="button" class="tw-button" :aria-label="t('timeline.later')" :title="t('timeline.later')" @click="pan(0.5)">→</button>
            <button type="button" class="tw-button" :disabled="whole" @click="unzoom">{{ t("chart.reset") }}</button>
          </span>
        </div>
        <p id="tw-timeline-keys" class="tw-faint tw-timeline-keys">{{ t("timeline.keys") }}</p>
        <div class="tw-timeline-said" role="status">
          <template v-if="chosen"><span class="tw-tag" :class="'tw-kind-' + chosen.kind">{{ kindWord(chosen.kind) }}</span> <b>{{ head(chosen) }}</b> <span class="tw-faint">{{ when(chosen) }}</span> <span v-if="detail(chosen)">{{ detail(chosen) }}</span> <a v-if="link(chosen)" :href="link(chosen)">{{ t("timeline.open") }}</a></template>
          <span v-else class="tw-faint">{{ t("timeline.choose") }}</span>
        </div>
      </div>
      <div v-if="line && list" class="tw-panel tw-timeline-list">
        <table class="tw-table tw-stacked">
          <caption class="tw-visually-hidden">{{ t("timeline.title") }}</caption>
          <thead><tr><th scope="col">{{ t("timeline.when") }}</th><th scope="col">{{ t("timeline.kind") }}</th><th scope="col">{{ t("timeline.what") }}</th><th scope="col">{{ t("timeline.part") }}</th><th scope="col">{{ t("timeline.by") }}</th></tr></thead>
          <tbody><tr v-for="m in listed" :key="m.id">
            <td class="tw-timeline-when">{{ when(m) }}</td>
            <td><span class="tw-tag" :class="'tw-kind-' + m.kind">{{ kindWord(m.kind) }}</span></td>
            <td class="tw-whole"><a v-if="link(m)" :href="link(m)">{{ head(m) }}</a><b v-else>{{ head(m) }}</b><span v-if="detail(m)" class="tw-faint">{{ " · " + detail(m) }}</span></td>
            <td class="tw-code">{{ m.component }}</td><td>{{ m.by }}</td>
          </tr></tbody>
        </table>
        <p v-if="!listed.length" class="tw-strip-none">{{ t("timeline.none") }}</p>
        <button v-if="some.length > listed.length" type="button" class="tw-button tw-timeline-more" @click="shown += 200">{{ t("incident.more", { n: some.length - listed.length }) }}</button>
      </div>
    </section>`,
  props: { terminal: String, component: String, signal: String },
  data() {
    const asked = new URL(location.href).searchParams;
    const range = asked.get("span");
    return {
      line: null, moments: [], failed: false, kinds: KINDS, ranges: Object.keys(RANGES), range: RANGES[range] ? range : "d30", list: asked.get("as") === "list", hidden: {}, shown: LISTED,
      width: 900, view: [0, 1], chosen: null, drag: null, signals: [], picked: this.component && this.signal ? `${this.component} · ${this.signal}` : "", points: null, unit: "",
    };
  },
  mixins: [tw.list, tw.seldom(EVERY)],
  mounted() {
    this.sizes = new ResizeObserver(() => (this.width = this.$refs.panel?.clientWidth || this.width));
    this.sizes.observe(this.$refs.panel);
  },
  unmounted() {
    this.sizes.disconnect();
  },
  computed: {
    left() {
      return this.width < NARROW ? 0 : LABEL;
    },
    // Where there is no room for the names beside the lanes they stand over them.
    over() {
      return this.left ? 0 : 14;
    },
    inner() {
      return Math.max(this.width - this.left - EDGE, 50);
    },
    bounds() {
      return this.line ? [Date.parse(this.line.from), Date.parse(this.line.to)] : [0, 1];
    },
    whole() {
      return this.view[0] <= this.bounds[0] && this.view[1] >= this.bounds[1];
    },
    counts() {
      const found = {};
      for (const m of this.moments) found[m.kind] = (found[m.kind] ?? 0) + 1;
      return found;
    },
    some() {
      return this.moments.filter((m) => !this.hidden[m.kind]);
    },
    listed() {
      return [...this.some].reverse().slice(0, this.shown);
    },
    told() {
      const said = KINDS.filter((kind) => !this.hidden[kind] && this.counts[kind]).map((kind) => `${this.kindWord(kind)} ${this.counts[kind]}`);
      return `${tw.t("timeline.title")}: ${said.join(", ")}`;
    },
    ticks() {
      const [from, to] = this.view;
      const room = this.width < NARROW ? 70 : 90;
      const step = TICKS.find((each) => (this.inner * each) / (to - from) >= room) ?? TICKS[TICKS.length - 1];
      const day = new Date(from);
      day.setHours(0, 0, 0, 0);
      const found = [];
      const whole = Math.round(step / 86400e3);
      for (let at = day.getTime(), k = 0; at <= to && k < 400; k += 1) {
        if (at >= from) found.push({ at, x: this.x(at), text: this.x(at) > this.left + 24 && this.x(at) < this.width - 30 ? this.tickText(at, step) : "" });
        if (whole >= 1) {
          day.setDate(day.getDate() + whole); // not so many hours: days on which clocks are set have others
          at = day.getTime();
        } else at += step;
      }
      return found;
    },
    lanes() {
      const found = [];
      let y = 22;
      const add = (kind, name, height, items) => {
        found.push({ kind, name, y, h: height, items });
        y += height + this.over;
      };
      y += this.over;
      if (!this.hidden.state) add("state", this.kindWord("state"), BAND + 8, this.bars("state", y + 5, BAND));
      if (this.picked) add("curve", this.unit || tw.t("timeline.reading"), this.points?.words ? BAND + 10 : CURVE);
      for (const kind of BARS) {
        if (this.hidden[kind]) continue;
        const items = this.bars(kind, y + 4, STEP - 2, true);
        const rows = Math.max(1, ...items.map((m) => m.row + 1));
        add(kind, this.kindWord(kind), rows * STEP + 10, items);
      }
      for (const kind of Object.keys(SIGNS)) if (!this.hidden[kind]) add(kind, this.kindWord(kind), LANE + 2, this.marks(kind, y + 1, LANE));
      return found;
    },
    height() {
      const last = this.lanes[this.lanes.length - 1];
      return last ? last.y + last.h + 4 : 60;
    },
    curve() {
      const lane = this.lanes.find((each) => each.kind === "curve");
      if (!lane || !this.points) return null;
      const [from, to] = this.view;
      if (this.points.words) return { words: this.wordBands(), most: "", least: "", path: "", empty: this.points.words.length ? "" : tw.t("chart.no_readings") };
      const within = this.points.filter((p) => p.at >= from && p.at <= to && p.value !== null);
      const ends = within.flatMap((p) => [p.least ?? p.value, p.most ?? p.value]);
      if (!within.length) return { empty: tw.t("chart.no_readings"), path: "", most: "", least: "" };
      let [low, high] = [ends.reduce((a, b) => Math.min(a, b)), ends.reduce((a, b) => Math.max(a, b))];
      if (low === high) [low, high] = [low - 1, high + 1];
      const y = (value) => (lane.y + 8 + (1 - (value - low) / (high - low)) * (CURVE - 16)).toFixed(1);
      let path = "";
      let band = "";
      for (let k = 0; k < within.length; k += 1) {
        const p = within[k];
        const begins = k === 0 || p.at - within[k - 1].at > this.points.hole; // a hole in what is known is a hole in the line
        const x = this.x(p.at).toFixed(1);
        path += `${begins ? "M" : "L"}${x} ${y(p.value)}${begins && (k === within.length - 1 || within[k + 1].at - p.at > this.points.hole) ? "h2" : ""}`;
        if (p.least !== null && p.most !== null && p.most > p.least) band += `M${x} ${y(p.least)}V${y(p.most)}`;
      }
      return { path, range: band, most: tw.say(ends.reduce((a, b) => Math.max(a, b)), this.unit), least: tw.say(ends.reduce((a, b) => Math.min(a, b)), this.unit), empty: "" };
    },
  },
  methods: {
    async fetch() {
      const range = this.range;
      const to = Math.ceil(tw.now() / 60e3) * 60;
      const from = to - RANGES[range] * 86400;
      const base = `/api/v1/terminals/${encodeURIComponent(this.terminal)}`;
      try {
        const [line, parts] = await Promise.all([tw.json(`${base}/timeline?from=${from}&to=${to}&lang=${window.TW.lang}`), tw.json(`${base}/components`)]);
        if (range !== this.range) return;
        const kept = this.line && !this.whole ? this.view : null;
        this.line = line;
        this.moments = line.moments.map((m, k) => ({ ...m, id: k, from: Date.parse(m.at), end: m.until ? Date.parse(m.until) : m.lasts ? Date.parse(line.to) : Date.parse(m.at) }));
        this.signals = parts.flatMap((c) => c.signals.filter((s) => s.kind !== "text").map((s) => ({ key: `${c.name} · ${s.signal}`, component: c.name, signal: s.signal, interval: c.interval_s })));
        this.view = kept ?? this.bounds;
        if (this.chosen) this.chosen = this.moments.find((m) => m.kind === this.chosen.kind && m.at === this.chosen.at && m.ref === this.chosen.ref) ?? null;
        this.failed = false;
        await this.read(from, to);
      } catch (error) {
        this.failed = !this.line;
        throw error;
      }
    },
    async read(from, to) {
      const what = this.signals.find((s) => s.key === this.picked);
      if (!what) {
        this.points = null;
        return;
      }
      const asked = this.picked;
      const got = await tw.json(`/api/v1/terminals/${encodeURIComponent(this.terminal)}/history?component=${encodeURIComponent(what.component)}&signal=${encodeURIComponent(what.signal)}&from=${from}&to=${to}&points=1500`);
      if (asked !== this.picked) return;
      this.unit = got.unit;
      const points = got.points.map((p) => ({ at: Date.parse(p.at), value: typeof p.value === "number" ? p.value : null, least: p.least, most: p.most }));
      points.words = got.points.some((p) => typeof p.value === "string") ? this.runs(got.points, to * 1000) : null;
      points.hole = Math.max(3 * (what.interval || 60) * 1000, got.resolution === "hour" ? 3 * 3600e3 : 0, (3 * (to - from) * 1000) / 1500);
      this.points = points;
    },
    // Of a signal in words: from when to when it said the same. It says so until it says something else.
    runs(points, end) {
      const found = [];
      for (const p of points) {
        const at = Date.parse(p.at);
        const text = p.value === null ? tw.t("component.no_value") : String(p.value);
        const last = found[found.length - 1];
        if (last && last.text === text) continue;
        if (last) last.until = at;
        if (found.length < MAX_WORDS) found.push({ since: at, until: end, text });
      }
      return found;
    },
    wordBands() {
      const [from, to] = this.view;
      return this.points.words
        .filter((w) => w.since < to && w.until > from)
        .map((w) => {
          const x = Math.max(this.x(w.since), this.left - 4);
          const width = Math.max(Math.min(this.x(w.until), this.width + 4) - x, 2);
          const tx = Math.max(x, this.left) + 6;
          return { x, w: width, tx, text: `${w.text}\n${tw.stamp(w.since)} – ${tw.stamp(w.until)}`, label: x + width - tx > w.text.length * 7.2 ? w.text : "" };
        });
    },
    choose(range) {
      this.range = range;
      this.chosen = null;
      this.view = [0, 1];
      this.line = null;
      tw.address("span", range === "d30" ? "" : range);
      this.soon();
    },
    as(list) {
      this.list = list;
      tw.address("as", list ? "list" : "");
    },
    toggle(kind) {
      this.hidden = { ...this.hidden, [kind]: !this.hidden[kind] };
      if (this.chosen?.kind === kind) this.chosen = null;
    },
    pick(key) {
      this.picked = key;
      this.points = null;
      this.soon();
    },
    x(at) {
      const [from, to] = this.view;
      return this.left + ((at - from) / (to - from)) * this.inner;
    },
    at(x) {
      const [from, to] = this.view;
      return from + ((x - this.left) / this.inner) * (to - from);
    },
    tickText: (at, step) => (step < 86400e3 && new Date(at).getHours() ? tw.time(at) : tw.clock("tick", { day: "numeric", month: "short", hourCycle: undefined }).format(at)),
    bars(kind, y, height, stack = false) {
      const [from, to] = this.view;
      const ends = [];
      return this.moments
        .filter((m) => m.kind === kind && m.from < to && m.end >= from)
        .map((m) => {
          const x = Math.max(this.x(m.from), this.left - 4);
          const w = Math.max(Math.min(this.x(m.end), this.width + 4) - x, 3);
          let row = 0;
          if (stack) {
            while (row < ROWS - 1 && ends[row] > x) row += 1;
            ends[row] = Math.max(ends[row] ?? 0, x + w + 2);
          }
          const text = kind === "state" ? tw.t(`state.${m.what}`) : "";
          const tx = Math.max(x, this.left) + 6;
          const fits = text && x + w - tx > text.length * 7.2;
          return { ...m, x, y: y + row * STEP, w, h: height, row, cls: this.cls(m), label: fits ? text : "", tx, ink: `tw-tl-ink-${tw.tone(m.what)}` };
        });
    },
    marks(kind, y, height) {
      const [from, to] = this.view;
      return this.moments.filter((m) => m.kind === kind && m.from >= from && m.from <= to).map((m) => ({ ...m, x: this.x(m.from), y, h: height, mark: SIGNS[kind] }));
    },
    cls(m) {
      if (m.kind === "state") return `tw-tl-${tw.tone(m.what)}`;
      if (m.kind === "maintenance") return "tw-tl-maintenance";
      return `tw-tl-bar tw-tl-l${m.level || 3}${m.values.foretold ? " tw-tl-foretold" : ""}`;
    },
    kindWord: (kind) => tw.t(`kind.${kind}`),
    stamp: (at) => tw.stamp(at),
    head(m) {
      switch (m.kind) {
        case "state":
          return tw.t(`state.${m.what}`);
        case "maintenance":
          return m.text || m.ref;
        case "change":
          if (m.what.startsWith("identity.") || m.what.startsWith("acceptor.")) return tw.t("timeline.version", { signal: m.what, before: m.values.before || "–", after: m.values.after || "–" });
          return tw.has(`change.${m.what.replaceAll("-", "_")}`) ? tw.t(`change.${m.what.replaceAll("-", "_")}`) : m.what;
        case "part":
          return m.values.said || tw.t("timeline.part_changed");
        case "restart":
          return tw.t(`restart.${m.what === "machine" ? "machine" : "collector"}`);
        default:
          return m.text;
      }
    },
    detail(m) {
      const v = m.values;
      switch (m.kind) {
        case "state":
          return [v.cause ? tw.t(`cause.${v.cause}`) : "", v.reason_text, m.text].filter(Boolean).join(" · ");
        case "incident":
          return [m.ref, v.verdict ? tw.t(`verdict.${v.verdict}`) : "", v.said].filter(Boolean).join(" · ");
        case "maintenance":
          return [v.scope, v.change_ref].filter(Boolean).join(" · ");
        case "change":
          return [v.state && m.what === "life-cycle" ? tw.t(`state.${v.state}`) : "", (v.fields ?? []).map((name) => (tw.has(`asset.${name}`) ? tw.t(`asset.${name}`) : name)).join(", "), m.text].filter(Boolean).join(" · ");
        case "part":
          return m.text;
        default:
          return "";
      }
    },
    when(m) {
      const begin = tw.stamp(m.from);
      if (m.lasts) return tw.t("timeline.since", { at: begin });
      return m.end > m.from ? `${begin} – ${tw.date(m.from) === tw.date(m.end) ? tw.time(m.end) : tw.stamp(m.end)} (${tw.span(m.end - m.from)})` : begin;
    },
    said(m) {
      return [`${this.kindWord(m.kind)}: ${this.head(m)}`, this.when(m), this.detail(m), m.component, m.by].filter(Boolean).join("\n");
    },
    link(m) {
      if (m.kind === "incident" || m.kind === "part") return m.ref ? `/incident/${encodeURIComponent(m.ref)}` : "";
      if (m.kind === "alarm") return m.values.incident ? `/incident/${encodeURIComponent(m.values.incident)}` : "";
      return "";
    },
    select(m) {
      if (!this.drag?.moved) this.chosen = this.moments[m.id];
    },
    // ---- zoom
    show(from, to) {
      const [least, most] = this.bounds;
      const length = Math.min(Math.max(to - from, SHORTEST), most - least);
      const begin = Math.min(Math.max(from, least), most - length);
      this.view = [begin, begin + length];
    },
    zoom(by, about) {
      const [from, to] = this.view;
      const middle = about ?? (this.chosen && this.chosen.from >= from && this.chosen.from <= to ? this.chosen.from : (from + to) / 2);
      this.show(middle - (middle - from) * by, middle + (to - middle) * by);
    },
    pan(by) {
      const [from, to] = this.view;
      this.show(from + by * (to - from), to + by * (to - from));
    },
    unzoom() {
      this.view = this.bounds;
    },
    wheel(event) {
      if (!event.ctrlKey) return; // the page scrolls
      event.preventDefault();
      this.zoom(event.deltaY > 0 ? 1.25 : 0.8, this.at(event.offsetX));
    },
    down(event) {
      if (event.button || event.offsetX < this.left) return;
      this.drag = { from: event.offsetX, to: event.offsetX, moved: false, touch: event.pointerType === "touch", view: this.view };
    },
    move(event) {
      const d = this.drag;
      if (!d) return;
      d.to = event.offsetX;
      d.moved = d.moved || Math.abs(d.to - d.from) > 4;
      if (d.moved && !event.currentTarget.hasPointerCapture(event.pointerId)) event.currentTarget.setPointerCapture(event.pointerId);
      if (d.touch && d.moved) {
        const by = ((d.from - d.to) / this.inner) * (d.view[1] - d.view[0]);
        this.show(d.view[0] + by, d.view[1] + by);
      }
    },
    up() {
      const d = this.drag;
      this.drag = null;
      if (d?.moved && !d.touch) this.show(this.at(Math.min(d.from, d.to)), this.at(Math.max(d.from, d.to)));
    },
    key(event) {
      const acts = { "+": () => this.zoom(0.5), "=": () => this.zoom(0.5), "-": () => this.zoom(2), 0: () => this.unzoom(), Home: () => this.unzoom(), PageUp: () => this.pan(-0.5), PageDown: () => this.pan(0.5), ArrowRight: () => this.next(1), ArrowLeft: () => this.next(-1), Escape: () => (this.chosen = null) };
      if (!acts[event.key] || event.ctrlKey || event.metaKey || event.altKey) return;
      event.preventDefault();
      acts[event.key]();
    },
    next(by) {
      const place = this.chosen ? this.some.indexOf(this.chosen) : by > 0 ? this.some.findIndex((m) => m.from >= this.view[0]) - 1 : this.some.length;
      const found = this.some[Math.min(Math.max(place + by, 0), this.some.length - 1)];
      if (!found) return;
      this.chosen = found;
      const [from, to] = this.view;
      if (found.from < from || found.from > to) this.show(found.from - (to - from) / 2, found.from + (to - from) / 2);
    },
    t: (key, values) => tw.t(key, values),
  },
};
