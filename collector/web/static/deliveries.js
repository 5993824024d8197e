// The messages that wait or were given up, gravest first. Vue escapes every text.
const MOST = 500;

export default {
  components: { "tw-message": tw.parts.message },
  template: `
    <div>
      <p v-if="receiver !== null" class="tw-filters">{{ t("deliveries.only", { receiver: receiver || t("undelivered.nobody") }) }} <a href="/deliveries">{{ t("deliveries.all") }}</a></p>
      <p v-if="failed" class="tw-note" role="status">{{ t("app.fetch_failed") }}</p>
      <p v-else-if="!list" class="tw-note">{{ t("alarms.loading") }}</p>
      <p v-else-if="!list.length" class="tw-note">{{ t("deliveries.none") }}</p>
      <template v-else>
        <p class="tw-note">{{ t("deliveries.acts") }} <span class="tw-code">tillwatch-collector tickets check</span> · <span class="tw-code">tillwatch-collector tickets retry</span></p>
        <ul class="tw-deliveries-sums"><li v-for="s in sums" :key="s.state"><span class="tw-tag" :class="{ 'tw-dead': s.state === 'dead' }">{{ t("delivery." + s.state) }}</span> <b>{{ s.n }}</b></li></ul>
        <ol class="tw-panel tw-history tw-messages tw-deliveries"><tw-message v-for="m in list" :key="m.id" :message="m" apart></tw-message></ol>
        <p v-if="total > list.length" class="tw-note">{{ t("alarms.more", { n: list.length }) }}</p>
      </template>
    </div>`,
  data: () => ({ list: null, total: 0, failed: false, receiver: new URL(location.href).searchParams.get("receiver") }),
  computed: {
    // What was given up first: it needs somebody.
    sums() {
      const counts = new Map();
      for (const m of this.list) counts.set(m.state, (counts.get(m.state) ?? 0) + 1);
      return [...counts].map(([state, n]) => ({ state, n: tw.number(n) })).sort((a, b) => (b.state === "dead") - (a.state === "dead"));
    },
  },
  mixins: [tw.list],
  methods: {
    async load() {
      const only = this.receiver !== null ? `&connector=${encodeURIComponent(this.receiver)}` : "";
      try {
        const got = await tw.json(`/api/v1/deliveries?limit=${MOST}${only}`);
        this.list = got.items;
        this.total = got.total;
        this.failed = false;
      } catch (error) {
        this.failed = !this.list;
        throw error;
      }
    },
    t: (key, values) => tw.t(key, values),
  },
};
