// Rules in force, and what each did within a month. Vue escapes every text.
const WAIT = 200;
const MOST = 400;

export default {
  template: `
    <div class="tw-rules">
      <form class="tw-filters" @submit.prevent="reader.run()">
        <input type="search" v-model="f.q" :placeholder="t('rules.filter')" :aria-label="t('rules.filter')" maxlength="100" @input="asked">
        <select v-model="f.party" :aria-label="t('rules.party')" @change="asked"><option value="">{{ t("rules.party") }}</option><option v-for="p in parties" :key="p" :value="p">{{ partyOf(p) }}</option></select>
        <select v-model="f.origin" :aria-label="t('rules.origin')" @change="asked"><option value="">{{ t("rules.origin") }}</option><option v-for="o in ['shipped', 'changed', 'own']" :key="o" :value="o">{{ originOf(o) }}</option></select>
        <select v-model="f.sort" :aria-label="t('rules.sort')" @change="asked"><option v-for="s in ['id', 'raised', 'wrong', 'open']" :key="s" :value="s">{{ sortOf(s) }}</option></select>
        <a class="tw-button tw-rules-link" :href="address() + '&format=xlsx'" download>{{ t("rules.export") }}</a>
        <span class="tw-count" role="status">{{ got ? t("rules.count", { n: got.total, days: got.days }) : "" }}</span>
      </form>
      <p v-if="failed" class="tw-note" role="status">{{ t("app.fetch_failed") }}</p>
      <p v-else-if="!got" class="tw-note">{{ t("alarms.loading") }}</p>
      <p v-else-if="!got.items.length" class="tw-note">{{ t("rules.none") }}</p>
      <div v-else class="tw-panel tw-rules-table">
        <table class="tw-table tw-stacked">
          <thead><tr><th>{{ t("rules.rule") }}</th><th>{{ t("rules.levels") }}</th><th class="tw-number">{{ t("rules.raised") }}</th><th class="tw-number">{{ t("rules.terminals") }}</th><th class="tw-number">{{ t("rules.acknowledged") }}</th><th class="tw-number">{{ t("rules.told") }}</th><th>{{ t("rules.hits") }}</th><th class="tw-number">{{ t("rules.open") }}</th></tr></thead>
          <tbody><tr v-for="r in got.items" :key="r.id">
            <td class="tw-whole"><a :href="'/rules/' + encodeURIComponent(r.id)"><b>{{ r.text }}</b></a><br><span class="tw-code tw-faint">{{ r.id }}</span> <span v-if="r.origin !== 'shipped'" class="tw-tag">{{ originOf(r.origin) }}</span></td>
            <td><span v-for="n in r.levels" :key="n" class="tw-level-badge tw-small-badge tw-rules-level" :class="'tw-l' + n" :title="level(n)">{{ n }}</span></td>
            <td class="tw-number" :class="{ 'tw-void': !r.fired.raised }" :data-label="t('rules.raised')">{{ r.fired.raised ? number(r.fired.raised) : "–" }}</td>
            <td class="tw-number" :class="{ 'tw-void': !r.fired.terminals }" :data-label="t('rules.terminals')">{{ r.fired.terminals ? number(r.fired.terminals) : "–" }}</td>
            <td class="tw-number" :class="{ 'tw-void': !r.fired.raised }" :data-label="t('rules.acknowledged')">{{ r.fired.raised ? number(r.fired.acknowledged) : "–" }}</td>
            <td class="tw-number" :class="{ 'tw-void': !r.fired.told }" :data-label="t('rules.told')">{{ r.fired.told ? number(r.fired.told) : "–" }}</td>
            <td :class="{ 'tw-void': !r.fired.raised && r.fired.hit_share === null }" :data-label="t('rules.hits')"><template v-if="r.fired.hit_share !== null"><b>{{ percent(r.fired.hit_share) }}</b> <span class="tw-faint">{{ t("rules.verdict_counts", { right: r.fired.right, wrong: r.fired.wrong }) }}</span></template><span v-else class="tw-faint">{{ r.fired.raised ? t("rules.no_verdict") : "–" }}</span></td>
            <td class="tw-number" :class="{ 'tw-void': !r.fired.open }" :data-label="t('rules.open')"><b v-if="r.fired.open">{{ number(r.fired.open) }}</b><template v-else>–</template></td>
          </tr></tbody>
        </table>
      </div>
      <section v-if="got && got.off.length" class="tw-section tw-rules-off"><h2>{{ t("rules.off") }}</h2><ul class="tw-panel"><li v-for="o in got.off" :key="o.id"><b>{{ o.text }}</b> <span class="tw-code tw-faint">{{ o.id }}</span><p class="tw-faint">{{ o.why }}</p></li></ul></section>
    </div>`,
  data() {
    const asked = new URL(location.href).searchParams;
    return { got: null, failed: false, f: { q: asked.get("q") ?? "", party: asked.get("party") ?? "", origin: asked.get("origin") ?? "", sort: asked.get("sort") ?? "raised" } };
  },
  mixins: [tw.list],
  computed: {
    parties: () => ["hardware", "software", "cash", "supplies", "power", "network", "host", "branch", "vandalism", "monitoring"],
  },
  methods: {
    address() {
      const asked = new URLSearchParams({ limit: MOST, lang: window.TW.lang });
      for (const [name, value] of Object.entries(this.f)) if (value) asked.set(name, value);
      return `/api/v1/rules?${asked}`;
    },
    async load() {
      try {
        this.got = await tw.json(this.address());
        this.failed = false;
      } catch (error) {
        this.failed = !this.got;
        throw error;
      }
    },
    asked() {
      clearTimeout(this.waiting);
      this.waiting = setTimeout(() => {
        for (const [name, value] of Object.entries(this.f)) tw.address(name, value);
        this.reader.run();
      }, WAIT);
    },
    partyOf: (name) => tw.t(`party.${name}`),
    originOf: (name) => tw.t(`rules.origin_${name}`),
    sortOf: (name) => tw.t(`rules.sort_${name}`),
    level: (n) => tw.level(n),
    number: (n) => tw.number(n),
    percent: (n) => tw.percent(n, 0),
    t: (name, values) => tw.t(name, values),
  },
};
