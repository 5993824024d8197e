// One rule: when it is raised, what it did, and a trial of other limits over the past. Nothing is switched on here. Vue escapes every text.
const SHOWN = 50; // episodes on the page; the file has all
const LOOK = 700; // ms between two looks at a trial that runs
const DAY = 86400000;

export default {
  template: `
    <div class="tw-rule">
      <p v-if="failed" class="tw-note" role="status">{{ t("app.fetch_failed") }}</p>
      <p v-else-if="!r" class="tw-note">{{ t("alarms.loading") }}</p>
      <template v-else>
        <p><a href="/rules">← {{ t("rules.back") }}</a></p>
        <section class="tw-head tw-rule-head">
          <div class="tw-head-name"><h1>{{ r.text }}</h1><span class="tw-code tw-faint">{{ r.id }}</span><span class="tw-tag">{{ partyOf(r.party) }}</span><span class="tw-tag">{{ originOf(r.origin) }}</span></div>
          <a :href="'/cards/' + encodeURIComponent(r.id)">{{ t("rule.card") }}</a>
        </section>
        <div class="tw-rule-split">
          <div>
            <section class="tw-section"><h2>{{ t("rule.limits") }}</h2>
              <div class="tw-panel tw-rule-limits">
                <ul v-if="steps.length"><li v-for="(s, k) in steps" :key="k"><span class="tw-level-badge" :class="'tw-l' + s.level">{{ s.level || "–" }}</span> {{ s.text }}</li></ul>
                <p v-else class="tw-faint">{{ t("rule.itself") }}</p>
                <p class="tw-faint">{{ timing }}</p>
                <p v-if="Object.keys(r.class_levels).length" class="tw-faint">{{ t("rule.classes") }}: {{ Object.entries(r.class_levels).map(([name, n]) => name + " " + n).join(", ") }}</p>
                <p v-if="r.changed.length" class="tw-faint">{{ t("rule.changed", { keys: r.changed.join(", ") }) }}</p>
              </div>
            </section>
            <section class="tw-section"><h2>{{ t("rule.words") }}</h2>
              <dl class="tw-panel tw-card-text"><div><dt>{{ t("alarms.cause") }}</dt><dd>{{ r.cause }}</dd></div><div><dt>{{ t("alarms.consequence") }}</dt><dd>{{ r.consequence }}</dd></div><div class="tw-action"><dt>{{ t("alarms.action") }}</dt><dd>{{ r.action }}</dd></div><div><dt>{{ t("rule.owner") }}</dt><dd>{{ shipped(r.owner) }}</dd></div><div><dt>{{ t("rule.review") }}</dt><dd>{{ reviewed(r.review) }}</dd></div></dl>
            </section>
          </div>
          <section class="tw-section"><h2>{{ t("rule.did", { days: r.days.length - 1 }) }}</h2>
            <div class="tw-panel tw-rule-did">
              <dl class="tw-facts">
                <div><dt>{{ t("rules.raised") }}</dt><dd><b>{{ number(r.fired.raised) }}</b></dd></div><div><dt>{{ t("rules.terminals") }}</dt><dd>{{ number(r.fired.terminals) }}</dd></div><div><dt>{{ t("rules.acknowledged") }}</dt><dd>{{ number(r.fired.acknowledged) }}</dd></div><div><dt>{{ t("rules.open") }}</dt><dd>{{ number(r.fired.open) }}</dd></div>
                <div><dt>{{ t("rules.hits") }}</dt><dd>{{ r.fired.hit_share === null ? t("rules.no_verdict") : percent(r.fired.hit_share) + ", " + t("rules.verdict_counts", { right: r.fired.right, wrong: r.fired.wrong }) }}</dd></div>
              </dl>
              <p v-if="!r.fired.raised" class="tw-faint">{{ t("rule.nothing") }}</p>
              <template v-else><ol class="tw-rule-days"><li v-for="d in days" :key="d.key" :title="d.text" :style="{ '--tw-n': d.share }"><span class="tw-visually-hidden">{{ d.text }}</span></li></ol><p class="tw-rule-scale tw-faint" aria-hidden="true"><span>{{ scale.first }}</span><span>{{ scale.most }}</span><span>{{ scale.last }}</span></p></template>
              <p v-if="Object.keys(r.worst).length"><span class="tw-faint">{{ t("rule.worst") }}:</span> <template v-for="(n, name, k) in r.worst" :key="name"><template v-if="k">, </template><a :href="'/terminal/' + encodeURIComponent(name)">{{ name }}</a> {{ n }}</template></p>
              <p><span class="tw-faint">{{ t("rule.roles") }}:</span> {{ Object.keys(r.roles).length ? Object.entries(r.roles).map(([role, n]) => shipped(role) + " " + n).join(", ") : t("rule.roles_none") }}</p>
              <template v-if="r.fixes.length"><p class="tw-faint">{{ t("rule.fixes") }}:</p><ul><li v-for="(f, k) in r.fixes.slice(0, 5)" :key="k">{{ verdict(f.verdict) }}<template v-if="f.part">: {{ f.part }}</template> · {{ t("rule.fix", { n: f.count }) }}</li></ul></template>
              <template v-if="r.incidents.length"><p class="tw-faint">{{ t("rule.incidents") }}:</p><ul class="tw-rule-incidents"><li v-for="i in r.incidents.slice(0, 6)" :key="i.id"><span class="tw-level-badge tw-small-badge" :class="'tw-l' + i.level">{{ i.level }}</span> <a class="tw-in-text" :href="'/incident/' + encodeURIComponent(i.id)">{{ i.terminal || i.branch }}</a> <span class="tw-faint">{{ stamp(i.opened_at) }}</span></li></ul></template>
            </div>
          </section>
        </div>
        <section v-if="may" class="tw-section tw-trial" id="trial"><h2>{{ t("trial.title") }}</h2>
          <p class="tw-faint tw-trial-about">{{ t("trial.about") }}</p>
          <form class="tw-panel tw-trial-form" @submit.prevent="start">
            <label v-for="s in f.above" :key="'a' + s.level"><span>{{ t("trial.limit_above", { n: s.level }) }} {{ r.unit }}</span><input type="number" step="any" v-model.number="s.limit" required></label>
            <label v-for="s in f.below" :key="'b' + s.level"><span>{{ t("trial.limit_below", { n: s.level }) }} {{ r.unit }}</span><input type="number" step="any" v-model.number="s.limit" required></label>
            <label v-for="(n, word) in f.words" :key="word"><span>{{ t("trial.level_of", { word }) }}</span><select v-model.number="f.words[word]"><option :value="0">{{ t("trial.no_level") }}</option><option v-for="k in [1, 2, 3]" :key="k" :value="k">{{ k }}</option></select></label>
            <template v-if="r.tried">
              <label><span>{{ t("trial.for") }}</span><input type="number" min="0" step="any" v-model.number="f.for" required></label>
              <label><span>{{ t("trial.hold") }}</span><input type="number" min="0" step="any" v-model.number="f.hold" required></label>
              <label v-if="f.above.length || f.below.length"><span>{{ t("trial.band") }}</span><input type="number" min="0" step="any" v-model.number="f.deadband" required></label>
            </template>
            <label><span>{{ t("trial.since") }}</span><input type="date" v-model="f.from" required></label>
            <label><span>{{ t("trial.until") }}</span><input type="date" v-model="f.to" required></label>
            <label><span>{{ t("trial.terminal") }}</span><input v-model.trim="f.terminal" maxlength="64" autocomplete="off"></label>
            <div class="tw-trial-go"><button v-if="!busy" type="submit" class="tw-button tw-primary">{{ t("trial.start") }}</button><button v-else type="button" class="tw-button" @click="callOff">{{ t("trial.cancel") }}</button></div>
          </form>
          <p v-if="trouble" class="tw-note tw-trial-trouble" role="alert">{{ trouble }}</p>
          <div v-if="trial" role="status" class="tw-trial-state">
            <template v-if="busy"><progress :value="reached" max="1" :aria-label="t('trial.title')"></progress> {{ stateOf }}</template>
            <p v-else-if="trial.state !== 'done'" class="tw-note">{{ stateOf }}</p>
          </div>
          <div v-if="report" class="tw-trial-result">
            <p><b>{{ t("trial.result", { from: day(report.since), to: day(report.until), n: number(report.terminals) }) }}</b> <a class="tw-trial-file" :href="'/api/v1/backtests/' + trial.id + '?format=xlsx'" download>{{ t("trial.export") }}</a></p>
            <p v-if="report.by_the_hour" class="tw-note">{{ t("trial.by_the_hour", { n: report.by_the_hour }) }}</p>
            <div class="tw-panel tw-trial-scroll"><table class="tw-table"><thead><tr><th></th><th class="tw-number">{{ t("trial.tried") }}</th><th class="tw-number">{{ t("trial.stood") }}</th></tr></thead>
              <tbody><tr v-for="row in rows" :key="row.name"><td>{{ row.name }}</td><td class="tw-number"><b>{{ row.tried }}</b></td><td class="tw-number">{{ row.stood }}</td></tr></tbody></table></div>
            <template v-if="report.by_terminal.length"><h3>{{ t("trial.by_terminal") }}</h3>
              <div class="tw-panel tw-trial-scroll"><table class="tw-table"><thead><tr><th>{{ t("rules.terminals") }}</th><th class="tw-number">{{ t("trial.tried") }}</th><th class="tw-number">{{ t("trial.right") }}</th><th class="tw-number">{{ t("trial.false") }}</th><th class="tw-number">{{ t("trial.stood") }}</th></tr></thead>
                <tbody><tr v-for="x in report.by_terminal.slice(0, 20)" :key="x.terminal"><td><a :href="'/terminal/' + encodeURIComponent(x.terminal)">{{ x.terminal }}</a></td><td class="tw-number"><b>{{ x.tried }}</b></td><td class="tw-number">{{ x.right }}</td><td class="tw-number">{{ x.false }}</td><td class="tw-number">{{ x.stood }}</td></tr></tbody></table></div></template>
            <h3>{{ t("trial.episodes") }}</h3>
            <p v-if="!report.tried.list.length" class="tw-note">{{ t("trial.nothing") }}</p>
            <ul v-else class="tw-panel tw-trial-list"><li v-for="(e, k) in report.tried.list.slice(0, shown)" :key="k"><span class="tw-level-badge tw-small-badge" :class="'tw-l' + e.level">{{ e.level }}</span><span>{{ ns(e.begun) }}</span><span class="tw-faint">{{ e.ended ? span(e.ended - e.begun) : t("trial.lasts") }}</span><a :href="'/terminal/' + encodeURIComponent(e.terminal)">{{ e.terminal }}</a><span class="tw-code">{{ e.component }}</span><span>{{ say(e.value) }}</span><span class="tw-tag" :class="'tw-trial-' + e.outcome">{{ outcome(e.outcome) }}</span></li></ul>
            <p v-if="report.tried.episodes > shown" class="tw-faint">{{ t("trial.more", { n: number(report.tried.episodes - shown) }) }}</p>
            <template v-if="trial.fragment"><h3>{{ t("trial.fragment") }}</h3><div class="tw-panel tw-trial-toml"><pre class="tw-code">{{ trial.fragment }}</pre><button type="button" class="tw-button" @click="copy">{{ t(copied ? "trial.copied" : "trial.copy") }}</button></div></template>
            <p v-else class="tw-note">{{ t("trial.as_it_is") }}</p>
          </div>
        </section>
        <p v-else class="tw-note">{{ t("trial.may_not") }}</p>
      </template>
    </div>`,
  props: { rule: String, may: Boolean },
  data: () => ({ r: null, failed: false, f: null, trial: null, trouble: "", copied: false, shown: SHOWN }),
  mixins: [tw.list],
  unmounted() {
    clearTimeout(this.waiting);
  },
  computed: {
    steps() {
      const signal = this.r.signals[0] ?? "";
      return [
        ...this.r.above.map((s) => ({ level: s.level, text: tw.t("rule.above", { signal, limit: tw.say(s.limit, this.r.unit) }) })),
        ...this.r.below.map((s) => ({ level: s.level, text: tw.t("rule.below", { signal, limit: tw.say(s.limit, this.r.unit) }) })),
        ...Object.entries(this.r.words).map(([word, level]) => ({ level, text: tw.t("rule.word", { signal: this.r.signals.join(", "), word }) })),
      ];
    },
    timing() {
      const said = [];
      if (this.r.for_s) said.push(tw.t("rule.lasting", { span: tw.length(this.r.for_s) }));
      if (this.r.hold_s) said.push(tw.t(this.r.deadband ? "rule.clears" : "rule.clears_plain", { span: tw.length(this.r.hold_s), band: tw.say(this.r.deadband, this.r.unit) }));
      if (this.r.latched) said.push(tw.t("rule.latched"));
      return said.join(tw.t("rule.and"));
    },
    days() {
      const most = Math.max(1, ...this.r.days);
      const first = Math.floor(tw.now() / DAY) - (this.r.days.length - 1);
      return this.r.days.map((n, k) => ({ key: k, share: n / most, text: tw.t("rule.day", { date: tw.date((first + k) * DAY), n }) }));
    },
    scale() {
      const today = Math.floor(tw.now() / DAY) * DAY;
      return { first: tw.date(today - (this.r.days.length - 1) * DAY), most: tw.t("rule.most", { n: Math.max(...this.r.days) }), last: tw.date(today) };
    },
    reached() {
      return this.trial.share;
    },
    busy() {
      return this.trial && ["waiting", "running"].includes(this.trial.state);
    },
    stateOf() {
      return tw.t(`trial.state_${this.trial.state}`, { share: tw.percent(this.trial.share, 0), trouble: this.trial.trouble });
    },
    report() {
      return this.trial?.state === "done" ? this.trial.report : null;
    },
    rows() {
      const n = (value) => (value === null ? "–" : tw.number(value));
      const both = (name, say) => ({ name: tw.t(name), tried: say(this.report.tried), stood: say(this.report.stood) });
      return [
        both("trial.raised", (x) => n(x.episodes)),
        both("trial.right", (x) => n(x.hits)),
        both("trial.false", (x) => n(x.false)),
        both("trial.prevented", (x) => n(x.prevented)),
        both("trial.unknown", (x) => n(x.unknown)),
        both("trial.missed", (x) => tw.t("trial.missed_of", { n: x.missed, all: x.faults })),
        both("trial.lead", (x) => (x.lead_days_median === null ? "–" : tw.t("trial.days", { n: tw.number(x.lead_days_median) }))),
        both("trial.rate", (x) => n(x.false_per_terminal_year)),
        both("trial.tickets", (x) => n(Object.values(x.tickets_a_week).reduce((sum, each) => sum + each, 0))),
      ];
    },
  },
  methods: {
    async load() {
      try {
        this.r = await tw.json(`/api/v1/rules/${encodeURIComponent(this.rule)}?lang=${window.TW.lang}`);
        this.failed = false;
        if (!this.f) this.begin();
      } catch (error) {
        this.failed = !this.r;
        throw error;
      }
      if (this.may && !this.trial) {
        const own = await tw.json(`/api/v1/backtests?limit=1&rule=${encodeURIComponent(this.rule)}`).catch(() => ({ items: [] }));
        if (own.items.length) await this.look(own.items[0].id);
      }
    },
    begin() {
      const day = (at) => tw.local(at).slice(0, 10);
      const copy = (steps) => steps.map((s) => ({ ...s }));
      this.f = { above: copy(this.r.above), below: copy(this.r.below), words: { ...this.r.words }, for: this.r.for_s / 60, hold: this.r.hold_s / 60, deadband: this.r.deadband, from: day(tw.now() - 30 * DAY), to: day(tw.now()), terminal: "" };
    },
    // What differs from the rule as it is, and nothing else: so the lines to write are few.
    changes() {
      const same = (a, b) => JSON.stringify(a) === JSON.stringify(b);
      const found = {};
      for (const name of ["above", "below", "words"]) if (!same(this.f[name], this.r[name])) found[name] = this.f[name];
      if (this.f.deadband !== this.r.deadband) found.deadband = this.f.deadband;
      if (this.f.for * 60 !== this.r.for_s) found.for_s = this.f.for * 60;
      if (this.f.hold * 60 !== this.r.hold_s) found.hold_s = this.f.hold * 60;
      return found;
    },
    async start() {
      this.trouble = "";
      this.copied = false;
      try {
        this.trial = await tw.act("POST", "/api/v1/backtests", { rule: this.rule, from: tw.midnight(this.f.from), to: tw.midnight(this.f.to, 1), terminal: this.f.terminal, changes: this.changes() });
        this.follow();
      } catch (error) {
        this.trouble = error.message;
      }
    },
    follow() {
      clearTimeout(this.waiting);
      this.waiting = setTimeout(() => this.look(this.trial.id), LOOK);
    },
    async look(id) {
      try {
        this.trial = await tw.json(`/api/v1/backtests/${id}`);
      } catch {
        return;
      }
      if (this.busy) this.follow();
    },
    async callOff() {
      clearTimeout(this.waiting);
      await tw.act("DELETE", `/api/v1/backtests/${this.trial.id}`).catch((error) => (this.trouble = error.message));
      await this.look(this.trial.id);
    },
    async copy() {
      await navigator.clipboard.writeText(this.trial.fragment).catch(() => {});
      this.copied = true;
    },
    partyOf: (name) => tw.t(`party.${name}`),
    originOf: (name) => tw.t(`rules.origin_${name}`),
    outcome: (name) => tw.t(`trial.outcome_${name || "unknown"}`),
    verdict: (word) => tw.t(`verdict.${word}`),
    say(value) {
      return value === null ? "" : tw.say(typeof value === "number" ? value : String(value), typeof value === "number" ? this.r.unit : "");
    },
    ns: (at) => tw.stamp(at / 1e6),
    day: (at) => tw.date(at / 1e6),
    reviewed: (day) => tw.wholeDay(day) || "–",
    shipped: (text) => tw.shipped(text),
    span: (ns) => tw.span(ns / 1e6),
    stamp: (iso) => tw.stamp(iso ? Date.parse(iso) : 0),
    number: (n) => tw.number(n),
    percent: (n) => tw.percent(n, 0),
    t: (name, values) => tw.t(name, values),
  },
};
