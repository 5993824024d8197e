// Remote diagnosis of one terminal: what can be asked now and why not, the form by which it is asked, and what became of what was asked. Vue escapes every text.
const AGAIN = 2000; // ms until an open command is looked at again: its answer comes with a batch, which not every page hears of
const FEW = 5; // shown at first

const slug = (word) => word.replaceAll("-", "_");

export default {
  template: `
    <div class="tw-diagnosis">
      <p v-if="failed" class="tw-note" role="status">{{ t("app.fetch_failed") }}</p>
      <p v-else-if="!d" class="tw-note">{{ t("alarms.loading") }}</p>
      <template v-else>
        <p v-if="closed" class="tw-note tw-diag-closed">{{ notNow(closed) }}</p>
        <form v-else-if="may" class="tw-panel tw-diag-form" @submit.prevent="ask">
          <fieldset class="tw-diag-kinds">
            <legend>{{ t("diagnosis.ask") }}</legend>
            <label v-for="offer in d.offers" :key="offer.kind" class="tw-diag-kind" :class="{ 'tw-diag-off': offer.why_not }">
              <input type="radio" name="tw-diag-kind" :value="offer.kind" v-model="kind" :disabled="!!offer.why_not">
              <span><b>{{ kindOf(offer.kind) }}</b><span class="tw-faint">{{ offer.why_not ? notNow(offer.why_not) : does(offer.kind) }}</span></span>
            </label>
          </fieldset>
          <div class="tw-diag-fields">
            <label v-if="kind === 'poll-now' || kind === 'self-report'">{{ t("diagnosis.device") }}
              <select v-model="component" :required="kind === 'self-report'">
                <option v-if="kind === 'poll-now'" value="">{{ t("diagnosis.all_devices") }}</option>
                <option v-for="name in d.devices" :key="name" :value="name">{{ name }}</option>
              </select>
            </label>
            <label v-if="kind === 'raise-sampling'">{{ t("diagnosis.minutes") }}
              <select v-model.number="minutes"><option v-for="n in [5, 10, 15]" :key="n" :value="n">{{ n }}</option></select>
            </label>
            <label v-if="kind === 'raise-sampling'">{{ t("diagnosis.factor") }}
              <select v-model.number="factor"><option v-for="n in [2, 3, 4]" :key="n" :value="n">{{ t("diagnosis.times", { n }) }}</option></select>
            </label>
            <label class="tw-diag-reason">{{ t("diagnosis.reason") }}
              <input v-model="reason" required maxlength="200" autocomplete="off" :placeholder="t('diagnosis.reason_hint')">
            </label>
            <button type="submit" class="tw-button tw-primary" :disabled="busy || !ready">{{ t("diagnosis.send") }}</button>
          </div>
          <p v-if="d.connection !== 'online'" class="tw-faint">{{ t("diagnosis.not_online") }}</p>
          <p v-if="problem" class="tw-diag-problem" role="alert">{{ problem }}</p>
        </form>
        <p v-if="!d.commands.length" class="tw-note">{{ t("diagnosis.none_asked") }}</p>
        <ol v-else class="tw-panel tw-diag-list" aria-live="polite">
          <li v-for="c in shown" :key="c.id">
            <span class="tw-diag-state" :class="'tw-diag-' + tone(c)"><span aria-hidden="true">{{ glyph(c) }}</span> {{ stateOf(c) }}</span>
            <div class="tw-diag-what">
              <p><b>{{ kindOf(c.kind) }}</b> <span v-if="said(c)" class="tw-code">{{ said(c) }}</span></p>
              <p v-if="c.why" class="tw-diag-why">{{ whyOf(c) }}</p>
              <p v-if="wordsOf(c)" class="tw-diag-words">{{ wordsOf(c) }}</p>
              <p class="tw-faint">{{ t("diagnosis.asked_by", { by: c.by }) }} · {{ c.reason }} · <span :data-at="ms(c.asked_at)" :title="stamp(c.asked_at)">{{ age(c.asked_at) }}</span></p>
              <a v-if="c.bundle && may" class="tw-button tw-diag-get" :href="'/api/v1/commands/' + c.id + '/bundle'" download>{{ t("diagnosis.download") }}</a>
            </div>
          </li>
        </ol>
        <button v-if="d.commands.length > shown.length" type="button" class="tw-button tw-more" @click="all = true">{{ t("diagnosis.more", { n: d.commands.length - shown.length }) }}</button>
      </template>
    </div>`,
  props: { terminal: String, may: Boolean, device: String },
  data: () => ({ d: null, failed: false, all: false, kind: "", component: "", minutes: 15, factor: 4, reason: "", busy: false, problem: "", timer: 0 }),
  mixins: [tw.list],
  computed: {
    // One reason that holds for every kind is said once, in the place of the form.
    closed() {
      const reasons = new Set(this.d.offers.map((offer) => offer.why_not));
      return reasons.size === 1 && !reasons.has("") ? [...reasons][0] : "";
    },
    ready() {
      return this.kind && this.reason.trim() && (this.kind !== "self-report" || this.component);
    },
    shown() {
      return this.all ? this.d.commands : this.d.commands.slice(0, FEW);
    },
  },
  unmounted() {
    clearTimeout(this.timer);
  },
  methods: {
    async load() {
      try {
        this.d = await tw.json(`/api/v1/terminals/${encodeURIComponent(this.terminal)}/diagnosis`);
        this.failed = false;
      } catch (error) {
        this.failed = !this.d;
        throw error;
      }
      if (!this.kind) this.kind = this.d.offers.find((offer) => !offer.why_not)?.kind ?? "";
      if (!this.component && this.d.devices.includes(this.device)) this.component = this.device;
      clearTimeout(this.timer);
      if (this.d.commands.some((c) => c.state === "asked" || c.state === "sent")) this.timer = setTimeout(() => this.reader.run(), AGAIN);
    },
    async ask() {
      const wanted = { kind: this.kind, reason: this.reason.trim() };
      if (this.kind === "raise-sampling") Object.assign(wanted, { minutes: this.minutes, factor: this.factor });
      if (this.component && (this.kind === "poll-now" || this.kind === "self-report")) wanted.component = this.component;
      this.busy = true;
      this.problem = "";
      try {
        await tw.act("POST", `/api/v1/terminals/${encodeURIComponent(this.terminal)}/commands`, wanted);
        this.reader.run();
      } catch (error) {
        this.problem = error.message;
      } finally {
        this.busy = false;
      }
    },
    stateOf(c) {
      return c.state === "done" && c.outcome !== "done" ? tw.t(`diagnosis.outcome_${c.outcome}`) : tw.t(`diagnosis.state_${c.state}`);
    },
    tone(c) {
      if (c.state === "done") return c.outcome === "done" ? "ok" : "warn";
      return { asked: "open", sent: "open", refused: "crit", expired: "warn" }[c.state];
    },
    glyph(c) {
      return { ok: "✓", warn: "!", crit: "✕", open: "…" }[this.tone(c)];
    },
    // What the agent words itself is said in the reader's language; what a device said stays as it is.
    wordsOf(c) {
      const facts = Object.fromEntries(Object.entries(c.facts).map(([name, n]) => [name, tw.number(n)]));
      return [c.said ? tw.t(`diagnosis.said_${c.said}`, facts) : "", c.rest].filter(Boolean).join("; ");
    },
    whyOf(c) {
      return window.TW_TEXTS[`diagnosis.why_${slug(c.why)}`] ?? c.why;
    },
    said(c) {
      const a = c.arguments;
      return [a.component, a.factor ? tw.t("diagnosis.times", { n: a.factor }) : "", a.minutes ? tw.t("age.minutes", { n: a.minutes }) : ""].filter(Boolean).join(", ");
    },
    kindOf: (kind) => tw.t(`diagnosis.kind_${slug(kind)}`),
    does: (kind) => tw.t(`diagnosis.does_${slug(kind)}`),
    notNow: (why) => tw.t(`diagnosis.not_${slug(why)}`),
    t: (key, values) => tw.t(key, values),
    ms: (iso) => (iso ? Date.parse(iso) : 0),
    age: (iso) => tw.age(iso ? Date.parse(iso) : 0),
    stamp: (iso) => tw.stamp(iso ? Date.parse(iso) : 0, true),
  },
};
