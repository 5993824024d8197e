// Alarms as cards in rows: the inbox with its filters, or the open ones of a terminal. Vue escapes every text.
const LIMIT = 500;

export default {
  template: `
    <div class="tw-alarms">
      <div v-if="!terminal" class="tw-filters">
        <div class="tw-ranges" role="group" :aria-label="t('alarms.title')">
          <button type="button" :aria-pressed="String(state === 'open')" @click="show('open')">{{ t("alarms.open") }}</button>
          <button type="button" :aria-pressed="String(state === 'all')" @click="show('all')">{{ t("alarms.all") }}</button>
        </div>
        <input type="search" v-model="q" :placeholder="t('alarms.filter_text')" :aria-label="t('alarms.filter_text')" @input="remember('q', q)">
        <select v-model="level" :aria-label="t('alarms.filter_level')" @change="remember('level', level)">
          <option value="">{{ t("alarms.filter_level") }}</option>
          <option v-for="n in [1, 2, 3]" :key="n" :value="String(n)">{{ levelName(n) }}</option>
        </select>
        <select v-model="branch" :aria-label="t('fleet.filter_branch')" @change="remember('branch', branch)">
          <option value="">{{ t("fleet.filter_branch") }}</option>
          <option v-for="name in branches" :key="name" :value="name">{{ name }}</option>
        </select>
        <span class="tw-count" role="status">{{ list ? t("alarms.shown", { n: shown.length, total }) : "" }}</span>
      </div>
      <p v-if="failed" class="tw-note" role="status">{{ t("app.fetch_failed") }}</p>
      <p v-if="!list && !failed" class="tw-note">{{ t("alarms.loading") }}</p>
      <p v-if="list && !list.length" class="tw-note">{{ terminal || state === "open" ? t("alarms.none_open") : t("alarms.none") }}</p>
      <p v-if="list && list.length && !shown.length" class="tw-note">{{ t("alarms.no_match") }}</p>
      <ol v-if="shown.length">
        <li v-for="a in shown" :key="a.id" class="tw-alarm" :class="[a.cleared_at ? 'tw-cleared' : 'tw-edge-l' + a.level, { 'tw-own': terminal }]">
          <span class="tw-level-badge" :class="'tw-l' + a.level" :title="levelName(a.level)" :aria-label="levelName(a.level)">{{ a.level }}</span>
          <div class="tw-alarm-what">
            <h3>{{ a.text }}</h3>
            <p class="tw-where">
              <a v-if="!terminal" :href="place(a)" class="tw-link">{{ a.terminal }}</a>
              <span v-if="!terminal">{{ a.branch }}</span>
              <span class="tw-code">{{ a.component }}<template v-if="a.signal"> · {{ a.signal }}</template></span>
              <span v-if="a.value !== null">{{ t("alarms.value") }} <b>{{ say(a) }}</b></span>
              <span v-if="a.condition === 'unknown'" class="tw-tag">{{ t("alarms.unheard") }}</span>
            </p>
          </div>
          <dl class="tw-alarm-why">
            <div v-if="a.cause"><dt>{{ t("alarms.cause") }}</dt><dd>{{ a.cause }}</dd></div>
            <div v-if="a.consequence"><dt>{{ t("alarms.consequence") }}</dt><dd>{{ a.consequence }}</dd></div>
            <div v-if="a.action" class="tw-action"><dt>{{ t("alarms.action") }}</dt><dd>{{ a.action }}</dd></div>
          </dl>
          <dl class="tw-alarm-when">
            <div><dt>{{ t("alarms.since") }}</dt><dd>{{ stamp(a.raised_at) }} <span v-if="!a.cleared_at" class="tw-faint" :data-at="ms(a.raised_at)">{{ age(a.raised_at) }}</span></dd></div>
            <div v-if="a.cleared_at"><dt>{{ t("alarms.cleared") }}</dt><dd>{{ stamp(a.cleared_at) }} <span class="tw-faint">{{ lasted(a) }}</span></dd></div>
            <div v-if="a.acked_by"><dt>{{ t("alarms.acked") }}</dt><dd>{{ a.acked_by }} <span class="tw-faint">{{ t("alarms.acked_until", { at: stamp(a.ack_until) }) }}</span></dd></div>
            <div><dt>{{ t("alarms.ticket") }}</dt><dd><template v-if="a.ticket"><b>{{ a.ticket }}</b> <span class="tw-tag">{{ a.ticket_state }}</span></template><span v-else class="tw-faint">{{ t("alarms.no_ticket") }}<template v-if="a.ticket_state"> ({{ a.ticket_state }})</template></span></dd></div>
            <div v-if="a.incident"><dt>{{ t("alarms.incident") }}</dt><dd class="tw-code" :title="a.incident">{{ a.incident }}</dd></div>
          </dl>
        </li>
      </ol>
      <p v-if="list && total > list.length" class="tw-note">{{ t("alarms.more", { n: list.length }) }}</p>
    </div>`,
  props: { terminal: String },
  data() {
    const asked = new URL(location.href).searchParams;
    const own = this.terminal === "";
    const get = (name) => (own && asked.get(name)) || "";
    return { list: null, total: 0, failed: false, state: get("state") === "all" ? "all" : "open", q: get("q"), level: get("level"), branch: get("branch") };
  },
  computed: {
    branches() {
      return [...new Set((this.list || []).map((a) => a.branch))].sort((a, b) => a.localeCompare(b, window.TW.lang));
    },
    shown() {
      const q = this.q.toLowerCase();
      return (this.list || []).filter(
        (a) =>
          (!this.level || String(a.level) === this.level) &&
          (!this.branch || a.branch === this.branch) &&
          (!q || [a.terminal, a.branch, a.component, a.signal, a.text, a.ticket, a.incident].some((text) => text.toLowerCase().includes(q))),
      );
    },
  },
  mounted() {
    this.reader = tw.reader(this.load);
    this.reader.run();
  },
  unmounted() {
    this.reader.stop();
  },
  updated() {
    tw.tick();
  },
  methods: {
    async load() {
      const state = this.state;
      const only = this.terminal ? `&terminal=${encodeURIComponent(this.terminal)}` : "";
      try {
        const got = await tw.json(`/api/v1/alarms?state=${state}&limit=${LIMIT}${only}`);
        if (state !== this.state) return;
        this.list = [...got.items.filter((a) => !a.cleared_at), ...got.items.filter((a) => a.cleared_at)];
        this.total = got.total;
        this.failed = false;
      } catch (error) {
        this.failed = true;
        throw error;
      }
    },
    show(state) {
      this.state = state;
      this.remember("state", state === "all" ? "all" : "");
      this.reader.run();
    },
    remember: (name, value) => tw.address(name, value),
    t: (key, values) => tw.t(key, values),
    ms: (iso) => (iso ? Date.parse(iso) : 0),
    age: (iso) => tw.age(iso ? Date.parse(iso) : 0),
    stamp: (iso) => tw.stamp(iso ? Date.parse(iso) : 0),
    lasted: (a) => tw.t("alarms.lasted", { span: tw.span(Date.parse(a.cleared_at) - Date.parse(a.raised_at)) }),
    levelName: (n) => tw.level(n),
    say: (a) => tw.say(a.value, a.unit),
    place(a) {
      const what = a.signal ? `?component=${encodeURIComponent(a.component)}&signal=${encodeURIComponent(a.signal)}` : "";
      return `/terminal/${encodeURIComponent(a.terminal)}${what}`;
    },
  },
};
