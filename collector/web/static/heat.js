// The heat map: a cell a terminal, the worst first in each group, on one canvas. Colour is never the only sign: what is worse is larger and has another form.
// Arrow keys walk over the cells; the same stands as a table.
const MOST = 72; // pixels of a cell where few are shown, and least where many are
const LEAST = 7;
const NAMED = 52; // from this size on a cell has the name of its terminal under its form
const NAME = 18; // of it the name's line
const GAP = 12;
const LABEL = 20;
const STEP = 100; // rows of the table that are added at a time
const BINS = {
  // Worst first: [where it ends, look, key]; null: not known.
  risk: [[0.5, "crit", "heat.risk_high"], [0.2, "warn", "heat.risk_some"], [0.05, "mild", "heat.risk_low"], [-1, "ok", "heat.risk_none"]],
  month: [[0.95, "crit", "heat.month_poor"], [0.99, "warn", "heat.month_low"], [0.995, "mild", "heat.month_near"], [2, "ok", "heat.month_good"]],
  age: [[3600, "crit", "heat.age_day"], [900, "warn", "heat.age_hour"], [180, "mild", "heat.age_quarter"], [-1, "ok", "heat.age_fresh"]],
};
const RANK = { crit: 0, unknown: 1, warn: 2, mild: 3, planned: 4, ok: 5 };

export default {
  template: `
    <div class="tw-heat">
      <div class="tw-filters">
        <label>{{ t("heat.group") }} <select id="tw-heat-group" :value="group" @change="choose('group', $event.target.value)"><option v-for="k in groups" :key="k" :value="k">{{ t("heatgroup." + k) }}</option></select></label>
        <label>{{ t("heat.fill") }} <select id="tw-heat-fill" :value="fill" @change="choose('fill', $event.target.value)"><option v-for="k in fills" :key="k" :value="k">{{ t("heatfill." + k) }}</option></select></label>
        <span v-for="k in ['region', 'branch']" :key="k"><button v-if="asked[k]" type="button" class="tw-button" :title="t('fleet.clear')" @click="choose(k, '')">{{ asked[k] }} ✕</button></span>
        <button type="button" class="tw-button" :aria-pressed="String(table)" @click="table = !table">{{ t(table ? "heat.map_again" : "heat.table") }}</button>
        <span class="tw-count" role="status">{{ t("fleet.shown", { n: number(cells.length), total: number(rows.size) }) }}</span>
      </div>
      <p v-if="failed" class="tw-note" role="status">{{ t("app.fetch_failed") }}</p>
      <p v-if="fill === 'month' && !months.size" class="tw-note" role="status">{{ t("heat.waiting") }}</p>
      <ul class="tw-legend tw-heat-legend" :aria-label="t('heat.fill')"><li v-for="one in legend" :key="one.key"><span class="tw-look" :class="'tw-' + one.look"><b>{{ number(one.n) }}</b> {{ one.text }}</span></li></ul>
      <p v-if="loaded && !cells.length" class="tw-note">{{ t("heat.none") }}</p>
      <div v-show="!table && cells.length" ref="box" class="tw-heat-box">
        <a v-for="one in labels" :key="one.name" class="tw-heat-label" :href="one.href" :style="{ left: one.x + 'px', top: one.y + 'px', maxWidth: one.width + 'px' }" :title="one.name + ' · ' + one.n"><span class="tw-heat-name">{{ one.name }}</span><span class="tw-faint">{{ one.n }}</span></a>
        <canvas ref="canvas" tabindex="0" role="application" :aria-label="t('heat.map', { n: number(cells.length), groups: number(labels.length) })" aria-describedby="tw-heat-told" @mousemove="point" @mouseleave="at = -1" @click="open" @keydown="key" @focus="at = at < 0 ? 0 : at" @blur="at = -1"></canvas>
        <div v-if="at >= 0 && cells[at]" class="tw-peek tw-heat-peek" :style="tip" aria-hidden="true"><b>{{ cells[at].row.id }}</b><div>{{ cells[at].row.branch }} · {{ cells[at].row.region }}</div><div class="tw-peek-line"><span class="tw-mark" :class="'tw-' + cells[at].look">{{ cells[at].text }}</span><span class="tw-age" :class="{ 'tw-stale': cells[at].row.connection !== 'online' }">{{ age(cells[at].row.at) }}</span></div></div>
        <span id="tw-heat-told" class="tw-visually-hidden" role="status">{{ at >= 0 && cells[at] ? cells[at].row.id + ", " + cells[at].row.branch + ": " + cells[at].text : "" }}</span>
      </div>
      <div v-if="table && cells.length" class="tw-panel"><table class="tw-table">
        <thead><tr><th scope="col">{{ t("heatgroup." + group) }}</th><th scope="col">{{ t("fleet.terminal") }}</th><th scope="col">{{ t("heatfill." + fill) }}</th><th scope="col">{{ t("fleet.received") }}</th></tr></thead>
        <tbody><tr v-for="one in cells.slice(0, most)" :key="one.row.id"><td>{{ one.group }}</td><th scope="row"><a :href="'/terminal/' + encodeURIComponent(one.row.id)">{{ one.row.id }}</a></th><td><span class="tw-mark" :class="'tw-' + one.look">{{ one.text }}</span></td><td><span class="tw-age" :data-at="one.row.at">{{ age(one.row.at) }}</span></td></tr></tbody>
      </table><p v-if="cells.length > most" class="tw-more-line"><button type="button" class="tw-button" @click="most += step">{{ t("aloft.more", { n: number(cells.length - most) }) }}</button></p></div>
      <p class="tw-faint tw-heat-note">{{ t("heat.size") }}</p>
    </div>`,
  data() {
    const asked = Object.fromEntries(new URL(location.href).searchParams);
    return {
      rows: new Map(), token: "", extra: new Map(), months: new Map(), loaded: false, failed: false, table: false, most: STEP, step: STEP, at: -1, labels: [], version: 0,
      asked: { region: asked.region ?? "", branch: asked.branch ?? "" }, groups: ["region", "branch", "class", "model"], fills: ["state", "risk", "month", "age"],
      group: ["region", "branch", "class", "model"].includes(asked.group) ? asked.group : asked.branch ? "class" : asked.region ? "branch" : "region", fill: ["state", "risk", "month", "age"].includes(asked.fill) ? asked.fill : "state",
    };
  },
  mixins: [tw.list, tw.aloft.words],
  computed: {
    // In the order in which they are drawn and walked: by group, the gravest group first, the worst first within it.
    cells() {
      this.version; // rows live in a plain map, so that ten thousand of them cost nothing to watch
      const groups = new Map();
      for (const row of this.rows.values()) {
        if ((this.asked.region && row.region !== this.asked.region) || (this.asked.branch && row.branch !== this.asked.branch)) continue;
        const extra = this.extra.get(row.id);
        const name = this.group === "model" ? extra?.model || tw.t("heat.no_model") : row[this.group];
        if (!groups.has(name)) groups.set(name, []);
        const [look, text, weight] = this.judge(row, extra);
        groups.get(name).push({ row, group: name, look, text, weight });
      }
      for (const own of groups.values()) own.sort((a, b) => RANK[a.look] - RANK[b.look] || b.weight - a.weight || (a.row.id < b.row.id ? -1 : 1));
      const bad = (own) => own.filter((one) => RANK[one.look] < 2).length / own.length;
      return [...groups.values()].sort((a, b) => bad(b) - bad(a) || (a[0].group < b[0].group ? -1 : 1)).flat();
    },
    legend() {
      const counts = new Map();
      for (const one of this.cells) {
        const key = this.fill === "state" ? one.row.state : one.look;
        const known = counts.get(key) ?? { key, n: 0, look: one.look, text: one.said ?? one.text };
        known.n += 1;
        counts.set(key, known);
      }
      if (this.fill === "state") return [...counts.values()].map((one) => ({ ...one, text: tw.aloft.state(one.key) })).sort((a, b) => RANK[a.look] - RANK[b.look]);
      const bins = BINS[this.fill].map(([, look, key]) => ({ key: look, look, text: tw.t(key), n: counts.get(look)?.n ?? 0 }));
      return [...bins, { key: "unknown", look: "unknown", text: tw.t("heat.unknown"), n: counts.get("unknown")?.n ?? 0 }];
    },
    tip() {
      const cell = this.cells[this.at];
      const left = cell.x + 220 > this.width ? Math.max(0, cell.x - 230) : cell.x + this.side + 6;
      return { left: `${left}px`, top: `${cell.y + this.side + 4}px` };
    },
  },
  watch: {
    cells() {
      this.$nextTick(this.lay);
    },
    table() {
      this.$nextTick(this.lay);
    },
    at() {
      this.draw();
    },
  },
  mounted() {
    this.watching = new ResizeObserver(() => this.lay());
    this.watching.observe(this.$refs.box);
    this.dark = matchMedia("(prefers-color-scheme: dark)");
    this.dark.addEventListener("change", this.draw);
    this.themed = new MutationObserver(() => this.draw());
    this.themed.observe(document.body, { attributes: true, attributeFilter: ["class"] });
    this.slow();
    this.stopping = tw.aloft.every(60, this.slow);
  },
  unmounted() {
    this.watching.disconnect();
    this.themed.disconnect();
    this.dark.removeEventListener("change", this.draw);
    this.stopping();
  },
  methods: {
    // [look, words, how much of it].
    judge(row, extra) {
      if (this.fill === "state") return [tw.aloft.look(row.state), tw.aloft.state(row.state), row.level ? 4 - row.level : 0];
      const above = (value) => BINS[this.fill].find(([end]) => value >= end);
      if (this.fill === "risk") {
        const score = extra?.score ?? null;
        return score === null ? ["unknown", tw.t("heat.unknown"), 0] : [above(score)[1], tw.t("heat.visits", { n: tw.number(score) }), score];
      }
      if (this.fill === "age") {
        if (!row.at) return ["unknown", tw.age(0), 0];
        const seconds = (tw.now() - row.at) / 1000;
        return [above(seconds)[1], tw.age(row.at), seconds];
      }
      const month = this.months.get(row.id);
      if (!month || month.least === null) return ["unknown", tw.t("heat.unknown"), 0];
      return [BINS.month.find(([end]) => month.least < end)[1], tw.aloft.range(month.least, month.most, 2), 1 - month.least];
    },
    async load() {
      try {
        const got = await tw.json(`/console/fleet.json?lang=${window.TW.lang}&since=${this.token}`);
        if (got.whole) this.rows = new Map();
        const rows = this.rows;
        for (const values of got.rows) {
          const row = {};
          for (let k = 0; k < got.fields.length; k += 1) row[got.fields[k]] = values[k];
          rows.set(row.id, Object.freeze(row));
        }
        for (const id of got.removed) rows.delete(id);
        this.token = got.token;
        this.loaded = true;
        this.failed = false;
        if (got.rows.length || got.removed.length) this.version += 1;
      } catch (error) {
        this.failed = true;
        throw error;
      }
    },
    async slow() {
      if (this.group === "model" || this.fill === "risk") {
        try {
          const got = await tw.json("/api/v1/heat");
          this.extra = new Map(got.terminals.map((id, k) => [id, Object.freeze({ model: got.model[k], score: got.score[k], grade: got.grade[k] })]));
          this.version += 1;
        } catch (error) {
          console.warn(String(error)); // the next minute asks again
        }
      }
      if (this.fill === "month") {
        this.months = await tw.aloft.shares("terminal", this.asked.branch ? `branch:${this.asked.branch}` : this.asked.region ? `region:${this.asked.region}` : "fleet");
        this.version += 1;
      }
      if (this.fill === "age") this.version += 1;
    },
    choose(name, value) {
      if (name in this.asked) this.asked[name] = value;
      else this[name] = value;
      tw.address(name, value);
      this.at = -1;
      this.most = STEP;
      this.slow();
    },

    // ---- where each cell stands: groups in rows as wide as the page, the cells as large as all of them fit in sight
    lay() {
      const box = this.$refs.box;
      if (!box || this.table || !this.cells.length) return;
      const width = box.clientWidth;
      if (!width) return;
      const groups = [];
      for (const cell of this.cells) {
        if (groups.at(-1)?.name !== cell.group) groups.push({ name: cell.group, cells: [] });
        groups.at(-1).cells.push(cell);
      }
      const room = Math.max(320, innerHeight - box.getBoundingClientRect().top - scrollY - 60);
      let side = MOST;
      while (side > LEAST && this.place(groups, width, side) > room) side -= 1;
      const height = this.place(groups, width, side);
      Object.assign(this, { side, width, height });
      box.style.height = `${height}px`;
      const page = { region: "/regions/", branch: "/branch/" }[this.group];
      this.labels = groups.map((one) => ({ name: one.name || "–", x: one.x, y: one.y, width: one.width, n: one.cells.length, href: page ? page + encodeURIComponent(one.name) : this.group === "class" ? tw.aloft.fleet({ class: one.name, ...this.asked }) : "/heat?group=model" }));
      const canvas = this.$refs.canvas;
      const scale = devicePixelRatio || 1;
      canvas.width = width * scale;
      canvas.height = height * scale;
      canvas.style.height = `${height}px`;
      this.draw();
    },
    place(groups, width, side) {
      let x = 0;
      let y = 0;
      let row = 0;
      for (const group of groups) {
        const n = group.cells.length;
        const columns = Math.max(1, Math.min(Math.floor(width / side), Math.max(Math.ceil(Math.sqrt(n * 1.7)), Math.ceil(88 / side))));
        const own = Math.max(columns * side, Math.min(width, 88));
        const high = LABEL + Math.ceil(n / columns) * side;
        if (x && x + own > width) {
          x = 0;
          y += row + GAP;
          row = 0;
        }
        Object.assign(group, { x, y, width: own });
        group.cells.forEach((cell, k) => {
          cell.x = x + (k % columns) * side;
          cell.y = y + LABEL + Math.floor(k / columns) * side;
          cell.columns = columns;
        });
        x += own + GAP;
        row = Math.max(row, high);
      }
      return y + row;
    },
    draw() {
      const canvas = this.$refs.canvas;
      const pen = canvas?.getContext("2d");
      if (!pen || !this.width) return;
      const scale = devicePixelRatio || 1;
      pen.setTransform(scale, 0, 0, scale, 0, 0);
      pen.clearRect(0, 0, this.width, this.height);
      const colours = Object.fromEntries(["crit", "warn", "ok", "unknown", "planned", "ink", "accent"].map((name) => [name, tw.colour(`--tw-${name}`)]));
      const named = this.side >= NAMED;
      const s = (named ? this.side - NAME - 6 : this.side) - 1;
      const inset = named ? (this.side - s) / 2 : 0;
      const forms = {
        crit: (x, y) => pen.rect(x, y, s, s),
        warn: (x, y) => { pen.moveTo(x + s / 2, y); pen.lineTo(x + s, y + s); pen.lineTo(x, y + s); },
        mild: (x, y) => { pen.moveTo(x, y + s); pen.lineTo(x + s, y + s); pen.lineTo(x + s, y + s * 0.45); pen.lineTo(x, y + s * 0.45); },
        ok: (x, y) => pen.rect(x + s * 0.22, y + s * 0.22, s * 0.56, s * 0.56),
        planned: (x, y) => { pen.moveTo(x + s * 0.86, y + s / 2); pen.arc(x + s / 2, y + s / 2, s * 0.36, 0, 2 * Math.PI); },
      };
      for (const [look, form] of Object.entries(forms)) {
        pen.beginPath();
        for (const cell of this.cells) if (cell.look === look) form(cell.x + inset, cell.y + (named ? 2 : 0));
        pen.fillStyle = colours[look === "mild" ? "warn" : look];
        pen.globalAlpha = look === "ok" ? 0.8 : look === "mild" ? 0.6 : 1;
        pen.fill();
      }
      pen.globalAlpha = 1;
      pen.beginPath(); // not known: an empty frame that is struck through
      for (const cell of this.cells) {
        if (cell.look !== "unknown") continue;
        const [x, y] = [cell.x + inset + 0.5, cell.y + (named ? 2 : 0) + 0.5];
        pen.rect(x, y, s - 1, s - 1);
        pen.moveTo(x, y + s - 1);
        pen.lineTo(x + s - 1, y);
      }
      pen.strokeStyle = colours.unknown;
      pen.lineWidth = 1;
      pen.stroke();
      if (named) this.name(pen, colours.ink);
      const here = this.cells[this.at];
      if (here) {
        pen.strokeStyle = colours.accent;
        pen.lineWidth = 2;
        pen.strokeRect(here.x - 1.5, here.y - 1.5, this.side + 2, this.side + 2);
      }
    },
    // Under each form the terminal's name; of a long one its end, which tells it from its neighbours.
    name(pen, ink) {
      pen.font = `12px ${getComputedStyle(this.$refs.canvas).fontFamily}`;
      pen.fillStyle = ink;
      pen.textAlign = "center";
      pen.textBaseline = "alphabetic";
      for (const cell of this.cells) {
        let said = cell.row.id;
        while (said.length > 2 && pen.measureText(said).width > this.side - 4) said = `…${said.replace(/^…/, "").slice(1)}`;
        pen.fillText(said, cell.x + this.side / 2, cell.y + this.side - 6);
      }
    },
    point(event) {
      const box = this.$refs.canvas.getBoundingClientRect();
      const [x, y] = [event.clientX - box.left, event.clientY - box.top];
      this.at = this.cells.findIndex((cell) => x >= cell.x && x < cell.x + this.side && y >= cell.y && y < cell.y + this.side);
    },
    open() {
      if (this.cells[this.at]) location.href = `/terminal/${encodeURIComponent(this.cells[this.at].row.id)}`;
    },
    key(event) {
      const here = this.cells[this.at];
      const steps = { ArrowRight: 1, ArrowLeft: -1, ArrowDown: here?.columns ?? 1, ArrowUp: -(here?.columns ?? 1) };
      if (event.key === "Enter") return this.open();
      if (event.key === "Home") this.at = 0;
      else if (event.key === "End") this.at = this.cells.length - 1;
      else if (event.key in steps) this.at = Math.max(0, Math.min(this.cells.length - 1, this.at + steps[event.key]));
      else return undefined;
      event.preventDefault();
      const cell = this.cells[this.at];
      const top = this.$refs.canvas.getBoundingClientRect().top + cell.y;
      if (top < 60 || top > innerHeight - 60) scrollBy({ top: top - innerHeight / 2 });
      return undefined;
    },
  },
};
