// The maintenance calendar: windows of a month, a week or as a list, what one covers and silences, and the form by which one is made. Vue escapes every text.
const DAY = 86400000;
const MONTH_CHIPS = 3; // in a day's cell; the list has all
const SHOWN = 200; // rows of the list at first
const WAIT = 350; // ms after the last key until the preview is asked for

const pad = (n) => String(n).padStart(2, "0");
const key = (y, m, d) => `${y}-${pad(m)}-${pad(d)}`;

export default {
  template: `
    <div class="tw-cal">
      <div class="tw-filters tw-cal-bar">
        <span class="tw-ranges" role="group" :aria-label="t('calendar.view')">
          <button v-for="name in ['month', 'week', 'agenda']" :key="name" type="button" :aria-pressed="String(view === name)" @click="turn(name)">{{ t("calendar." + name) }}</button>
        </span>
        <span class="tw-ranges">
          <button type="button" :aria-label="t('calendar.back')" :title="t('calendar.back')" @click="move(-1)">‹</button>
          <button type="button" @click="today">{{ t("calendar.today") }}</button>
          <button type="button" :aria-label="t('calendar.forth')" :title="t('calendar.forth')" @click="move(1)">›</button>
        </span>
        <b class="tw-cal-when" aria-live="polite">{{ heading }}</b>
        <input type="search" v-model="wanted" :placeholder="t('calendar.filter')" :aria-label="t('calendar.filter')" maxlength="80">
        <span class="tw-grow"></span>
        <a class="tw-button tw-cal-link" :href="'/api/v1/windows.ics?lang=' + lang" download>{{ t("calendar.export") }}</a>
        <button v-if="plan && plan.may_plan" type="button" class="tw-button tw-primary" @click="open()">{{ t("calendar.new") }}</button>
      </div>
      <p v-if="said" class="tw-note tw-cal-said" role="status">{{ said }}</p>
      <p v-if="failed" class="tw-note" role="status">{{ t("app.fetch_failed") }}</p>
      <p v-else-if="!plan" class="tw-note">{{ t("alarms.loading") }}</p>
      <div v-else class="tw-cal-split">
        <section :aria-label="heading">
          <div v-if="view === 'month'" class="tw-cal-month" role="table">
            <div role="row" class="tw-cal-names"><span v-for="name in weekdays" :key="name" role="columnheader">{{ name }}</span></div>
            <div v-for="week in weeks" :key="week[0].key" role="row" class="tw-cal-week">
              <div v-for="day in week" :key="day.key" role="cell" class="tw-cal-day" :class="{ 'tw-cal-other': !day.inside, 'tw-cal-today': day.key === now.key }">
                <button type="button" class="tw-cal-number" :aria-label="dateOf(day.start) + ', ' + on(day).length" @click="see(day)">{{ day.d }}</button>
                <button v-for="s in on(day).slice(0, chips)" :key="s.window + s.from" type="button" class="tw-cal-chip" :class="tone(s)" :title="full(s)" @click="pick(s)">
                  <span class="tw-cal-glyph" aria-hidden="true">{{ glyph(s) }}</span><span class="tw-cal-time">{{ starts(s, day) }}</span><span class="tw-cut">{{ place(s.w.scope) }}</span>
                </button>
                <button v-if="on(day).length > chips" type="button" class="tw-cal-more" @click="see(day)">{{ t("calendar.more", { n: on(day).length - chips }) }}</button>
              </div>
            </div>
          </div>
          <div v-else-if="view === 'week'" class="tw-cal-lanes">
            <div class="tw-cal-lane tw-cal-scale"><span></span><div class="tw-cal-track"><span v-for="day in days" :key="day.key" :class="{ 'tw-cal-today': day.key === now.key }">{{ dayName(day) }}</span></div></div>
            <div v-for="row in lanes" :key="row.w.id" class="tw-cal-lane">
              <button type="button" class="tw-cal-lane-name" @click="pick(row.list[0])"><b class="tw-cut">{{ place(row.w.scope) }}</b><span class="tw-cut tw-faint">{{ row.w.reason }}</span></button>
              <div class="tw-cal-track">
                <i v-for="day in days" :key="day.key"></i>
                <button v-for="s in row.list" :key="s.from" type="button" class="tw-cal-bar-of" :class="tone(s)" :style="bar(s)" :aria-label="full(s)" :title="full(s)" @click="pick(s)">{{ glyph(s) }}</button>
                <em v-if="nowAt !== null" class="tw-cal-now" :style="{ left: nowAt + '%' }"></em>
              </div>
            </div>
            <p v-if="!lanes.length" class="tw-note">{{ t(wanted ? "calendar.no_match" : "calendar.none") }}</p>
          </div>
          <template v-else>
            <p v-if="!groups.length" class="tw-note">{{ t(wanted ? "calendar.no_match" : "calendar.none") }}</p>
            <section v-for="group in groups" :key="group.day.key" class="tw-cal-group">
              <h2>{{ dateOf(group.day.start) }}</h2>
              <ul class="tw-panel">
                <li v-for="s in group.list" :key="s.window + s.from">
                  <button type="button" class="tw-cal-row" @click="pick(s)">
                    <span class="tw-cal-hours">{{ hours(s) }}</span>
                    <span class="tw-cal-what"><b>{{ place(s.w.scope) }}</b><span class="tw-faint">{{ s.w.reason }}</span></span>
                    <span class="tw-tag" :class="tone(s)">{{ glyph(s) }} {{ stateOf(s) }}</span>
                  </button>
                </li>
              </ul>
            </section>
          </template>
          <p v-if="plan.left_out" class="tw-note">{{ t("calendar.left_out", { n: plan.left_out }) }}</p>
          <p class="tw-unlisted tw-faint">{{ t("calendar.zone", { zone }) }}</p>
        </section>
        <aside>
          <h2>{{ t("calendar.inspections") }}</h2>
          <p v-if="!due.length" class="tw-note">{{ t("calendar.inspections_none") }}</p>
          <ul v-else class="tw-panel tw-cal-due">
            <li v-for="d in due" :key="d.key">
              <div><b><a :href="d.href">{{ d.name }}</a></b><span class="tw-tag">{{ t(d.kind) }}</span></div>
              <p class="tw-faint">{{ d.text }}</p>
              <div><span :class="{ 'tw-late': d.late }">{{ d.when }}</span><button v-if="plan.may_plan" type="button" class="tw-why-button" @click="open({ scope: d.scope })">{{ t("calendar.plan_it") }}</button></div>
            </li>
          </ul>
        </aside>
      </div>

      <dialog ref="file" class="tw-dialog" :aria-label="picked ? place(picked.w.scope) : ''" @close="picked = null">
        <template v-if="picked">
          <header><h2>{{ place(picked.w.scope) }}</h2><button type="button" class="tw-dialog-close" :aria-label="t('window.close')" @click="$refs.file.close()">×</button></header>
          <p><span class="tw-tag" :class="tone(picked)">{{ glyph(picked) }} {{ stateOf(picked) }}</span> <span v-if="picked.w.weekly" class="tw-tag">{{ t("calendar.weekly") }}</span></p>
          <p class="tw-cal-reason">{{ picked.w.reason }}</p>
          <dl class="tw-facts">
            <div><dt>{{ t("window.since") }}</dt><dd>{{ stamp(picked.a) }}</dd></div>
            <div><dt>{{ t("window.until") }}</dt><dd>{{ stamp(picked.b) }}</dd></div>
            <div v-if="picked.w.by"><dt>{{ t("window.by") }}</dt><dd>{{ picked.w.by }}</dd></div>
            <div><dt>{{ t("window.approved") }}</dt><dd>{{ picked.w.approved_by || "–" }}</dd></div>
            <div v-if="picked.w.change_ref"><dt>{{ t("window.change_number") }}</dt><dd>{{ picked.w.change_ref }}</dd></div>
            <div><dt>ID</dt><dd class="tw-code">{{ picked.w.id }}</dd></div>
          </dl>
          <tw-covers v-if="cover" :cover="cover" now></tw-covers>
          <p v-if="trouble" class="tw-note tw-cal-trouble" role="alert">{{ trouble }}</p>
          <p v-if="picked.w.made_in === 'policy'" class="tw-note">{{ t("calendar.from_policy") }}</p>
          <footer v-else-if="plan.may_plan && picked.w.state !== 'over'">
            <template v-if="sure">
              <span>{{ t(picked.w.state === "open" ? "window.sure_end" : "window.sure_cancel", { id: picked.w.id }) }}</span>
              <button type="button" class="tw-button tw-danger" :disabled="busy" @click="cancel">{{ t("window.yes") }}</button>
              <button type="button" class="tw-button" @click="sure = false">{{ t("window.no") }}</button>
            </template>
            <template v-else>
              <button type="button" class="tw-button" @click="open({ window: picked.w })">{{ t("window.edit") }}</button>
              <button type="button" class="tw-button tw-danger" @click="sure = true">{{ t(picked.w.state === "open" ? "window.end" : "window.cancel") }}</button>
            </template>
          </footer>
        </template>
      </dialog>

      <dialog ref="form" class="tw-dialog" :aria-label="form && form.id ? t('window.change', { id: form.id }) : t('window.make')" @close="form = null">
        <form v-if="form" @submit.prevent="save">
          <header><h2>{{ form.id ? t("window.change", { id: form.id }) : t("window.make") }}</h2><button type="button" class="tw-dialog-close" :aria-label="t('window.close')" @click="$refs.form.close()">×</button></header>
          <p class="tw-faint">{{ t("window.about") }}</p>
          <div class="tw-form">
            <label><span>{{ t("window.kind") }}</span>
              <select v-model="form.kind" @change="changed"><option v-for="k in ['branch', 'terminal', 'component', 'region', 'all']" :key="k" :value="k">{{ kindOf(k) }}</option></select></label>
            <label v-if="form.kind !== 'all'"><span>{{ kindOf(form.kind === "component" ? "terminal" : form.kind) }}</span>
              <input v-model="form.name" list="tw-cal-names" required maxlength="120" autocomplete="off" @input="changed"></label>
            <label v-if="form.kind === 'component'"><span>{{ t("window.component") }}</span><input v-model="form.component" required maxlength="80" autocomplete="off" @input="changed"></label>
            <label><span>{{ t("window.since") }}</span><input type="datetime-local" v-model="form.from" required @input="changed"></label>
            <label><span>{{ t("window.until") }}</span><input type="datetime-local" v-model="form.to" required @input="changed"></label>
            <p class="tw-form-wide tw-faint">{{ t("window.clock", { zone: form.zone || zone }) }}</p>
            <label class="tw-form-wide"><span>{{ t("window.reason") }}</span><input v-model="form.reason" required maxlength="200"></label>
            <label><span>{{ t("window.approved_by") }}</span><input v-model="form.approved_by" ref="approver" list="tw-cal-people" required maxlength="200" autocomplete="off"></label>
            <label><span>{{ t("window.change_ref") }}</span><input v-model="form.change_ref" maxlength="200" :placeholder="t('window.optional')" autocomplete="off"></label>
          </div>
          <datalist id="tw-cal-names"><option v-for="name in names" :key="name" :value="name"></option></datalist>
          <datalist id="tw-cal-people"><option v-for="name in people" :key="name" :value="name"></option></datalist>
          <tw-covers v-if="preview" :cover="preview"></tw-covers>
          <label v-if="preview && preview.large" class="tw-cal-large"><input type="checkbox" v-model="form.large" required><span><b>{{ t("window.large", { share: share(preview.share) }) }}</b> {{ t("window.large_yes") }}</span></label>
          <p v-if="trouble" class="tw-note tw-cal-trouble" role="alert">{{ trouble }}</p>
          <footer><button type="submit" class="tw-button tw-primary" :disabled="busy">{{ busy ? t("window.saving") : t(form.id ? "window.save_change" : "window.save") }}</button></footer>
        </form>
      </dialog>
    </div>`,
  components: {
    "tw-covers": {
      template: `
        <section class="tw-covers" :class="{ 'tw-covers-large': cover.large }">
          <h3>{{ t("window.preview") }}: {{ cover.count === 0 ? t("window.covers_none") : cover.count === 1 ? t("window.covers_one") : t("window.covers", { n: number(cover.count), share: percent(cover.share) }) }}</h3>
          <p v-if="cover.components.length">{{ t("window.components") }}: <span class="tw-code">{{ cover.components.join(", ") }}</span></p>
          <p v-else-if="cover.branches.length > 1">{{ t("window.branches") }}: {{ cover.branches.join(", ") }}{{ cover.branches.length === 20 ? ", …" : "" }}</p>
          <p v-else-if="cover.count">{{ t("window.terminals") }}: <template v-for="(one, k) in cover.terminals" :key="one"><template v-if="k">, </template><a :href="'/terminal/' + encodeURIComponent(one)">{{ one }}</a></template>{{ cover.count > cover.terminals.length ? ", …" : "" }}</p>
          <p>{{ cover.mask_count ? t(now ? "window.masks_now" : "window.masks", { n: cover.mask_count }) : t("window.masks_none") }}</p>
          <ul v-if="cover.masks.length" class="tw-covers-list"><li v-for="m in cover.masks.slice(0, 6)" :key="m.id"><span class="tw-level-badge tw-small-badge" :class="'tw-l' + m.level" :title="level(m.level)">{{ m.level }}</span> <a :href="'/terminal/' + encodeURIComponent(m.terminal)">{{ m.terminal }}</a> {{ m.text }}</li></ul>
          <p v-if="cover.mask_count > 6" class="tw-faint">{{ t("calendar.more", { n: cover.mask_count - 6 }) }}</p>
          <template v-if="cover.overlaps.length"><p>{{ t("window.overlaps") }}:</p><ul class="tw-covers-list"><li v-for="o in cover.overlaps" :key="o.id"><span class="tw-code">{{ o.id }}</span> {{ stamp(o.from) }} – {{ stamp(o.to) }} · {{ o.reason }}</li></ul></template>
        </section>`,
      props: { cover: Object, now: Boolean },
      methods: {
        t: (name, values) => tw.t(name, values),
        number: (n) => tw.number(n),
        percent: (n) => tw.percent(n),
        level: (n) => tw.level(n),
        stamp: (iso) => tw.stamp(iso ? Date.parse(iso) : 0),
      },
    },
  },
  data() {
    const asked = new URL(location.href).searchParams;
    return {
      plan: null, failed: false, said: "", trouble: "", busy: false, sure: false, rounds: [], services: [],
      view: ["month", "week", "agenda"].includes(asked.get("view")) ? asked.get("view") : matchMedia("(max-width: 640px)").matches ? "agenda" : "month",
      at: Date.parse(asked.get("at") ?? "") || tw.now(), wanted: asked.get("q") ?? "", chips: MONTH_CHIPS, picked: null, cover: null, form: null, preview: null, fleet: [], people: [],
      clock: tw.now(),
    };
  },
  mixins: [tw.list],
  async mounted() {
    this.beat = setInterval(() => {
      this.clock = tw.now();
      this.reader.run(); // what others have planned
    }, 60000);
    const asked = new URL(location.href).searchParams;
    for (const [name, begin] of [["branch", "branch:"], ["region", "region:"], ["terminal", ""]]) {
      if (asked.get(name)) return this.open({ scope: begin + asked.get(name) });
    }
  },
  unmounted() {
    clearInterval(this.beat);
    clearTimeout(this.waiting);
  },
  computed: {
    lang: () => window.TW.lang,
    zone() {
      return window.TW.zone || Intl.DateTimeFormat().resolvedOptions().timeZone;
    },
    now() {
      return this.dayOf(this.clock);
    },
    // What is shown: [first day, number of days].
    span() {
      const day = this.dayOf(this.at);
      if (this.view === "week") return [this.shift(day, -day.weekday), 7];
      const first = this.day(day.y, day.m, 1);
      if (this.view === "agenda") return [day.key === this.now.key || (day.y === this.now.y && day.m === this.now.m) ? this.now : first, 31];
      const begin = this.shift(first, -first.weekday);
      const days = new Date(Date.UTC(day.y, day.m, 0)).getUTCDate();
      return [begin, Math.ceil((first.weekday + days) / 7) * 7];
    },
    days() {
      const found = Array.from({ length: this.span[1] + 1 }, (_, k) => this.shift(this.span[0], k));
      return found.slice(0, -1).map((day, k) => ({ ...day, next: found[k + 1].start }));
    },
    weeks() {
      const month = this.dayOf(this.at).m;
      const days = this.days.map((day) => ({ ...day, inside: day.m === month }));
      return Array.from({ length: days.length / 7 }, (_, k) => days.slice(7 * k, 7 * k + 7));
    },
    end() {
      return this.shift(this.span[0], this.span[1]).start;
    },
    weekdays() {
      const named = new Intl.DateTimeFormat(tw.locale(), { weekday: "short", timeZone: "UTC" });
      return Array.from({ length: 7 }, (_, k) => named.format(Date.UTC(2024, 0, 1 + k))); // the 1st of January 2024 was a Monday
    },
    heading() {
      const [first, count] = this.span;
      if (this.view === "month") return new Intl.DateTimeFormat(tw.locale(), { month: "long", year: "numeric", timeZone: "UTC" }).format(Date.UTC(this.dayOf(this.at).y, this.dayOf(this.at).m - 1, 15));
      return `${tw.date(first.start + DAY / 2)} – ${tw.date(this.shift(first, count - 1).start + DAY / 2)}`;
    },
    stretches() {
      if (!this.plan) return [];
      const windows = new Map(this.plan.windows.map((w) => [w.id, w]));
      const wanted = this.wanted.trim().toLowerCase();
      return this.plan.stretches
        .map((s) => ({ ...s, w: windows.get(s.window), a: Date.parse(s.from), b: Date.parse(s.to) }))
        .filter((s) => !wanted || `${s.w.scope} ${s.w.reason} ${s.w.by} ${s.w.approved_by} ${s.w.change_ref} ${s.w.id}`.toLowerCase().includes(wanted));
    },
    lanes() {
      const rows = new Map();
      for (const s of this.stretches) {
        if (s.b <= this.span[0].start || s.a >= this.end) continue;
        if (!rows.has(s.window)) rows.set(s.window, { w: s.w, list: [] });
        rows.get(s.window).list.push(s);
      }
      return [...rows.values()];
    },
    nowAt() {
      const at = ((this.clock - this.span[0].start) / (this.end - this.span[0].start)) * 100;
      return at >= 0 && at <= 100 ? at : null;
    },
    groups() {
      const found = [];
      let count = 0;
      for (const s of this.stretches) {
        if (s.b <= this.span[0].start || s.a >= this.end || count >= SHOWN) continue;
        count += 1;
        const day = this.dayOf(Math.max(s.a, this.span[0].start));
        if (found.at(-1)?.day.key !== day.key) found.push({ day, list: [] });
        found.at(-1).list.push(s);
      }
      return found;
    },
    due() {
      const rounds = this.rounds.map((r) => {
        const by = Math.min(...r.due.map((x) => Date.parse(x.inspect_by) || Infinity));
        return {
          key: "i" + r.branch, name: r.branch || "–", href: "/at-risk?branch=" + encodeURIComponent(r.branch), kind: "calendar.inspection", scope: "branch:" + r.branch, late: by < this.clock,
          text: [tw.t("calendar.inspection_text", { n: r.due.length, minutes: r.minutes }), tw.t("calendar.inspection_avoid", { n: tw.number(r.avoided) })].join(" · "),
          when: Number.isFinite(by) ? tw.t(by < this.clock ? "calendar.overdue" : "calendar.due", { date: tw.date(by) }) : "",
        };
      });
      const services = this.services.map((s) => {
        const by = this.day(...s.on.split("-").map(Number)).start;
        return {
          key: s.kind + s.terminal, name: s.terminal, href: "/terminal/" + encodeURIComponent(s.terminal), kind: "calendar." + s.kind, scope: s.terminal, late: s.days < 0,
          text: s.branch, when: tw.t(s.days < 0 ? "calendar.overdue" : "calendar.due", { date: tw.date(by + DAY / 2) }),
        };
      });
      return [...services, ...rounds].slice(0, 20);
    },
    names() {
      if (!this.form) return [];
      const field = { branch: "branch", region: "region" }[this.form.kind] ?? "id";
      const typed = this.form.name.toLowerCase();
      const all = [...new Set(this.fleet.map((row) => row[field]))].filter((name) => name && name.toLowerCase().includes(typed));
      return all.sort((a, b) => a.localeCompare(b, window.TW.lang)).slice(0, 50);
    },
  },
  watch: {
    wanted(text) {
      tw.address("q", text);
    },
  },
  methods: {
    // ---- days by the reader's clock
    parts(at) {
      return Object.fromEntries(tw.clock("cal-parts", { year: "numeric", month: "numeric", day: "numeric", hour: "numeric", minute: "numeric", second: "numeric", calendar: "gregory", numberingSystem: "latn" }).formatToParts(at).map((p) => [p.type, Number(p.value)]));
    },
    dayOf(at) {
      const p = this.parts(at);
      return this.day(p.year, p.month, p.day);
    },
    day(y, m, d) {
      const noon = new Date(Date.UTC(y, m - 1, d));
      const [year, month, date] = [noon.getUTCFullYear(), noon.getUTCMonth() + 1, noon.getUTCDate()];
      return { key: key(year, month, date), y: year, m: month, d: date, weekday: (noon.getUTCDay() + 6) % 7, start: this.midnight(year, month, date) };
    },
    midnight(y, m, d) {
      const wanted = Date.UTC(y, m - 1, d);
      let at = wanted;
      for (let k = 0; k < 3; k += 1) {
        const p = this.parts(at);
        at += wanted - Date.UTC(p.year, p.month - 1, p.day, p.hour, p.minute, p.second);
      }
      return at;
    },
    shift(day, count) {
      return this.day(day.y, day.m, day.d + count);
    },
    // ---- what is loaded
    async load() {
      try {
        const [first] = this.span;
        this.plan = await tw.json(`/api/v1/windows?from=${(first.start - 7 * DAY) / 1000}&to=${(this.end + 7 * DAY) / 1000}`);
        this.failed = false;
        if (this.picked) {
          const same = this.stretches.find((s) => s.window === this.picked.window && s.from === this.picked.from);
          if (same) this.picked = same;
        }
      } catch (error) {
        this.failed = !this.plan;
        throw error;
      }
      this.rounds = (await tw.json(`/api/v1/inspections?limit=10&lang=${window.TW.lang}`).catch(() => ({ items: [] }))).items;
      this.services = (await tw.json("/api/v1/service-due?limit=10").catch(() => ({ items: [] }))).items;
    },
    // ---- where one looks
    turn(name) {
      this.view = name;
      tw.address("view", name);
      this.reader.run();
    },
    go(at) {
      this.at = at;
      tw.address("at", new Date(at).toISOString().slice(0, 10));
      this.reader.run();
    },
    move(by) {
      const day = this.dayOf(this.at);
      if (this.view === "month") return this.go(this.day(day.y, day.m + by, 1).start + DAY / 2);
      this.go(this.shift(this.span[0], by * this.span[1]).start + DAY / 2);
    },
    today() {
      this.go(tw.now());
    },
    see(day) {
      this.at = day.start + DAY / 2;
      this.turn("week");
    },
    // ---- one window
    async pick(s) {
      this.picked = s;
      this.cover = null;
      this.sure = false;
      this.trouble = "";
      await this.$nextTick();
      this.$refs.file.showModal();
      this.cover = await tw.json(`/api/v1/windows/${encodeURIComponent(s.window)}?lang=${window.TW.lang}`).catch(() => null);
    },
    async cancel() {
      this.busy = true;
      this.trouble = "";
      const id = this.picked.w.id;
      try {
        await tw.act("DELETE", `/api/v1/windows/${encodeURIComponent(id)}`);
        this.said = tw.t("window.cancelled", { id });
        this.$refs.file.close();
      } catch (error) {
        this.trouble = error.message;
      }
      this.busy = false;
    },
    // ---- the form
    async open({ scope = "", window: w = null } = {}) {
      this.$refs.file?.close();
      this.trouble = "";
      this.preview = null;
      this.form = { id: w?.id ?? "", kind: "branch", name: "", component: "", from: "", to: "", zone: "", reason: w?.reason ?? tw.t("window.reason_default"), approved_by: "", change_ref: w?.change_ref ?? "", large: false };
      this.take(w?.scope ?? scope);
      await this.$nextTick();
      this.$refs.form.showModal();
      if (!this.fleet.length) this.load_fleet();
      if (w?.scope ?? scope) await this.tonight(w);
      (this.form?.name || this.form?.kind === "all" ? this.$refs.approver : this.$refs.form?.querySelector("input"))?.focus();
      this.changed();
    },
    take(scope) {
      const [kind, name] = scope.split(/:(.*)/s);
      if (scope === "all") this.form.kind = "all";
      else if (["branch", "region"].includes(kind) && name) Object.assign(this.form, { kind, name });
      else if (scope.includes("/")) Object.assign(this.form, { kind: "component", name: scope.split("/")[0], component: scope.split("/").slice(1).join("/") });
      else if (scope) Object.assign(this.form, { kind: "terminal", name: scope });
    },
    scope() {
      const f = this.form;
      if (f.kind === "all") return "all";
      if (f.kind === "component") return `${f.name}/${f.component}`;
      return f.kind === "terminal" ? f.name : `${f.kind}:${f.name}`;
    },
    async load_fleet() {
      const got = await tw.json("/console/fleet.json?since=").catch(() => null);
      const at = (name) => got.fields.indexOf(name);
      if (got) this.fleet = got.rows.map((row) => ({ id: row[at("id")], branch: row[at("branch")], region: row[at("region")] }));
    },
    // The hours of the night by the clocks of the place; of a window that is changed its own.
    async tonight(w = null) {
      const night = await tw.json(`/api/v1/windows/tonight?scope=${encodeURIComponent(this.scope())}`).catch(() => null);
      if (!night || !this.form) return;
      const local = (iso) => {
        const shown = new Intl.DateTimeFormat("en-GB", { timeZone: night.zone, year: "numeric", month: "2-digit", day: "2-digit", hour: "2-digit", minute: "2-digit", hourCycle: "h23" });
        const p = Object.fromEntries(shown.formatToParts(Date.parse(iso)).map((one) => [one.type, one.value]));
        return `${p.year}-${p.month}-${p.day}T${p.hour}:${p.minute}`;
      };
      this.people = night.people;
      this.form.zone = night.zone;
      if (w || !this.form.from) this.form.from = w ? local(w.from) : night.from;
      if (w || !this.form.to) this.form.to = w ? local(w.to) : night.to;
    },
    changed() {
      clearTimeout(this.waiting);
      this.waiting = setTimeout(async () => {
        if (!this.form || (this.form.kind !== "all" && !this.form.name) || (this.form.kind === "component" && !this.form.component)) return (this.preview = null);
        const asked = this.scope();
        await this.tonight();
        if (!this.form) return;
        const address = `/api/v1/windows/preview?scope=${encodeURIComponent(asked)}&from=${this.form.from || "now"}&to=${this.form.to}&window=${this.form.id}&lang=${window.TW.lang}`;
        const answer = await fetch(address).catch(() => null);
        const body = await answer?.json().catch(() => null);
        if (!this.form || asked !== this.scope()) return;
        this.preview = answer?.ok ? body : null;
        this.trouble = answer?.ok ? "" : body?.detail ?? "";
      }, WAIT);
    },
    async save() {
      this.busy = true;
      this.trouble = "";
      const f = this.form;
      const body = { scope: this.scope(), from: f.from, to: f.to, reason: f.reason, approved_by: f.approved_by, change_ref: f.change_ref, large: f.large };
      try {
        const made = await tw.act(f.id ? "PUT" : "POST", f.id ? `/api/v1/windows/${encodeURIComponent(f.id)}` : "/api/v1/windows", body);
        this.said = tw.t("window.saved", { id: made.id });
        for (const name of ["branch", "region", "terminal"]) tw.address(name, "");
        this.$refs.form.close();
        this.at = Date.parse(made.from);
      } catch (error) {
        this.trouble = error.message;
      }
      this.busy = false;
      this.reader.run();
    },
    // ---- words
    kindOf: (kind) => tw.t(`window.kind_${kind}`),
    t: (name, values) => tw.t(name, values),
    stamp: (at) => tw.stamp(at),
    dateOf: (at) => tw.date(at + DAY / 2),
    share: (n) => tw.percent(n),
    on(day) {
      return this.stretches.filter((s) => s.a < day.next && s.b > day.start);
    },
    starts: (s, day) => (s.a >= day.start ? tw.time(s.a) : "→"),
    dayName: (day) => `${new Intl.DateTimeFormat(tw.locale(), { weekday: "short", timeZone: "UTC" }).format(Date.UTC(day.y, day.m - 1, day.d))} ${day.d}`,
    hours(s) {
      return s.b - s.a >= DAY ? `${tw.stamp(s.a)} – ${tw.stamp(s.b)}` : `${tw.time(s.a)} – ${tw.time(s.b)}`;
    },
    place(scope) {
      const [kind, name] = scope.split(/:(.*)/s);
      if (scope === "all") return tw.t("calendar.everywhere");
      if (kind === "branch" && name) return tw.t("calendar.branch", { name });
      return kind === "region" && name ? tw.t("calendar.region", { name }) : scope;
    },
    status(s) {
      return s.b <= this.clock ? "over" : s.a <= this.clock ? "open" : "to_come";
    },
    stateOf(s) {
      return tw.t(`calendar.state_${this.status(s)}`);
    },
    glyph(s) {
      return { over: "✓", open: "●", to_come: "○" }[this.status(s)];
    },
    tone(s) {
      return "tw-cal-" + this.status(s);
    },
    full(s) {
      return `${this.place(s.w.scope)}, ${tw.stamp(s.a)} – ${tw.stamp(s.b)}, ${s.w.reason}, ${this.stateOf(s)}`;
    },
    bar(s) {
      const all = this.end - this.span[0].start;
      const left = Math.max(0, (s.a - this.span[0].start) / all);
      const right = Math.min(1, (s.b - this.span[0].start) / all);
      return { left: `${left * 100}%`, width: `max(16px, ${(right - left) * 100}%)` };
    },
  },
};
