// How the monitoring itself is: each part with a figure, its limits, what it means and what to do. Vue escapes every text.
const EVERY = 15000; // ms: time alone makes a part late
const RANK = { fail: 0, unknown: 1, warn: 2, ok: 3, off: 4 };

export default {
  template: `
    <div class="tw-mon">
      <p v-if="failed" class="tw-note" role="status">{{ t("app.fetch_failed") }}</p>
      <p v-else-if="!seen" class="tw-note">{{ t("alarms.loading") }}</p>
      <template v-else>
        <div class="tw-mon-head" role="status">
          <b :class="'tw-mon-' + seen.state">{{ t(ill ? "monitoring.not_well" : "monitoring.all_well") }}</b>
          <span v-for="(n, state) in seen.counts" :key="state" class="tw-mark" :class="tone(state)">{{ n }} {{ said(state) }}</span>
          <span class="tw-faint tw-age" :data-at="ms(seen.at)">{{ age(seen.at) }}</span>
          <ul v-if="first.length" class="tw-mon-first"><li v-for="p in first" :key="p.key"><a :href="'#part-' + p.key"><span class="tw-mark" :class="tone(p.state)"><span class="tw-visually-hidden">{{ said(p.state) }}: </span></span>{{ p.title }}</a></li></ul>
        </div>
        <section v-for="group in groups" :key="group.name" class="tw-section">
          <h2>{{ titled(group.name) }}</h2>
          <div class="tw-mon-parts">
            <article v-for="p in group.parts" :key="p.key" class="tw-mon-part" :class="'tw-mon-is-' + p.state" :id="'part-' + p.key">
              <header><h3>{{ p.title }}</h3><span class="tw-mark" :class="tone(p.state)">{{ said(p.state) }}</span></header>
              <p class="tw-mon-value"><span v-if="p.value === null" class="tw-mon-none">{{ t("monitoring.not_known") }}</span><template v-else><b>{{ value(p.value, p.unit)[0] }}</b> {{ value(p.value, p.unit)[1] }}</template>
                <span v-if="p.total" class="tw-faint">{{ t("monitoring.concerned", { n: number(p.count), total: number(p.total) }) }}</span></p>
              <p class="tw-mon-limits tw-faint">{{ limits(p) }}<template v-if="p.at"> · <span :data-at="ms(p.at)">{{ age(p.at) }}</span></template></p>
              <p class="tw-mon-means">{{ p.means }}</p>
              <p v-if="p.text" class="tw-mon-said tw-code">{{ p.text }}</p>
              <p v-if="p.mend" class="tw-mon-mend"><b>{{ t("monitoring.mend") }}:</b> {{ p.mend }}</p>
              <details v-if="p.worst.length" :open="p.state === 'fail' || p.state === 'warn'">
                <summary>{{ t("monitoring.worst") }}</summary>
                <ul><li v-for="(w, k) in p.worst" :key="k">
                  <span class="tw-mon-name"><a v-if="w.href" :href="w.href">{{ w.name }}</a><template v-else>{{ w.name || (p.key === "refused" ? t("monitoring.strangers") : "") }}</template></span>
                  <span v-if="w.value !== null">{{ say(w.value, w.unit) }}</span>
                  <span v-if="w.at" class="tw-faint" :data-at="ahead(w) ? null : ms(w.at)">{{ ahead(w) ? stamp(w.at) : age(w.at) }}</span>
                  <span v-if="w.text" class="tw-faint tw-mon-text">{{ w.text }}</span>
                </li></ul>
              </details>
            </article>
          </div>
        </section>
        <p class="tw-unlisted tw-faint">{{ before }}<span class="tw-code">/metrics</span>{{ after }}</p>
      </template>
    </div>`,
  data: () => ({ seen: null, failed: false }),
  mixins: [tw.list],
  mounted() {
    this.beat = setInterval(() => this.reader.run(), EVERY);
  },
  unmounted() {
    clearInterval(this.beat);
  },
  computed: {
    ill() {
      return this.seen.parts.some((p) => !["ok", "off"].includes(p.state));
    },
    first() {
      return this.seen.parts.filter((p) => RANK[p.state] < RANK.ok).sort((a, b) => RANK[a.state] - RANK[b.state]);
    },
    groups() {
      const found = new Map();
      for (const p of this.seen.parts) {
        if (!found.has(p.group)) found.set(p.group, { name: p.group, parts: [] });
        found.get(p.group).parts.push(p);
      }
      for (const group of found.values()) group.parts.sort((a, b) => RANK[a.state] - RANK[b.state]);
      return [...found.values()];
    },
    before: () => tw.t("monitoring.machines", { metrics: "\u0000" }).split("\u0000")[0],
    after: () => tw.t("monitoring.machines", { metrics: "\u0000" }).split("\u0000")[1] ?? "",
  },
  methods: {
    async load() {
      try {
        this.seen = await tw.json(`/api/v1/monitoring?lang=${window.TW.lang}`);
        this.failed = false;
      } catch (error) {
        this.failed = !this.seen;
        throw error;
      }
    },
    limits(p) {
      const below = p.fail !== null && p.warn !== null && p.fail < p.warn;
      const said = [];
      if (p.warn !== null) said.push(tw.t(below ? "monitoring.limit_warn_below" : "monitoring.limit_warn", { n: tw.say(p.warn, p.unit) }));
      if (p.fail !== null) said.push(tw.t(below ? "monitoring.limit_fail_below" : "monitoring.limit_fail", { n: tw.say(p.fail, p.unit) }));
      return said.join(" · ") || tw.t("monitoring.no_limit");
    },
    tone: (state) => "tw-" + ({ ok: "ok", warn: "warn", fail: "crit" }[state] ?? "unknown"),
    ahead: (w) => Date.parse(w.at) > tw.now(),
    value: (n, unit) => tw.value(n, unit),
    say: (n, unit) => tw.say(n, unit),
    number: (n) => tw.number(n),
    said: (state) => tw.t(`monitoring.state_${state}`),
    titled: (group) => tw.t(`monitoring.group_${group}`),
    t: (name, values) => tw.t(name, values),
    ms: (iso) => (iso ? Date.parse(iso) : 0),
    stamp: (iso) => tw.stamp(Date.parse(iso)),
    age: (iso) => tw.age(iso ? Date.parse(iso) : 0),
  },
};
