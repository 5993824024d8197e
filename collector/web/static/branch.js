// One branch. Its terminals stand worst first; beside them what is open, what is planned, who is on duty and the last seven days.
const TERMINALS = 200;
const STALE_S = 3600; // as in the fleet: an hour of silence looks stale
const SOON = 14; // days ahead in which planned work is shown

export default {
  template: `
    <div class="tw-aloft">
      <p v-if="failed" class="tw-note" role="status">{{ t("app.fetch_failed") }}</p>
      <template v-if="whole">
        <section class="tw-aloft-head" :aria-label="branch">
          <dl class="tw-aloft-facts">
            <div><dt>{{ t("aloft.terminals") }}</dt><dd><a :href="fleet({})">{{ number(whole.terminals) }}</a></dd></div>
            <div><dt>{{ t("aloft.now") }}</dt><dd>{{ range(whole.available_least, whole.available_most) }}</dd></div>
            <div><dt>{{ t("aloft.month") }}</dt><dd v-if="month && !month.why"><a :href="'/figures?scope=' + encodeURIComponent('branch:' + branch)">{{ range(month.least, month.most, 2) }}</a>
              <small class="tw-faint">{{ t("aloft.target", { n: percent(month.target, 2) }) }} · <span :data-at="month.at">{{ age(month.at) }}</span></small></dd><dd v-else class="tw-faint tw-aloft-why">{{ month ? month.why : "…" }}</dd></div>
            <div><dt>{{ t("fleet.alarms") }}</dt><dd>{{ number(whole.open_alarms) }}</dd></div>
            <div><dt>{{ t("fleet.newest") }}</dt><dd><span class="tw-age" :data-at="ms(whole.newest)" data-stale-after="180">{{ age(ms(whole.newest)) }}</span></dd></div>
          </dl>
          <div class="tw-shares tw-shares-large" aria-hidden="true"><i v-for="p in parts(whole)" :key="p.state" :class="'tw-shares-' + p.look" :style="{ flexGrow: p.n }"></i></div>
          <ul class="tw-legend"><li v-for="p in parts(whole)" :key="p.state"><a :href="fleet({ state: p.state })" :class="'tw-look tw-' + p.look"><b>{{ number(p.n) }}</b> {{ stated(p.state) }} <small>{{ p.share }}</small></a></li></ul>
          <nav class="tw-aloft-links" :aria-label="t('aloft.ways')">
            <a v-if="plan" class="tw-button tw-primary" :href="'/calendar?branch=' + encodeURIComponent(branch)">{{ t("aloft.maintain") }}</a>
            <a :href="fleet({})">{{ t("aloft.to_fleet") }}</a><a :href="'/heat?branch=' + encodeURIComponent(branch)">{{ t("nav.heat") }}</a><a :href="'/path?branch=' + encodeURIComponent(branch)">{{ t("nav.path") }}</a>
          </nav>
        </section>
        <div class="tw-branch">
          <section class="tw-panel"><h2>{{ t("aloft.terminals") }}</h2>
            <table class="tw-table tw-own-terminals">
              <thead><tr><th scope="col">{{ t("fleet.terminal") }}</th><th scope="col">{{ t("fleet.state") }}</th><th scope="col" class="tw-own-parts">{{ t("aloft.bad_parts") }}</th><th scope="col">{{ t("fleet.worst") }}</th><th scope="col">{{ t("fleet.received") }}</th></tr></thead>
              <tbody><tr v-for="one in terminals" :key="one.id">
                <th scope="row"><span class="tw-mark" :class="'tw-' + one.condition"><span class="tw-visually-hidden">{{ condition(one.condition) }}</span></span><a class="tw-link" :href="'/terminal/' + encodeURIComponent(one.id)">{{ one.id }}</a></th>
                <td class="tw-own-state">{{ stated(one.state) }} <small v-if="one.since" class="tw-faint" :data-at="ms(one.since)">{{ age(ms(one.since)) }}</small></td>
                <td class="tw-own-parts"><span v-for="p in bad(one)" :key="p.group" class="tw-mark" :class="'tw-' + p.look">{{ t("part." + p.group) }}</span></td>
                <td class="tw-own-worst"><span v-if="one.level" class="tw-level-badge" :class="'tw-l' + one.level">{{ one.level }}</span> <a v-if="one.incident" class="tw-in-text" :href="'/incident/' + encodeURIComponent(one.incident)">{{ one.text }}</a><template v-else>{{ one.text }}</template> <small v-if="one.taken_by" class="tw-faint"> · {{ t("aloft.taken", { who: one.taken_by }) }}</small></td>
                <td class="tw-own-age"><span class="tw-age" :class="{ 'tw-stale': one.condition === 'unknown' }" :data-at="ms(one.last_received)" :data-stale-after="one.condition === 'unknown' ? null : stale">{{ age(ms(one.last_received)) }}</span></td>
              </tr></tbody>
            </table>
            <p v-if="total > terminals.length" class="tw-more-line"><a :href="fleet({})">{{ t("aloft.more", { n: number(total - terminals.length) }) }}</a></p>
          </section>
          <div class="tw-branch-side">
            <section class="tw-panel"><h2>{{ t("aloft.incidents") }}</h2>
              <p v-if="!incidents.length" class="tw-faint">{{ t("aloft.no_incidents") }}</p>
              <ul class="tw-lines"><li v-for="one in incidents" :key="one.id"><span class="tw-level-badge" :class="'tw-l' + one.level">{{ one.level }}</span><span><a :href="'/incident/' + encodeURIComponent(one.id)">{{ one.text }}</a><small class="tw-faint">{{ one.terminal || branch }} · <span :data-at="ms(one.occurred_at)">{{ age(ms(one.occurred_at)) }}</span> · {{ one.owner || t("aloft.nobody") }}</small></span></li></ul>
            </section>
            <section class="tw-panel"><h2>{{ t("aloft.week") }}</h2>
              <p v-if="week === null" class="tw-faint">…</p>
              <p v-else-if="!week.days.length" class="tw-faint">{{ t("aloft.no_week") }}</p>
              <template v-else>
                <ol class="tw-week"><li v-for="day in week.days" :key="day.start">
                  <span class="tw-week-bar" role="img" :aria-label="told(day)" :title="told(day)"><i v-for="k in kinds" :key="k" v-show="day[k]" :class="'tw-shares-' + looks[k]" :style="{ flexGrow: day[k] || 0 }"></i><i v-if="day.up === null" class="tw-shares-planned" style="flex-grow: 1"></i></span>
                  <b>{{ day.up === null ? "–" : percent(day.up) }}</b><span class="tw-faint">{{ weekday(day) }}</span></li></ol>
                <ul class="tw-legend tw-legend-small"><li v-for="k in kinds" :key="k"><span :class="'tw-look tw-' + looks[k]">{{ t("counted." + k) }}</span></li></ul>
                <small class="tw-faint">{{ t("aloft.week_at") }} <span :data-at="ms(week.computed)">{{ age(ms(week.computed)) }}</span></small>
              </template>
            </section>
            <section class="tw-panel"><h2>{{ t("aloft.work") }}</h2>
              <p v-if="!work.length" class="tw-faint">{{ t("aloft.no_work", { n: soon }) }}</p>
              <ul class="tw-lines"><li v-for="one in work" :key="one.id"><span class="tw-tag">{{ one.state === "open" ? t("aloft.open_now") : date(one.from) }}</span><span><a :href="'/calendar?branch=' + encodeURIComponent(branch)">{{ one.reason || one.id }}</a><small class="tw-faint">{{ stamp(one.from) }} – {{ stamp(one.to) }} · {{ scoped(one.scope) }}</small></span></li></ul>
            </section>
            <section class="tw-panel"><h2>{{ t("aloft.duty") }}</h2>
              <p v-if="!duty.length" class="tw-faint">{{ t("aloft.no_roster") }}</p>
              <dl class="tw-duty"><template v-for="one in duty" :key="one.role"><dt>{{ one.role }}</dt><dd><span v-if="!one.people.length" class="tw-mark tw-warn">{{ t("aloft.nobody_on") }}</span><span v-for="who in one.people" :key="who.name">{{ who.name }}<a v-for="(to, channel) in who.contact" :key="channel" :href="reach(channel, to)">{{ to }}</a></span></dd></template></dl>
              <a v-if="duty.length" href="/roster" class="tw-more-line">{{ t("nav.roster") }}</a>
            </section>
          </div>
        </div>
      </template>
    </div>`,
  props: { branch: String, region: String, plan: Boolean, groups: Array },
  data: () => ({ stale: STALE_S, whole: null, terminals: [], total: 0, incidents: [], week: null, work: [], duty: [], month: null, failed: false, soon: SOON, kinds: ["down", "unmonitored", "planned", "up"], looks: { up: "ok", down: "crit", unmonitored: "unknown", planned: "planned" } }),
  mixins: [tw.list, tw.aloft.words],
  mounted() {
    this.slow();
    this.stopping = tw.aloft.every(60, this.slow);
  },
  unmounted() {
    this.stopping();
  },
  methods: {
    // Whom a window covers, in words where it is not a terminal.
    scoped(scope) {
      const [kind, name] = scope.split(/:(.*)/s);
      if (scope === "all") return tw.t("calendar.everywhere");
      return name && ["branch", "region"].includes(kind) ? tw.t(`calendar.${kind}`, { name }) : scope;
    },
    stamp: (iso) => tw.stamp(Date.parse(iso)),
    date: (iso) => tw.date(Date.parse(iso)),
    weekday: (day) => tw.weekday(Date.parse(day.start) + 43_200_000),
    reach: (channel, to) => `${{ phone: "tel", sms: "sms", mail: "mailto" }[channel] ?? "tel"}:${to}`,
    told(day) {
      const kinds = this.kinds.filter((k) => day[k]);
      const shares = tw.shares(kinds.map((k) => day[k]));
      const said = kinds.map((k, n) => `${tw.t(`counted.${k}`)} ${shares[n]}`);
      return `${tw.date(Date.parse(day.start) + 43_200_000)}: ${said.join(", ") || tw.t("aloft.unscheduled")}`;
    },
    bad(one) {
      if (!/[owc]/.test(one.cells)) return []; // nothing of it is known: its state says so
      const looks = { c: "crit", u: "unknown", w: "warn" };
      return this.groups.map((group, k) => ({ group, look: looks[one.cells[k]] })).filter((part) => part.look);
    },
    fleet(filters) {
      return tw.aloft.fleet({ branch: this.branch, ...filters });
    },
    async load() {
      const name = encodeURIComponent(this.branch);
      try {
        const [whole, worst, incidents] = await Promise.all([tw.json(`/api/v1/branch?name=${name}`), tw.json(`/api/v1/worst?branch=${name}&limit=${TERMINALS}&lang=${window.TW.lang}`), tw.json(`/api/v1/branch/incidents?name=${name}&lang=${window.TW.lang}`)]);
        Object.assign(this, { whole, terminals: worst.items, total: worst.total, incidents: incidents.items, failed: false });
      } catch (error) {
        this.failed = true;
        throw error;
      }
    },
    // What changes slowly. Each fails by itself: the rest of the page stays.
    slow() {
      const name = encodeURIComponent(this.branch);
      tw.json(`/api/v1/branch/week?name=${name}`).then((week) => (this.week = week), () => (this.week = { days: [] }));
      tw.json(`/api/v1/branch/duty?name=${name}`).then((duty) => (this.duty = duty), () => {});
      tw.aloft.figures(`branch:${this.branch}`).then((month) => (this.month = month));
      const until = new Date(tw.now() + SOON * 86_400_000).toISOString();
      tw.json(`/api/v1/windows?from=${new Date(tw.now()).toISOString()}&to=${until}`).then((plan) => (this.work = plan.windows.filter((one) => one.state !== "over" && this.covers(one.scope))), () => {});
    },
    covers(scope) {
      return ["all", `region:${this.region}`, `branch:${this.branch}`].includes(scope) || this.terminals.some((one) => scope === one.id || scope.startsWith(`${one.id}/`));
    },
  },
};
