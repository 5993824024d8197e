// The time of one terminal in a period: a strip, the intervals with their evidence, the corrections and the form by which one is made. Vue escapes every text.
const COUNTS = ["up", "down", "planned", "unmonitored"];
const AS = ["up", "down", "planned", "unmonitored", "excluded"];
const PARTIES = ["unknown", "hardware", "software", "cash", "supplies", "power", "network", "host", "branch", "vandalism", "monitoring", "planned"];
const PAGE = 60;

const two = (n) => String(n).padStart(2, "0");
const ms = (iso) => (iso ? Date.parse(iso) : 0);
const pct = (share, digits = 3) => (share === null || share === undefined ? "–" : `${tw.number(share * 100, digits)} %`);
const length = (s) => (s === null || s === undefined ? "–" : s < 1 && s > 0 ? tw.span(1000) : tw.span(Math.round(s) * 1000));
// For datetime-local: by the reader's clocks, to the minute.
const local = (at) => tw.local(at).slice(0, 16);

export default {
  components: { "tw-source": tw.parts.source },
  template: `
    <div class="tw-fig">
      <div class="tw-filters">
        <span class="tw-ranges" role="group" :aria-label="t('figures.period')">
          <button type="button" :aria-label="t('figures.earlier')" :title="t('figures.earlier')" @click="step(-1)">‹</button>
          <label class="tw-fig-month"><span class="tw-visually-hidden">{{ t("figures.month") }}</span><input type="month" v-model="month" :max="thisMonth" @change="pick"></label>
          <button type="button" :aria-label="t('figures.later')" :title="t('figures.later')" :disabled="month >= thisMonth" @click="step(1)">›</button>
        </span>
        <a :href="'/figures?' + asked">{{ t("interval.back") }}</a>
        <a :href="'/terminal/' + encodeURIComponent(terminal)">{{ t("interval.device") }}</a>
        <button v-if="may && it" type="button" class="tw-button tw-count" @click="correct(null)">{{ t("interval.correct") }}</button>
      </div>
      <p v-if="said" class="tw-note tw-time-saved" role="status">✓ {{ said }}</p>
      <p v-if="failed" class="tw-note tw-fig-failed" role="alert">{{ t("figures.failed", { why: failed }) }}</p>
      <p v-else-if="!it" class="tw-note" role="status">{{ t("alarms.loading") }}</p>
      <template v-else>
        <p class="tw-faint tw-fig-cut">{{ [it.scope.branch, it.scope.region, it.scope.class, it.scope.vendor].filter(Boolean).join(" · ") }} · {{ t("figures.as_of", { at: stamp(it.known), log: number(it.log) }) }} · {{ t("figures.days_by", { zone: it.period.zone }) }}</p>
        <section class="tw-fig-section tw-panel">
          <h2>{{ t("interval.strip") }}</h2>
          <p v-if="!it.stretches.length" class="tw-note">{{ t("interval.no_time") }}</p>
          <template v-else>
            <div class="tw-time-strip" role="list" :aria-label="t('interval.strip')"><a v-for="p in strip" :key="p.from" role="listitem" :href="p.href" :class="'tw-fig-' + p.tone" :style="{ flexGrow: p.weight, flexBasis: 0 }" :title="p.said" :aria-label="p.said" :tabindex="p.tone === 'up' ? -1 : 0" @click="p.tone === 'up' && (withUp = true)"></a></div>
            <div class="tw-time-axis"><span>{{ edge(it.period.from) }}</span><span>{{ edge(it.period.to) }}</span></div>
            <ul class="tw-fig-legend"><li v-for="c in counts" :key="c"><i :class="'tw-fig-' + c" aria-hidden="true"></i>{{ t("figures." + c) }} <b>{{ pct(network[c]) }}</b> <span class="tw-faint">{{ span(network[c + "_s"]) }}</span></li></ul>
            <dl class="tw-fig-facts tw-time-facts">
              <div><dt>{{ t("figures.best_worst") }}</dt><dd>{{ pct(network.availability_worst) }} … {{ pct(network.availability_best) }}</dd></div>
              <div><dt>{{ t("figures.interruption") }}</dt><dd><span class="tw-mark" :class="over ? 'tw-crit' : 'tw-ok'">{{ pct(network.interruption_net) }}</span> <span class="tw-faint">{{ t(over ? "figures.above" : "figures.within", { limit: pct(it.interruption_limit, 2) }) }}</span></dd></div>
              <div><dt>{{ t("figures.full") }}</dt><dd>{{ pct(it.definitions.full.up) }}</dd></div>
              <div><dt>{{ t("figures.interruptions") }}</dt><dd>{{ number(network.interruptions) }}</dd></div>
            </dl>
          </template>
        </section>
        <section class="tw-fig-section tw-panel">
          <header><h2>{{ t("interval.list") }}</h2><label><input type="checkbox" v-model="withUp"> {{ t("interval.show_up") }}</label></header>
          <p class="tw-faint">{{ t("interval.list_about") }}</p>
          <p v-if="!rows.length" class="tw-note">{{ t("interval.none") }}</p>
          <table v-else class="tw-table tw-fig-cards">
            <thead><tr><th>{{ t("interval.since") }}</th><th>{{ t("interval.until") }}</th><th class="tw-right">{{ t("figures.length") }}</th><th>{{ t("interval.counts_as") }}</th><th>{{ t("interval.why") }}</th><th>{{ t("figures.party") }}</th><th>{{ t("interval.evidence") }}</th><th v-if="may"></th></tr></thead>
            <tbody>
              <tr v-for="s in rows.slice(0, shown)" :key="s.since" :id="'at-' + ms(s.since)" class="tw-time-row" :class="{ 'tw-time-meant': meant === '#at-' + ms(s.since) }">
                <td :data-label="t('interval.since')">{{ stamp(s.since) }}</td><td :data-label="t('interval.until')">{{ stamp(s.until) }}</td><td class="tw-right" :data-label="t('figures.length')">{{ span(s.length_s) }}</td>
                <td :data-label="t('interval.counts_as')"><span class="tw-time-chip"><i :class="'tw-fig-' + s.network" aria-hidden="true"></i>{{ t("figures." + s.network) }}</span><span v-if="s.full !== s.network" class="tw-faint"> · {{ t("figures.full") }}: {{ t("figures." + s.full) }}</span></td>
                <td class="tw-wrap" :data-label="t('interval.why')">{{ s.text }}<span v-if="s.lost.length" class="tw-faint"> · {{ t("interval.lost", { what: s.lost.join(", ") }) }}</span><span v-if="s.why" class="tw-faint"> · {{ s.why }}</span></td>
                <td :data-label="t('figures.party')">{{ s.network === "up" ? "" : s.party_text }}</td>
                <td class="tw-wrap tw-time-evidence" :data-label="t('interval.evidence')"><span :title="t('interval.known_at', { at: stamp(s.known_at) })">{{ source(s) }}</span>
                  <ul v-if="s.evidence.length"><li v-for="(e, k) in s.evidence" :key="k"><span class="tw-code">{{ e.component }} {{ e.signal }}</span> <tw-source :terminal="terminal" :component="e.component" :signal="e.signal" :at="e.at"></tw-source></li></ul></td>
                <td v-if="may"><button type="button" class="tw-why-button" @click="correct(s)">{{ t("interval.correct") }}</button></td>
              </tr>
            </tbody>
          </table>
          <p v-if="rows.length > shown" class="tw-fig-under"><button type="button" class="tw-button" @click="shown += page">{{ t("figures.more", { n: number(Math.min(page, rows.length - shown)) }) }}</button></p>
        </section>
        <section class="tw-fig-section tw-panel">
          <h2>{{ t("figures.corrections") }}</h2>
          <p class="tw-faint">{{ t("figures.corrections_about") }}</p>
          <p v-if="!it.corrections.length" class="tw-note">{{ t("figures.corrections_none") }}</p>
          <ul v-else class="tw-fig-list"><li v-for="c in it.corrections.slice().reverse()" :key="c.entry" class="tw-fig-correction">
            <span>{{ stamp(c.since) }} – {{ stamp(c.until) }} → <b>{{ t("figures." + c.counts_as) }}</b> <span v-if="!c.counts" class="tw-tag">{{ t("interval.overruled") }}</span></span><span>{{ c.reason }}</span><span class="tw-faint">{{ c.by }}, {{ stamp(c.at) }} · {{ t("source.entry", { n: number(c.entry) }) }}</span>
            <span class="tw-time-effect">{{ t("interval.effect", { before: times(c.before), after: times(c.after) }) }}</span>
          </li></ul>
        </section>
      </template>
      <dialog ref="form" class="tw-dialog" :aria-label="t('interval.correct_title')" @close="form = null">
        <form v-if="form" @submit.prevent="save">
          <header><h2>{{ t("interval.correct_title") }}</h2><button type="button" class="tw-dialog-close" :aria-label="t('window.close')" @click="$refs.form.close()">×</button></header>
          <p class="tw-faint">{{ t("interval.correct_about") }}</p>
          <div class="tw-form">
            <label><span>{{ t("interval.since") }}</span><input type="datetime-local" step="1" v-model="form.from" required></label>
            <label><span>{{ t("interval.until") }}</span><input type="datetime-local" step="1" v-model="form.to" required></label>
            <label><span>{{ t("interval.counts_as") }}</span><select v-model="form.counts_as" ref="first"><option v-for="c in as" :key="c" :value="c">{{ t("figures." + c) }}</option></select></label>
            <label><span>{{ t("figures.party") }}</span><select v-model="form.party"><option v-for="p in parties" :key="p" :value="p">{{ t("party." + p) }}</option></select></label>
            <label class="tw-form-wide"><span>{{ t("interval.reason") }}</span><input v-model="form.reason" required maxlength="200" :placeholder="t('interval.reason_hint')"></label>
          </div>
          <p class="tw-faint">{{ t("interval.clock", { zone }) }}</p>
          <p v-if="trouble" class="tw-note tw-fig-failed" role="alert">{{ trouble }}</p>
          <footer><button type="submit" class="tw-button tw-primary" :disabled="busy">{{ t(busy ? "interval.saving" : "interval.save") }}</button></footer>
        </form>
      </dialog>
    </div>`,
  props: { terminal: String, may: Boolean },
  data() {
    const asked = new URL(location.href).searchParams;
    const now = new Date(tw.now());
    const last = new Date(now.getFullYear(), now.getMonth() - 1, 1);
    return {
      it: null, failed: "", said: "", trouble: "", busy: false, form: null, withUp: false, shown: PAGE, page: PAGE, counts: COUNTS, as: AS, parties: PARTIES,
      from: asked.get("from") || "", to: asked.get("to") || "", month: asked.get("from") ? "" : asked.get("month") || `${last.getFullYear()}-${two(last.getMonth() + 1)}`,
      thisMonth: `${now.getFullYear()}-${two(now.getMonth() + 1)}`, jumped: false, meant: location.hash,
    }; // prettier-ignore
  },
  computed: {
    asked() {
      return new URLSearchParams(this.from && this.to ? { from: this.from, to: this.to } : { month: this.month }).toString();
    },
    zone() {
      return window.TW.zone || Intl.DateTimeFormat().resolvedOptions().timeZone;
    },
    network() {
      return this.it.definitions.network;
    },
    over() {
      return this.network.interruption_net > this.it.interruption_limit;
    },
    rows() {
      return this.it.stretches.filter((s) => this.withUp || s.network !== "up" || s.full !== "up" || !["state", "cause"].includes(s.source));
    },
    // Scheduled time only; neighbours that count alike are one piece, what is too short to be seen still has two pixels.
    strip() {
      const pieces = [];
      for (const s of this.it.stretches) {
        const last = pieces[pieces.length - 1];
        if (last && last.tone === s.network && last.text === s.text) {
          last.weight += s.length_s;
          last.to = s.until;
        } else pieces.push({ from: s.since, to: s.until, tone: s.network, weight: s.length_s, text: s.text, href: `#at-${ms(s.since)}` });
      }
      for (const p of pieces) p.said = tw.t("interval.strip_said", { counts: tw.t(`figures.${p.tone}`), from: this.stamp(p.from), to: this.stamp(p.to), text: p.text });
      return pieces;
    },
  },
  mixins: [tw.list],
  mounted() {
    this.moved = () => (this.meant = location.hash);
    addEventListener("hashchange", this.moved);
  },
  unmounted() {
    removeEventListener("hashchange", this.moved);
  },
  methods: {
    async load() {
      const answer = await fetch(`/api/v1/terminals/${encodeURIComponent(this.terminal)}/intervals?${this.asked}&lang=${window.TW.lang}`, { cache: "no-cache" });
      const said = await answer.json().catch(() => ({}));
      if (!answer.ok) {
        this.failed = said.detail || String(answer.status);
        if (answer.status >= 500) throw new Error(this.failed);
        return;
      }
      this.failed = "";
      this.it = said;
      if (!this.jumped && location.hash) {
        this.jumped = true;
        this.shown = said.stretches.length;
        this.$nextTick(() => document.querySelector(location.hash)?.scrollIntoView({ block: "center" }));
      }
    },
    pick() {
      if (!this.month) return;
      this.from = this.to = "";
      this.it = null;
      this.said = "";
      const url = new URL(location.href);
      url.search = this.asked;
      url.hash = "";
      history.replaceState(history.state, "", url);
      this.reader.run();
    },
    step(by) {
      const [year, month] = (this.month || this.thisMonth).split("-").map(Number);
      const at = new Date(year, month - 1 + by, 1);
      this.month = `${at.getFullYear()}-${two(at.getMonth() + 1)}`;
      this.pick();
    },
    source(s) {
      if (s.source === "correction") return tw.t("interval.source_correction", { n: tw.number(s.entry), by: s.by });
      return tw.t({ state: "interval.source_state", cause: "interval.source_cause", late: "interval.source_late" }[s.source] || "interval.source_outage");
    },
    times(spent) {
      const said = Object.entries(spent).map(([c, s]) => `${tw.t(`figures.${c}`)} ${length(s)}`);
      return said.join(", ") || tw.t("interval.effect_none");
    },
    correct(s) {
      const end = Math.min(ms(this.it.period.to), tw.now());
      const [from, to] = s ? [s.since, s.until] : [local(end - 3600000), local(end)];
      this.form = { from: s ? local(ms(from)) : from, to: s ? local(ms(to)) : to, exact: s ? { from, to, shown: [local(ms(from)), local(ms(to))] } : null, counts_as: "planned", party: "unknown", reason: "" };
      this.trouble = this.said = "";
      this.$nextTick(() => {
        this.$refs.form.showModal();
        this.$refs.first.focus();
      });
    },
    // What was not touched is meant to the millisecond, as the interval has it.
    exactly(name, k) {
      const { exact } = this.form;
      return exact && this.form[name] === exact.shown[k] ? exact[name] : new Date(tw.instant(this.form[name])).toISOString();
    },
    async save() {
      this.busy = true;
      this.trouble = "";
      const { counts_as, party, reason } = this.form;
      try {
        const made = await tw.act("POST", `/api/v1/terminals/${encodeURIComponent(this.terminal)}/corrections`, { from: this.exactly("from", 0), to: this.exactly("to", 1), counts_as, party, reason });
        this.said = tw.t("interval.saved", { n: tw.number(made.entry) });
        this.$refs.form.close();
        this.reader.run();
      } catch (error) {
        this.trouble = error.message;
      }
      this.busy = false;
    },
    span: length,
    ms,
    pct,
    // Where the period begins and ends, by the clocks by which its days are counted: a month begins at midnight.
    edge(iso) {
      try {
        const zh = window.TW.lang === "zh"; // as tw.date writes it
        return new Intl.DateTimeFormat(zh ? "sv-SE" : tw.locale(), { dateStyle: zh ? "short" : "medium", timeStyle: "short", hourCycle: "h23", timeZone: this.it.period.zone }).format(ms(iso));
      } catch {
        return tw.stamp(ms(iso)); // a zone that this browser does not know
      }
    },
    stamp: (iso) => tw.stamp(ms(iso)),
    number: (n) => tw.number(n),
    t: (key, values) => tw.t(key, values),
  },
};
