// The inbox: one entry an incident with its alarms underneath, then the alarms that no open incident speaks of. Vue escapes every text.
const LIMIT = 500;
const ALARMS = 1000;
const FEW = 4; // alarms of one incident that are shown at once: a branch that is cut off has dozens

export default {
  components: { "tw-alarm": tw.parts.alarm, "tw-clock": tw.parts.clock },
  template: `
    <div class="tw-incidents">
      <div class="tw-filters">
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
        <span class="tw-count" role="status">{{ list ? t("alarms.shown", { n: shown.length, total, alarms: alarmCount }) : "" }}</span>
      </div>
      <p v-if="failed" class="tw-note" role="status">{{ t("app.fetch_failed") }}</p>
      <p v-if="!list && !failed" class="tw-note">{{ t("alarms.loading") }}</p>
      <p v-if="list && !list.length && !loose.length" class="tw-note">{{ state === "open" ? t("alarms.none_open") : t("alarms.none") }}</p>
      <p v-if="list && (list.length || loose.length) && !shown.length && !looseShown.length" class="tw-note">{{ t("alarms.no_match") }}</p>
      <ol v-if="shown.length" class="tw-list">
        <li v-for="i in shown" :key="i.id" class="tw-incident" :class="[settled(i) ? 'tw-cleared' : 'tw-edge-l' + i.level]">
          <div class="tw-incident-main">
          <div class="tw-incident-head">
            <span class="tw-level-badge" :class="'tw-l' + i.level" :title="levelName(i.level)" :aria-label="levelName(i.level)">{{ i.level }}</span>
            <h3><a :href="'/incident/' + encodeURIComponent(i.id)">{{ i.text }}</a></h3>
            <span class="tw-stage" :class="'tw-stage-' + (i.on_hold ? 'on_hold' : i.state)">{{ stage(i) }}</span>
            <span v-for="mark in marks(i)" :key="mark" class="tw-tag">{{ mark }}</span>
            <p class="tw-where">
              <a v-if="i.terminal" :href="'/terminal/' + encodeURIComponent(i.terminal)" class="tw-link">{{ i.terminal }}</a>
              <b v-else>{{ where(i) }}</b>
              <span v-if="i.terminal">{{ i.branch }}</span>
              <span v-if="!i.terminal && i.terminals">{{ t("incident.concerns", { n: i.terminals }) }}</span>
              <span v-if="!i.terminal && i.cause">{{ cause(i) }}</span>
              <span v-if="i.owner">{{ t("alarms.acked") }} <b>{{ i.owner }}</b></span>
              <span v-if="i.terminal && i.cause" class="tw-evidence">{{ i.cause }}</span>
              <span v-if="i.parent"><a :href="'/incident/' + encodeURIComponent(i.parent)">{{ t("incident.explained") }}</a></span>
            </p>
          </div>
          <ol v-if="of(i).length" class="tw-rows">
            <tw-alarm v-for="a in some(i)" :key="a.id" :alarm="a" :known="i"></tw-alarm>
          </ol>
          <button v-if="of(i).length > few" type="button" class="tw-button tw-more" :aria-expanded="String(Boolean(opened[i.id]))" @click="opened[i.id] = !opened[i.id]">
            {{ opened[i.id] ? t("incident.fewer") : t("incident.more", { n: of(i).length - few }) }}
          </button>
          </div>
          <div class="tw-incident-side">
            <p><span class="tw-faint">{{ t("alarms.since") }}</span> {{ stamp(i.occurred_at) }} <span v-if="!settled(i)" class="tw-faint" :data-at="ms(i.occurred_at)">{{ age(i.occurred_at) }}</span></p>
            <p v-if="i.state === 'settling'"><span class="tw-faint">{{ t("incident.told_at") }}</span> <b :data-left="ms(i.settle_until)"></b></p>
            <tw-clock v-for="c in clocks(i)" :key="c.kind" :clock="c" :hold="i.hold_text"></tw-clock>
            <p><span class="tw-faint">{{ t("alarms.ticket") }}</span> <template v-if="i.ticket.id"><b>{{ i.ticket.id }}</b> <span class="tw-tag">{{ ticketState(i.ticket.state) }}</span><template v-if="i.ticket.owner"> {{ i.ticket.owner }}</template></template><span v-else class="tw-faint">{{ t("alarms.no_ticket") }}<template v-if="i.ticket.state"> ({{ ticketState(i.ticket.state) }})</template></span></p>
          </div>
        </li>
      </ol>
      <section v-if="looseShown.length" class="tw-section">
        <h2>{{ t("incident.loose") }}</h2>
        <p class="tw-faint tw-loose-why">{{ t("incident.loose_why") }}</p>
        <ol class="tw-rows tw-loose"><tw-alarm v-for="a in looseShown" :key="a.id" :alarm="a"></tw-alarm></ol>
      </section>
      <p v-if="list && total > list.length" class="tw-note">{{ t("alarms.more", { n: list.length }) }}</p>
    </div>`,
  data() {
    const asked = new URL(location.href).searchParams;
    const get = (name) => asked.get(name) || "";
    return {
      list: null, alarms: [], total: 0, alarmCount: 0, failed: false, opened: {}, few: FEW,
      state: get("state") === "all" ? "all" : "open", q: get("q"), level: get("level"), branch: get("branch"),
    };
  },
  computed: {
    byIncident() {
      const found = new Map();
      for (const a of this.alarms) {
        if (!found.has(a.incident)) found.set(a.incident, []);
        found.get(a.incident).push(a);
      }
      return found;
    },
    loose() {
      const known = new Set((this.list || []).map((i) => i.id));
      return this.alarms.filter((a) => !known.has(a.incident));
    },
    branches() {
      const names = [...(this.list || []).map((i) => i.branch), ...this.alarms.map((a) => a.branch)].filter(Boolean);
      return [...new Set(names)].sort((a, b) => a.localeCompare(b, window.TW.lang));
    },
    shown() {
      return (this.list || []).filter(
        (i) =>
          (!this.level || String(i.level) === this.level) &&
          (!this.branch || i.branch === this.branch || this.of(i).some((a) => a.branch === this.branch)) &&
          (this.found([i.id, i.text, i.terminal, i.branch, i.region, i.component, i.owner, i.ticket.id, i.ticket.owner, tw.stage(i)]) || this.of(i).some((a) => this.said(a))),
      );
    },
    looseShown() {
      return this.loose.filter((a) => (!this.level || String(a.level) === this.level) && (!this.branch || a.branch === this.branch) && this.said(a));
    },
  },
  mixins: [tw.list],
  methods: {
    async load() {
      const state = this.state;
      const ask = (what, limit) => tw.json(`/api/v1/${what}?state=${state}&limit=${limit}&lang=${window.TW.lang}`);
      try {
        const [incidents, alarms] = await Promise.all([ask("incidents", LIMIT), ask("alarms", ALARMS)]);
        if (state !== this.state) return;
        const rank = (i) => (this.settled(i) ? 2 : i.state === "restored" ? 1 : 0); // what only waits for a word comes after what lasts
        this.list = incidents.items.sort((a, b) => rank(a) - rank(b));
        this.total = incidents.total;
        this.alarms = alarms.items;
        this.alarmCount = alarms.total;
        this.failed = false;
      } catch (error) {
        this.failed = true;
        throw error;
      }
    },
    found(texts) {
      const q = this.q.toLowerCase();
      return !q || texts.some((text) => String(text ?? "").toLowerCase().includes(q));
    },
    said(a) {
      return this.found([a.terminal, a.branch, a.component, a.signal, a.text, a.ticket, a.isa_state, ...a.masks.map((m) => m.reason)]);
    },
    show(state) {
      this.state = state;
      this.remember("state", state === "all" ? "all" : "");
      this.reader.run();
    },
    of(i) {
      return this.byIncident.get(i.id) || [];
    },
    some(i) {
      return this.opened[i.id] ? this.of(i) : this.of(i).slice(0, FEW);
    },
    // The response is of interest until somebody responds, then the repair.
    clocks: (i) => i.clocks.filter((clock) => !clock.stopped_at),
    settled: (i) => ["resolved", "closed", "dropped"].includes(i.state),
    ticketState: (state) => tw.ticketState(state),
    stage: (i) => tw.stage(i),
    marks: (i) => tw.marks(i),
    where: (i) => tw.where(i),
    cause: (i) => tw.cause(i),
    remember: (name, value) => tw.address(name, value),
    t: (key, values) => tw.t(key, values),
    ms: (iso) => (iso ? Date.parse(iso) : 0),
    age: (iso) => tw.age(iso ? Date.parse(iso) : 0),
    stamp: (iso) => tw.stamp(iso ? Date.parse(iso) : 0),
    levelName: (n) => tw.level(n),
  },
};
