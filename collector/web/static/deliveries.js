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
        <ol class="tw-panel tw-history tw-messages"><tw-message v-for="m in list" :key="m.id" :message="m" apart></tw-message></ol>
        <p v-if="total > list.length" class="tw-note">{{ t("alarms.more", { n: list.length }) }}</p>
      </template>
    </div>`,
  data: () => ({ list: null, total: 0, failed: false, receiver: new URL(location.href).searchParams.get("receiver") }),
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
