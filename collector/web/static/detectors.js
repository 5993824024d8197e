// How often each detector was right, the demoted ones first, and what these see all the same. Vue escapes every text.
const LIMIT = 500;

export default {
  components: { "tw-foreseen": tw.parts.foreseen, "tw-predicting": tw.parts.predicting, "tw-learning": tw.parts.learning },
  template: `
    <div class="tw-detectors">
      <p class="tw-trends-why">{{ t("trends.why") }} <a href="/at-risk">{{ t("risk.title") }}</a></p>
      <tw-predicting @state="(s) => (run = s)"></tw-predicting>
      <p v-if="failed" class="tw-note" role="status">{{ t("app.fetch_failed") }}</p>
      <p v-if="!list && !failed" class="tw-note">{{ t("alarms.loading") }}</p>
      <template v-if="list">
        <section class="tw-section">
          <h2>{{ t("trends.demoted_title") }}</h2>
          <p v-if="!demoted.length" class="tw-note">{{ t("trends.none_demoted") }}</p>
          <ul v-else class="tw-list">
            <li v-for="d in demoted" :key="d.detector + d.kind" :id="place(d)" class="tw-panel tw-detector">
              <h3><span class="tw-tag tw-family">{{ d.family_text }}</span> <span class="tw-code">{{ d.detector }}</span> <span class="tw-faint">{{ d.kind }}</span></h3>
              <p>{{ t("trends.said", { at: day(d.demoted_at), hits: d.hits, judged: d.judged, share: percent(d.precision ?? 0), since: day(d.since), floor: percent(d.floor) }) }}</p>
              <p>{{ t("trends.back", { floor: percent(d.floor), more: more(d) }) }}</p>
            </li>
          </ul>
        </section>
        <section v-if="findings.length" class="tw-section">
          <h2>{{ t("trends.findings") }}</h2>
          <ol class="tw-panel tw-foreseens"><tw-foreseen v-for="f in findings" :key="f.id" :finding="f" :days="days" apart></tw-foreseen></ol>
        </section>
        <section class="tw-section">
          <h2>{{ t("trends.records") }}</h2>
          <p v-if="!others.length" class="tw-note">{{ t("trends.none_judged") }}</p>
          <div v-else class="tw-panel">
            <table class="tw-table tw-stacked">
              <thead><tr><th scope="col">{{ t("finding.detector") }}</th><th scope="col">{{ t("finding.kind") }}</th><th scope="col">{{ t("trends.right") }}</th><th v-for="n in counts" :key="n" scope="col" class="tw-number">{{ t("trends." + n) }}</th><th scope="col" class="tw-number">{{ t("trends.floor") }}</th></tr></thead>
              <tbody>
                <tr v-for="d in others" :key="d.detector + d.kind" :id="place(d)">
                  <td class="tw-code">{{ d.detector }}</td><td class="tw-code">{{ d.kind }}</td>
                  <td class="tw-whole" :title="d.text">{{ right(d) }}<span v-if="d.judged" class="tw-faint"> · {{ t("trends.between", { least: percent(d.least), most: percent(d.most) }) }}</span></td>
                  <td v-for="n in counts" :key="n" class="tw-number" :data-label="t('trends.' + n)">{{ d[n] }}</td><td class="tw-number" :data-label="t('trends.floor')">{{ percent(d.floor) }}</td>
                </tr>
              </tbody>
            </table>
          </div>
        </section>
        <section v-if="run" class="tw-section">
          <h2>{{ t("trends.learning") }}</h2>
          <div class="tw-panel tw-teach"><tw-learning :learning="run.learning"></tw-learning></div>
        </section>
      </template>
    </div>`,
  data: () => ({ list: null, findings: [], failed: false, run: null, marked: false, counts: ["prevented", "missed", "open"] }),
  computed: {
    demoted() {
      return this.list.filter((d) => d.demoted);
    },
    others() {
      return this.list.filter((d) => !d.demoted);
    },
    days() {
      return tw.reach(this.findings);
    },
  },
  mixins: [tw.list],
  updated() {
    // The address names a detector; its entry is there only now.
    const named = decodeURIComponent(location.hash.slice(1));
    const entry = named && !this.marked ? document.getElementById(named) : null;
    if (!entry) return;
    this.marked = true;
    entry.classList.add("tw-marked");
    entry.scrollIntoView({ block: "center" });
  },
  methods: {
    async load() {
      const ask = (what) => tw.json(`/api/v1/${what}limit=${LIMIT}&lang=${window.TW.lang}`);
      try {
        const [rates, findings] = await Promise.all([ask("detectors?"), ask("findings?demoted=true&")]);
        this.list = rates.items;
        this.findings = findings.items;
        this.failed = false;
      } catch (error) {
        this.failed = !this.list;
        throw error;
      }
    },
    // How many more have to come true, one after the other, until the share is back at the floor.
    more: (d) => Math.max(1, Math.ceil((d.floor * d.judged - d.hits) / Math.max(1 - d.floor, 0.01) - 1e-9)),
    place: (d) => `${d.detector} ${d.kind}`,
    right: (d) => tw.right(d),
    percent: (share) => tw.percent(share),
    day: (iso) => tw.day(iso),
    t: (key, values) => tw.t(key, values),
  },
};
