// What is foreseen of one terminal, under its alarms; nothing where nothing is. Vue escapes every text.
const LIMIT = 50;

export default {
  components: { "tw-foreseen": tw.parts.foreseen, "tw-predicting": tw.parts.predicting },
  template: `
    <section v-if="list && list.length" class="tw-section tw-foretold">
      <h2>{{ t("risk.foretold") }}</h2>
      <tw-predicting></tw-predicting>
      <ol class="tw-panel tw-foreseens"><tw-foreseen v-for="f in list" :key="f.id" :finding="f" :days="days"></tw-foreseen></ol>
      <p v-if="demoted" class="tw-unlisted"><a href="/trends">{{ t("risk.demoted", { n: demoted }) }}</a></p>
    </section>`,
  props: { terminal: String },
  data: () => ({ list: null, demoted: 0 }),
  computed: {
    days() {
      return tw.reach(this.list);
    },
  },
  mixins: [tw.list],
  methods: {
    async load() {
      const got = await tw.json(`/api/v1/terminals/${encodeURIComponent(this.terminal)}/findings?limit=${LIMIT}&lang=${window.TW.lang}`);
      this.list = got.items.filter((f) => !f.demoted);
      this.demoted = got.items.length - this.list.length;
    },
    t: (key, values) => tw.t(key, values),
  },
};
