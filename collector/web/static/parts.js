// Parts that several lists show: an alarm in a row, a clock, and why somebody was told. Vue escapes every text.
"use strict";

tw.parts = {
  why: {
    template: `
      <div class="tw-why" :class="'tw-told-' + why.told">
        <p class="tw-why-head">{{ fill(why.head) }}</p>
        <dl>
          <template v-for="one in topics" :key="one.name">
            <dt>{{ t("topic." + one.name) }}</dt>
            <dd v-for="(line, k) in one.lines" :key="k">{{ fill(line) }}</dd>
          </template>
        </dl>
      </div>`,
    props: { why: Object },
    computed: {
      topics() {
        const names = ["rule", "place", "mask", "people", "clock", "ticket"];
        return names.map((name) => ({ name, lines: this.why.lines.filter((line) => line.topic === name) })).filter((topic) => topic.lines.length);
      },
    },
    methods: { t: (key) => tw.t(key), fill: (line) => tw.fill(line) },
  },

  clock: {
    template: `
      <div class="tw-clock" :class="['tw-clock-' + clock.state, { 'tw-missed': clock.missed }]">
        <span class="tw-clock-name">{{ t("clock." + clock.kind) }}</span>
        <b v-if="going" :data-left="due">{{ left }}</b>
        <b v-else>{{ said }}</b>
        <span v-if="wide" class="tw-faint">{{ t("clock.of", { target: length(clock.target_s), spent: spent }) }}<template v-if="clock.state === 'closed'"> · {{ t("clock.closed") }}</template></span>
        <i v-if="wide" class="tw-bar" role="presentation"><i :style="{ width: share + '%' }"></i></i>
      </div>`,
    props: { clock: Object, hold: String, wide: Boolean },
    computed: {
      going() {
        return !this.clock.stopped_at && this.clock.due;
      },
      due() {
        return Date.parse(this.clock.due);
      },
      left() {
        return tw.left(this.due);
      },
      said() {
        // A clock that rests though nobody holds the incident does so for planned work.
        if (!this.clock.stopped_at) return tw.t("clock.held", { reason: tw.shipped(this.hold || "planned maintenance") });
        return tw.t(this.clock.missed ? "clock.missed" : "clock.met", { at: tw.stamp(Date.parse(this.clock.stopped_at)) });
      },
      spent() {
        return tw.span(this.clock.net_s * 1000);
      },
      share() {
        return Math.min(100, (100 * this.clock.net_s) / this.clock.target_s);
      },
    },
    methods: { t: (key, values) => tw.t(key, values), length: (s) => tw.length(s) },
  },

  alarm: {
    template: `
      <li class="tw-row" :class="['tw-edge-l' + a.level, { 'tw-over': a.condition === 'normal' }]">
        <span class="tw-isa" :class="'tw-isa-' + a.isa_state.toLowerCase()" :title="isa(a.isa_state)">{{ isaShort(a.isa_state) }}</span>
        <div class="tw-row-what">
          <p>
            <span class="tw-level-badge tw-small-badge" :class="'tw-l' + a.level" :title="level(a.level)" :aria-label="level(a.level)">{{ a.level }}</span>
            <b v-if="!known || known.text !== a.text">{{ a.text }}</b>
            <span v-else-if="a.component" class="tw-code">{{ a.component }}<template v-if="a.signal"> · {{ a.signal }}</template></span>
            <span v-if="same && a.value !== null && a.value !== ''" class="tw-faint">{{ t("alarms.value") }} <b class="tw-now">{{ say(a) }}</b></span>
            <span v-if="role && role !== 'root'" class="tw-tag">{{ t("role." + role) }}</span>
            <span v-if="a.drill" class="tw-tag tw-drill">{{ t("incident.drill") }}</span>
            <span v-if="a.condition === 'unknown'" class="tw-tag">{{ t("alarms.unheard") }}</span>
          </p>
          <p v-if="!same || a.acked_by" class="tw-where">
            <a v-if="!known || known.terminal !== a.terminal" :href="place(a)" class="tw-link">{{ a.terminal }}</a>
            <span v-if="a.component && (!known || known.text !== a.text)" class="tw-code">{{ a.component }}<template v-if="a.signal"> · {{ a.signal }}</template></span>
            <span v-if="!same && a.value !== null && a.value !== ''">{{ t("alarms.value") }} <b>{{ say(a) }}</b></span>
            <span v-if="a.acked_by">{{ t("alarms.acked") }} <b>{{ a.acked_by }}</b> <template v-for="(part, k) in until" :key="k"><time v-if="k" :style="{ whiteSpace: 'nowrap' }">{{ stamp(a.ack_until) }}</time>{{ part }}</template></span>
          </p>
          <p v-for="m in masks" :key="m.kind" class="tw-mask">{{ silenced(m) }}</p>
        </div>
        <p class="tw-row-when"><template v-if="a.cleared_at">{{ t("alarms.cleared") }} {{ stamp(a.cleared_at) }}</template><template v-else><span :data-at="ms(a.raised_at)">{{ age(a.raised_at) }}</span></template></p>
        <button type="button" class="tw-why-button" :aria-expanded="String(open)" @click="toggle">{{ t("why.ask") }}</button>
        <p v-if="open && failed" class="tw-note tw-row-wide" role="status">{{ t("app.fetch_failed") }}</p>
        <tw-why v-if="open && said" :why="said" class="tw-row-wide"></tw-why>
      </li>`,
    props: { alarm: Object, role: String, known: Object }, // known: the incident above, whose words need no saying again
    data() {
      return { open: false, said: null, failed: false };
    },
    computed: {
      a() {
        return this.alarm;
      },
      // What stands before the time and behind it: the time itself is never broken.
      until() {
        return tw.t("alarms.acked_until", { at: "\n" }).split("\n");
      },
      same() {
        return Boolean(this.known) && this.known.text === this.alarm.text && this.known.terminal === this.alarm.terminal;
      },
      // That its cause is told in its place says the incident above.
      masks() {
        return this.alarm.masks.filter((m) => m.kind !== "child_of" || !this.known || this.known.id !== m.ref);
      },
    },
    watch: {
      // What is shown changes with the alarm.
      alarm() {
        if (this.open) this.load();
      },
    },
    methods: {
      async toggle() {
        this.open = !this.open;
        if (this.open) await this.load();
      },
      async load() {
        try {
          this.said = (await tw.json(`/api/v1/alarms/${this.alarm.id}/why?lang=${window.TW.lang}`)).why;
          this.failed = false;
        } catch (error) {
          console.warn(String(error));
          this.failed = !this.said;
        }
      },
      silenced(m) {
        const until = m.until ? tw.t("mask.until", { at: tw.stamp(Date.parse(m.until)) }) : "";
        const said = [tw.t("mask." + m.kind), until, m.by].filter(Boolean).join(" · ");
        return m.reason ? `${said}: ${m.reason}` : said;
      },
      t: (key, values) => tw.t(key, values),
      ms: (iso) => (iso ? Date.parse(iso) : 0),
      age: (iso) => tw.age(iso ? Date.parse(iso) : 0),
      stamp: (iso) => tw.stamp(iso ? Date.parse(iso) : 0),
      level: (n) => tw.level(n),
      isaShort: (state) => tw.t(`isashort.${state.toLowerCase()}`),
      isa: (state) => tw.t(`isa.${state.toLowerCase()}`),
      say: (a) => tw.dated(tw.say(a.value, a.unit)),
      place: (a) => tw.place(a),
    },
  },
};
// A message to a ticket system or to a person. apart: not on the page of its incident.
tw.parts.message = {
  template: `
    <li>
      <time>{{ stamp(m.at) }}</time>
      <div>
        <p>
          <span v-if="apart" class="tw-level-badge tw-small-badge" :class="'tw-l' + m.level" :title="level(m.level)" :aria-label="level(m.level)">{{ m.level }}</span>
          <b>{{ t("op." + m.op) }}</b> → <span>{{ to }}</span>
          <span class="tw-tag" :class="{ 'tw-dead': m.state === 'dead' }">{{ t("delivery." + m.state) }}</span>
        </p>
        <p v-if="apart"><a :href="'/incident/' + encodeURIComponent(m.incident)" class="tw-code">{{ m.incident }}</a></p>
        <p v-if="m.state !== 'done' && (m.attempts || m.next_at)" class="tw-faint">{{ t("delivery.attempts", { n: m.attempts }) }}<template v-if="m.next_at"> · {{ t("delivery.next", { at: stamp(m.next_at, true) }) }}</template></p>
        <p v-if="m.answer" class="tw-faint tw-answer" :title="m.answer">{{ m.answer }}</p>
      </div>
    </li>`,
  props: { message: Object, apart: Boolean },
  computed: {
    m() {
      return this.message;
    },
    to() {
      const m = this.message;
      const whom = m.contact ? `${m.channel} ${m.contact}`.trim() : m.queue;
      return [m.connector || tw.t("undelivered.nobody"), whom].filter(Boolean).join(" · ");
    },
  },
  methods: {
    t: (key, values) => tw.t(key, values),
    stamp: (iso, seconds) => tw.stamp(iso ? Date.parse(iso) : 0, seconds),
    level: (n) => tw.level(n),
  },
};

tw.parts.alarm.components = { "tw-why": tw.parts.why };

// The page of an alarm's terminal, at the signal that speaks.
tw.place = (a) => {
  const what = a.signal ? `?component=${encodeURIComponent(a.component)}&signal=${encodeURIComponent(a.signal)}` : "";
  return `/terminal/${encodeURIComponent(a.terminal)}${what}`;
};

// How an incident stands, in a word; and what of it is not like others.
tw.stage = (i) => {
  if (i.on_hold) return tw.t("stage.on_hold");
  const known = ["settling", "open", "acknowledged", "in_repair", "restored", "resolved", "closed", "dropped"];
  return known.includes(i.state) ? tw.t(`stage.${i.state}`) : i.state;
};
tw.marks = (i) => ["drill", "intermittent", "tamper"].filter((name) => i[name]).map((name) => tw.t(`incident.${name}`));
// How a ticket stands: a word of ours, what becomes of the message that makes it, or the system's own word.
tw.ticketState = (state) => {
  if (["open", "working", "on_hold", "resolved", "closed", "rejected", "duplicate"].includes(state)) return tw.t(`ticket.${state}`);
  return ["pending", "sending", "uncertain", "done", "dead"].includes(state) ? tw.t(`delivery.${state}`) : state;
};
// A day of the calendar ("2027-03-01"), which is the same in every zone; "" where there is none.
tw.wholeDay = (day) => (!day || window.TW.lang === "zh" ? day ?? "" : new Intl.DateTimeFormat(tw.locale(), { dateStyle: "medium", timeZone: "UTC" }).format(Date.parse(`${day}T00:00:00Z`)));
// A sentence of the collector, its days written as the reader writes them.
tw.dated = (text) => (typeof text === "string" ? text.replace(/(?<![\w-])\d{4}-\d{2}-\d{2}(?![\w:-])/g, (day) => (Number.isNaN(Date.parse(day)) ? day : tw.wholeDay(day))) : text);
// A word of the policy or the rules: in the reader's language where it is one of those that ship, else as the bank wrote it.
tw.shipped = (text) => {
  const key = (text ?? "").toLowerCase().replace(/[^a-z0-9]+/g, "_");
  return tw.has(`shipped.${key}`) ? tw.t(`shipped.${key}`) : text;
};
// Why several are one: counted ("3 of 5 within 90 s") in the reader's language, else as it was told.
tw.cause = (i) => {
  const [, n, of, s] = /^(\d+) of (\d+) within (\d+) s$/.exec(i.cause ?? "") ?? [];
  return n ? tw.t("incident.counted", { n, of, s }) : i.cause;
};
tw.where = (i) => i.branch || i.region || tw.t("incident.everywhere");

// Whether the catalogue has a word for it: of what a later version, a bank or a device may add.
tw.has = (key) => window.TW_TEXTS[key] !== undefined;
// How a terminal's state looks: it serves, in part, not at all, is not known, or is not meant to.
tw.tone = (state) => {
  const tones = { in_service: "ok", supply_low: "warn", degraded: "warn", supervisor: "warn", maintenance: "planned", out_of_service: "crit", offline: "crit", unmonitored: "unknown", new: "unknown", not_commissioned: "out", spare: "out", repair: "out", retired: "out" };
  return tones[state] ?? "unknown";
};

// For what costs the store something to tell: however often the fleet changes, it is fetched once in so many ms, and at once by `soon`. Beside tw.list; the component has fetch().
tw.seldom = (every) => ({
  created() {
    this.fetched = 0;
    this.later = 0;
  },
  unmounted() {
    clearTimeout(this.later);
  },
  methods: {
    async load() {
      const wait = this.fetched + every - Date.now();
      if (wait <= 0) {
        await this.fetch();
        this.fetched = Date.now();
      } else if (!this.later) {
        this.later = setTimeout(() => {
          this.later = 0;
          this.reader.run();
        }, wait);
      }
    },
    soon() {
      this.fetched = 0;
      this.reader.run();
    },
  },
});
