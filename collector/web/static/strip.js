// Seven days of a terminal and of each of its components, as bands of states on one axis. What was not seen is hatched. Vue escapes every text.
const EVERY = 60000; // ms between two looks: an hour is three pixels
const ROWS = 10; // that are shown at once: the worst come first
const KNOWN = ["ok", "warn", "crit", "unknown", "out", "new"];
const SIGNS = { ok: "", warn: "!", crit: "✕", unknown: "?", out: "–", new: "" };

export default {
  template: `
    <section class="tw-section tw-strip" id="tw-strip">
      <h2>{{ t("strip.title") }}</h2>
      <p v-if="failed" class="tw-note" role="status">{{ t("app.fetch_failed") }}</p>
      <p v-if="!strip && !failed" class="tw-note">{{ t("alarms.loading") }}</p>
      <div v-if="strip" class="tw-panel tw-strip-panel">
        <div class="tw-strip-row tw-strip-days" aria-hidden="true">
          <span></span>
          <div class="tw-strip-axis"><span v-for="(day, k) in days" :key="k" :style="{ left: day.left + '%' }" :class="{ 'tw-strip-short': day.short }">{{ day.text }}</span></div>
        </div>
        <ul>
          <li class="tw-strip-row">
            <b>{{ t("strip.terminal") }}</b>
            <div class="tw-strip-band" role="img" :aria-label="summary(strip.states, stateWord)">
              <i v-for="(b, k) in strip.states" :key="k" :class="'tw-band-' + tone(b.state)" :style="place(b)" :title="tip(b, stateWord)">{{ wide(b) ? stateWord(b.state) : "" }}</i>
            </div>
          </li>
          <li v-for="c in rows" :key="c.component" class="tw-strip-row">
            <a href="#tw-components" class="tw-code" :title="c.component" @click="$emit('component', c.component)">{{ c.component }}</a>
            <div class="tw-strip-band" role="img" :aria-label="summary(c.bands, word)">
              <i v-for="(b, k) in c.bands" :key="k" :class="'tw-band-' + known(b.state)" :style="place(b)" :title="tip(b, word)">{{ sign(b) }}</i>
            </div>
          </li>
        </ul>
        <p v-if="!strip.components.length" class="tw-strip-none">{{ t("terminal.no_components") }}</p>
        <div class="tw-strip-foot">
          <button v-if="strip.components.length > few" type="button" class="tw-button" :aria-expanded="String(all)" @click="all = !all">{{ all ? t("incident.fewer") : t("incident.more", { n: strip.components.length - few }) }}</button>
          <ul class="tw-strip-legend" :aria-label="t('strip.legend')"><li v-for="state in legend" :key="state"><i :class="'tw-band-' + state">{{ signs[state] }}</i>{{ word(state) }}</li></ul>
        </div>
      </div>
    </section>`,
  props: { terminal: String },
  emits: ["component"],
  data: () => ({ strip: null, failed: false, all: false, few: ROWS, signs: SIGNS }),
  mixins: [tw.list, tw.seldom(EVERY)],
  computed: {
    start() {
      return Date.parse(this.strip.from);
    },
    length() {
      return Date.parse(this.strip.to) - this.start;
    },
    rows() {
      return this.all ? this.strip.components : this.strip.components.slice(0, ROWS);
    },
    legend() {
      const there = new Set(this.strip.components.flatMap((c) => c.bands.map((b) => this.known(b.state))));
      return KNOWN.filter((state) => there.has(state));
    },
    days() {
      const found = [];
      const narrow = innerWidth < 700; // a day has some 28 pixels there: its number alone
      const day = new Date(this.start);
      day.setHours(24, 0, 0, 0);
      for (let at = day.getTime(); at < this.start + this.length; day.setDate(day.getDate() + 1), at = day.getTime()) {
        const left = ((at - this.start) / this.length) * 100;
        found.push({ left, text: narrow ? tw.clock("strip-day", { day: "numeric", hourCycle: undefined }).format(at) : tw.clock("strip-weekday", { weekday: "short", day: "numeric", hourCycle: undefined }).format(at), short: left > 92 });
      }
      return found;
    },
  },
  methods: {
    async fetch() {
      try {
        this.strip = await tw.json(`/api/v1/terminals/${encodeURIComponent(this.terminal)}/strip?lang=${window.TW.lang}`);
        this.failed = false;
      } catch (error) {
        this.failed = !this.strip;
        throw error;
      }
    },
    t: (key, values) => tw.t(key, values),
    known: (state) => (KNOWN.includes(state) ? state : "unknown"),
    tone: (state) => tw.tone(state),
    stateWord: (state) => tw.t(`state.${state}`),
    word: (state) => tw.t(`band.${KNOWN.includes(state) ? state : "unknown"}`),
    share(b) {
      return (Date.parse(b.until) - Date.parse(b.since)) / this.length;
    },
    wide(b) {
      return this.share(b) > 0.14;
    },
    sign(b) {
      return this.share(b) > 0.025 ? SIGNS[this.known(b.state)] : "";
    },
    place(b) {
      return { left: `${((Date.parse(b.since) - this.start) / this.length) * 100}%`, width: `${this.share(b) * 100}%` };
    },
    tip(b, word) {
      const when = `${tw.stamp(Date.parse(b.since))} – ${tw.stamp(Date.parse(b.until))}`;
      return [word(b.state), when, ...b.texts].join("\n");
    },
    // How much of the time in which state, for who does not see the band.
    summary(bands, word) {
      const sums = new Map();
      for (const b of bands) sums.set(b.state, (sums.get(b.state) ?? 0) + this.share(b));
      const ordered = [...sums].sort((a, b) => b[1] - a[1]);
      const shares = tw.shares(ordered.map((pair) => pair[1]), 0);
      return ordered.map(([state], k) => `${word(state)} ${shares[k]}`).join(", ");
    },
  },
};
