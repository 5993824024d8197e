// The terminals at risk, the greatest first, or the rounds of inspections that follow from it. Vue escapes every text.
const LIMIT = 500;
const FEW = 3; // findings of one terminal that are shown at once

export default {
  components: { "tw-grade": tw.parts.grade, "tw-foreseen": tw.parts.foreseen, "tw-predicting": tw.parts.predicting, "tw-learning": tw.parts.learning },
  template: `
    <div class="tw-risk" :class="{ 'tw-risk-stale': run && run.stale }">
      <tw-predicting @state="(s) => (run = s)"></tw-predicting>
      <div class="tw-filters">
        <div class="tw-ranges" role="group" :aria-label="t('risk.title')">
          <button type="button" :aria-pressed="String(view === '')" @click="show('')">{{ t("risk.terminals") }}</button>
          <button type="button" :aria-pressed="String(view === 'rounds')" @click="show('rounds')">{{ t("risk.rounds") }}</button>
        </div>
        <template v-if="!view">
          <select v-for="f in filters" :key="f.name" v-model="chosen[f.name]" :aria-label="f.all" @change="remember(f.name, chosen[f.name])">
            <option value="">{{ f.all }}</option>
            <option v-for="o in f.options" :key="o[0]" :value="o[0]">{{ o[1] }}</option>
          </select>
        </template>
        <a href="/trends">{{ t("trends.title") }}</a>
        <span class="tw-count" role="status">{{ counted }}</span>
      </div>
      <p v-if="failed" class="tw-note" role="status">{{ t("app.fetch_failed") }}</p>
      <p v-if="!list && !failed" class="tw-note">{{ t("alarms.loading") }}</p>
      <template v-if="view && list">
        <p v-if="!rounds.length" class="tw-note">{{ t("risk.no_rounds") }}</p>
        <ol v-else class="tw-list">
          <li v-for="r in rounds" :key="r.branch" class="tw-panel tw-round">
            <div class="tw-round-head">
              <h2>{{ r.branch }}</h2>
              <span>{{ t("risk.round", { n: r.due.length, minutes: r.minutes, avoided: number(r.avoided) }) }}</span>
            </div>
            <ol>
              <li v-for="d in r.due" :key="d.terminal">
                <tw-grade :grade="d.grade" :text="d.grade_text"></tw-grade>
                <a :href="'/terminal/' + encodeURIComponent(d.terminal)" class="tw-link">{{ d.terminal }}</a>
                <span :class="{ 'tw-late': d.overdue_s }">{{ t(d.overdue_s ? "risk.overdue" : "risk.inspect_by", { day: day(d.inspect_by) }) }}</span>
                <span class="tw-faint">{{ d.effort_min ? t("risk.effort", { minutes: d.effort_min }) : "" }}</span>
              </li>
            </ol>
          </li>
        </ol>
      </template>
      <template v-else-if="list">
        <div v-if="!list.length" class="tw-note tw-teach">
          <p><b>{{ t(off ? "risk.off" : "risk.none") }}</b></p>
          <p>{{ t("risk.teach") }}</p>
          <tw-learning v-if="run && !off" :learning="run.learning"></tw-learning>
        </div>
        <p v-else-if="!shown.length" class="tw-note">{{ t("alarms.no_match") }}</p>
        <ol v-else class="tw-list">
          <li v-for="r in shown" :key="r.terminal" class="tw-panel tw-risky">
            <div class="tw-risky-head">
              <tw-grade :grade="r.grade" :text="r.grade_text"></tw-grade>
              <h2><a :href="'/terminal/' + encodeURIComponent(r.terminal)">{{ r.terminal }}</a></h2>
              <span class="tw-where">{{ where(r) }}</span>
              <dl class="tw-risky-facts">
                <div v-if="r.effort_min"><dt>{{ t("risk.work") }}</dt><dd>{{ t("risk.minutes", { n: r.effort_min }) }}</dd></div>
                <div v-if="r.inspect_by"><dt>{{ t("risk.inspect") }}</dt><dd :class="{ 'tw-late': past(r.inspect_by) }">{{ day(r.inspect_by) }}</dd></div>
                <div><dt>{{ t("risk.score") }}</dt><dd :title="reasons(r)">{{ number(r.score) }}</dd></div>
              </dl>
              <p v-if="facts(r)" class="tw-risky-beside">{{ t(r.findings.length ? "risk.beside" : "risk.alone", { facts: facts(r) }) }}</p>
            </div>
            <ol class="tw-foreseens"><tw-foreseen v-for="f in some(r)" :key="f.id" :finding="f" :days="days"></tw-foreseen></ol>
            <button v-if="r.findings.length > few" type="button" class="tw-button tw-more" :aria-expanded="String(Boolean(opened[r.terminal]))" @click="opened[r.terminal] = !opened[r.terminal]">
              {{ opened[r.terminal] ? t("incident.fewer") : t("incident.more", { n: r.findings.length - few }) }}
            </button>
          </li>
        </ol>
        <p v-if="total > list.length" class="tw-note">{{ t("alarms.more", { n: list.length }) }}</p>
        <p v-if="quiet && list.length" class="tw-unlisted tw-faint">{{ t("risk.quiet", { n: quiet }) }}</p>
      </template>
    </div>`,
  data() {
    const asked = new URL(location.href).searchParams;
    const chosen = Object.fromEntries(["branch", "region", "grade", "family"].map((name) => [name, asked.get(name) || ""]));
    return { list: null, rounds: [], total: 0, quiet: 0, failed: false, run: null, opened: {}, few: FEW, chosen, view: asked.get("view") === "rounds" ? "rounds" : "" };
  },
  computed: {
    filters() {
      const own = (name) => [...new Set((this.list || []).map((r) => r[name]).filter(Boolean))].sort((a, b) => a.localeCompare(b, window.TW.lang)).map((v) => [v, v]);
      const families = new Map((this.list || []).flatMap((r) => r.findings.map((f) => [f.family, f.family_text])));
      return [
        { name: "branch", all: tw.t("fleet.filter_branch"), options: own("branch") },
        { name: "region", all: tw.t("risk.filter_region"), options: own("region") },
        { name: "grade", all: tw.t("risk.filter_grade"), options: ["high", "medium", "low"].map((g) => [g, tw.t(`grade.${g}`)]) },
        { name: "family", all: tw.t("risk.filter_family"), options: [...families] },
      ];
    },
    shown() {
      const c = this.chosen;
      return (this.list || []).filter(
        (r) => (!c.branch || r.branch === c.branch) && (!c.region || r.region === c.region) && (!c.grade || r.grade === c.grade) && (!c.family || r.findings.some((f) => f.family === c.family)),
      );
    },
    counted() {
      if (!this.list || this.view) return "";
      return tw.t("fleet.shown", { n: this.shown.length, total: this.total });
    },
    days() {
      return tw.reach((this.list || []).flatMap((r) => r.findings));
    },
    off() {
      return this.run && this.run.state === "off";
    },
  },
  mixins: [tw.list],
  methods: {
    async load() {
      const lang = window.TW.lang;
      try {
        const [risk, rounds] = await Promise.all([tw.json(`/api/v1/risk?limit=${LIMIT}&lang=${lang}`), this.view ? tw.json(`/api/v1/inspections?limit=${LIMIT}&lang=${lang}`) : null]);
        this.list = risk.items;
        this.total = risk.total;
        this.quiet = risk.quiet;
        this.rounds = rounds ? rounds.items : this.rounds;
        this.failed = false;
      } catch (error) {
        this.failed = !this.list;
        throw error;
      }
    },
    show(view) {
      this.view = view;
      tw.address("view", view);
      this.reader.run();
    },
    some(r) {
      return this.opened[r.terminal] ? r.findings : r.findings.slice(0, FEW);
    },
    // What adds to the score beside the findings.
    facts: (r) => r.reasons.filter((each) => !each.finding).map((each) => each.text).join(tw.t("risk.and")),
    reasons: (r) => r.reasons.map((each) => `${tw.number(each.weight)} ${each.text}`).join("\n"),
    where: (r) => [r.branch, r.region].filter(Boolean).join(" · "),
    past: (iso) => Date.parse(iso) < tw.now(),
    day: (iso) => tw.day(iso),
    number: (n) => tw.number(n),
    remember: (name, value) => tw.address(name, value),
    t: (key, values) => tw.t(key, values),
  },
};
