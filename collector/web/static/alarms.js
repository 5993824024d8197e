// The open alarms of one terminal, each with what it means and what to do. Vue escapes every text.
const LIMIT = 500;

export default {
  components: { "tw-alarm": tw.parts.alarm },
  template: `
    <div class="tw-alarms">
      <p v-if="failed" class="tw-note" role="status">{{ t("app.fetch_failed") }}</p>
      <p v-if="!list && !failed" class="tw-note">{{ t("alarms.loading") }}</p>
      <p v-if="list && !list.length" class="tw-note">{{ t("alarms.none_open") }}</p>
      <ol v-if="list && list.length" class="tw-list">
        <li v-for="a in list" :key="a.id" class="tw-incident tw-own" :class="[a.cleared_at ? 'tw-cleared' : 'tw-edge-l' + a.level]">
          <ol class="tw-rows"><tw-alarm :alarm="a" :known="{ terminal }"></tw-alarm></ol>
          <dl class="tw-alarm-why">
            <div v-if="a.cause"><dt>{{ t("alarms.cause") }}</dt><dd>{{ a.cause }}</dd></div>
            <div v-if="a.consequence"><dt>{{ t("alarms.consequence") }}</dt><dd>{{ a.consequence }}</dd></div>
            <div v-if="a.action" class="tw-action"><dt>{{ t("alarms.action") }}</dt><dd>{{ a.action }}</dd></div>
          </dl>
          <dl class="tw-alarm-when">
            <div><dt>{{ t("alarms.since") }}</dt><dd>{{ stamp(a.raised_at) }}</dd></div>
            <div v-if="a.incident"><dt>{{ t("alarms.incident") }}</dt><dd><a :href="'/incident/' + encodeURIComponent(a.incident)" class="tw-code">{{ a.incident }}</a></dd></div>
            <div><dt>{{ t("alarms.ticket") }}</dt><dd><template v-if="a.ticket"><b>{{ a.ticket }}</b> <span class="tw-tag">{{ ticketState(a.ticket_state) }}</span></template><span v-else class="tw-faint">{{ t("alarms.no_ticket") }}<template v-if="a.ticket_state"> ({{ ticketState(a.ticket_state) }})</template></span></dd></div>
          </dl>
        </li>
      </ol>
    </div>`,
  props: { terminal: String },
  data: () => ({ list: null, failed: false }),
  mixins: [tw.list],
  methods: {
    async load() {
      try {
        const got = await tw.json(`/api/v1/alarms?terminal=${encodeURIComponent(this.terminal)}&limit=${LIMIT}&lang=${window.TW.lang}`);
        this.list = [...got.items.filter((a) => !a.cleared_at), ...got.items.filter((a) => a.cleared_at)];
        this.failed = false;
      } catch (error) {
        this.failed = true;
        throw error;
      }
    },
    ticketState: (state) => tw.ticketState(state),
    t: (key, values) => tw.t(key, values),
    stamp: (iso) => tw.stamp(iso ? Date.parse(iso) : 0),
  },
};
