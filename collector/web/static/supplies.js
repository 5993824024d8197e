// What runs out or fills up, the most urgent first, and as a list of what to bring where. Vue escapes every text.
const LIMIT = 300;
const GROUPS = ["cash", "deposit", "paper", "toner", "fuel", "disk", "battery", "other"];
const DAY = 86400000;
const SOON = 3; // days: what ends within them does not look as if there were enough
const ms = (iso) => (iso ? Date.parse(iso) : 0);

export default {
  template: `
    <div class="tw-sup">
      <div class="tw-filters tw-sup-bar">
        <span class="tw-ranges" role="group" :aria-label="t('supplies.view')">
          <button v-for="v in ['attention', 'all', 'route']" :key="v" type="button" :aria-pressed="String(view === v)" @click="turn(v)">{{ t("supplies." + v) }}</button>
        </span>
        <select v-if="view !== 'route'" v-model="group" :aria-label="t('supplies.group_all')" @change="again"><option value="">{{ t("supplies.group_all") }}</option><option v-for="g in groups" :key="g" :value="g">{{ t("supplies.group_" + g) }}{{ page && page.groups[g] ? " (" + number(page.groups[g]) + ")" : "" }}</option></select>
        <select v-if="regions.length > 1" v-model="region" :aria-label="t('supplies.region_all')" @change="branch = ''; again()"><option value="">{{ t("supplies.region_all") }}</option><option v-for="r in regions" :key="r" :value="r">{{ r }}</option></select>
        <input v-if="view !== 'route'" v-model="branch" list="tw-sup-branches" :placeholder="t('supplies.branch_all')" :aria-label="t('supplies.branch_all')" maxlength="120" @change="again"><datalist id="tw-sup-branches"><option v-for="b in branches" :key="b" :value="b"></option></datalist>
        <label v-if="view === 'route'" class="tw-sup-within">{{ t("supplies.within") }} <select v-model="within" @change="again"><option v-for="n in [1, 2, 3, 5, 7, 14]" :key="n" :value="String(n)">{{ t(n === 1 ? "supplies.within_day" : "supplies.within_days", { n }) }}</option></select></label>
        <span class="tw-count"><span v-if="page && page.looked" class="tw-sup-looked">{{ t("supplies.looked", { age: age(page.looked) }) }}</span> <button v-if="view === 'route'" type="button" class="tw-button" @click="print">{{ t("supplies.print") }}</button> <a :href="address + '&format=csv'" download :aria-label="t('supplies.files') + ' CSV'">CSV</a> <a :href="address + '&format=xlsx'" download :aria-label="t('supplies.files') + ' XLSX'">XLSX</a></span>
      </div>
      <p v-if="failed" class="tw-note" role="status">{{ t("app.fetch_failed") }}</p>
      <template v-if="view === 'route'">
        <p class="tw-faint tw-sup-about">{{ t("supplies.route_about") }}</p>
        <p v-if="!stops && !failed" class="tw-note">{{ t("alarms.loading") }}</p>
        <p v-else-if="stops && !stops.length" class="tw-note">{{ t("supplies.route_none") }}</p>
        <ol v-else class="tw-list">
          <li v-for="s in stops" :key="s.region + s.branch" class="tw-panel tw-sup-stop">
            <header><h2><a :href="'/branch/' + encodeURIComponent(s.branch)">{{ s.branch }}</a></h2><span class="tw-faint">{{ s.region }}</span><span>{{ t("supplies.stop", { n: s.supplies.length, out: s.out }) }}</span><b :class="{ 'tw-late': s.out }">{{ s.out ? t("supplies.stop_now") : t("supplies.stop_by", { at: stamp(s.by) }) }}</b></header>
            <ul>
              <li v-for="r in s.supplies" :key="r.terminal + r.component + r.way">
                <i class="tw-sup-box" aria-hidden="true"></i><b>{{ t(r.way === "fills" ? "supplies.empty" : "supplies.fill") }}</b> <span>{{ t("supplies.group_" + r.group) }}</span> <span><a :href="'/terminal/' + encodeURIComponent(r.terminal)">{{ r.terminal }}</a> <span class="tw-code">{{ r.component }}</span></span>
                <span class="tw-mark" :class="tone(r)">{{ word(r) }}</span> <span>{{ amount(r) }}</span> <span class="tw-faint">{{ when(r) }}</span>
              </li>
            </ul>
          </li>
        </ol>
      </template>
      <template v-else>
        <div v-if="page" class="tw-sup-tiles">
          <div class="tw-tile tw-crit"><span class="tw-tile-label"><i class="tw-sup-glyph tw-crit" aria-hidden="true"></i>{{ t("supplies.tile_out") }}</span><b class="tw-figure">{{ number(page.counts.out) }}</b></div>
          <div class="tw-tile"><span class="tw-tile-label">{{ t("supplies.tile_soon") }}</span><b class="tw-figure">{{ number(page.soon) }}</b></div>
          <div class="tw-tile tw-warn"><span class="tw-tile-label"><i class="tw-sup-glyph tw-warn" aria-hidden="true"></i>{{ t("supplies.tile_low") }}</span><b class="tw-figure">{{ number(page.counts.low) }}</b></div>
          <div class="tw-tile tw-ok"><span class="tw-tile-label"><i class="tw-sup-glyph tw-ok" aria-hidden="true"></i>{{ t("supplies.tile_enough") }}</span><b class="tw-figure tw-sup-calm">{{ number(page.counts.enough) }}</b></div>
          <div class="tw-tile tw-unknown"><span class="tw-tile-label"><i class="tw-sup-glyph tw-unknown" aria-hidden="true"></i>{{ t("supplies.tile_unknown") }}</span><b class="tw-figure">{{ number(page.counts.unknown) }}</b></div>
        </div>
        <p v-if="!page && !failed" class="tw-note">{{ t("alarms.loading") }}</p>
        <p v-else-if="page && !page.items.length" class="tw-note">{{ t(view === "attention" && known ? "supplies.none" : "supplies.none_at_all") }}</p>
        <template v-else-if="page">
          <table class="tw-table tw-panel tw-sup-table">
            <thead><tr><th>{{ t("supplies.state") }}</th><th>{{ t("supplies.where") }}</th><th>{{ t("supplies.what") }}</th><th>{{ t("supplies.left") }}</th><th>{{ t("supplies.ends") }}</th><th>{{ t("supplies.read") }}</th><th><span class="tw-visually-hidden">{{ t("supplies.details") }}</span></th></tr></thead>
            <tbody v-for="r in page.items" :key="r.terminal + r.component + r.way + r.group">
              <tr :class="{ 'tw-sup-stale': r.stale }">
                <td><span class="tw-mark" :class="tone(r)">{{ word(r) }}</span></td>
                <td class="tw-wrap"><a :href="'/terminal/' + encodeURIComponent(r.terminal)">{{ r.terminal }}</a> <a class="tw-faint" :href="'/branch/' + encodeURIComponent(r.branch)">{{ r.branch }}</a></td>
                <td class="tw-wrap">{{ t("supplies.group_" + r.group) }} <span class="tw-code tw-faint">{{ r.component }}</span></td>
                <td><template v-if="r.left !== null"><span class="tw-sup-bar-of" aria-hidden="true"><i :class="tone(r)" :style="{ width: Math.max(2, r.left * 100) + '%' }"></i></span>{{ t(r.way === "fills" ? "supplies.room" : "supplies.rest", { share: percent(r.left) }) }}</template><span v-if="amount(r)" class="tw-faint">{{ r.left !== null ? " · " : "" }}{{ amount(r) }}</span><span v-if="r.left === null && r.told" class="tw-faint">{{ t("supplies.told", { word: r.told }) }}</span></td>
                <td class="tw-wrap"><b v-if="r.word === 'out'" class="tw-late">{{ t(r.way === "fills" ? "supplies.ended_fills" : "supplies.ended") }}</b><template v-else-if="r.likely"><b>{{ days(r) }}</b> <span class="tw-faint">{{ range(r) }}</span></template><span v-else class="tw-faint">{{ why(r) }}</span></td>
                <td><span :class="{ 'tw-stale': r.stale }">{{ age(r.at) }}</span></td>
                <td><button type="button" class="tw-why-button" :aria-expanded="String(opened === key(r))" @click="open(r)">{{ t("supplies.details") }}</button></td>
              </tr>
              <tr v-if="opened === key(r)" class="tw-sup-open"><td colspan="7">
                <p v-if="r.level !== null && r.group !== 'disk'">{{ t(r.way === "fills" ? "supplies.emptied" : "supplies.refills") }}: <template v-if="!filling">…</template><template v-else-if="!filling.refills.length">{{ t("supplies.refills_none") }}</template></p>
                <ul v-if="filling && filling.refills.length && r.group !== 'disk'"><li v-for="f in filling.refills.slice(0, 4)" :key="f.at">{{ t("supplies.refill", { at: stamp(f.at), before: say(f.before, filling.unit), after: say(f.after, filling.unit) }) }}</li></ul>
                <p v-if="filling && filling.per_day > 0">{{ t("supplies.per_day", { n: say(Math.round(filling.per_day * 10) / 10, filling.unit) }) }}</p>
                <p v-if="r.limit !== null" class="tw-faint">{{ t("supplies.thresholds", { limit: say(r.limit, r.unit), horizon: number(r.horizon_days), lead: plan(r.lead_days) }) }}</p>
                <p><a v-if="r.finding" :href="'/findings/' + encodeURIComponent(r.finding)">{{ t("supplies.finding") }}</a> <a v-if="r.signal" :href="source(r)">{{ t("source.link") }}</a></p>
              </td></tr>
            </tbody>
          </table>
          <p v-if="page.total > page.items.length" class="tw-note">{{ t("supplies.more", { n: number(page.items.length) }) }}</p>
        </template>
      </template>
    </div>`,
  data() {
    const asked = new URL(location.href).searchParams;
    const view = asked.get("view");
    return {
      page: null, stops: null, failed: false, opened: "", filling: null, groups: GROUPS, seen: {}, region: asked.get("region") || "", branch: asked.get("branch") || "",
      view: ["all", "route"].includes(view) ? view : "attention", group: GROUPS.includes(asked.get("group")) ? asked.get("group") : "", within: asked.get("within") || "3",
    }; // prettier-ignore
  },
  computed: {
    address() {
      const asked = new URLSearchParams();
      if (this.region) asked.set("region", this.region);
      if (this.view === "route") asked.set("within_days", this.within);
      else {
        if (this.group) asked.set("group", this.group);
        if (this.branch) asked.set("branch", this.branch);
        if (this.view === "attention") asked.set("attention", "true");
      }
      return `/api/v1/supplies${this.view === "route" ? "/route" : ""}?${asked}`;
    },
    known() {
      return Object.values(this.page.groups).some(Boolean);
    },
    regions() {
      return Object.keys(this.seen).sort((a, b) => a.localeCompare(b, window.TW.lang));
    },
    branches() {
      const sets = this.region ? [this.seen[this.region] || []] : Object.values(this.seen);
      return [...new Set(sets.flatMap((set) => [...set]))].sort((a, b) => a.localeCompare(b, window.TW.lang));
    },
  },
  mixins: [tw.list],
  methods: {
    async load() {
      try {
        const got = await tw.json(`${this.address}&limit=${LIMIT}`);
        if (this.view === "route") this.stops = got.items;
        else this.page = got;
        for (const row of got.items) (this.seen[row.region] ??= new Set()).add(row.branch);
        this.failed = false;
      } catch (error) {
        this.failed = !this.page && !this.stops;
        throw error;
      }
    },
    again() {
      for (const name of ["group", "region", "branch"]) tw.address(name, this[name]);
      tw.address("view", this.view === "attention" ? "" : this.view);
      tw.address("within", this.view === "route" && this.within !== "3" ? this.within : "");
      this.opened = "";
      this.reader.run();
    },
    turn(view) {
      this.view = view;
      this.page = this.stops = null;
      this.again();
    },
    print: () => window.print(),
    key: (r) => `${r.terminal} ${r.component} ${r.way} ${r.group}`,
    async open(r) {
      const key = this.key(r);
      this.opened = this.opened === key ? "" : key;
      this.filling = null;
      if (!this.opened || !r.signal || r.level === null) return;
      const query = new URLSearchParams({ component: r.component, signal: r.signal, way: r.way });
      const got = await tw.json(`/api/v1/terminals/${encodeURIComponent(r.terminal)}/refills?${query}`).catch(() => ({ refills: [], per_day: null, unit: "" }));
      if (this.opened === key) this.filling = got;
    },
    soon: (r) => r.word === "enough" && r.likely && ms(r.near) - tw.now() < SOON * DAY,
    tone(r) {
      return this.soon(r) ? "tw-warn" : { out: "tw-crit", low: "tw-warn", enough: "tw-ok" }[r.word] || "tw-unknown";
    },
    word(r) {
      if (this.soon(r)) return tw.t("supplies.soon");
      if (r.word === "out") return tw.t(r.way === "fills" ? "supplies.out_fills" : "supplies.out_empties");
      if (r.word === "low") return tw.t(r.way === "fills" ? "supplies.low_fills" : "supplies.low_empties");
      return tw.t(r.word === "enough" ? "supplies.enough" : "supplies.unknown");
    },
    amount(r) {
      if (r.level === null) return "";
      return r.capacity ? tw.t("supplies.of", { level: tw.number(r.level), whole: this.say(r.capacity, r.unit) }) : r.unit === "%" && r.left !== null ? "" : this.say(r.level, r.unit);
    },
    days(r) {
      const left = (ms(r.likely) - tw.now()) / DAY;
      if (left < 0) return tw.t("supplies.overdue");
      return left < 1 ? tw.t("supplies.in_a_day") : tw.t("supplies.in_days", { n: tw.number(left, left < 10 ? 1 : 0) });
    },
    range: (r) => tw.t("supplies.range", { near: tw.date(ms(r.near)), far: tw.date(ms(r.far)) }),
    why: (r) => tw.t(`supplies.why_${r.why}`, { n: tw.number(r.horizon_days) }),
    when(r) {
      return r.likely && r.word !== "out" ? `${this.days(r)}, ${this.range(r)}` : "";
    },
    plan: (n) => tw.t(n === 1 ? "supplies.within_day" : "supplies.within_days", { n: tw.number(n) }),
    source: (r) => tw.source(r.terminal, r.component, r.signal, r.at),
    percent: (share) => tw.percent(share, 0),
    // What is counted has no unit in the catalogue: notes, coins, cards.
    say: (value, unit) => (unit || value === null ? tw.say(value, unit) : tw.t("supplies.items", { n: tw.number(value) })),
    age: (iso) => tw.age(ms(iso)),
    stamp: (iso) => tw.stamp(ms(iso)),
    number: (n) => tw.number(n),
    t: (key, values) => tw.t(key, values),
  },
};
