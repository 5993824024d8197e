// The wall-board: read from five metres, by nobody in particular. It never scrolls on a wide screen, turns over its regions by itself, comes back by itself
// after a lost connection, and looks ill at once when its data are old.
const ROWS = 14;
const REGIONS = 20; // in two columns; more of them are left to their page
const BRANCHES = 7; // of the region that is shown
const TURN_S = 15; // a region stays long enough for its ten worst branches to be read
const OLD_S = 180; // as everywhere: three of the usual minute intervals
const ASK_S = 10; // asked for again although nothing was told: the way over which changes are told may be broken
const DEAF_S = 20; // without an answer
const LOST_S = 30; // without the live connection while the console answers: the page begins anew

export default {
  template: `
    <div class="tw-wall" :class="{ 'tw-wall-old': trouble }">
      <div v-if="trouble" class="tw-wall-trouble" role="alert"><b>{{ t("wall.old") }}</b> <span>{{ trouble }}</span></div>
      <section class="tw-wall-tiles" :aria-label="t('nav.wall')">
        <a class="tw-wall-tile tw-wall-wide" href="/regions" :class="tone(whole && whole.available_most < 0.95)"><span class="tw-wall-label">{{ t("wall.now") }}</span><b class="tw-wall-figure">{{ whole ? range(whole.available_least, whole.available_most) : "–" }}</b><small v-if="whole">{{ t("wall.of", { n: number(expected) }) }}</small></a>
        <a class="tw-wall-tile tw-wall-wide" href="/figures" :class="aim.tone"><span class="tw-wall-label">{{ t("wall.month") }}</span><b class="tw-wall-figure">{{ month && !month.why ? range(month.least, month.most, 2) : "–" }}</b><small>{{ aim.text }}<template v-if="month && month.at"> · <span :data-at="month.at">{{ age(month.at) }}</span></template></small></a>
        <a v-for="one in tiles" :key="one.key" class="tw-wall-tile" :href="one.address" :class="tone(one.n > 0, one.look)"><span class="tw-wall-label"><span class="tw-mark" :class="'tw-' + one.look" aria-hidden="true"></span>{{ t("wall." + one.key) }}</span><b class="tw-wall-figure">{{ whole ? number(one.n) : "–" }}</b><small>{{ one.of }}</small></a>
      </section>
      <section class="tw-wall-worst" :aria-label="t('wall.worst')"><h2>{{ t("wall.worst") }}</h2>
        <p v-if="worst && !ill.length" class="tw-wall-quiet">{{ t("wall.quiet") }}</p>
        <ol><li v-for="one in ill" :key="one.id">
          <span class="tw-mark" :class="'tw-' + one.condition"><span class="tw-visually-hidden">{{ condition(one.condition) }}</span></span>
          <a :href="'/terminal/' + encodeURIComponent(one.id)">{{ one.id }}</a><span class="tw-cut">{{ one.branch }}</span>
          <span class="tw-wall-text"><span v-if="one.level" class="tw-level-badge" :class="'tw-l' + one.level">{{ one.level }}</span> <span class="tw-cut">{{ one.text || stated(one.state) }}</span></span>
          <span class="tw-wall-since" :data-span="ms(one.since)">{{ lasts(one) }}</span></li></ol>
      </section>
      <section class="tw-wall-regions" :aria-label="t('wall.regions')"><h2>{{ t("wall.regions") }}</h2>
        <ol :class="{ 'tw-wall-two': regions.length > 10 }" :style="{ '--rows': Math.ceil(listed.length / 2) }"><li v-for="one in listed" :key="one.name" :class="{ 'tw-wall-here': one.name === shown }">
          <a class="tw-cut" :href="'/regions/' + encodeURIComponent(one.name)">{{ one.name || "–" }}</a>
          <span class="tw-shares" role="img" :aria-label="said(one)"><i v-for="p in parts(one)" :key="p.state" :class="'tw-shares-' + p.look" :style="{ flexGrow: p.n }"></i></span>
          <b>{{ one.available_least === null ? "–" : share(one.available_least) }}</b></li></ol>
        <a v-if="regions.length > listed.length" class="tw-faint" href="/regions">{{ t("wall.more", { n: number(regions.length - listed.length) }) }}</a>
      </section>
      <section class="tw-wall-turn" :aria-label="shown || t('wall.regions')" @mouseenter="held = true" @mouseleave="held = false">
        <h2><span class="tw-cut">{{ shown || "–" }}</span><span class="tw-wall-tools"><button type="button" class="tw-button" @click="turn(1)">{{ t("wall.next") }}</button><button type="button" class="tw-button" :aria-pressed="String(stopped)" @click="stopped = !stopped">{{ t(stopped ? "wall.go_on" : "wall.pause") }}</button></span></h2>
        <i class="tw-wall-progress" aria-hidden="true"><i :style="{ width: Math.min(100, (turned / turnS) * 100) + '%' }"></i></i>
        <ol><li v-for="one in branches" :key="one.name"><a class="tw-cut" :href="'/branch/' + encodeURIComponent(one.name)">{{ one.name }}</a>
          <span class="tw-shares" role="img" :aria-label="said(one)"><i v-for="p in parts(one)" :key="p.state" :class="'tw-shares-' + p.look" :style="{ flexGrow: p.n }"></i></span>
          <span class="tw-wall-counts"><span v-if="one.counts.down" class="tw-mark tw-crit">{{ one.counts.down }}</span><span v-if="one.counts.unmonitored" class="tw-mark tw-unknown">{{ one.counts.unmonitored }}</span></span></li></ol>
      </section>
      <footer class="tw-wall-foot"><span>{{ t("wall.data") }} <b :class="{ 'tw-stale': trouble }">{{ age(newest) }}</b></span><span>{{ date(clock) }} <b>{{ time(clock) }}</b></span></footer>
    </div>`,
  data: () => ({ whole: null, worst: null, regions: [], branches: [], month: null, shown: "", held: false, stopped: false, turned: 0, turnS: TURN_S, answered: Date.now(), connected: Date.now(), clock: tw.now(), asked: 0 }),
  mixins: [tw.list, tw.aloft.words],
  computed: {
    newest() {
      return this.ms(this.whole?.newest);
    },
    expected() {
      return ["up", "down", "unmonitored"].reduce((sum, word) => sum + this.whole.counts[word], 0);
    },
    ill() {
      return (this.worst ?? []).filter((one) => one.condition !== "ok").slice(0, ROWS);
    },
    // The gravest twenty, by name: who looks for one finds it where it was.
    listed() {
      const grave = new Set([...this.regions].sort((a, b) => b.counts.down - a.counts.down).slice(0, REGIONS).map((one) => one.name));
      return this.regions.filter((one) => grave.has(one.name));
    },
    tiles() {
      const n = (...states) => states.reduce((sum, state) => sum + (this.whole?.states[state] ?? 0), 0);
      const of = this.whole ? tw.t("wall.of", { n: tw.number(this.whole.terminals) }) : "";
      return [
        { key: "down", n: this.whole?.counts.down ?? 0, look: "crit", address: "/?condition=crit", of: this.whole ? tw.t("wall.of", { n: tw.number(this.expected) }) : "" },
        { key: "degraded", n: n("degraded"), look: "warn", address: "/?state=degraded", of },
        { key: "supply", n: n("supply_low"), look: "warn", address: "/?state=supply_low", of },
        { key: "offline", n: n("offline"), look: "unknown", address: "/?state=offline", of },
        { key: "breaches", n: this.whole?.breached ?? 0, look: "crit", address: "/inbox", of: this.whole ? tw.t("wall.of_incidents", { n: tw.number(this.whole.incidents) }) : "" },
      ];
    },
    // How the month stands to its target: surely kept, surely missed, or not certain while part of it is not known.
    aim() {
      if (!this.month || this.month.why) return { tone: "tw-wall-none", text: this.month?.why ?? "…" };
      const n = tw.share(this.month.target, 2);
      if (this.month.most < this.month.target) return { tone: "tw-wall-crit", text: tw.t("wall.below", { n }) };
      if (this.month.least >= this.month.target) return { tone: "tw-wall-ok", text: tw.t("wall.on", { n }) };
      return { tone: "tw-wall-unknown", text: tw.t("wall.uncertain", { n }) };
    },
    trouble() {
      const deaf = this.clock - tw.offset - this.answered;
      if (deaf > DEAF_S * 1000) return tw.t("wall.unreachable", { at: tw.time(this.answered + tw.offset), age: tw.span(deaf) });
      if (!this.whole) return "";
      if (!this.newest) return tw.t("wall.old_never");
      const age = this.clock - this.newest;
      return age > OLD_S * 1000 ? tw.t("wall.old_since", { at: tw.stamp(this.newest), age: tw.span(age) }) : "";
    },
  },
  mounted() {
    this.figures();
    this.stops = [setInterval(this.second, 1000), setInterval(this.figures, 60_000)];
    document.body.classList.add("tw-on-wall");
    document.addEventListener("pointermove", this.seen);
    document.addEventListener("keydown", this.seen);
  },
  unmounted() {
    this.stops.forEach(clearInterval);
    document.body.classList.remove("tw-on-wall");
    document.removeEventListener("pointermove", this.seen);
    document.removeEventListener("keydown", this.seen);
  },
  methods: {
    share: (share) => tw.share(share),
    date: (at) => tw.date(at),
    time: (at) => tw.time(at),
    lasts(one) {
      return one.since ? tw.span(Math.max(0, this.clock - Date.parse(one.since))) : "";
    },
    tone: (ill, look = "crit") => (ill ? `tw-wall-${look}` : "tw-wall-plain"),
    said: (one) => tw.aloft.parts(one).map((p) => `${tw.aloft.state(p.state)}: ${tw.number(p.n)}`).join(", "),
    async load() {
      const [whole, worst, regions] = await Promise.all([tw.json("/api/v1/fleet"), tw.json(`/api/v1/worst?limit=${ROWS * 2}&lang=${window.TW.lang}`), tw.json("/api/v1/regions?limit=40")]);
      Object.assign(this, { whole, worst: worst.items, regions: [...regions.items].sort((a, b) => a.name.localeCompare(b.name, tw.locale(), { numeric: true })), answered: Date.now() });
      if (!this.regions.some((one) => one.name === this.shown)) this.shown = this.regions[0]?.name ?? "";
      await this.open();
    },
    async open() {
      if (this.regions.length) this.branches = (await tw.json(`/api/v1/branches?region=${encodeURIComponent(this.shown)}&limit=${BRANCHES}`)).items;
    },
    async figures() {
      this.month = await tw.aloft.figures();
    },
    turn(by) {
      const at = this.regions.findIndex((one) => one.name === this.shown);
      if (this.regions.length) this.shown = this.regions[(at + by + this.regions.length) % this.regions.length].name;
      this.turned = 0;
      this.open().catch(() => {});
    },
    second() {
      this.clock = tw.now();
      this.asked += 1;
      if (this.asked % ASK_S === 0) this.reader.run();
      if (!this.held && !this.stopped && this.regions.length > 1 && (this.turned += 1) >= TURN_S) this.turn(1);
      if (window.socket?.connected) this.connected = Date.now();
      // The console is back and does not know this page any more.
      if (Date.now() - this.connected > LOST_S * 1000 && Date.now() - this.answered < ASK_S * 2000) location.reload();
    },
    // The navigation shows while somebody is there.
    seen() {
      document.body.classList.add("tw-attended");
      clearTimeout(this.leaving);
      this.leaving = setTimeout(() => document.body.classList.remove("tw-attended"), 6000);
    },
  },
};
