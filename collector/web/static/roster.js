// The duty roster: who is on duty, the gaps, the escalation of each level, and who would be told of an incident now. Vue escapes every text.
const WAIT = 300;

export default {
  template: `
    <div class="tw-ros">
      <p v-if="failed" class="tw-note" role="status">{{ t("app.fetch_failed") }}</p>
      <p v-else-if="!plan" class="tw-note">{{ t("alarms.loading") }}</p>
      <template v-else>
        <p class="tw-note tw-ros-source">{{ t("roster.change", { file: plan.source || t("roster.change_default") }) }}</p>
        <p v-if="!plan.used" class="tw-note tw-ros-alarm" role="alert">{{ t("roster.unused") }}</p>
        <p v-if="plan.unmanned.length" class="tw-note tw-ros-alarm" role="alert">{{ t("roster.unmanned", { roles: plan.unmanned.map((role) => shipped(role)).join(", ") }) }}</p>
        <section v-if="plan.used" class="tw-section">
          <h2>{{ t("roster.now") }}</h2>
          <ul class="tw-ros-now">
            <li v-for="(r, k) in plan.rows" :key="k" class="tw-panel" :class="{ 'tw-ros-empty': !r.now.length && r.levels.length, 'tw-ros-idle': !r.now.length && !r.levels.length }">
              <h3>{{ shipped(r.role) }} <span v-if="r.branch || r.region" class="tw-tag">{{ place(r) }}</span></h3>
              <p class="tw-faint">{{ r.levels.length ? t("roster.calls", { levels: r.levels.join(", ") }) : t("roster.never_called") }}</p>
              <p v-if="!r.now.length" class="tw-mark" :class="r.levels.length ? 'tw-crit' : 'tw-unknown'">{{ t("roster.nobody") }}</p>
              <div v-for="p in r.now" :key="p.id" class="tw-ros-person">
                <b>{{ p.name }}</b>
                <span v-for="(value, channel) in shown(p)" :key="channel" class="tw-ros-contact"><span class="tw-faint">{{ by(channel) }}</span> {{ value }}</span>
                <button v-if="!whole[p.id] && Object.keys(p.contact).length" type="button" class="tw-why-button" :title="t('roster.reveal_hint')" @click="reveal(p)">{{ t("roster.reveal") }}</button>
              </div>
            </li>
          </ul>
          <p v-if="trouble" class="tw-note tw-ros-alarm" role="alert">{{ trouble }}</p>
        </section>
        <section v-if="plan.used" class="tw-section">
          <div class="tw-ros-head"><h2>{{ t("roster.week") }}</h2>
            <span class="tw-ranges"><button type="button" :aria-pressed="String(days === 7)" @click="span(7)">{{ t("roster.days") }}</button><button type="button" :aria-pressed="String(days === 28)" @click="span(28)">{{ t("roster.days_more") }}</button></span></div>
          <div class="tw-panel tw-ros-lanes">
            <div class="tw-ros-lane tw-ros-scale"><span></span><div class="tw-ros-track"><i v-for="d in ticks" :key="d.at" :style="{ left: d.left + '%' }">{{ d.text }}</i></div></div>
            <div v-for="(r, k) in plan.rows" :key="k" class="tw-ros-lane">
              <div class="tw-ros-name"><b>{{ shipped(r.role) }}</b><span class="tw-faint">{{ place(r) }} · <span :class="{ 'tw-late': r.gaps && r.levels.length }">{{ r.gaps ? t("roster.gaps", { n: r.gaps, span: length(r.gap_s) }) : t("roster.no_gap") }}</span></span></div>
              <div class="tw-ros-track">
                <span v-for="(s, n) in r.stretches" :key="n" class="tw-ros-bar" :class="[s.people.length ? 'tw-ros-p' + tone(s) : r.levels.length ? 'tw-ros-gap' : 'tw-ros-none']" :style="bar(s)" :title="full(s, r)" tabindex="0" :aria-label="full(s, r)">{{ wide(s) ? (s.people.length ? s.people.join(", ") : t("roster.nobody")) : "" }}</span>
              </div>
            </div>
          </div>
          <p class="tw-unlisted tw-faint">{{ t("roster.zone", { zone }) }}</p>
        </section>
        <section class="tw-section">
          <h2>{{ t("roster.told") }}</h2>
          <form class="tw-filters" @submit.prevent="ask">
            <label class="tw-ros-field"><span>{{ t("roster.told_level") }}</span><select v-model.number="level" @change="ask"><option v-for="n in [1, 2, 3]" :key="n" :value="n">{{ n }}</option></select></label>
            <label class="tw-ros-field"><span>{{ t("roster.told_branch") }}</span><input v-model="branch" list="tw-ros-branches" maxlength="120" autocomplete="off" @input="asked"></label>
            <datalist id="tw-ros-branches"><option v-for="b in branches" :key="b" :value="b"></option></datalist>
          </form>
          <p v-if="missing" class="tw-note">{{ t("roster.told_missing") }}</p>
          <div v-else-if="told" class="tw-panel tw-ros-told">
            <p v-if="!told.open" class="tw-ros-closed">{{ t("roster.told_closed", { at: stamp(told.runs_at) }) }}</p>
            <ol>
              <li v-for="(s, k) in told.steps" :key="k">
                <span class="tw-ros-when">{{ s.after_s ? t("roster.after", { span: length(s.after_s) }) : t("roster.at_once") }}<span class="tw-faint">{{ stamp(s.due) }}</span></span>
                <b>{{ shipped(s.role) || "–" }}</b>
                <span v-if="!s.channels.length" class="tw-faint">{{ shipped(s.text) || t("roster.no_call") }}</span>
                <span v-else-if="!s.people.length" class="tw-mark tw-crit" :title="t('roster.gap')">{{ t("roster.nobody") }}</span>
                <span v-else class="tw-ros-people"><span v-for="p in s.people" :key="p.id"><b v-if="p.name !== s.role">{{ p.name }}</b> <span class="tw-faint">{{ s.channels.map(by).join(", ") }}</span></span>
                  <span v-for="(w, n) in s.ways" :key="n" class="tw-code">→ {{ w.connector }}: {{ by(w.channel) }} {{ w.contact }}</span>
                  <span v-if="told.routed && !s.ways.length" class="tw-late">{{ t("roster.told_no_way") }}</span></span>
              </li>
            </ol>
            <p class="tw-faint">{{ !told.routed ? t("roster.told_unrouted") : told.ticket ? t("roster.told_ticket", { name: told.ticket, why: told.why }) : t("roster.told_no_ticket") }}</p>
          </div>
        </section>
        <section class="tw-section">
          <h2>{{ t("roster.ladder") }}</h2>
          <div class="tw-ros-ladders">
            <article v-for="l in plan.ladders" :key="l.level" class="tw-panel">
              <h3><span class="tw-level-badge" :class="'tw-l' + l.level">{{ l.level }}</span> {{ t("roster.promise", { response: length(l.response_s), repair: length(l.repair_s) }) }}</h3>
              <p class="tw-faint">{{ hours(l.hours) }}<template v-if="l.remind_s"> · {{ t("roster.remind", { span: length(l.remind_s) }) }}</template></p>
              <ol><li v-for="(s, k) in l.steps" :key="k">
                <span class="tw-ros-when">{{ t("clock." + s.kind) }} <span class="tw-faint">{{ s.after_s ? t("roster.after", { span: length(s.after_s) }) : t("roster.at_once") }}</span></span>
                <span><b>{{ shipped(s.role) || "–" }}</b> <span class="tw-faint">{{ s.channels.map(by).join(", ") || t("roster.no_call") }}</span><span v-if="s.text" class="tw-faint tw-ros-text">{{ shipped(s.text) }}</span></span>
              </li></ol>
            </article>
          </div>
        </section>
      </template>
    </div>`,
  data() {
    const asked = new URL(location.href).searchParams;
    return { plan: null, failed: false, days: 7, whole: {}, trouble: "", level: Number(asked.get("level")) || 1, branch: asked.get("branch") ?? "", branches: [], told: null, missing: false };
  },
  mixins: [tw.list],
  computed: {
    zone() {
      return window.TW.zone || Intl.DateTimeFormat().resolvedOptions().timeZone;
    },
    from() {
      return Date.parse(this.plan.from);
    },
    all() {
      return Date.parse(this.plan.to) - this.from;
    },
    ticks() {
      const found = [];
      const step = this.days > 7 ? 7 : 1;
      for (let k = 0; k < this.days; k += step) {
        const at = this.from + k * 86400000;
        found.push({ at, left: ((at - this.from) / this.all) * 100, text: tw.clock("ros-day", { weekday: "short", day: "numeric", month: "short" }).format(at) });
      }
      return found;
    },
    people() {
      return [...new Set(this.plan.rows.flatMap((r) => r.stretches.map((s) => s.people.join(", "))))];
    },
  },
  methods: {
    async load() {
      try {
        this.plan = await tw.json(`/api/v1/roster?days=${this.days}`);
        this.failed = false;
      } catch (error) {
        this.failed = !this.plan;
        throw error;
      }
      if (!this.branches.length) {
        const got = await tw.json("/console/fleet.json?since=");
        const at = got.fields.indexOf("branch");
        this.branches = [...new Set(got.rows.map((row) => row[at]))].sort((a, b) => a.localeCompare(b, window.TW.lang));
        this.branch = this.branch || this.branches[0] || "";
      }
      await this.ask();
    },
    span(days) {
      this.days = days;
      this.reader.run();
    },
    asked() {
      clearTimeout(this.waiting);
      this.waiting = setTimeout(() => this.ask(), WAIT);
    },
    async ask() {
      if (!this.branch) return;
      if (this.branches.length && !this.branches.includes(this.branch)) {
        this.missing = true;
        return;
      }
      this.missing = false;
      tw.address("level", String(this.level));
      tw.address("branch", this.branch);
      this.told = await tw.json(`/api/v1/roster/told?level=${this.level}&branch=${encodeURIComponent(this.branch)}`).catch(() => this.told);
    },
    async reveal(person) {
      this.trouble = "";
      try {
        const got = await tw.act("POST", `/api/v1/roster/people/${encodeURIComponent(person.id)}/contact`);
        this.whole = { ...this.whole, [person.id]: got.contact };
      } catch (error) {
        this.trouble = error.message;
      }
    },
    shown(person) {
      return this.whole[person.id] ?? person.contact;
    },
    bar(s) {
      const left = ((Date.parse(s.from) - this.from) / this.all) * 100;
      return { left: `${left}%`, width: `${((Date.parse(s.to) - Date.parse(s.from)) / this.all) * 100}%` };
    },
    wide(s) {
      return (Date.parse(s.to) - Date.parse(s.from)) / this.all > 0.035;
    },
    tone(s) {
      return this.people.indexOf(s.people.join(", ")) % 4;
    },
    full(s, r) {
      const said = `${tw.shipped(r.role)}, ${tw.stamp(Date.parse(s.from))} – ${tw.stamp(Date.parse(s.to))}: ${s.people.join(", ") || tw.t("roster.nobody")}`;
      return s.people.length || !r.levels.length ? said : `${said}. ${tw.t("roster.gap")}`;
    },
    place(r) {
      return r.branch ? tw.t("roster.branch", { name: r.branch }) : r.region ? tw.t("roster.region", { name: r.region }) : tw.t("roster.everywhere");
    },
    hours: (name) => (name === "always" ? tw.t("roster.hours_always") : name === "service" ? tw.t("roster.hours_service") : tw.t("roster.hours_of", { name })),
    shipped: (text) => tw.shipped(text),
    by: (channel) => tw.t(`roster.by_${channel}`),
    length: (s) => tw.length(Math.round(s)),
    stamp: (iso) => tw.stamp(iso ? Date.parse(iso) : 0),
    t: (name, values) => tw.t(name, values),
  },
};
