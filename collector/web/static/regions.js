// Regions, or the branches of one: counts and shares by state, the gravest first. A state that is clicked filters the list; every number leads to its terminals.
const LIMIT = 1000;

export default {
  template: `
    <div class="tw-aloft">
      <p v-if="failed" class="tw-note" role="status">{{ t("app.fetch_failed") }}</p>
      <template v-if="whole">
        <section class="tw-aloft-head" :aria-label="region || t('nav.everywhere')">
          <dl class="tw-aloft-facts">
            <div><dt>{{ t("aloft.terminals") }}</dt><dd><a :href="fleet({})">{{ number(whole.terminals) }}</a></dd></div>
            <div><dt>{{ t("aloft.now") }}</dt><dd>{{ range(whole.available_least, whole.available_most) }}</dd></div>
            <div><dt>{{ t("aloft.month") }}</dt><dd v-if="month && !month.why"><a :href="'/figures?scope=' + encodeURIComponent(scope)">{{ range(month.least, month.most, 2) }}</a>
              <small class="tw-faint">{{ t("aloft.target", { n: percent(month.target, 2) }) }} · <span :data-at="month.at">{{ age(month.at) }}</span></small></dd><dd v-else class="tw-faint tw-aloft-why">{{ month ? month.why : "…" }}</dd></div>
            <div><dt>{{ t("fleet.silent") }}</dt><dd><a :href="fleet({ connection: 'silent' })">{{ number(whole.silent) }}</a></dd></div>
            <div><dt>{{ t("aloft.levels") }}</dt><dd class="tw-aloft-levels"><span v-for="(n, k) in whole.levels" :key="k"><span class="tw-level-badge" :class="'tw-l' + (k + 1)">{{ k + 1 }}</span> {{ number(n) }}</span></dd></div>
            <div><dt>{{ t("fleet.newest") }}</dt><dd><span class="tw-age" :data-at="ms(whole.newest)" data-stale-after="180">{{ age(ms(whole.newest)) }}</span></dd></div>
            <div><dt>{{ t("aloft.worst") }}</dt><dd><a v-if="whole.worst" :href="'/terminal/' + encodeURIComponent(whole.worst)">{{ whole.worst }}</a></dd></div>
          </dl>
          <div class="tw-shares tw-shares-large" aria-hidden="true"><i v-for="p in parts(whole)" :key="p.state" :class="'tw-shares-' + p.look" :style="{ flexGrow: p.n }"></i></div>
          <ul class="tw-legend">
            <li v-for="p in parts(whole)" :key="p.state"><button type="button" :aria-pressed="String(state === p.state)" :class="'tw-look tw-' + p.look" @click="pick(p.state)"><b>{{ number(p.n) }}</b> {{ stated(p.state) }} <small>{{ p.share }}</small></button></li>
          </ul>
          <nav class="tw-aloft-links" :aria-label="t('aloft.ways')">
            <a :href="fleet({ state: state ?? '' })">{{ t("aloft.to_fleet") }}</a><a :href="'/heat' + query">{{ t("nav.heat") }}</a><a :href="'/path' + query">{{ t("nav.path") }}</a>
          </nav>
        </section>
        <div class="tw-filters">
          <input type="search" maxlength="100" :placeholder="t(region ? 'aloft.find_branch' : 'aloft.find')" :aria-label="t(region ? 'aloft.find_branch' : 'aloft.find')" v-model.trim="q">
          <div v-if="!region" class="tw-ranges" role="group" :aria-label="t('aloft.by')"><button type="button" v-for="k in ['region', 'branch']" :key="k" :aria-pressed="String(by === k)" @click="turn(k)">{{ t(k === "region" ? "aloft.regions" : "aloft.branches") }}</button></div>
          <button v-if="state !== null || q" type="button" class="tw-button" @click="clear">{{ t("fleet.clear") }}</button>
          <span class="tw-count" role="status">{{ t("aloft.shown", { n: number(rows.length), total: number(places.length) }) }}</span>
        </div>
        <p v-if="!rows.length" class="tw-note">{{ t("aloft.none") }}</p>
        <table v-else class="tw-table tw-places">
          <thead><tr><th scope="col">{{ t(by === "region" ? "aloft.region" : "fleet.branch") }}</th><th scope="col" class="tw-number">{{ t("aloft.terminals") }}</th><th scope="col">{{ t("aloft.shares") }}</th><th scope="col" class="tw-number">{{ t("aloft.down") }}</th><th scope="col" class="tw-number">{{ t("aloft.unseen") }}</th><th scope="col">{{ t("aloft.levels") }}</th><th scope="col" class="tw-number">{{ t("aloft.now") }}</th><th scope="col" class="tw-number">{{ t("aloft.month") }}</th><th scope="col">{{ t("aloft.worst") }}</th></tr></thead>
          <tbody>
            <tr v-for="one in rows" :key="one.name">
              <th scope="row"><a :href="page(one)">{{ one.name || "–" }}</a><small v-if="by === 'branch' && !region" class="tw-faint">{{ one.region }}</small></th>
              <td class="tw-number" :data-label="t('aloft.terminals')"><a :href="behind(one, {})">{{ number(one.terminals) }}</a></td>
              <td class="tw-places-shares"><div class="tw-shares" role="img" :aria-label="said(one)" :title="said(one)"><i v-for="p in parts(one)" :key="p.state" :class="'tw-shares-' + p.look" :style="{ flexGrow: p.n }"></i></div></td>
              <td class="tw-number" :data-label="t('aloft.down')"><b v-if="one.counts.down" class="tw-mark tw-crit">{{ number(one.counts.down) }}</b><span v-else class="tw-faint">0</span></td>
              <td class="tw-number" :data-label="t('aloft.unseen')"><b v-if="one.counts.unmonitored" class="tw-mark tw-unknown">{{ number(one.counts.unmonitored) }}</b><span v-else class="tw-faint">0</span></td>
              <td class="tw-aloft-levels"><template v-for="(n, k) in one.levels" :key="k"><span v-if="n"><span class="tw-level-badge" :class="'tw-l' + (k + 1)">{{ k + 1 }}</span> {{ n }}</span></template></td>
              <td class="tw-number" :data-label="t('aloft.now')"><template v-if="one.available_least !== null">{{ range(one.available_least, one.available_most) }}</template><small v-else class="tw-faint">{{ t("aloft.closed") }}</small></td>
              <td class="tw-number" :data-label="t('aloft.month')"><a v-if="months.get(one.name)" :href="'/figures?scope=' + encodeURIComponent(by + ':' + one.name)">{{ range(months.get(one.name).least, months.get(one.name).most, 2) }}</a><span v-else class="tw-faint">–</span></td>
              <td class="tw-places-worst" :data-label="t('aloft.worst')"><a v-if="one.worst" :href="'/terminal/' + encodeURIComponent(one.worst)">{{ one.worst }}</a></td>
            </tr>
          </tbody>
        </table>
      </template>
    </div>`,
  props: { region: String },
  data() {
    const asked = new URL(location.href).searchParams;
    return { whole: null, places: [], failed: false, month: null, months: new Map(), q: asked.get("q") ?? "", state: asked.has("state") ? asked.get("state") : null, by: this.region || asked.get("by") === "branch" ? "branch" : "region" };
  },
  mixins: [tw.list, tw.aloft.words],
  computed: {
    scope() {
      return this.region ? `region:${this.region}` : "fleet";
    },
    query() {
      return this.region ? `?region=${encodeURIComponent(this.region)}` : "";
    },
    rows() {
      const q = this.q.toLowerCase();
      const found = this.places.filter((one) => (this.state === null || one.states[this.state]) && (!q || one.name.toLowerCase().includes(q) || one.region.toLowerCase().includes(q)));
      return this.state === null ? found : [...found].sort((a, b) => b.states[this.state] - a.states[this.state]);
    },
  },
  watch: {
    q(text) {
      tw.address("q", text);
    },
  },
  mounted() {
    this.figures();
    this.stopping = tw.aloft.every(60, this.figures);
  },
  unmounted() {
    this.stopping();
  },
  methods: {
    said: (one) => tw.aloft.parts(one).map((p) => `${tw.aloft.state(p.state)}: ${tw.number(p.n)} (${p.share})`).join(", "),
    page: (one) => `/${one.kind === "region" ? "regions" : "branch"}/${encodeURIComponent(one.name)}`,
    fleet(filters) {
      return tw.aloft.fleet({ region: this.region, ...filters });
    },
    behind(one, filters) {
      return tw.aloft.fleet({ [one.kind]: one.name, ...filters });
    },
    async load() {
      try {
        const kind = this.by;
        const places = await tw.json(kind === "region" ? `/api/v1/regions?limit=${LIMIT}` : `/api/v1/branches?limit=${LIMIT}${this.region ? `&region=${encodeURIComponent(this.region)}` : ""}`);
        const whole = this.region ? (await tw.json(`/api/v1/regions?limit=${LIMIT}`)).items.find((one) => one.name === this.region) : await tw.json("/api/v1/fleet");
        if (kind !== this.by) return;
        this.places = places.items.map((one) => ({ ...one, kind }));
        this.whole = whole;
        this.failed = false;
      } catch (error) {
        this.failed = true;
        throw error;
      }
    },
    async figures() {
      const by = this.by;
      this.month = await tw.aloft.figures(this.scope);
      const months = this.month.why ? new Map() : await tw.aloft.shares(by, this.scope);
      if (by === this.by) this.months = months;
    },
    pick(state) {
      this.state = this.state === state ? null : state;
      const url = new URL(location.href);
      if (this.state === null) url.searchParams.delete("state");
      else url.searchParams.set("state", this.state);
      history.replaceState(history.state, "", url);
    },
    turn(by) {
      this.by = by;
      tw.address("by", by === "region" ? "" : by);
      this.places = [];
      this.months = new Map();
      this.reader.run();
      this.figures();
    },
    clear() {
      this.q = "";
      if (this.state !== null) this.pick(this.state);
    },
  },
};
