// One finding, whole: what is foreseen and why, when, what it rests on, how often its detector was right, and what became of it. Vue escapes every text.
export default {
  components: { "tw-predicting": tw.parts.predicting, "tw-range": tw.parts.range, "tw-record": tw.parts.record },
  mixins: [tw.list, tw.themed],
  template: `
    <div class="tw-file tw-finding">
      <tw-predicting></tw-predicting>
      <p v-if="failed" class="tw-note" role="status">{{ t("app.fetch_failed") }}</p>
      <p v-if="!f && !failed" class="tw-note">{{ t("alarms.loading") }}</p>
      <template v-if="f">
        <section class="tw-head">
          <div class="tw-head-name">
            <span class="tw-tag tw-family">{{ f.family_text }}</span>
            <h1>{{ f.reason }}</h1>
            <span v-if="f.word === 'soon'" class="tw-tag tw-soon">{{ f.word_text }}</span>
            <span v-if="f.demoted" class="tw-tag tw-demoted">{{ t("trends.demoted") }}</span>
          </div>
          <dl class="tw-facts">
            <div><dt>{{ t("incident.where") }}</dt><dd><a :href="'/terminal/' + encodeURIComponent(f.terminal)" class="tw-link">{{ f.terminal }}</a> <span class="tw-code">{{ f.component }}</span></dd></div>
            <div><dt>{{ t("fleet.branch") }}</dt><dd>{{ f.branch }}</dd></div>
            <div><dt>{{ t("finding.begun") }}</dt><dd>{{ stamp(f.begun) }}</dd></div>
            <div><dt>{{ t("finding.said") }}</dt><dd>{{ stamp(f.at) }}</dd></div>
            <div v-if="f.probability !== null"><dt>{{ t("risk.probability") }}</dt><dd><b>{{ percent(f.probability) }}</b></dd></div>
            <div v-if="f.incident"><dt>{{ t("alarms.incident") }}</dt><dd><a :href="'/incident/' + encodeURIComponent(f.incident)" class="tw-code">{{ f.incident }}</a></dd></div>
            <div v-if="f.status !== 'open'"><dt>{{ t("finding.outcome") }}</dt><dd><b>{{ f.outcome_text || t("finding.open_outcome") }}</b> <span class="tw-faint">{{ stamp(f.ended) }}</span></dd></div>
          </dl>
        </section>
        <div class="tw-split tw-file-split">
          <div>
            <section v-if="f.range || f.chart" class="tw-section">
              <h2>{{ t("finding.when") }}</h2>
              <div class="tw-panel tw-finding-when">
                <p v-if="f.range">{{ dated(f.range) }}</p>
                <tw-range v-if="f.range && f.status === 'open'" :finding="f" :days="days"></tw-range>
                <a v-if="f.chart" :href="curve(drawn)" class="tw-foreseen-chart"><img :src="chart" :alt="t('finding.chart_of', { signal: f.signal || f.component })" width="480" height="160"></a>
                <p v-if="f.chart" class="tw-faint">{{ t("finding.legend") }} <a :href="curve(drawn)">{{ t("finding.big") }}</a></p>
              </div>
            </section>
            <section v-if="f.factors.length" class="tw-section">
              <h2>{{ t("finding.factors") }}</h2>
              <table class="tw-panel tw-table">
                <thead><tr><th scope="col">{{ t("finding.factor") }}</th><th scope="col" class="tw-number">{{ t("alarms.value") }}</th><th scope="col" class="tw-number">{{ t("finding.weight") }}</th></tr></thead>
                <tbody><tr v-for="(one, k) in f.factors" :key="k"><td>{{ one.text }}</td><td class="tw-number">{{ say(one) }}</td><td class="tw-number">{{ number(one.weight) }}</td></tr></tbody>
              </table>
            </section>
            <section v-if="f.readings.length" class="tw-section">
              <h2>{{ t("finding.readings") }}</h2>
              <table class="tw-panel tw-table">
                <thead><tr><th scope="col">{{ t("finding.signal") }}</th><th scope="col" class="tw-number">{{ t("alarms.value") }}</th><th scope="col">{{ t("finding.read_at") }}</th></tr></thead>
                <tbody><tr v-for="(r, k) in f.readings" :key="k"><td><a :href="curve(r)" class="tw-code">{{ r.component }} · {{ r.signal }}</a></td><td class="tw-number">{{ say(r) }}</td><td><a :href="around(r)">{{ stamp(r.at) }}</a></td></tr></tbody>
              </table>
              <p v-if="f.prove.length" class="tw-unlisted tw-faint">{{ t("finding.prove") }}</p>
              <ul v-if="f.prove.length" class="tw-panel tw-acts"><li v-for="one in f.prove" :key="one" class="tw-code">tillwatch-collector {{ one }}</li></ul>
            </section>
          </div>
          <div>
            <section class="tw-section">
              <h2>{{ t("finding.believe") }}</h2>
              <dl class="tw-panel tw-card-text">
                <div><dt>{{ t("finding.detector") }}</dt><dd><a :href="'/trends#' + encodeURIComponent(f.detector + ' ' + f.kind)" class="tw-code">{{ f.detector }}</a></dd></div>
                <div><dt>{{ t("finding.kind") }}</dt><dd class="tw-code">{{ f.kind }}</dd></div>
                <div><dt>{{ t("finding.now") }}</dt><dd><tw-record :record="f.record"></tw-record><br><span class="tw-faint">{{ dated(f.record.text) }}</span></dd></div>
                <div v-if="f.record_then"><dt>{{ t("finding.then") }}</dt><dd>{{ right(f.record_then) }}</dd></div>
                <div v-if="f.demoted"><dt>{{ t("trends.demoted") }}</dt><dd>{{ t("finding.demoted") }}</dd></div>
                <div v-if="f.model"><dt>{{ t("finding.model") }}</dt><dd class="tw-code">{{ f.model }}</dd></div>
                <div><dt>{{ t("finding.id") }}</dt><dd class="tw-code">{{ f.id }}</dd></div>
              </dl>
            </section>
            <section class="tw-section">
              <h2>{{ t("finding.became") }}</h2>
              <p class="tw-panel tw-finding-became">{{ became }}</p>
            </section>
          </div>
        </div>
      </template>
    </div>`,
  props: { finding: String },
  data: () => ({ f: null, failed: false }),
  computed: {
    days() {
      return tw.reach([this.f]);
    },
    chart() {
      return `${this.f.chart}?lang=${window.TW.lang}&theme=${this.dark ? "dark" : "light"}&at=${Date.parse(this.f.at)}`;
    },
    // What the chart draws: its own signal, or the first reading that is a number.
    drawn() {
      const numbers = this.f.readings.filter((r) => typeof r.value === "number");
      return numbers.find((r) => r.signal === this.f.signal) ?? numbers[0] ?? this.f;
    },
    became() {
      const f = this.f;
      if (f.outcome) return tw.t(`became.${["hit", "false", "prevented"].includes(f.outcome) ? f.outcome : "unknown"}`, { at: tw.stamp(Date.parse(f.ended)) });
      return tw.t(f.status === "open" ? "became.open" : "became.waits", { at: f.ended ? tw.stamp(Date.parse(f.ended)) : "" });
    },
  },
  methods: {
    async load() {
      try {
        this.f = await tw.json(`/api/v1/findings/${encodeURIComponent(this.finding)}?lang=${window.TW.lang}`);
        this.failed = false;
      } catch (error) {
        this.failed = !this.f;
        throw error;
      }
    },
    curve(r) {
      return tw.curve(this.f.terminal, r.component, r.signal);
    },
    // The readings of twelve hours about one.
    around(r) {
      const at = Math.round(Date.parse(r.at) / 1000);
      const names = [this.f.terminal, ...r.component.split("/"), r.signal].map(encodeURIComponent).join("/");
      return `/chart/${names}.svg?from=${at - 21600}&to=${at + 21600}&lang=${window.TW.lang}`;
    },
    say: (one) => (typeof one.value === "boolean" ? String(one.value) : tw.say(one.value, one.unit)),
    right: (r) => tw.right(r),
    number: (n) => tw.number(n),
    percent: (share) => tw.percent(share),
    stamp: (iso) => tw.stamp(iso ? Date.parse(iso) : 0),
    dated: (text) => tw.dated(text),
    t: (key, values) => tw.t(key, values),
  },
};
