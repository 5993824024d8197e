// Diagnosis cards: all of them, searched in both languages. Vue escapes every text.
const WAIT = 200;

export default {
  template: `
    <div class="tw-cards">
      <form class="tw-filters" role="search" @submit.prevent="reader.run()">
        <input ref="question" type="search" v-model="q" :placeholder="t('cards.filter')" :aria-label="t('cards.filter')" maxlength="200" @input="asked">
        <select v-model="party" :aria-label="t('rules.party')" @change="asked"><option value="">{{ t("rules.party") }}</option><option v-for="p in parties" :key="p" :value="p">{{ partyOf(p) }}</option></select>
        <span class="tw-count" role="status">{{ list ? t("cards.count", { n: total }) : "" }}</span>
      </form>
      <p v-if="failed" class="tw-note" role="status">{{ t("app.fetch_failed") }}</p>
      <p v-else-if="!list" class="tw-note">{{ t("alarms.loading") }}</p>
      <p v-else-if="!list.length" class="tw-note">{{ t("cards.none") }}</p>
      <ul v-else class="tw-cards-list">
        <li v-for="c in list" :key="c.rule"><a class="tw-panel tw-cards-one" :href="'/cards/' + encodeURIComponent(c.rule)">
          <span class="tw-cards-head"><b>{{ c.text }}</b><span v-if="c.open" class="tw-mark tw-warn">{{ t("cards.open", { n: c.open }) }}</span></span>
          <span class="tw-cards-means">{{ c.means }}</span>
          <span class="tw-cards-foot"><span class="tw-tag">{{ partyOf(c.party) }}</span><span class="tw-code tw-faint">{{ c.rule }}</span><span v-if="q && c.where.length" class="tw-faint">{{ t("cards.found_in") }} {{ c.where.slice(0, 3).map(place).join(", ") }}</span></span>
        </a></li>
      </ul>
    </div>`,
  data() {
    const asked = new URL(location.href).searchParams;
    return { list: null, total: 0, failed: false, q: asked.get("q") ?? "", party: asked.get("party") ?? "" };
  },
  mixins: [tw.list],
  mounted() {
    if (matchMedia("(min-width: 641px)").matches) this.$refs.question.focus();
  },
  computed: {
    parties: () => ["hardware", "software", "cash", "supplies", "power", "network", "host", "branch", "vandalism", "monitoring"],
  },
  methods: {
    async load() {
      try {
        const got = await tw.json(`/api/v1/cards?limit=400&lang=${window.TW.lang}&q=${encodeURIComponent(this.q)}${this.party ? "&party=" + this.party : ""}`);
        this.list = this.q ? got.items : [...got.items].sort((a, b) => Math.sign(b.open) - Math.sign(a.open)); // what is asked for now comes first; a search has an order of its own
        this.total = got.total;
        this.failed = false;
      } catch (error) {
        this.failed = !this.list;
        throw error;
      }
    },
    asked() {
      clearTimeout(this.waiting);
      this.waiting = setTimeout(() => {
        tw.address("q", this.q);
        tw.address("party", this.party);
        this.reader.run();
      }, WAIT);
    },
    place: (where) => tw.t(`cards.in_${where}`),
    partyOf: (name) => tw.t(`party.${name}`),
    t: (name, values) => tw.t(name, values),
  },
};
