// Parts that show what is foreseen: a grade, a range of dates, a finding, a detector's record, and how far the predictions are. Vue escapes every text.
"use strict";

tw.DAY = 86400000;

// A day, in the reader's zone.
tw.day = (iso) => (iso ? tw.date(Date.parse(iso)) : "");
tw.percent = (share) => `${Math.round(share * 100)} %`;

// Colours of a chart that is an image follow the page's theme by asking for the other one.
tw.dark = () => document.body.classList.contains("body--dark") || (!document.body.classList.contains("body--light") && matchMedia("(prefers-color-scheme: dark)").matches);
tw.themed = {
  data: () => ({ dark: tw.dark() }),
  created() {
    const look = () => (this.dark = tw.dark());
    this.watcher = new MutationObserver(look);
    this.watcher.observe(document.body, { attributes: true, attributeFilter: ["class"] });
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", look);
  },
  unmounted() {
    this.watcher.disconnect();
  },
};

// Low, medium, high: bars that fill up, and the word.
tw.parts.grade = {
  template: `<span class="tw-grade" :class="'tw-grade-' + grade"><span class="tw-grade-bars" aria-hidden="true"><i></i><i></i><i></i></span>{{ text }}</span>`,
  props: { grade: String, text: String },
};

// The range of dates over the next `days`, today at the left; in words for who cannot see it.
tw.parts.range = {
  template: `
    <div class="tw-when" role="img" :aria-label="dated(f.range)">
      <span class="tw-when-bar">
        <i class="tw-when-span" :class="{ 'tw-when-beyond': at(f.far) > 100 }" :style="{ left: low + '%', width: Math.max(high - low, 1.5) + '%' }"></i>
        <i v-if="at(f.likely) <= 100" class="tw-when-likely" :style="{ left: at(f.likely) + '%' }"></i>
      </span>
      <span class="tw-when-ends" aria-hidden="true"><span>{{ t("chart.today") }}</span><span>{{ t("risk.in_days", { n: days }) }}</span></span>
    </div>`,
  props: { finding: Object, days: Number },
  computed: {
    f() {
      return this.finding;
    },
    low() {
      return Math.min(this.at(this.f.near), 98);
    },
    high() {
      return Math.min(this.at(this.f.far), 100);
    },
  },
  methods: {
    t: (key, values) => tw.t(key, values),
    dated: (text) => tw.dated(text),
    at(iso) {
      return Math.max(0, ((Date.parse(iso) - tw.now()) / (this.days * tw.DAY)) * 100);
    },
  },
};

// Right in so many of so many, and where that stands.
tw.right = (r) => (r.judged ? tw.t("risk.right", { hits: r.hits, judged: r.judged, since: tw.day(r.since) }) : tw.t("risk.unjudged"));
tw.parts.record = {
  template: `
    <span class="tw-record">
      <i v-if="r.judged" class="tw-bar tw-record-bar" role="presentation"><i :style="{ width: (100 * r.hits) / r.judged + '%' }"></i></i>
      <a :href="'/trends#' + encodeURIComponent(r.detector + ' ' + r.kind)" :title="said">{{ right }}</a>
    </span>`,
  props: { record: Object },
  computed: {
    r() {
      return this.record;
    },
    right() {
      return tw.right(this.record);
    },
    said() {
      return tw.dated(this.record.text);
    },
  },
};

// One finding: what, why, when, how far to believe it, and the chart that shows it. days: of the range bar. apart: its terminal is not told above.
tw.parts.foreseen = {
  components: { "tw-range": tw.parts.range, "tw-record": tw.parts.record },
  mixins: [tw.themed],
  template: `
    <li class="tw-foreseen" :class="{ 'tw-over': f.status !== 'open' }">
      <div class="tw-foreseen-what">
        <p class="tw-foreseen-name">
          <span class="tw-tag tw-family">{{ f.family_text }}</span>
          <a v-if="apart" :href="'/terminal/' + encodeURIComponent(f.terminal)" class="tw-link">{{ f.terminal }}</a>
          <span class="tw-code">{{ f.component }}</span>
          <span v-if="f.word === 'soon'" class="tw-tag tw-soon">{{ f.word_text }}</span>
          <span v-if="f.demoted" class="tw-tag tw-demoted">{{ t("trends.demoted") }}</span>
          <span v-if="f.status !== 'open'" class="tw-tag">{{ outcome }}</span>
        </p>
        <p class="tw-foreseen-why"><a :href="'/findings/' + encodeURIComponent(f.id)">{{ f.reason }}</a></p>
        <template v-if="f.status === 'open'">
          <p v-if="f.range" class="tw-foreseen-when">{{ dated(f.range) }}</p>
          <tw-range v-if="f.range" :finding="f" :days="days"></tw-range>
          <p v-else-if="f.probability === null" class="tw-faint">{{ t("risk.no_date") }}</p>
        </template>
        <dl class="tw-foreseen-facts">
          <div v-if="f.probability !== null"><dt>{{ t("risk.probability") }}</dt><dd><b>{{ percent(f.probability) }}</b></dd></div>
          <div><dt>{{ t("risk.record") }}</dt><dd><tw-record :record="f.record"></tw-record></dd></div>
          <div v-if="f.incident"><dt>{{ t("alarms.incident") }}</dt><dd><a :href="'/incident/' + encodeURIComponent(f.incident)" class="tw-code">{{ f.incident }}</a></dd></div>
        </dl>
      </div>
      <a v-if="f.chart" class="tw-foreseen-chart" :href="big"><img :src="chart" :alt="t('finding.chart_of', { signal: f.signal || f.component })" width="480" height="160" loading="lazy"></a>
      <dl v-else-if="f.factors.length" class="tw-factors">
        <div v-for="(one, k) in f.factors.slice(0, 4)" :key="k"><dt>{{ one.text }}</dt><dd><i :style="{ width: weigh(one) + '%' }"></i></dd></div>
      </dl>
    </li>`,
  props: { finding: Object, days: Number, apart: Boolean },
  computed: {
    f() {
      return this.finding;
    },
    outcome() {
      return this.f.outcome_text || tw.t("finding.open_outcome");
    },
    chart() {
      return `${this.f.chart}?lang=${window.TW.lang}&theme=${this.dark ? "dark" : "light"}&at=${Date.parse(this.f.at)}`;
    },
    big() {
      return tw.curve(this.f.terminal, this.f.component, this.f.signal);
    },
  },
  methods: {
    dated: (text) => tw.dated(text),
    t: (key, values) => tw.t(key, values),
    percent: (share) => tw.percent(share),
    weigh(one) {
      return (100 * Math.abs(one.weight)) / Math.max(...this.f.factors.map((each) => Math.abs(each.weight)), 1e-9);
    },
  },
};

// The page of a terminal, at the big chart of a signal over the last 30 days.
tw.curve = (terminal, component, signal) =>
  `/terminal/${encodeURIComponent(terminal)}${signal ? `?component=${encodeURIComponent(component)}&signal=${encodeURIComponent(signal)}&range=d30` : ""}`;

// Days that the range bars of a list span, all of them the same so that they can be compared: as far as what ends first. What is further fades out.
tw.reach = (findings) => {
  const far = findings.filter((f) => f.far).map((f) => (Date.parse(f.far) - tw.now()) / tw.DAY);
  return [30, 60, 90].find((days) => days >= Math.min(...far, 1000)) ?? (far.length ? 180 : 30);
};

// Whether the predictions run: asked again by itself, since a process that stands still changes nothing in the store.
tw.parts.predicting = {
  template: `
    <div class="tw-predicting" role="status">
      <p v-if="said" class="tw-note tw-predicting-stale">{{ said }}</p>
    </div>`,
  data: () => ({ state: null, timer: 0 }),
  emits: ["state"],
  computed: {
    said() {
      const s = this.state;
      if (!s || s.state === "well") return "";
      const values = { entries: tw.number(s.entries), at: s.at ? tw.stamp(Date.parse(s.at)) : "–", lag: tw.span(s.lag_s * 1000), why: s.trouble };
      return tw.t(`predicting.${s.state}`, values);
    },
  },
  mounted() {
    this.reader = tw.reader(this.load);
    this.reader.run();
    this.timer = setInterval(() => this.reader.run(), 15000);
  },
  unmounted() {
    this.reader.stop();
    clearInterval(this.timer);
  },
  methods: {
    async load() {
      this.state = await tw.json(`/api/v1/predictions?lang=${window.TW.lang}`);
      this.$emit("state", this.state);
    },
  },
};

// Which kinds of prediction speak already, and which still learn, since when.
tw.parts.learning = {
  template: `
    <p v-if="!some.length">{{ t("learning.all") }}</p>
    <ul v-else class="tw-learning">
      <li v-for="l in some" :key="l.family"><span class="tw-tag tw-family">{{ l.family_text }}</span> <span>{{ said(l) }}</span></li>
    </ul>`,
  props: { learning: Array },
  computed: {
    some() {
      return this.learning.filter((l) => l.state !== "ready");
    },
  },
  methods: {
    t: (key) => tw.t(key),
    said(l) {
      if (l.state === "learning") return l.since ? tw.t("learning.learning", { since: tw.day(l.since), until: tw.day(l.until) }) : tw.t("learning.nothing");
      return tw.t("learning.by_rule");
    },
  },
};
