// Rollouts of configuration bundles: the newest one with its rings, whom it was bad for, what happened; the acts on it; what each terminal runs. Vue escapes every text.
const V1 = "/api/v1";
const AGAIN = 5000; // ms until a rollout that runs is looked at again: a ring is judged by time, too
const FEW = 50;

const slug = (word) => word.replaceAll("-", "_");
const GATE_WORDS = ["too-many-bad", "too-few-good", "nobody-takes-it"];

export default {
  template: `
    <div class="tw-rollout">
      <p v-if="failed" class="tw-note" role="status">{{ t("app.fetch_failed") }}</p>
      <p v-else-if="!list" class="tw-note">{{ t("alarms.loading") }}</p>
      <template v-else>
        <p v-if="!config.enabled" class="tw-note">{{ t("rollout.off") }}</p>
        <p v-if="!one" class="tw-note">{{ t(bundles.length ? "rollout.none" : "rollout.no_bundles") }}</p>
        <section v-else class="tw-section">
          <div class="tw-panel tw-ro-head">
            <span :class="tone ? 'tw-mark tw-' + tone : 'tw-tag'">{{ t("rollout.state_" + one.state) }}</span>
            <h2>{{ one.bundle || t("rollout.own") }}</h2>
            <span class="tw-faint">{{ t("rollout.by", { by: one.by }) }} · <span :data-at="ms(one.at)" :title="stamp(one.at)"></span></span>
            <p>{{ one.reason }}</p>
            <p class="tw-faint">{{ t("rollout.gate", one.gate) }} {{ t(one.gate.returns ? "rollout.gate_returns" : "rollout.gate_waits") }} <template v-if="one.due">{{ t("rollout.due") }}: <b>{{ stamp(one.due) }}</b></template></p>
          </div>
          <ol class="tw-ro-rings" aria-live="polite">
            <li v-for="r in one.rings" :key="r.name" class="tw-panel" :class="'tw-ro-' + r.state">
              <h3><span>{{ r.name }}</span><span class="tw-faint">{{ t("rollout.ring_" + r.state) }}</span></h3>
              <p class="tw-faint">{{ reach(r) }}</p>
              <div class="tw-ro-bar" role="img" :aria-label="counts(r)"><i class="tw-ro-isgood" :style="{ width: part(r, r.good) }"></i><i class="tw-ro-isbad" :style="{ width: part(r, r.bad) }"></i></div>
              <p v-if="r.state !== 'ahead'">{{ counts(r) }}</p>
            </li>
          </ol>
          <div v-if="may && one.state !== 'returned'" class="tw-ro-acts">
            <label><span>{{ t("rollout.reason") }}</span><input v-model="why" maxlength="200" autocomplete="off" :placeholder="t('rollout.reason_hint')"></label>
            <button v-if="one.state === 'running'" type="button" class="tw-button" :disabled="busy || !why.trim()" @click="end('halt')">{{ t("rollout.halt") }}</button>
            <button type="button" class="tw-button" :disabled="busy || !why.trim()" @click="end('return')">{{ t("rollout.give_back") }}</button>
          </div>
          <p v-if="problem" class="tw-ro-wrong" role="alert">{{ problem }}</p>
          <template v-if="one.losses.length">
            <h2>{{ t("rollout.losses") }}</h2>
            <ul class="tw-panel tw-ro-list">
              <li v-for="l in one.losses" :key="l.terminal"><a class="tw-link" :href="'/terminal/' + encodeURIComponent(l.terminal)">{{ l.terminal }}</a><span><b>{{ t("rollout.why_" + slug(l.why)) }}</b> <span class="tw-tag">{{ l.ring }}</span> {{ l.words }}</span></li>
            </ul>
          </template>
          <h2>{{ t("rollout.history") }}</h2>
          <ol class="tw-panel tw-ro-list"><li v-for="(e, k) in events" :key="k"><time :title="stamp(e.at, true)">{{ stamp(e.at) }}</time><span>{{ t("rollout.did_" + e.what, { ring: e.ring }) }} · {{ e.by === "collector" ? t("rollout.the_gate") : e.by }}<template v-if="e.why">: {{ reasonOf(e.why) }}</template></span></li></ol>
        </section>

        <section v-if="may && config.enabled && bundles.length && (!one || one.state !== 'running')" class="tw-section">
          <h2>{{ t("rollout.start") }}</h2>
          <form class="tw-panel tw-ro-form" @submit.prevent="start">
            <label><span>{{ t("rollout.bundle") }}</span><select v-model="form.bundle"><option v-for="b in bundles" :key="b.id" :value="b.name">{{ b.name }}</option><option value="">{{ t("rollout.own") }}</option></select></label>
            <label class="tw-ro-wide"><span>{{ t("rollout.rings") }} <span class="tw-faint">{{ t("rollout.rings_hint") }}</span></span><input v-model="form.rings" required maxlength="4000" autocomplete="off" spellcheck="false"></label>
            <label><span>{{ t("rollout.good_at_least") }}</span><input v-model.number="form.good" type="number" min="1" max="100" step="any" required></label>
            <label><span>{{ t("rollout.bad_at_most") }}</span><input v-model.number="form.bad" type="number" min="0" max="99" step="any" required></label>
            <label><span>{{ t("rollout.minutes") }}</span><input v-model.number="form.minutes" type="number" min="1" max="10080" required></label>
            <label class="tw-ro-check tw-ro-wide"><input type="checkbox" v-model="form.returns"><span>{{ t("rollout.returns") }}</span></label>
            <label class="tw-ro-wide"><span>{{ t("rollout.reason") }}</span><input v-model="form.reason" required maxlength="200" autocomplete="off" :placeholder="t('rollout.reason_hint')"></label>
            <button class="tw-button tw-primary" :disabled="busy">{{ t("rollout.start_now") }}</button>
            <p v-if="wrong" class="tw-ro-wrong tw-ro-wide" role="alert">{{ wrong }}</p>
          </form>
        </section>

        <section class="tw-section">
          <div class="tw-filters"><h2>{{ t("rollout.terminals") }}</h2><span class="tw-grow"></span>
            <select v-model="state" :aria-label="t('rollout.state')" @change="reader.run()"><option value="">{{ t("rollout.all_states") }}</option><option v-for="(n, s) in states" :key="s" :value="s">{{ t("rollout.is_" + slug(s)) }} ({{ number(n) }})</option></select></div>
          <div class="tw-panel tw-ro-scroll"><table class="tw-table tw-ro-table">
            <thead><tr><th>{{ t("fleet.terminal") }}</th><th>{{ t("rollout.ring") }}</th><th>{{ t("rollout.state") }}</th><th>{{ t("rollout.is_to_run") }}</th><th>{{ t("rollout.runs") }}</th><th>{{ t("rollout.version") }}</th></tr></thead>
            <tbody><tr v-for="c in config.items" :key="c.terminal">
              <td><a class="tw-link" :href="'/terminal/' + encodeURIComponent(c.terminal)">{{ c.terminal }}</a></td>
              <td>{{ c.ring || "–" }} <span v-if="c.fixed" class="tw-tag">{{ t("rollout.fixed") }}</span></td>
              <td :title="c.words">{{ t("rollout.is_" + slug(c.state)) }}</td><td>{{ c.bundle || "–" }}</td><td>{{ c.runs || "–" }}</td><td>{{ c.version || "–" }}</td>
            </tr></tbody></table></div>
          <button v-if="config.total > config.items.length" type="button" class="tw-button tw-more" @click="grow">{{ t("rollout.more", { n: number(config.total - config.items.length) }) }}</button>
        </section>

        <section v-if="bundles.length" class="tw-section">
          <h2>{{ t("rollout.bundles") }}</h2>
          <ul class="tw-panel tw-ro-list"><li v-for="b in bundles" :key="b.id"><b>{{ b.name }}</b><span>{{ b.reason }} <span class="tw-faint">{{ t("rollout.published", { by: b.by }) }} · {{ stamp(b.at) }} · <span class="tw-code">{{ b.digest.slice(0, 12) }}</span> · {{ Object.keys(b.files).join(", ") }}</span></span></li></ul>
        </section>
        <section v-if="list.length > 1" class="tw-section">
          <h2>{{ t("rollout.earlier") }}</h2>
          <ul class="tw-panel tw-ro-list"><li v-for="r in list.slice(1)" :key="r.id"><b>{{ r.bundle || t("rollout.own") }}</b><span>{{ t("rollout.state_" + r.state) }} · {{ stamp(r.at) }} · {{ r.by }}: {{ r.reason }}</span></li></ul>
        </section>
      </template>
    </div>`,
  props: { may: Boolean },
  data: () => ({
    list: null, bundles: [], config: null, failed: false, state: "", limit: FEW, busy: false, why: "", problem: "", wrong: "", timer: 0,
    form: { bundle: "", rings: "pilot=1%, early=10%, rest", good: 95, bad: 2, minutes: 60, returns: true, reason: "" },
  }),
  mixins: [tw.list],
  computed: {
    one() {
      return this.list[0];
    },
    tone() {
      return { running: "", halted: "crit", done: "ok", returned: "warn" }[this.one.state];
    },
    events() {
      return [...this.one.history].reverse();
    },
    states() {
      return Object.fromEntries(Object.entries(this.config.counts).filter(([name]) => name));
    },
  },
  unmounted() {
    clearTimeout(this.timer);
  },
  methods: {
    t: (key, values) => tw.t(key, values),
    slug,
    number: (n) => tw.number(n),
    ms: (iso) => (iso ? Date.parse(iso) : 0),
    stamp: (iso, seconds) => tw.stamp(iso ? Date.parse(iso) : 0, seconds),
    async load() {
      try {
        const state = this.state ? `&state=${encodeURIComponent(this.state)}` : "";
        const [list, bundles, config] = await Promise.all([tw.json(`${V1}/rollouts?limit=20`), tw.json(`${V1}/bundles`), tw.json(`${V1}/configurations?limit=${this.limit}${state}`)]);
        [this.list, this.bundles, this.config, this.failed] = [list.items, bundles, config, false];
        if (!this.form.bundle && bundles.length) this.form.bundle = bundles[0].name;
      } catch (error) {
        this.failed = !this.list;
        throw error;
      }
      clearTimeout(this.timer);
      if (this.one?.state === "running") this.timer = setTimeout(() => this.reader.run(), AGAIN);
    },
    grow() {
      this.limit = Math.min(this.limit * 4, 1000);
      this.reader.run();
    },
    reach(ring) {
      const named = ring.terminals.length ? [tw.t("rollout.named", { n: ring.terminals.length })] : [];
      const share = ring.share >= 100 ? [tw.t("rollout.rest")] : ring.share ? [`${ring.share}%`] : [];
      return [...named, ...share].join(" + ");
    },
    part: (ring, n) => `${ring.told ? (100 * n) / ring.told : 0}%`,
    counts(ring) {
      const said = [tw.t("rollout.good", { good: tw.number(ring.good), told: tw.number(ring.told) })];
      for (const name of ["bad", "away", "apart"]) if (ring[name]) said.push(tw.t(`rollout.${name}`, { n: tw.number(ring[name]) }));
      return said.join(" · ");
    },
    reasonOf: (why) => (GATE_WORDS.includes(why) ? tw.t(`rollout.why_${slug(why)}`) : why),
    // pilot=1%, branch=ATM-1+ATM-2, rest
    ringsOf(text) {
      return text.split(/[,，]/).map((part) => {
        const [name, what = "rest"] = part.split("=").map((each) => each.trim());
        if (what === "rest") return { name, share: 100 };
        return what.endsWith("%") ? { name, share: Number(what.slice(0, -1)) } : { name, terminals: what.split("+").map((each) => each.trim()) };
      });
    },
    async act(path, body) {
      this.busy = true;
      try {
        await tw.act("POST", path, body);
        this.reader.run();
        return "";
      } catch (error) {
        return error.message;
      } finally {
        this.busy = false;
      }
    },
    async end(how) {
      this.problem = await this.act(`${V1}/rollouts/${this.one.id}/${how}`, { reason: this.why.trim() });
      if (!this.problem) this.why = "";
    },
    async start() {
      const rings = this.ringsOf(this.form.rings);
      if (rings.some((ring) => !ring.name || Number.isNaN(ring.share))) {
        this.wrong = tw.t("rollout.wrong_rings");
        return;
      }
      const { bundle, good, bad, minutes, returns, reason } = this.form;
      this.wrong = await this.act(`${V1}/rollouts`, { bundle, rings, gate: { good, bad, minutes, returns }, reason: reason.trim() });
      if (!this.wrong) this.form.reason = "";
    },
  },
};
